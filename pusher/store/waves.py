"""Waves of runs: how far each has gone out, how its hosts stand, and what is held until its wave is open.

What must not live here: when a wave opens or stops (the caller decides, in the same transaction).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, func, insert, select, update

from pusher.models import Stage, Status, Wave, WaveCounts, WavePlan, WaveState, WorkState
from pusher.problems import CATALOGUE, Again
from pusher.store import schema
from pusher.store.database import Repository
from pusher.store.server_time import now_of

_WAVES, _WORK, _RUNS, _OUTCOMES = schema.waves, schema.work, schema.runs, schema.outcomes
_GOING = (WaveState.HELD.value, WaveState.OPEN.value, WaveState.SOAKING.value)
_NOT_REACHED = frozenset({Stage.RESOLVE.value, Stage.REACH.value})
_WITHOUT_VERDICT = frozenset({Status.SKIPPED, Status.CANCELLED})

Decide = Callable[[Sequence[Wave], Mapping[int, WaveCounts], Mapping[str, Any], datetime], Sequence[Wave]]
"""The waves as they are to be, of: as they are, how their hosts stand, the run's rollout, the time."""

_IS_OPEN = and_(
    _WORK.c.run == bindparam("its_run"),
    _WORK.c.state == WorkState.HELD.value,
    exists().where(
        _WAVES.c.run == _WORK.c.run, _WAVES.c.number == _WORK.c.wave, _WAVES.c.state != WaveState.HELD.value
    ),
)
_OPENED = (
    update(_WORK)
    .where(_IS_OPEN)
    .values(state=WorkState.READY.value, ready_at=bindparam("now", type_=_WORK.c.ready_at.type))
)


class Waves(Repository):
    """What a call tells is durable."""

    async def rolling_out(self) -> list[str]:
        """Runs with waves that have not passed, of those that nobody has stopped."""
        has_waves = exists().where(_WAVES.c.run == _RUNS.c.id, _WAVES.c.state.in_(_GOING))
        query = select(_RUNS.c.id).where(has_waves, _RUNS.c.cancel_at.is_(None), _RUNS.c.stopped_at.is_(None))
        reading = query.order_by(_RUNS.c.id)
        return await self._database.aside(
            lambda: self._database.read(lambda connection: list(connection.execute(reading).scalars()))
        )

    def waves(self, run: str) -> list[tuple[Wave, WaveCounts]]:
        """Those of a run, in order, with how their hosts stand; none where it has none."""
        with self._database.reading() as connection:
            waves = _read(connection, run)
            counts = _counted(connection, run, [wave.number for wave in waves])
            return [(wave, counts.get(wave.number, WaveCounts(size=0))) for wave in waves]

    def wave_of(self, run: str) -> dict[str, int]:
        """Each target's wave; empty of a run without."""
        query = select(_WORK.c.target, _WORK.c.wave).where(_WORK.c.run == run, _WORK.c.wave.is_not(None))
        with self._database.reading() as connection:
            return {target: wave for target, wave in connection.execute(query)}  # noqa: C416

    def is_stopped(self, run: str) -> bool:
        with self._database.reading() as connection:
            return connection.execute(select(_RUNS.c.stopped_at).where(_RUNS.c.id == run)).scalar() is not None

    def open_work(self, run: str) -> int:
        """Make ready what is held of the run and whose wave is open; how much that was."""
        with self._database.reading() as connection:
            if connection.execute(select(_WORK.c.id).where(_IS_OPEN).limit(1), {"its_run": run}).first() is None:
                return 0
        return self._database.writer.ask_now(
            lambda connection: connection.execute(_OPENED, {"its_run": run, "now": now_of(connection)}).rowcount
        )

    def advance_waves(self, run: str, decide: Decide) -> Sequence[Wave]:
        """Make the waves as ``decide`` wants them, and let the run be claimed from or not; what has changed.

        Nothing is written where nothing changes.
        """
        with self._database.reading() as connection:
            if not _changes(*_decided(connection, run, decide)):
                return []
        return self._database.writer.ask_now(lambda connection: _advance(connection, run, decide))


def wave_rows(run: str, plan: WavePlan) -> list[dict[str, Any]]:
    """Of a run that is submitted: all of them held, until somebody looks."""
    return [{"run": run, "number": number, "state": WaveState.HELD.value, "forgiven": 0}
            for number in range(1, plan.count + 1)]  # fmt: skip


