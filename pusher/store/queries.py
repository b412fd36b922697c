"""Questions that no single table answers: runs with how their targets ended, and what is left of one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from pusher.models import Run, Status, Verb
from pusher.store import schema
from pusher.store.database import Repository

_RUNS, _TARGETS, _OUTCOMES = schema.runs, schema.targets, schema.outcomes


class Queries(Repository):
    """What ``runs``, ``show``, ``report`` and ``retry`` begin with."""

    def runs(self, limit: int = 50) -> list[Run]:
        """Newest first."""
        with self._database.reading() as connection:
            return read_runs(connection, select(_RUNS).order_by(_RUNS.c.started_at.desc(), _RUNS.c.id).limit(limit))

    def run(self, prefix: str) -> Run | None:
        """The run whose id starts with ``prefix`` (``last``: the newest); None where none or several do."""
        if prefix == "last":
            return next(iter(self.runs(1)), None)
        query = select(_RUNS).where(_RUNS.c.id.startswith(prefix, autoescape=True)).limit(2)
        with self._database.reading() as connection:
            found = read_runs(connection, query)
        return found[0] if len(found) == 1 else None

    def targets(self, run: str) -> list[str]:
        """The names of all that a run was to do something on."""
        query = select(_TARGETS.c.name).where(_TARGETS.c.run == run).order_by(_TARGETS.c.name)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def unfinished(self, run: str) -> list[tuple[str, bool]]:
        """Targets without an outcome: (name, whether it was begun)."""
        query = (
            select(_TARGETS.c.name, _TARGETS.c.began_at)
            .outerjoin(_OUTCOMES, (_OUTCOMES.c.run == _TARGETS.c.run) & (_OUTCOMES.c.target == _TARGETS.c.name))
            .where(_TARGETS.c.run == run, _OUTCOMES.c.target.is_(None))
            .order_by(_TARGETS.c.name)
        )
        with self._database.reading() as connection:
            return [(name, began is not None) for name, began in connection.execute(query)]


def read_runs(connection: Connection, query: Select[Any]) -> list[Run]:
    """The runs that ``query`` selects, in its order, with their counts."""
    found = []
    for row in connection.execute(query).mappings().all():
        counting = (
            select(_OUTCOMES.c.status, func.count()).where(_OUTCOMES.c.run == row["id"]).group_by(_OUTCOMES.c.status)
        )
        found.append(
            Run(
                id=row["id"],
                verb=Verb(row["verb"]),
                inventory=row["inventory"],
                package=row["package"],
                version=row["version"],
                operator=row["operator"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
                parent=row["parent"],
                priority=row["priority"],
                stopped_at=row["stopped_at"],
                counts={Status(status): count for status, count in connection.execute(counting)},
            )
        )
    return found
