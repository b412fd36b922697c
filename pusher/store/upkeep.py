"""Upkeep: what runs that ended long ago leave behind is deleted, a few thousand rows a transaction.

Kept are the runs with their targets and outcomes, every journal, the lockout ledger, and whatever a run needs that has
not ended. What must not live here: when something is old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, tuple_

from pusher.clock import utc_now
from pusher.models import ContentKind
from pusher.store import schema
from pusher.store.content import ABANDONED, alone, drop
from pusher.store.database import Repository

_RUNS, _BLOBS, _PARTS, _WORKERS = schema.runs, schema.blobs, schema.parts, schema.workers
MOST = 5_000
"""Rows of a transaction."""
_FEW = 10
"""Blobs of a transaction: each has up to half a gigabyte."""
_OF_RUNS = (schema.events, schema.attempts, schema.work, schema.machines, schema.refusals)
"""What is of no use once a run has ended long ago: how each outcome came about."""


class Upkeep(Repository):
    """For callers without an event loop. What a call tells is durable."""

    def prune(self, before: datetime, *, dry_run: bool = False) -> Mapping[str, int]:
        """Delete what runs that ended ``before`` left, and content that no run needs any more; how many rows of which
        table that is. ``dry_run``: nothing is deleted."""
        ended = select(_RUNS.c.id).where(_RUNS.c.ended_at < before)
        doomed: list[tuple[Table, ColumnElement[bool]]] = [(table, table.c.run.in_(ended)) for table in _OF_RUNS]
        doomed.append((_WORKERS, and_(_WORKERS.c.state == "gone", _WORKERS.c.lease_until < before, ~_has_work())))
        if dry_run:
            doomed.append((_BLOBS, _is_abandoned(before)))
            return {table.name: self._count(table, which) for table, which in doomed}
        found = {table.name: self._delete(table, which) for table, which in doomed}
        return found | {_BLOBS.name: self._until_none(lambda connection: _delete_blobs(connection, before))}

    def _count(self, table: Table, which: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(table).where(which)
        return int(self._database.read(lambda connection: connection.execute(query).scalar_one()))

    def _delete(self, table: Table, which: ColumnElement[bool]) -> int:
        key = list(table.primary_key.columns)
        some: Any = select(*key).where(which).limit(MOST)
        statement = delete(table).where(tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some))
        return self._until_none(lambda connection: connection.execute(statement).rowcount)

    def _until_none(self, deleting: Callable[[Connection], int]) -> int:
        deleted = 0
        while (count := self._database.writer.ask_now(deleting)) > 0:
            deleted += count
        return deleted


def _delete_blobs(connection: Connection, before: datetime) -> int:
    """Each with its bytes, while nobody begins to need it."""
    alone(connection)
    found = list(connection.execute(select(_BLOBS.c.id).where(_is_abandoned(before)).limit(_FEW)).scalars())
    drop(connection, found)
    return len(found)


def _has_work() -> ColumnElement[bool]:
    return exists().where(schema.work.c.worker == _WORKERS.c.id)


def _is_abandoned(before: datetime) -> ColumnElement[bool]:
    """Content that was never whole, or that is no package's and no run's but those that ended ``before``; after a day,
    in which whoever is about to name it has done so. What a run has done may be taken back, by its inventory, as long
    as the run is kept; a package itself goes by hand alone."""
    long_ago = utc_now() - ABANDONED
    named = exists().where(_PARTS.c.part == _BLOBS.c.sha256)
    kept = and_(_RUNS.c.queued_at.is_not(None), or_(_RUNS.c.ended_at.is_(None), _RUNS.c.ended_at >= before))
    needed = or_(_RUNS.c.inventory_digest == _BLOBS.c.sha256, _RUNS.c.authority_digest == _BLOBS.c.sha256)
    of_nobody = and_(
        _BLOBS.c.stored_at < long_ago, _BLOBS.c.kind != ContentKind.PACKAGE.value, ~named, ~exists().where(kept, needed)
    )
    return or_(and_(_BLOBS.c.stored_at.is_(None), _BLOBS.c.begun_at < long_ago), of_nobody)
