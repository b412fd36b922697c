"""Events: what happened to a target as it happened. Nobody waits for one to be written."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, cast, func, insert, literal, select, tuple_

from pusher.models import Event, Stage
from pusher.store import schema
from pusher.store.database import Repository
from pusher.store.schema import TransactionNumber
from pusher.store.writer import Row

_EVENTS = schema.events
_HAPPENED = insert(_EVENTS).inline()  # nobody asks for its number
_LAST = 2**63 - 1

MOST_EVENTS = 1000
"""So many are read at once: no reader holds more of a run of a million events."""


class Place(NamedTuple):
    """Where an event comes among all: by the transaction that wrote it (0 in a file), and by its number in that."""

    transaction: int
    number: int


START = Place(0, 0)


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

    def events_since(self, run: str, after: Place = START, limit: int = MOST_EVENTS) -> list[tuple[Place, Event]]:
        """The next of a run's events, whichever target's, each with its place: those after ``after``, in their order.

        At most ``limit``, and never more than ``MOST_EVENTS``: whoever follows a run asks again with the last place,
        from any process, and has each event once, however many processes write them. On a server none is told while an
        earlier transaction of anybody's goes on there, which might still add one before it. ValueError where ``limit``
        is less than 1.
        """
        if limit < 1:
            raise ValueError(limit)
        transaction, number = (max(each, 0) for each in after)
        if max(transaction, number) >= _LAST:  # a stranger's number, too big for the database to be asked about
            return []
        place = tuple_(_EVENTS.c.xid, _EVENTS.c.id)
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.run == run, place > tuple_(cast(transaction, TransactionNumber), literal(number)))
            .order_by(_EVENTS.c.xid, _EVENTS.c.id)
            .limit(min(limit, MOST_EVENTS))
        )
        if self._database.dialect == "postgresql":
            query = query.where(_EVENTS.c.xid < func.pg_snapshot_xmin(func.pg_current_snapshot()))
        with self._database.reading() as connection:
            return [(Place(row["xid"], row["id"]), _event(row)) for row in connection.execute(query).mappings()]


def _event(row: RowMapping) -> Event:
    return Event(
        run=row["run"],
        target=row["target"],
        at=row["at"],
        stage=Stage(row["stage"]),
        kind=row["kind"],
        detail=row["detail"],
    )
