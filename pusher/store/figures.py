"""What the queue comes to in figures: cheap enough to be asked every few seconds, whatever has been done before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from pusher.models import WorkState
from pusher.store import schema
from pusher.store.database import Repository
from pusher.store.server_time import now_of

_WORK, _WORKERS = schema.work, schema.workers


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFigures:
    """``work`` that is not done, by its state; ``parked`` of what waits, on an account. ``oldest``: seconds for which
    the first of what is ready has been. ``workers`` that are up."""

    work: dict[WorkState, int]
    parked: int
    oldest: float
    workers: int


class Figures(Repository):
    def queue_figures(self) -> QueueFigures:
        """From any thread."""
        return self._database.read(_figures)


def _figures(connection: Connection) -> QueueFigures:
    def count(*which: object) -> int:
        query = select(func.count()).select_from(_WORK).where(*which)  # type: ignore[arg-type]
        return int(connection.execute(query).scalar_one())

    since: datetime | None = connection.execute(
        select(func.min(_WORK.c.ready_at)).where(_WORK.c.state == WorkState.READY.value)
    ).scalar()
    up = select(func.count()).select_from(_WORKERS).where(_WORKERS.c.state == "up")
    return QueueFigures(
        work={state: count(_WORK.c.state == state.value) for state in WorkState if state is not WorkState.DONE},
        parked=count(_WORK.c.parked.is_not(None)),
        oldest=max((now_of(connection) - since).total_seconds(), 0.0) if since is not None else 0.0,
        workers=int(connection.execute(up).scalar_one()),
    )
