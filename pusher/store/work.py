"""Work that waits for a worker: submitted with its run, claimed, held by a lease, and ended with its outcome.

Whoever has a claim may write what it does to a target as long as the work runs at the claim's epoch: every such write
asks for that in its own transaction (``hold``), so that a worker that was frozen past its lease changes nothing when it
wakes. Times that decide are the database's own, where a server has them. What must not live here: who does what when
(``worker``), and what is done to a host.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from pusher.clock import utc_now
from pusher.models import Claim, Outcome, WorkState
from pusher.store import schema
from pusher.store.database import Repository, unless_there
from pusher.store.outcomes import REPLACING, outcome_row
from pusher.store.schema import storable

_WORK, _WORKERS, _RUNS, _ATTEMPTS = schema.work, schema.workers, schema.runs, schema.attempts
UP, GONE = "up", "gone"

_MINE = and_(
    _WORK.c.id == bindparam("its_id"),
    _WORK.c.state == WorkState.RUNNING.value,
    _WORK.c.epoch == bindparam("its_epoch"),
)
_HELD = select(_WORK.c.id).where(_MINE).with_for_update(read=True)
# Reading begins no transaction on SQLite, so what was read might be no more when something is written by it.
_HELD_BY_WRITING = update(_WORK).where(_MINE).values(epoch=_WORK.c.epoch)
_ENDED = update(_WORK).where(_MINE).values(state=WorkState.DONE.value, worker=None)
_WAITS = (
    update(_WORK)
    .where(_MINE)
    .values(
        state=WorkState.WAITING.value,
        worker=None,
        due=bindparam("its_due"),
        parked=bindparam("on"),
        waiting=bindparam("kept", type_=_WORK.c.waiting.type),
    )
)
_RETURNED = update(_WORK).where(_MINE).values(state=WorkState.READY.value, worker=None)
_TRIES = (
    select(func.coalesce(func.max(_ATTEMPTS.c.number), 0))
    .where(_ATTEMPTS.c.run == _WORK.c.run, _ATTEMPTS.c.target == _WORK.c.target)
    .scalar_subquery()
)
_QUEUED_AT = select(_RUNS.c.queued_at).where(_RUNS.c.id == _WORK.c.run).scalar_subquery()


_MACHINES = schema.machines
_MACHINE = unless_there(_MACHINES)
_FREE = {"state": WorkState.READY.value, "due": None, "parked": None}
_PROMOTED = (
    update(_WORK)
    .where(_WORK.c.state == WorkState.WAITING.value, _WORK.c.due <= bindparam("now", type_=_WORK.c.due.type))
    .values(**_FREE)
)
_IS_OVER = ~exists().where(_WORK.c.run == _RUNS.c.id, _WORK.c.state != WorkState.DONE.value)
_RUNS_ENDED = (
    update(_RUNS)
    .where(_RUNS.c.queued_at.is_not(None), _RUNS.c.ended_at.is_(None), _IS_OVER)
    .values(ended_at=bindparam("now", type_=_RUNS.c.ended_at.type))
    .returning(_RUNS.c.id)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tidied:
    """``freed``: claims of workers that are gone; ``promoted``: work that was due; ``ended``: runs."""

    freed: int
    promoted: int
    ended: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueLook:
    """``ready``: runs of which something can be claimed, the most urgent first. ``cancelled``: runs that are, with work
    that nobody has claimed."""

    ready: Sequence[str]
    cancelled: Sequence[str]


class ClaimLostError(Exception):
    """The work is somebody else's by now: what was asked for by ``claim`` is not done."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"{claim.run}, {claim.target}: epoch {claim.epoch} is over")
        self.claim = claim


