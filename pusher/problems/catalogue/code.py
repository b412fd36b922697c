"""A row of the catalogue, and the short names that keep a row on its line. The rows themselves are in the tables."""

from __future__ import annotations

from dataclasses import dataclass

from pusher.models import NextMove, Stage, Status


@dataclass(frozen=True, slots=True)
class Code:
    """A row of the catalogue."""

    code: str
    stage: Stage
    next_move: NextMove
    status: Status
    meaning: str
    remedy: str


RETRY, NEXT, GIVE_UP, STOP, TRANSPORT, WAIT = (
    NextMove.RETRY,
    NextMove.NEXT_ACCOUNT,
    NextMove.GIVE_UP,
    NextMove.STOP_ACCOUNT,
    NextMove.NEXT_TRANSPORT,
    NextMove.WAIT,
)
FAILED, UNREACHABLE = Status.FAILED, Status.UNREACHABLE
SKIPPED, CANCELLED = Status.SKIPPED, Status.CANCELLED
