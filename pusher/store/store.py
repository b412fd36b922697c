"""The store's calls: what a run writes as it goes, and what ``runs``, ``show``, ``report`` and ``retry`` ask."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, func, insert, or_, select, update

from pusher.models import (
    AccountTried,
    Check,
    CheckResult,
    Event,
    Journal,
    JournalStep,
    Mark,
    NextMove,
    Outcome,
    Protocol,
    Run,
    Stage,
    Status,
    StepTime,
    TransportKind,
    Verb,
)
from pusher.problems import Code, problem
from pusher.store import schema
from pusher.store.budget import BudgetLedger
from pusher.store.faults import StoreError, translated
from pusher.store.sqlite_file import SqliteFile
from pusher.store.writer import Writer

_TARGET_BATCH = 1000


class Store:
    """One open store. Writing goes through a thread that commits in batches; reading happens at once.

    Every call may raise StoreError (``store-…``). What is posted raises nothing: its future tells how it went.
    ``name`` is what its Problems call it, ``file`` its file, where it has one.
    """

    def __init__(self, engine: Engine, name: str = "the store", file: SqliteFile | None = None) -> None:
        self._engine, self._name, self._file = engine, name, file
        self._writer = Writer(engine, name, file.prove if file is not None else lambda: None)
        self.ledger = BudgetLedger(engine, self._writer)

    @property
    def path(self) -> Path | None:
        """Its file; None where it is kept by a server."""
        return self._file.path if self._file is not None else None

    def close(self) -> None:
        """Commit what is left. Raises nothing: who handed something over has been told what became of it."""
        self._writer.close()
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection to read by. What it finds is ours, so an entry that makes no sense is damage."""
        with translated(self._name):
            try:
                with self._engine.connect() as connection:
                    yield connection
            except (ValueError, LookupError, TypeError) as error:
                raise StoreError(
                    problem(Code.STORE_DAMAGED, detail=f"{self._name}: an entry in it makes no sense")
                ) from error

    # Runs and targets

    def begin_run(
        self,
        run: Run,
        options: Mapping[str, Any],
        targets: Iterable[tuple[str, str | None, str | None]],
        worker: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the run and every target's (name, address, site) before anything is contacted.

        ``worker``: the process that works on it, in words of the caller's own.
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
        }
        with translated(self._name), self._engine.begin() as connection:
            connection.execute(insert(schema.runs), row)
            for batch in _batches(targets):
                rows = [{"run": run.id, "name": n, "address": a, "site": s} for n, a, s in batch]
                connection.execute(insert(schema.targets).prefix_with("OR IGNORE", dialect="sqlite"), rows)

    def end_run(self, run: str, at: datetime) -> Run:
        """Record the end; the run with its counts."""
        table = schema.runs
        self._writer.write_now(lambda c: c.execute(update(table).where(table.c.id == run).values(ended_at=at)))
        ended = self.run(run)
        if ended is None:
            raise StoreError(problem(Code.STORE_DAMAGED, detail=f"{self._name}: the run is not in it any more"))
        return ended

    def ask_cancel(self, run: str, at: datetime) -> None:
        """Ask the process that works on ``run`` to stop; it looks here every second."""
        table = schema.runs
        self._writer.write_now(lambda c: c.execute(update(table).where(table.c.id == run).values(cancel_at=at)))

    def cancel_asked(self, run: str) -> bool:
        with self._reading() as connection:
            asked = connection.execute(select(schema.runs.c.cancel_at).where(schema.runs.c.id == run)).scalar()
        return asked is not None

    def worker(self, run: str) -> dict[str, Any] | None:
        """The process that works or worked on ``run``, as ``begin_run`` was told."""
        with self._reading() as connection:
            found = connection.execute(select(schema.runs.c.worker).where(schema.runs.c.id == run)).scalar()
        return dict(found) if found else None

    # Posted: nobody waits for these

    def target_began(self, run: str, target: str, at: datetime) -> Future[Any]:
        table = schema.targets
        return self._writer.post(
            lambda c: c.execute(update(table).where(table.c.run == run, table.c.name == target).values(began_at=at))
        )

    def event(self, happened: Event) -> Future[Any]:
        row = asdict(happened) | {"stage": happened.stage.value}
        return self._writer.post(lambda c: c.execute(insert(schema.events), row))

    def attempt(
        self, *, run: str, target: str, number: int, stage: Stage, code: str | None, account: str | None,
        started_at: datetime, ended_at: datetime,
    ) -> Future[Any]:  # fmt: skip
        row = {
            "run": run, "target": target, "number": number, "stage": stage.value, "code": code,
            "account": account, "started_at": started_at, "ended_at": ended_at,
        }  # fmt: skip
        return self._writer.post(lambda c: c.execute(insert(schema.attempts), row))

    # Awaited

    async def outcome(self, outcome: Outcome) -> None:
        """Durable when it returns. A target has one outcome in a run: a second one replaces the first."""
        row = _outcome_row(outcome)
        table = schema.outcomes

        def work(connection: Any) -> None:
            connection.execute(table.delete().where(table.c.run == outcome.run, table.c.target == outcome.target))
            connection.execute(insert(table), row)

        await self._writer.write(work)

    # Journals: the intent of each step is durable before its effect

    async def open_journal(
        self, *, host: str, service: str, run: str, target: str, before: Mapping[str, Any], at: datetime
    ) -> Journal:
        journal = Journal(id=secrets.token_hex(8), run=run, target=target, before=before)
        row = {
            "id": journal.id, "host": host.lower(), "service": service.lower(), "run": run, "target": target,
            "before": dict(before), "opened_at": at,
        }  # fmt: skip
        await self._writer.write(lambda c: c.execute(insert(schema.journals), row))
        return journal

    async def mark(self, journal: str, step: str, mark: Mark, at: datetime) -> None:
        row = {"journal": journal, "step": step, "mark": mark.value, "at": at}
        statement = insert(schema.journal_steps).prefix_with("OR IGNORE", dialect="sqlite")
        await self._writer.write(lambda c: c.execute(statement, row))

    async def close_journal(self, journal: str, closed_as: str) -> None:
        table = schema.journals
        await self._writer.write(
            lambda c: c.execute(update(table).where(table.c.id == journal).values(closed_as=closed_as))
        )

    def open_journals(
        self, host: str, service: str, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Journals that no one closed: the marks of a push that was killed, oldest first.

        Those of ``host``; and of those of the inventory's ``target``, such as are kept under one of the names ``under``
        (None: under whatever name).
        """
        return self._journals(host, service, schema.journals.c.closed_as.is_(None), target, under)

    def closed_journals(
        self, host: str, service: str, closed_as: str, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Journals of pushes that ended so; whose, as of ``open_journals``."""
        return self._journals(host, service, schema.journals.c.closed_as == closed_as, target, under)

    def _journals(
        self, host: str, service: str, which: ColumnElement[bool], target: str, under: Collection[str] | None
    ) -> list[Journal]:
        table, steps = schema.journals, schema.journal_steps
        its = table.c.target == target
        if under is not None:
            its = and_(its, table.c.host.in_([name.lower() for name in under]))
        query = (
            select(table)
            .where(or_(table.c.host == host.lower(), its))
            .where(table.c.service == service.lower(), which)
            .order_by(table.c.opened_at)
        )
        with self._reading() as connection:
            found = []
            for row in connection.execute(query).mappings():
                marks = connection.execute(
                    select(steps.c.step, steps.c.mark).where(steps.c.journal == row["id"]).order_by(steps.c.id)
                )
                found.append(
                    Journal(
                        id=row["id"],
                        run=row["run"],
                        target=row["target"],
                        before=row["before"],
                        steps=tuple(JournalStep(step=step, mark=Mark(mark)) for step, mark in marks),
                    )
                )
            return found

    # Reading

    def runs(self, limit: int = 50) -> list[Run]:
        """Newest first."""
        query = select(schema.runs).order_by(schema.runs.c.started_at.desc(), schema.runs.c.id).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [self._run(row) for row in rows]

    def run(self, prefix: str) -> Run | None:
        """The run whose id starts with ``prefix`` (``last``: the newest); None where none or several do."""
        if prefix == "last":
            newest = self.runs(1)
            return newest[0] if newest else None
        query = select(schema.runs).where(schema.runs.c.id.startswith(prefix, autoescape=True)).limit(2)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return self._run(rows[0]) if len(rows) == 1 else None

    def options(self, run: str) -> dict[str, Any]:
        """What the run was started with, as ``begin_run`` was told."""
        with self._reading() as connection:
            found = connection.execute(select(schema.runs.c.options).where(schema.runs.c.id == run)).scalar_one()
        return dict(found)

    def outcomes(self, run: str) -> Iterator[Outcome]:
        """In the order of their names, streamed."""
        query = select(schema.outcomes).where(schema.outcomes.c.run == run).order_by(schema.outcomes.c.target)
        with self._reading() as connection:
            result = connection.execution_options(yield_per=500).execute(query)
            for row in result.mappings():
                yield _outcome(row)

    def outcome_of(self, run: str, target: str) -> Outcome | None:
        table = schema.outcomes
        query = select(table).where(table.c.run == run, func.lower(table.c.target) == func.lower(target))
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
        return _outcome(row) if row else None

    def unfinished(self, run: str) -> list[tuple[str, bool]]:
        """Targets without an outcome: (name, whether it was begun)."""
        targets, outcomes = schema.targets, schema.outcomes
        query = (
            select(targets.c.name, targets.c.began_at)
            .outerjoin(outcomes, (outcomes.c.run == targets.c.run) & (outcomes.c.target == targets.c.name))
            .where(targets.c.run == run, outcomes.c.target.is_(None))
            .order_by(targets.c.name)
        )
        with self._reading() as connection:
            return [(name, began is not None) for name, began in connection.execute(query)]

    def events(self, run: str, target: str) -> list[Event]:
        table = schema.events
        query = (
            select(table)
            .where(table.c.run == run, func.lower(table.c.target) == func.lower(target))
            .order_by(table.c.id)
        )
        with self._reading() as connection:
            return [
                Event(
                    run=row["run"],
                    target=row["target"],
                    at=row["at"],
                    stage=Stage(row["stage"]),
                    kind=row["kind"],
                    detail=row["detail"],
                )
                for row in connection.execute(query).mappings()
            ]

    def _run(self, row: RowMapping) -> Run:
        table = schema.outcomes
        query = select(table.c.status, func.count()).where(table.c.run == row["id"]).group_by(table.c.status)
        with self._reading() as connection:
            counts = {Status(status): count for status, count in connection.execute(query)}
        return Run(
            id=row["id"],
            verb=Verb(row["verb"]),
            inventory=row["inventory"],
            package=row["package"],
            version=row["version"],
            operator=row["operator"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            parent=row["parent"],
            counts=counts,
        )


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


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    row = asdict(outcome)
    return (
        row
        | {key: value.value for key, value in row.items() if isinstance(value, StrEnum)}
        | {
            "checks": [{**check, "result": check["result"].value} for check in row["checks"]],
            "accounts_tried": list(row["accounts_tried"]),
            "steps": list(row["steps"]),
        }
    )


def _outcome(row: RowMapping) -> Outcome:
    return Outcome(
        **{key: row[key] for key in _PLAIN},
        status=Status(row["status"]),
        stage=Stage(row["stage"]),
        next_move=NextMove(row["next_move"]) if row["next_move"] else None,
        transport=TransportKind(row["transport"]) if row["transport"] else None,
        protocol=Protocol(row["protocol"]) if row["protocol"] else None,
        accounts_tried=tuple(AccountTried(**tried) for tried in row["accounts_tried"]),
        checks=tuple(
            Check(check=c["check"], result=CheckResult(c["result"]), evidence=c["evidence"]) for c in row["checks"]
        ),
        steps=tuple(StepTime(**step) for step in row["steps"]),
    )


_PLAIN = (
    "run", "target", "address", "code", "message", "remedy", "account", "attempts", "seconds", "bytes_copied",
    "agent_version", "machine", "site", "started_at", "ended_at",
)  # fmt: skip
