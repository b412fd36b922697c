"""Events: what happened to a target as it happened. Nobody waits for one to be written."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping, func, insert, select

from pusher.models import Event, Stage
from pusher.store import schema
from pusher.store.database import Part

_EVENTS = schema.events


class Events(Part):
    """Told in the order in which they were handed over."""

    def event(self, happened: Event) -> Future[Any]:
        """Posted: the future tells how it went."""
        row = asdict(happened) | {"stage": happened.stage.value}
        return self._database.writer.post(lambda c: c.execute(insert(_EVENTS), row))

    def events(self, run: str, target: str) -> list[Event]:
        """All of one target's; its name in whatever case."""
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.run == run, func.lower(_EVENTS.c.target) == func.lower(target))
            .order_by(_EVENTS.c.id)
        )
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query).mappings()]


def _event(row: RowMapping) -> Event:
    return Event(
        run=row["run"],
        target=row["target"],
        at=row["at"],
        stage=Stage(row["stage"]),
        kind=row["kind"],
        detail=row["detail"],
    )
