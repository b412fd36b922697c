"""Workers: who takes work from the queue, and for how long each may be believed to be at it.

A lease that has lapsed is over for good, and so is a worker whose process is gone: whoever looks frees what they had.
What must not live here: which work is whose (``claims``), and what a worker does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from pusher.models import WorkState
from pusher.store import schema
from pusher.store.database import Repository
from pusher.store.server_time import now_of

_WORK, _WORKERS = schema.work, schema.workers
UP, GONE = "up", "gone"


class Workers(Repository):
    """What a call tells is durable."""

    async def register(
        self, name: str, process: Mapping[str, Any], lease: timedelta, is_gone: Callable[[Mapping[str, Any]], bool]
    ) -> str | None:
        """The id of a worker that begins; None where another one of that name is at work.

        ``process``: where it runs, in words of the caller's own, and ``is_gone`` says whether it does no more.
        """

        def registering(connection: Connection) -> str | None:
            now = now_of(connection)
            end_lapsed(connection, now, is_gone)
            row = {"id": secrets.token_hex(8), "name": name, "process": dict(process), "state": UP, "since": now,
                   "lease_until": now + lease}  # fmt: skip
            try:
                with connection.begin_nested():
                    connection.execute(insert(_WORKERS), row)
            except IntegrityError:
                return None
            return str(row["id"])

        return await self._database.writer.ask(registering)

    async def beat(self, worker: str, lease: timedelta) -> bool:
        """Its lease begins anew, and with it that of all its claims; False where it had lapsed, which is for good."""

        def beating(connection: Connection) -> bool:
            now = now_of(connection)
            query = update(_WORKERS).where(_is_up(worker, now)).values(lease_until=now + lease)
            return connection.execute(query).rowcount == 1

        return await self._database.writer.ask(beating)

    async def leave(self, worker: str) -> None:
        """It takes no more work, and what it has is somebody else's."""

        def leaving(connection: Connection) -> None:
            connection.execute(update(_WORKERS).where(_WORKERS.c.id == worker).values(state=GONE))
            free_the_claims_of_the_gone(connection)

        await self._database.writer.ask(leaving)


def stays_up(connection: Connection, worker: str) -> bool:
    """It is up, and stays so until the transaction ends."""
    is_up = _is_up(worker, now_of(connection))
    if connection.dialect.name == "sqlite":
        return connection.execute(update(_WORKERS).where(is_up).values(state=UP)).rowcount == 1
    return connection.execute(select(_WORKERS.c.id).where(is_up).with_for_update(read=True)).first() is not None


def end_lapsed(connection: Connection, now: datetime, is_gone: Callable[[Mapping[str, Any]], bool]) -> None:
    """Those whose lease has lapsed, or whose process is gone, are gone."""
    columns = (_WORKERS.c.id, _WORKERS.c.process, _WORKERS.c.lease_until)
    for worker, process, until in connection.execute(select(*columns).where(_WORKERS.c.state == UP)).all():
        if until < now or is_gone(process):
            as_read = and_(_WORKERS.c.id == worker, _WORKERS.c.lease_until == until)
            connection.execute(update(_WORKERS).where(as_read).values(state=GONE))


def free_the_claims_of_the_gone(connection: Connection) -> int:
    """How many they were."""
    gone = select(_WORKERS.c.id).where(_WORKERS.c.state == GONE).scalar_subquery()
    claimed = and_(_WORK.c.state == WorkState.RUNNING.value, _WORK.c.worker.in_(gone))
    return connection.execute(update(_WORK).where(claimed).values(state=WorkState.READY.value, worker=None)).rowcount


def _is_up(worker: str, now: datetime) -> ColumnElement[bool]:
    return and_(_WORKERS.c.id == worker, _WORKERS.c.state == UP, _WORKERS.c.lease_until >= now)
