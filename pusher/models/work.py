"""Work that waits in the queue: one target of a run, until it has its outcome there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class WorkState(StrEnum):
    HELD = "held"
    """Until its wave is open."""
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
    """A worker's right to work on a target: good as long as the work runs at its ``epoch``, which tells it from each
    claim of the same work before it and after.

    ``priority``: the lower comes first. ``tries``: attempts that were made before it. ``queued_at``: when the run was;
    ``waiting``: what whoever put the work off keeps of it, if it was.
    """

    work: int
    run: str
    target: str
    epoch: int
    tries: int
    queued_at: datetime
    priority: int = 100
    waiting: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyWork:
    """How much of a run's work is ready at one priority, and since when the first of it has been."""

    run: str
    priority: int
    count: int
    since: datetime
