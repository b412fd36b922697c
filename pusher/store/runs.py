"""Runs and their targets: begun before anything is contacted, asked to stop, ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from pusher.models import Run, RunNeeds, WavePlan
from pusher.store import schema
from pusher.store.content import needs_row
from pusher.store.database import Repository, unless_there
from pusher.store.queries import read_runs
from pusher.store.waves import insert_waves
from pusher.store.work import work_rows
from pusher.store.writer import Row

_RUNS, _TARGETS = schema.runs, schema.targets
_TARGET_BATCH = 1000
_TARGET = unless_there(_TARGETS)
_WORK_ITEM = unless_there(schema.work)
_BEGAN = (
    update(_TARGETS)
    .where(_TARGETS.c.run == bindparam("its_run"), _TARGETS.c.name == bindparam("its_name"))
    .values(began_at=bindparam("began_at"))
)


class Runs(Repository):
    """What is written of a run as a whole, and how its own process and others ask after it."""

    def begin_run(
        self,
        run: Run,
        options: Mapping[str, Any],
        targets: Collection[tuple[str, str | None, str | None]],
        worker: Mapping[str, Any] | None = None,
        priority: int | None = None,
        needs: RunNeeds | None = None,
        windows: Sequence[Mapping[str, Any]] = (),
        waves: WavePlan | None = None,
    ) -> None:
        """Record the run and every target's (name, address, site) before anything is contacted.

        ``worker``: the process that works on it, in words of the caller's own. ``priority``: of a run that is queued,
        so that its targets wait for workers; the lower comes first. ``needs``: what those have from the store.
        ``windows``: in which its machines may be touched, in words of the caller's own. ``waves``: None of a run that
        goes out at once. StoreError where it is not
        known to be recorded.
        """
        row = {
            "id": run.id,
            "verb": run.verb.value,
            "inventory": run.inventory,
            "package": run.package,
            "version": run.version,
            "operator": run.operator,
            "parent": run.parent,
            "options": dict(options),
            "started_at": run.started_at,
            "worker": dict(worker) if worker is not None else None,
            "queued_at": run.started_at if priority is not None else None,
            "priority": priority,
            **needs_row(needs or RunNeeds()),
            "windows": [dict(window) for window in windows] or None,
            "rollout": dict(waves.rollout) if waves is not None else None,
        }

        def begin(connection: Connection) -> None:
            connection.execute(insert(_RUNS), row)
            if waves is not None:
                insert_waves(connection, run.id, waves)
            for batch in _batches(targets):
                rows = [{"run": run.id, "name": n, "address": a, "site": s} for n, a, s in batch]
                connection.execute(_TARGET[self._database.dialect], rows)
                if priority is not None:
                    names = [name for name, _, _ in batch]
                    connection.execute(_WORK_ITEM[self._database.dialect], work_rows(run, names, priority, waves))

        self._database.write(begin)

    def target_began(self, run: str, target: str, at: datetime) -> Future[Any]:
        """Posted: the future tells how it went."""
        return self._database.writer.post(Row(_BEGAN, {"its_run": run, "its_name": target, "began_at": at}))

    def end_run(self, run: str, at: datetime) -> Run:
        """Record the end; the run with its counts."""
        self._change(run, ended_at=at)
        with self._database.reading() as connection:
            ended = read_runs(connection, select(_RUNS).where(_RUNS.c.id == run))
        if not ended:
            raise self._database.damaged("the run is not in it any more")
        return ended[0]

    def ask_cancel(self, run: str, at: datetime) -> None:
        """Ask the process that works on ``run`` to stop; it looks here every second."""
        self._change(run, cancel_at=at)

    def cancel_asked(self, run: str) -> bool:
        with self._database.reading() as connection:
            return connection.execute(select(_RUNS.c.cancel_at).where(_RUNS.c.id == run)).scalar() is not None

    def worker(self, run: str) -> dict[str, Any] | None:
        """The process that works or worked on ``run``, as ``begin_run`` was told."""
        with self._database.reading() as connection:
            found = connection.execute(select(_RUNS.c.worker).where(_RUNS.c.id == run)).scalar()
            return dict(found) if found else None

    def options(self, run: str) -> dict[str, Any]:
        """What the run was started with, as ``begin_run`` was told."""
        with self._database.reading() as connection:
            return dict(connection.execute(select(_RUNS.c.options).where(_RUNS.c.id == run)).scalar_one())

    def windows(self, run: str) -> list[dict[str, Any]]:
        """In which its machines may be touched, as ``begin_run`` was told; none: at any time."""
        with self._database.reading() as connection:
            found = connection.execute(select(_RUNS.c.windows).where(_RUNS.c.id == run)).scalar()
            return [dict(window) for window in found or ()]

    def _change(self, run: str, **values: Any) -> None:
        self._database.writer.write_now(lambda c: c.execute(update(_RUNS).where(_RUNS.c.id == run).values(values)))


def _batches(
    rows: Iterable[tuple[str, str | None, str | None]],
) -> Iterator[Sequence[tuple[str, str | None, str | None]]]:
    batch: list[tuple[str, str | None, str | None]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _TARGET_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
