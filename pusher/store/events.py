"""Events: what happened to a target as it happened. Nobody waits for one to be written."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from sqlalchemy import RowMapping, insert, select

from pusher.models import Event, Stage
from pusher.store import schema
from pusher.store.database import Repository
from pusher.store.writer import Row

_EVENTS = schema.events
_HAPPENED = insert(_EVENTS).inline()  # nobody asks for its number
_LAST_ID = 2**63 - 1

MOST_EVENTS = 1000
"""So many are read at once: no reader holds more of a run of a million events."""


class Events(Repository):
    """Told in the order in which they were handed over."""

    def event(self, happened: Event) -> Future[Any]:
        """Posted: the future tells how it went."""
        row = {
            "run": happened.run,
            "target": happened.target,
            "at": happened.at,
            "stage": happened.stage.value,
            "kind": happened.kind,
            "detail": happened.detail,
        }
        return self._database.writer.post(Row(_HAPPENED, row))

    def events(self, run: str, target: str) -> list[Event]:
        """All of one target's; its name in whatever case."""
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.run == run, schema.is_named(_EVENTS.c.target, target))
            .order_by(_EVENTS.c.id)
        )
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query).mappings()]

    def events_since(self, run: str, after_id: int = 0, limit: int = MOST_EVENTS) -> list[tuple[int, Event]]:
        """The next of a run's events, whichever target's, each with its id: those above ``after_id``, in their order.

        At most ``limit``, and never more than ``MOST_EVENTS``: whoever follows a run asks again with the last id, from
        any process, and has each event once. That holds as long as one process writes a run's events: then ids are
        committed in their order. ValueError where ``limit`` is less than 1.
        """
        if limit < 1:
            raise ValueError(limit)
        if after_id >= _LAST_ID:  # a stranger's number, too big for the database to be asked about
            return []
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.run == run, _EVENTS.c.id > max(after_id, 0))
            .order_by(_EVENTS.c.id)
            .limit(min(limit, MOST_EVENTS))
        )
        with self._database.reading() as connection:
            return [(row["id"], _event(row)) for row in connection.execute(query).mappings()]


def _event(row: RowMapping) -> Event:
    return Event(
        run=row["run"],
        target=row["target"],
        at=row["at"],
        stage=Stage(row["stage"]),
        kind=row["kind"],
        detail=row["detail"],
    )
