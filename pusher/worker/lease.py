"""What a worker may do for how long: its lease, by the machine's own clock.

It is reckoned from before it was asked for, on a clock that goes on while the machine sleeps: so it is over here no
later than it is in the store, where others take what this worker had.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta


def since_boot() -> float:
    """Seconds, those asleep among them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Of ``length``, from ``asked`` on; ``clock`` in seconds."""

    def __init__(self, length: timedelta, clock: Callable[[], float] = since_boot) -> None:
        self.length, self._clock = length, clock
        self._until = clock() + length.total_seconds()

    def now(self) -> float:
        """Before it is asked for."""
        return self._clock()

    def renewed(self, asked: float) -> None:
        """It was granted, having been asked for at ``asked``. One that is over stays over."""
        if not self.is_over:
            self._until = max(self._until, asked + self.length.total_seconds())

    def end(self) -> None:
        """The store says that it is over."""
        self._until = self._clock()

    @property
    def is_over(self) -> bool:
        return self._clock() >= self._until
