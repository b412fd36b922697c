"""Claims: the right to work on a target of a queued run, good as long as the work runs at the claim's epoch.

Whoever has a claim may write what it does to a target: every such write asks for that in its own transaction
(``hold``), so that a worker that was frozen past its lease changes nothing when it wakes. What must not live here: what
waits and becomes ready (``work``), who works (``workers``), and what is done to a host.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from pusher.models import Claim, Outcome, WaveState, WorkState
from pusher.store import schema
from pusher.store.database import Repository, unless_there
from pusher.store.outcomes import REPLACING, outcome_row
from pusher.store.schema import storable
from pusher.store.workers import stays_up

_WORK, _RUNS, _ATTEMPTS, _MACHINES = schema.work, schema.runs, schema.attempts, schema.machines
_TARGETS, _WAVES = schema.targets, schema.waves

_MINE = and_(
    _WORK.c.id == bindparam("its_id"),
    _WORK.c.state == WorkState.RUNNING.value,
    _WORK.c.epoch == bindparam("its_epoch"),
)
_HELD = select(_WORK.c.id).where(_MINE).with_for_update(read=True)
# Reading begins no transaction on SQLite, so what was read might be no more when something is written by it.
_HELD_BY_WRITING = update(_WORK).where(_MINE).values(epoch=_WORK.c.epoch)
# A straggler of a wave that has passed counts in the one that is at work when it ends.
_HAS_PASSED = exists().where(
    _WAVES.c.run == _WORK.c.run, _WAVES.c.number == _WORK.c.wave, _WAVES.c.state == WaveState.PASSED.value
)
_AT_WORK = (
    select(func.min(_WAVES.c.number))
    .where(_WAVES.c.run == _WORK.c.run, _WAVES.c.state != WaveState.PASSED.value)
    .scalar_subquery()
)
_ENDED = (
    update(_WORK)
    .where(_MINE)
    .values(
        state=WorkState.DONE.value,
        worker=None,
        wave=case((_HAS_PASSED, func.coalesce(_AT_WORK, _WORK.c.wave)), else_=_WORK.c.wave),
    )
)
_WAITS = (
    update(_WORK)
    .where(_MINE)
    .values(
        state=WorkState.WAITING.value,
        worker=None,
        due=bindparam("its_due"),
        parked=bindparam("on"),
        priority=bindparam("its_priority"),
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
_MACHINE = unless_there(_MACHINES)
_OUTCOME = unless_there(schema.outcomes)
_TRIES_TO_CLAIM = 5


class ClaimLostError(Exception):
    """The work is somebody else's by now: what was asked for by ``claim`` is not done."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"{claim.run}, {claim.target}: epoch {claim.epoch} is over")
        self.claim = claim


class Claims(Repository):
    """What a call tells is durable."""

    async def claim(self, run: str, worker: str, most: int, priority: int | None = None) -> list[Claim]:
        """The next of a run's work that is ready, of hosts on which nothing runs; none where the worker is gone.

        ``priority``: of that alone; None: the most urgent.
        """

        def claiming(connection: Connection) -> list[Claim]:
            if not stays_up(connection, worker):
                return []
            for _ in range(_TRIES_TO_CLAIM):
                try:
                    with connection.begin_nested():
                        return _claimed(connection, run, worker, most, priority, self.sites)
                except IntegrityError:  # another worker has claimed one of the hosts in the same moment
                    continue
            return []

        return await self._database.writer.ask(claiming)

    async def hold(self, target: str) -> None:
        """A run that is not in the queue has its targets for itself."""

    def require(self, target: str) -> None:
        """As ``hold``."""

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
        self,
        claim: Claim,
        outcome: Outcome,
        due: datetime,
        waiting: Mapping[str, Any],
        parked: str | None = None,
        priority: int | None = None,
    ) -> bool:
        """The work waits until ``due``, with the outcome of its last attempt, which another one will replace; False
        where the claim is good no more.

        ``waiting``: what the next claim is to know, in words of the caller's own. ``parked``: the account whose
        ``release`` ends the wait, too. ``priority``: with which it comes back; None: with the one that it had.
        """
        kept = {"its_due": due, "kept": dict(waiting), "on": parked,
                "its_priority": claim.priority if priority is None else priority}  # fmt: skip
        return await self._leave_with(outcome, claim, _WAITS, kept)

    async def give_back(self, claim: Claim) -> bool:
        """The work is anybody's, at once; False where the claim is good no more."""
        return await self._database.writer.ask(lambda c: _changes(c, _RETURNED, claim))

    async def release_run(self, run: str, worker: str) -> int:
        """Free whatever the worker has of the run, known to it or not; how much that was."""
        mine = and_(_WORK.c.run == run, _WORK.c.worker == worker, _WORK.c.state == WorkState.RUNNING.value)
        freed = update(_WORK).where(mine).values(state=WorkState.READY.value, worker=None)
        return await self._database.writer.ask(lambda connection: connection.execute(freed).rowcount)

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


def hold(connection: Connection, claim: Claim) -> bool:
    """Whether the claim is good; if so it stays good until the transaction ends."""
    key = {"its_id": claim.work, "its_epoch": claim.epoch}
    if connection.dialect.name == "sqlite":
        return connection.execute(_HELD_BY_WRITING, key).rowcount == 1
    return connection.execute(_HELD, key).first() is not None


def is_of(sites: Collection[str]) -> list[ColumnElement[bool]]:
    """The target is in one of them; nothing where all are served."""
    its = (_TARGETS.c.run == _WORK.c.run, _TARGETS.c.name == _WORK.c.target, _TARGETS.c.site.in_(sites))
    return [exists().where(*its)] if sites else []


def is_free() -> ColumnElement[bool]:
    """Nothing runs on its host."""
    other = _WORK.alias()
    return ~exists().where(other.c.host == _WORK.c.host, other.c.state == WorkState.RUNNING.value)


def _claimed(
    connection: Connection, run: str, worker: str, most: int, priority: int | None, sites: Collection[str]
) -> list[Claim]:
    is_meant = and_(_WORK.c.run == run, _WORK.c.state == WorkState.READY.value)
    is_meant = and_(is_meant, exists().where(_RUNS.c.id == run, _RUNS.c.stopped_at.is_(None)))
    if priority is not None:
        is_meant = and_(is_meant, _WORK.c.priority == priority)
    chosen = (
        select(_WORK.c.id)
        .where(is_meant, is_free(), *is_of(sites))
        .order_by(_WORK.c.priority, _WORK.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    query = (
        update(_WORK)
        .where(_WORK.c.id.in_(chosen.scalar_subquery()))
        .values(state=WorkState.RUNNING.value, epoch=_WORK.c.epoch + 1, worker=worker)
        .returning(
            *(_WORK.c.id, _WORK.c.run, _WORK.c.target, _WORK.c.epoch, _WORK.c.priority, _WORK.c.waiting),
            *(_TRIES, _QUEUED_AT),
        )
    )
    found = [
        Claim(
            work=row.id, run=row.run, target=row.target, epoch=row.epoch, priority=row.priority, waiting=row.waiting,
            tries=row[6], queued_at=row[7],
        )
        for row in connection.execute(query)
    ]  # fmt: skip
    return sorted(found, key=lambda claim: (claim.priority, claim.work))


def _changes(
    connection: Connection, statement: Any, claim: Claim, values: Mapping[str, Any] = MappingProxyType({})
) -> bool:
    return bool(connection.execute(statement, {"its_id": claim.work, "its_epoch": claim.epoch, **values}).rowcount)
