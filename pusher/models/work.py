"""Work that waits in the queue: one target of a run, until it has its outcome there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WorkState(StrEnum):
    READY = "ready"
    """Whoever has room may claim it."""
    WAITING = "waiting"
    """Until it is due."""
    RUNNING = "running"
    """A worker has it, as long as that worker's lease lasts."""
    DONE = "done"
    """It has its outcome."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A worker's right to work on a target. ``epoch`` tells it from each other claim of the same work, before and
    after: it is good as long as the work runs at that epoch. ``tries``: attempts that were made before it."""

    work: int
    run: str
    target: str
    epoch: int
    tries: int = 0
