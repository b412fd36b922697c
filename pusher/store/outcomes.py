"""Outcomes and the attempts that led to them: how each target of a run ended, as a row and back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select

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
from pusher.store.database import Part

_OUTCOMES, _ATTEMPTS = schema.outcomes, schema.attempts


class Outcomes(Part):
    """A target has one outcome in a run, and an attempt for each time that it was tried."""

    async def outcome(self, outcome: Outcome) -> None:
        """Durable when it returns. A second one of a target replaces the first."""
        row = outcome_row(outcome)
        mine = (_OUTCOMES.c.run == outcome.run, _OUTCOMES.c.target == outcome.target)

        def work(connection: Connection) -> None:
            connection.execute(_OUTCOMES.delete().where(*mine))
            connection.execute(insert(_OUTCOMES), row)

        await self._database.writer.write(work)

    def attempt(self, attempt: Attempt) -> Future[Any]:
        """Posted: the future tells how it went."""
        row = asdict(attempt) | {"stage": attempt.stage.value}
        return self._database.writer.post(lambda c: c.execute(insert(_ATTEMPTS), row))

    def attempts(self, run: str, target: str) -> list[Attempt]:
        """One target's, the first one first; its name in whatever case."""
        query = (
            select(_ATTEMPTS)
            .where(_ATTEMPTS.c.run == run, func.lower(_ATTEMPTS.c.target) == func.lower(target))
            .order_by(_ATTEMPTS.c.number)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return [Attempt(**{**row, "stage": Stage(row["stage"])}) for row in rows]

    def outcomes(self, run: str) -> Iterator[Outcome]:
        """In the order of their names, streamed."""
        query = select(_OUTCOMES).where(_OUTCOMES.c.run == run).order_by(_OUTCOMES.c.target)
        with self._database.reading() as connection:
            result = connection.execution_options(yield_per=500).execute(query)
            for row in result.mappings():
                yield _outcome(row)

    def outcome_of(self, run: str, target: str) -> Outcome | None:
        """One target's; its name in whatever case."""
        query = select(_OUTCOMES).where(_OUTCOMES.c.run == run, func.lower(_OUTCOMES.c.target) == func.lower(target))
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
            return _outcome(row) if row else None


def outcome_row(outcome: Outcome) -> dict[str, Any]:
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
