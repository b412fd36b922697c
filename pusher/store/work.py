"""Work that waits for a worker: submitted with its run, made ready when it is due, and ended where nobody claims it.

Times that decide are the database's own, where a server has them. What must not live here: who has which work
(``claims``), who works (``workers``), and who does what when (the package ``worker``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, func, select, update

from pusher.models import Outcome, ReadyWork, Run, WavePlan, WorkState
from pusher.store import schema
from pusher.store.claims import is_free, is_of
from pusher.store.database import Repository, unless_there
from pusher.store.outcomes import outcome_row
from pusher.store.server_time import now_of
from pusher.store.workers import end_lapsed, free_the_claims_of_the_gone

_WORK, _RUNS, _OUTCOMES = schema.work, schema.runs, schema.outcomes
_UNCLAIMED = (WorkState.HELD.value, WorkState.READY.value, WorkState.WAITING.value)
_OUTCOME = unless_there(schema.outcomes)
_LEFT_OPEN = select(schema.journals.c.target).where(
    schema.journals.c.run == bindparam("its_run"), schema.journals.c.closed_as.is_(None)
)

_NOW = bindparam("now", type_=_WORK.c.ready_at.type)
_FREE = {"state": WorkState.READY.value, "due": None, "parked": None}
_PROMOTED = (
    update(_WORK).where(_WORK.c.state == WorkState.WAITING.value, _WORK.c.due <= _NOW).values(**_FREE, ready_at=_NOW)
)
_IS_OVER = ~exists().where(_WORK.c.run == _RUNS.c.id, _WORK.c.state != WorkState.DONE.value)
_RUNS_ENDED = (
    update(_RUNS)
    .where(_RUNS.c.queued_at.is_not(None), _RUNS.c.ended_at.is_(None), _IS_OVER)
    .values(ended_at=_NOW)
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
    """``work`` that can be claimed, the most urgent first. ``cancelled``: runs that are, with work that nobody has
    claimed."""

    work: Sequence[ReadyWork]
    cancelled: Sequence[str]

    @property
    def ready(self) -> list[str]:
        """Runs of which something can be claimed, the most urgent first."""
        return list(dict.fromkeys(one.run for one in self.work))


class Work(Repository):
    """What a call tells is durable."""

    async def tidy(self, is_gone: Callable[[Mapping[str, Any]], bool]) -> Tidied:
        """Free the claims of workers whose lease has lapsed, or whose process is gone; make ready what is due; record
        the end of queued runs of which all work is done."""

        def tidying(connection: Connection) -> Tidied:
            now = now_of(connection)
            end_lapsed(connection, now, is_gone)
            freed = free_the_claims_of_the_gone(connection)
            promoted = connection.execute(_PROMOTED, {"now": now}).rowcount
            return Tidied(freed=freed, promoted=promoted, ended=_end_runs(connection, now))

        return await self._database.writer.ask(tidying)

    def release(self, account: str) -> int:
        """Make ready what is parked on the account; how much that was."""
        released = update(_WORK).where(_WORK.c.parked == account).values(**_FREE, ready_at=_NOW)
        return self._database.writer.ask_now(lambda c: c.execute(released, {"now": now_of(c)}).rowcount)

    def end_runs(self) -> list[str]:
        """Record the end of queued runs of which all work is done; which they are."""
        return self._database.writer.ask_now(lambda connection: _end_runs(connection, now_of(connection)))

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

    def put_off_ready(self, run: str, due_of: Callable[[str], datetime], most: int = 500) -> int:
        """Let work of a run that is ready wait; how much it was, at most ``most``. ``due_of``: until when each target
        waits. What its last attempt came to stays."""
        ready = and_(_WORK.c.run == run, _WORK.c.state == WorkState.READY.value)
        waits = update(_WORK).where(ready, _WORK.c.id == bindparam("its_id")).values(
            state=WorkState.WAITING.value, due=bindparam("its_due", type_=_WORK.c.due.type)
        )  # fmt: skip

        def putting_off(connection: Connection) -> int:
            free = select(_WORK.c.id, _WORK.c.target).where(ready).limit(most).with_for_update(skip_locked=True)
            found = connection.execute(free).all()
            if found:
                connection.execute(waits, [{"its_id": one.id, "its_due": due_of(one.target)} for one in found])
            return len(found)

        return self._database.writer.ask_now(putting_off)

    def usual_seconds(self, run: str) -> float | None:
        """How long 95 of 100 of a run's targets have taken at most, of those that have done well; None before any."""
        succeeded = (_OUTCOMES.c.run == run, _OUTCOMES.c.code.is_(None))
        with self._database.reading() as connection:
            count = connection.execute(select(func.count()).where(*succeeded)).scalar_one()
            query = select(_OUTCOMES.c.seconds).where(*succeeded).order_by(_OUTCOMES.c.seconds)
            found: float | None = connection.execute(query.offset(max(ceil(count * 0.95) - 1, 0)).limit(1)).scalar()
            return found

    async def look(self) -> QueueLook:
        """What there is to do, read beside the event loop."""
        return await self._database.aside(lambda: self._database.read(lambda c: _looked(c, self.sites)))

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


def work_rows(run: Run, targets: Sequence[str], priority: int, waves: WavePlan | None = None) -> list[dict[str, Any]]:
    """Of a run that is submitted."""
    state = WorkState.READY if waves is None else WorkState.HELD
    return [
        {"run": run.id, "target": target, "host": target.lower(), "state": state.value, "priority": priority,
         "epoch": 0, "ready_at": run.started_at, "wave": waves.wave_of[target] if waves is not None else None}
        for target in targets
    ]  # fmt: skip


def _looked(connection: Connection, sites: Collection[str]) -> QueueLook:
    goes_on = exists().where(_RUNS.c.id == _WORK.c.run, _RUNS.c.cancel_at.is_(None), _RUNS.c.stopped_at.is_(None))
    ready = (
        select(_WORK.c.run, _WORK.c.priority, func.count(), func.min(_WORK.c.ready_at))
        .where(_WORK.c.state == WorkState.READY.value, is_free(), goes_on, *is_of(sites))
        .group_by(_WORK.c.run, _WORK.c.priority)
        .order_by(_WORK.c.priority, func.min(_WORK.c.id))
    )
    cancelled = (
        select(_RUNS.c.id)
        .where(_RUNS.c.cancel_at.is_not(None), _RUNS.c.queued_at.is_not(None), _RUNS.c.ended_at.is_(None))
        .where(exists().where(_WORK.c.run == _RUNS.c.id, _WORK.c.state.in_(_UNCLAIMED)))
    )
    return QueueLook(
        work=[
            ReadyWork(run=run, priority=priority, count=count, since=since)
            for run, priority, count, since in connection.execute(ready)
        ],
        cancelled=list(connection.execute(cancelled).scalars()),
    )


def _end_runs(connection: Connection, now: datetime) -> list[str]:
    return list(connection.execute(_RUNS_ENDED, {"now": now}).scalars())