def insert_waves(connection: Connection, run: str, plan: WavePlan) -> None:
    connection.execute(insert(_WAVES), wave_rows(run, plan))


def _advance(connection: Connection, run: str, decide: Decide) -> Sequence[Wave]:
    # Written first, so that nobody else advances them meanwhile: to read begins no transaction on SQLite.
    connection.execute(update(_WAVES).where(_WAVES.c.run == run).values(forgiven=_WAVES.c.forgiven))
    before, after = _decided(connection, run, decide)
    changed, now = _changes(before, after), now_of(connection)
    for wave in changed:
        values = {**asdict(wave), "state": wave.state.value}
        its = (_WAVES.c.run == run, _WAVES.c.number == values.pop("number"))
        connection.execute(update(_WAVES).where(*its).values(**values))
    was, is_now = (any(wave.state is WaveState.STOPPED for wave in waves) for waves in (before, after))
    if was != is_now:
        connection.execute(update(_RUNS).where(_RUNS.c.id == run).values(stopped_at=now if is_now else None))
    return changed


def _decided(connection: Connection, run: str, decide: Decide) -> tuple[Sequence[Wave], Sequence[Wave]]:
    before = _read(connection, run)
    rollout = connection.execute(select(_RUNS.c.rollout).where(_RUNS.c.id == run)).scalar()
    # Of those that have passed nothing more is concluded, and those that are held have none at work.
    at_work = [wave.number for wave in before if wave.state not in (WaveState.PASSED, WaveState.HELD)]
    held = [wave.number for wave in before if wave.state is WaveState.HELD]
    counts = _sizes(connection, run, held) | _counted(connection, run, at_work)
    return before, decide(before, counts, rollout or {}, now_of(connection))


def _changes(before: Iterable[Wave], after: Iterable[Wave]) -> list[Wave]:
    known = set(before)
    return [wave for wave in after if wave not in known]


def _read(connection: Connection, run: str) -> list[Wave]:
    query = select(_WAVES).where(_WAVES.c.run == run).order_by(_WAVES.c.number)
    return [
        Wave(
            number=row["number"],
            state=WaveState(row["state"]),
            opened_at=row["opened_at"],
            soak_until=row["soak_until"],
            forgiven=row["forgiven"],
        )
        for row in connection.execute(query).mappings()
    ]


def _sizes(connection: Connection, run: str, numbers: Collection[int]) -> dict[int, WaveCounts]:
    """Of waves that nobody has begun on."""
    its = (_WORK.c.run == run, _WORK.c.wave.in_(numbers))
    query = select(_WORK.c.wave, func.count()).where(*its).group_by(_WORK.c.wave)
    return {number: WaveCounts(size=size) for number, size in connection.execute(query)}


def _counted(connection: Connection, run: str, numbers: Collection[int]) -> dict[int, WaveCounts]:
    columns = (_WORK.c.wave, _WORK.c.state, _WORK.c.parked.is_not(None), _OUTCOMES.c.status, _OUTCOMES.c.code,
               _OUTCOMES.c.stage)  # fmt: skip
    query = (
        select(*columns, func.count())
        .select_from(_WORK)
        .outerjoin(_OUTCOMES, (_OUTCOMES.c.run == _WORK.c.run) & (_OUTCOMES.c.target == _WORK.c.target))
        .where(_WORK.c.run == run, _WORK.c.wave.in_(numbers))
        .group_by(*columns)
    )
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for wave, state, is_parked, status, code, stage, count in connection.execute(query):
        found[wave]["size"] += count
        if (kind := _kind(WorkState(state), is_parked, Status(status) if status else None, code, stage)) is not None:
            found[wave][kind] += count
    return {number: WaveCounts(**counts) for number, counts in found.items()}


def _kind(state: WorkState, is_parked: bool, status: Status | None, code: str | None, stage: str | None) -> str | None:
    """As what a host is counted; None: as nothing yet."""
    row = CATALOGUE.get(code) if code is not None else None
    if status is Status.UNREACHABLE and row is not None and row.again is Again.HOURLY and stage in _NOT_REACHED:
        return "unreachable"
    if is_parked:
        return "parked"
    if state is not WorkState.DONE or status is None:
        return None
    if status in _WITHOUT_VERDICT:
        return "left_out"
    return "succeeded" if status.is_success else "failed"
