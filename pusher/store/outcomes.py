"""Outcomes and the attempts that led to them: how each target of a run ended, as a row and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any

from sqlalchemy import Executable, RowMapping, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from pusher.models import (
    AccountTried,
    Attempt,
    Check,
    CheckResult,
    NextMove,
    Outcome,
    Protocol,
    Stage,
    Status,
    StepTime,
    TransportKind,
)
from pusher.store import schema
from pusher.store.database import Repository, unless_there
from pusher.store.writer import Row

_OUTCOMES, _ATTEMPTS = schema.outcomes, schema.attempts
_FIRST = unless_there(_OUTCOMES)


class Outcomes(Repository):
    """A target has one outcome in a run, and an attempt for each time that it was tried."""

    async def outcome(self, outcome: Outcome) -> None:
        """Durable when it returns. A second one of a target replaces the first."""
        replacing = REPLACING[self._database.engine.dialect.name]
        await self._database.writer.write(Row(replacing, outcome_row(outcome)))

    async def spare(self, outcome: Outcome) -> None:
        """Durable when it returns: of a target on which nothing will be done. One that has an outcome keeps it."""
        await self._database.writer.write(Row(_FIRST[self._database.dialect], outcome_row(outcome)))

    def attempt(self, attempt: Attempt) -> Future[Any]:
        """Posted: the future tells how it went."""
        row = {name: getattr(attempt, name) for name in _OF_ATTEMPT} | {"stage": attempt.stage.value}
        return self._database.writer.post(Row(_ATTEMPTED, row))

    def attempts(self, run: str, target: str) -> list[Attempt]:
        """One target's, the first one first; its name in whatever case."""
        query = (
            select(_ATTEMPTS)
            .where(_ATTEMPTS.c.run == run, schema.is_named(_ATTEMPTS.c.target, target))
            .order_by(_ATTEMPTS.c.number)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return [Attempt(**{**row, "stage": Stage(row["stage"])}) for row in rows]

    def outcomes(self, run: str) -> Iterator[Outcome]:
        """In the order of their names, streamed."""
        query = select(_OUTCOMES).where(_OUTCOMES.c.run == run).order_by(_OUTCOMES.c.target)
        with self._database.reading_at_leisure() as connection:
            result = connection.execution_options(yield_per=500).execute(query)
            for row in result.mappings():
                yield _outcome(row)

    def changed_since(self, run: str, package: str) -> set[str]:
        """Targets of the run on which another run has installed, upgraded or removed the package since."""
        mine, other, runs = _OUTCOMES.alias(), _OUTCOMES.alias(), schema.runs
        changes = (Status.INSTALLED.value, Status.UPGRADED.value, Status.REMOVED.value)
        query = (
            select(mine.c.target)
            .join(other, (other.c.target == mine.c.target) & (other.c.ended_at > mine.c.ended_at))
            .join(runs, runs.c.id == other.c.run)
            .where(mine.c.run == run, other.c.run != run, runs.c.package == package, other.c.status.in_(changes))
        )
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def outcome_of(self, run: str, target: str) -> Outcome | None:
        """One target's; its name in whatever case."""
        query = select(_OUTCOMES).where(_OUTCOMES.c.run == run, schema.is_named(_OUTCOMES.c.target, target))
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
            return _outcome(row) if row else None


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    row = {name: getattr(outcome, name) for name in _PLAIN}
    for name in _NAMED:
        value = getattr(outcome, name)
        row[name] = value.value if value is not None else None
    row["checks"] = [
        {"check": one.check, "result": one.result.value, "evidence": one.evidence} for one in outcome.checks
    ]
    row["accounts_tried"] = [{"account": one.account, "code": one.code} for one in outcome.accounts_tried]
    row["steps"] = [{"step": one.step, "seconds": one.seconds} for one in outcome.steps]
    return row


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
    "agent_version", "machine", "site", "previous_version", "started_at", "ended_at",
)  # fmt: skip
_NAMED = ("status", "stage", "next_move", "transport", "protocol")
"""Columns that hold the value of an enum."""

_OF_ATTEMPT = ("run", "target", "number", "code", "account", "started_at", "ended_at")

_ATTEMPTED = insert(_ATTEMPTS)


def _replacing(dialect: Callable[[Any], Any]) -> Executable:
    made = dialect(_OUTCOMES)
    keys = _OUTCOMES.primary_key.columns
    rest = {column.name: made.excluded[column.name] for column in _OUTCOMES.columns if column not in set(keys)}
    statement: Executable = made.on_conflict_do_update(index_elements=list(keys), set_=rest)
    return statement


REPLACING: Mapping[str, Executable] = MappingProxyType(
    {"sqlite": _replacing(sqlite.insert), "postgresql": _replacing(postgresql.insert)}
)
"""By the engine's name: each has a way of its own to say it."""