class Work(Repository):
    """What a call tells is durable."""

    # -- workers -------------------------------------------------------------------------------------------------

    async def register(
        self, name: str, process: Mapping[str, Any], lease: timedelta, is_gone: Callable[[Mapping[str, Any]], bool]
    ) -> str | None:
        """The id of a worker that begins; None where another one of that name is at work.

        ``process``: where it runs, in words of the caller's own, and ``is_gone`` says whether it does no more.
        """

        def registering(connection: Connection) -> str | None:
            now = self._now(connection)
            self._end_lapsed(connection, now, is_gone)
            row = {"id": secrets.token_hex(8), "name": name, "process": dict(process), "state": UP, "since": now,
                   "lease_until": now + lease}  # fmt: skip
            try:
                with connection.begin_nested():
                    connection.execute(insert(_WORKERS), row)
            except IntegrityError:
                return None
            return str(row["id"])

        return await self._database.writer.ask(registering)

    async def beat(self, worker: str, lease: timedelta) -> bool:
        """Its lease begins anew, and with it that of all its claims; False where it had lapsed, which is for good."""

        def beating(connection: Connection) -> bool:
            now = self._now(connection)
            query = update(_WORKERS).where(_is_up(worker, now)).values(lease_until=now + lease)
            return connection.execute(query).rowcount == 1

        return await self._database.writer.ask(beating)

    async def leave(self, worker: str) -> None:
        """It takes no more work, and what it has is somebody else's."""

        def leaving(connection: Connection) -> None:
            connection.execute(update(_WORKERS).where(_WORKERS.c.id == worker).values(state=GONE))
            _free_the_claims_of_the_gone(connection)

        await self._database.writer.ask(leaving)

    async def release_run(self, run: str, worker: str) -> int:
        """Free whatever the worker has of the run, known to it or not; how much that was."""
        mine = and_(_WORK.c.run == run, _WORK.c.worker == worker, _WORK.c.state == WorkState.RUNNING.value)
        freed = update(_WORK).where(mine).values(state=WorkState.READY.value, worker=None)
        return await self._database.writer.ask(lambda connection: connection.execute(freed).rowcount)

    async def tidy(self, is_gone: Callable[[Mapping[str, Any]], bool]) -> Tidied:
        """Free the claims of workers whose lease has lapsed, or whose process is gone; make ready what is due; record
        the end of queued runs of which all work is done."""

        def tidying(connection: Connection) -> Tidied:
            now = self._now(connection)
            self._end_lapsed(connection, now, is_gone)
            freed = _free_the_claims_of_the_gone(connection)
            promoted = connection.execute(_PROMOTED, {"now": now}).rowcount
            return Tidied(freed=freed, promoted=promoted, ended=_end_runs(connection, now))

        return await self._database.writer.ask(tidying)

    # -- work ----------------------------------------------------------------------------------------------------

    async def claim(self, run: str, worker: str, most: int) -> list[Claim]:
        """The next of a run's work that is ready, of hosts on which nothing runs; none where the worker is gone."""

        def claiming(connection: Connection) -> list[Claim]:
            if not self._is_up(connection, worker):
                return []
            for _ in range(_TRIES_TO_CLAIM):
                try:
                    with connection.begin_nested():
                        return _claimed(connection, run, worker, most)
                except IntegrityError:  # another worker has claimed one of the hosts in the same moment
                    continue
            return []

        return await self._database.writer.ask(claiming)

    async def hold(self, target: str) -> None:
        """A run that is not in the queue has its targets for itself."""

    async def is_good(self, claim: Claim) -> bool:
        """Whether it is good now."""
        return await self._database.writer.ask(lambda connection: hold(connection, claim))

    async def claim_machine(self, claim: Claim, key: str) -> str | None:
        """The other target of its run under whose name the machine ``key`` is worked on, or was; None where it is the
        claim's from now on. ClaimLostError."""
        row = {"run": claim.run, "key": key, "target": claim.target}

        def claiming(connection: Connection) -> str:
            if not hold(connection, claim):
                return ""
            connection.execute(_MACHINE[self._database.dialect], row)
            known = select(_MACHINES.c.target).where(_MACHINES.c.run == claim.run, _MACHINES.c.key == storable(key))
            return str(connection.execute(known).scalar_one())

        holder = await self._database.writer.ask(claiming)
        if not holder:
            raise ClaimLostError(claim)
        return None if holder == storable(claim.target) else holder

    async def finish(self, claim: Claim, outcome: Outcome, *, unless_there: bool = False) -> bool:
        """The outcome and the end of the work; False where the claim is good no more, and nothing is recorded.

        ``unless_there``: an outcome that an earlier attempt has left stays.
        """
        return await self._leave_with(outcome, claim, _ENDED, {}, _OUTCOME if unless_there else REPLACING)

    async def put_off(
        self, claim: Claim, outcome: Outcome, due: datetime, waiting: Mapping[str, Any], parked: str | None = None
    ) -> bool:
        """The work waits until ``due``, with the outcome of its last attempt, which another one will replace; False
        where the claim is good no more.

        ``waiting``: what the next claim is to know, in words of the caller's own. ``parked``: the account whose
        ``release`` ends the wait, too.
        """
        kept = {"its_due": due, "kept": dict(waiting), "on": parked}
        return await self._leave_with(outcome, claim, _WAITS, kept)

    def release(self, account: str) -> int:
        """Make ready what is parked on the account; how much that was."""
        released = update(_WORK).where(_WORK.c.parked == account).values(**_FREE)
        return self._database.writer.ask_now(lambda connection: connection.execute(released).rowcount)

    async def give_back(self, claim: Claim) -> bool:
        """The work is anybody's, at once; False where the claim is good no more."""
        return await self._database.writer.ask(lambda c: _changes(c, _RETURNED, claim))

    def end_runs(self) -> list[str]:
        """Record the end of queued runs of which all work is done; which they are."""
        return self._database.writer.ask_now(lambda connection: _end_runs(connection, self._now(connection)))

    def end_unclaimed(self, run: str, outcome_of: Callable[[str, bool], Outcome], most: int = 500) -> int:
        """End work of a run that nobody has claimed; how much it was, at most ``most``.

        What an attempt has come to stays its outcome; ``outcome_of`` makes those of the others, and is told whether
        something was begun there that nobody has undone.
        """
        free = select(_WORK.c.id).where(_WORK.c.run == run, _WORK.c.state.in_(_UNCLAIMED)).limit(most)

        def end(connection: Connection) -> int:
            chosen = _WORK.c.id.in_(free.with_for_update(skip_locked=True).scalar_subquery())
            ended = {**_FREE, "state": WorkState.DONE.value}
            query = update(_WORK).where(chosen).values(**ended).returning(_WORK.c.target)
            targets = list(connection.execute(query).scalars())
            begun = set(connection.execute(_LEFT_OPEN, {"its_run": run}).scalars()) if targets else set()
            rows = [outcome_row(outcome_of(target, target in begun)) for target in targets]
            if rows:
                connection.execute(_OUTCOME[self._database.dialect], rows)
            return len(rows)

        return self._database.writer.ask_now(end)

    async def look(self) -> QueueLook:
        """What there is to do, read beside the event loop."""
        return await self._database.aside(lambda: self._database.read(_looked))

    def work_states(self, run: str) -> dict[WorkState, int]:
        """How much of a queued run's work is in which state; empty of another run."""
        query = select(_WORK.c.state, func.count()).where(_WORK.c.run == run).group_by(_WORK.c.state)
        with self._database.reading() as connection:
            return {WorkState(state): count for state, count in connection.execute(query)}

    def parked(self, run: str) -> dict[str, int]:
        """How much of a run's work is parked on which account."""
        query = select(_WORK.c.parked, func.count()).where(_WORK.c.run == run, _WORK.c.parked.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(_WORK.c.parked)).all()
            return {account: count for account, count in rows}  # noqa: C416

    def next_due(self, run: str) -> datetime | None:
        """When the first of a run's work that waits for a time alone is due; None where none does."""
        query = select(func.min(_WORK.c.due)).where(
            _WORK.c.run == run, _WORK.c.state == WorkState.WAITING.value, _WORK.c.parked.is_(None)
        )
        with self._database.reading() as connection:
            due: datetime | None = connection.execute(query).scalar()
            return due

    # -- the parts -----------------------------------------------------------------------------------------------

    async def _leave_with(
        self,
        outcome: Outcome,
        claim: Claim,
        statement: Any,
        values: Mapping[str, Any],
        recording: Mapping[str, Any] = REPLACING,
    ) -> bool:
        def leaving(connection: Connection) -> bool:
            if not _changes(connection, statement, claim, values):
                return False
            connection.execute(recording[self._database.dialect], outcome_row(outcome))
            return True

        return await self._database.writer.ask(leaving)

    def _now(self, connection: Connection) -> datetime:
        """Of the one clock that all who use the store have."""
        if self._database.dialect == "sqlite":
            return utc_now()
        told: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return told

    def _is_up(self, connection: Connection, worker: str) -> bool:
        """It is, and stays so until the transaction ends."""
        is_up = _is_up(worker, self._now(connection))
        if self._database.dialect == "sqlite":
            return connection.execute(update(_WORKERS).where(is_up).values(state=UP)).rowcount == 1
        return connection.execute(select(_WORKERS.c.id).where(is_up).with_for_update(read=True)).first() is not None

    def _end_lapsed(self, connection: Connection, now: datetime, is_gone: Callable[[Mapping[str, Any]], bool]) -> None:
        columns = (_WORKERS.c.id, _WORKERS.c.process, _WORKERS.c.lease_until)
        for worker, process, until in connection.execute(select(*columns).where(_WORKERS.c.state == UP)).all():
            if until < now or is_gone(process):
                as_read = and_(_WORKERS.c.id == worker, _WORKERS.c.lease_until == until)
                connection.execute(update(_WORKERS).where(as_read).values(state=GONE))


