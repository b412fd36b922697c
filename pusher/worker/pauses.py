"""Runs that a worker leaves alone for a while, each time for longer. Pure; the clock is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST = 3600.0


@dataclass(frozen=True, slots=True)
class _Pause:
    until: float
    seconds: float
    why: str


class Pauses:
    """By run; times in seconds of ``clock``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, _Pause] = {}

    def begin(self, run: str, seconds: float, why: str = "") -> bool:
        """Leave the run alone: for ``seconds``; where there is a reason, again and again, each time for twice as long,
        at most an hour. True where ``why`` is another reason than the last time: it is worth saying."""
        before = self._known.get(run)
        lasts = min(before.seconds * 2, MOST) if why and before is not None and before.why else seconds
        self._known[run] = _Pause(self._clock() + lasts, lasts, why)
        return before is None or before.why != why

    def goes_on(self, run: str) -> bool:
        found = self._known.get(run)
        return found is not None and self._clock() < found.until

    def end(self, run: str) -> None:
        self._known.pop(run, None)

    @property
    def reasons(self) -> dict[str, str]:
        """Why which runs were left alone last, of those for which there is a reason."""
        return {run: pause.why for run, pause in self._known.items() if pause.why}
