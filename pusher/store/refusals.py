"""What workers do not take up: which run, whose worker, and the code that says why. What must not live here: why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from pusher.clock import utc_now
from pusher.store import schema
from pusher.store.database import Repository
from pusher.store.schema import storable

_REFUSALS, _TARGETS = schema.refusals, schema.targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """``sites``: those that the worker serves; none: every one."""

    worker: str
    sites: tuple[str, ...]
    code: str
    at: datetime


class Refusals(Repository):
    """For callers without an event loop. What a call tells is durable."""

    def refuse(self, run: str, worker: str, sites: Collection[str], code: str) -> None:
        """The worker of that name does not take up the run. Said again it stays; said otherwise, it takes its place."""
        row = {"run": run, "worker": worker, "sites": sorted(sites), "code": code, "at": utc_now()}

        def refusing(connection: Connection) -> None:
            if connection.execute(select(_REFUSALS.c.code).where(_its(run, worker))).scalar() == code:
                return
            connection.execute(delete(_REFUSALS).where(_its(run, worker)))
            connection.execute(insert(_REFUSALS), row)

        self._database.writer.ask_now(refusing)

    def take_back_refusal(self, run: str, worker: str) -> None:
        """It takes it up now."""
        with self._database.reading() as connection:
            if connection.execute(select(_REFUSALS.c.code).where(_its(run, worker))).first() is None:
                return
        self._database.writer.ask_now(lambda c: c.execute(delete(_REFUSALS).where(_its(run, worker))))

    def refusals(self, run: str) -> list[Refusal]:
        """By the workers' names."""
        query = select(_REFUSALS).where(_REFUSALS.c.run == run).order_by(_REFUSALS.c.worker)
        with self._database.reading() as connection:
            return [
                Refusal(worker=row["worker"], sites=tuple(row["sites"]), code=row["code"], at=row["at"])
                for row in connection.execute(query).mappings()
            ]

    def known_sites(self) -> list[str]:
        """Those of all recorded runs' targets."""
        query = select(_TARGETS.c.site).where(_TARGETS.c.site.is_not(None)).distinct().order_by(_TARGETS.c.site)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())


def _its(run: str, worker: str) -> ColumnElement[bool]:
    return and_(_REFUSALS.c.run == run, _REFUSALS.c.worker == storable(worker))