_OUTCOME = unless_there(schema.outcomes)
_LEFT_OPEN = select(schema.journals.c.target).where(
    schema.journals.c.run == bindparam("its_run"), schema.journals.c.closed_as.is_(None)
)
_TRIES_TO_CLAIM = 5
_UNCLAIMED = (WorkState.READY.value, WorkState.WAITING.value)


def hold(connection: Connection, claim: Claim) -> bool:
    """Whether the claim is good; if so it stays good until the transaction ends."""
    key = {"its_id": claim.work, "its_epoch": claim.epoch}
    if connection.dialect.name == "sqlite":
        return connection.execute(_HELD_BY_WRITING, key).rowcount == 1
    return connection.execute(_HELD, key).first() is not None


def work_rows(run: str, targets: Sequence[str], priority: int) -> list[dict[str, Any]]:
    """Of a run that is submitted."""
    return [
        {"run": run, "target": target, "host": target.lower(), "state": WorkState.READY.value, "priority": priority,
         "epoch": 0}
        for target in targets
    ]  # fmt: skip


def _is_up(worker: str, now: datetime) -> ColumnElement[bool]:
    return and_(_WORKERS.c.id == worker, _WORKERS.c.state == UP, _WORKERS.c.lease_until >= now)


def _is_free() -> ColumnElement[bool]:
    """Nothing runs on its host."""
    other = _WORK.alias()
    return ~exists().where(other.c.host == _WORK.c.host, other.c.state == WorkState.RUNNING.value)


