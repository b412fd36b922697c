"""Where a run's targets come from, and how it is told that one of them is its own no more.

A run of a list has it whole (``Listed``); a worker's run gets targets as it claims them from the queue. What must not
live here: who goes next (``scheduler``), and how a target is claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from pusher.models import Target


class LostError(asyncio.CancelledError):
    """The target is somebody else's by now: nothing more is done on it, and nothing is recorded of it.

    It ends an attempt as a task that is cancelled ends: at once, with nothing undone and the journal open, for whoever
    has the target now may be at it.
    """


class Supply(Protocol):
    """Targets, each of them once."""

    def take(self) -> Target | None:
        """One that is there; None where none is, now."""

    @property
    def is_exhausted(self) -> bool:
        """Where ``take`` has none: whether none will come any more."""

    def watch(self, wake: Callable[[], None]) -> None:
        """``wake`` is called whenever ``take`` may have one again, or ``is_exhausted`` has changed."""


class Listed:
    """All that an iterator has."""

    def __init__(self, targets: Iterator[Target]) -> None:
        self._targets = targets
        self.is_exhausted = False

    def take(self) -> Target | None:
        target = next(self._targets, None)
        self.is_exhausted = target is None
        return target

    def watch(self, wake: Callable[[], None]) -> None:
        """It has what it has."""