def _looked(connection: Connection) -> QueueLook:
    goes_on = exists().where(_RUNS.c.id == _WORK.c.run, _RUNS.c.cancel_at.is_(None))
    ready = (
        select(_WORK.c.run)
        .where(_WORK.c.state == WorkState.READY.value, _is_free(), goes_on)
        .group_by(_WORK.c.run)
        .order_by(func.min(_WORK.c.priority), func.min(_WORK.c.id))
    )
    cancelled = (
        select(_RUNS.c.id)
        .where(_RUNS.c.cancel_at.is_not(None), _RUNS.c.queued_at.is_not(None), _RUNS.c.ended_at.is_(None))
        .where(exists().where(_WORK.c.run == _RUNS.c.id, _WORK.c.state.in_(_UNCLAIMED)))
    )
    return QueueLook(
        ready=list(connection.execute(ready).scalars()), cancelled=list(connection.execute(cancelled).scalars())
    )


def _claimed(connection: Connection, run: str, worker: str, most: int) -> list[Claim]:
    chosen = (
        select(_WORK.c.id)
        .where(_WORK.c.run == run, _WORK.c.state == WorkState.READY.value, _is_free())
        .order_by(_WORK.c.priority, _WORK.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    query = (
        update(_WORK)
        .where(_WORK.c.id.in_(chosen.scalar_subquery()))
        .values(state=WorkState.RUNNING.value, epoch=_WORK.c.epoch + 1, worker=worker)
        .returning(_WORK.c.id, _WORK.c.run, _WORK.c.target, _WORK.c.epoch, _WORK.c.waiting, _TRIES, _QUEUED_AT)
    )
    found = [
        Claim(work=work, run=run, target=target, epoch=epoch, waiting=waiting, tries=tries, queued_at=queued_at)
        for work, run, target, epoch, waiting, tries, queued_at in connection.execute(query)
    ]
    return sorted(found, key=lambda claim: claim.work)


def _changes(
    connection: Connection, statement: Any, claim: Claim, values: Mapping[str, Any] = MappingProxyType({})
) -> bool:
    return bool(connection.execute(statement, {"its_id": claim.work, "its_epoch": claim.epoch, **values}).rowcount)


def _end_runs(connection: Connection, now: datetime) -> list[str]:
    return list(connection.execute(_RUNS_ENDED, {"now": now}).scalars())


def _free_the_claims_of_the_gone(connection: Connection) -> int:
    gone = select(_WORKERS.c.id).where(_WORKERS.c.state == GONE).scalar_subquery()
    claimed = and_(_WORK.c.state == WorkState.RUNNING.value, _WORK.c.worker.in_(gone))
    return connection.execute(update(_WORK).where(claimed).values(state=WorkState.READY.value, worker=None)).rowcount
