"""How many bytes of a connection are on their way at once: enough for its link, and little more. Pure.

A link is full with its rate times a round trip. Both are learned from answers: the round trip is the shortest there
was; the rate is what was answered between the sending of a request and its answer, as BBR has its delivery rate
(draft-ietf-ccwg-bbr), the best of this window's worth and the one before. While answers come within two round trips
nothing queues, and the window grows by what is answered (slow start, RFC 5681 3.1); past them it is twice rate times
round trip. What nobody held back says nothing of what the link can do. What must not live here: clocks, credits,
sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST: Final = 32 * 1024 * 1024
"""Bytes: 32 requests of 1 MiB."""

LEAST: Final = 512 * 1024
FIRST: Final = 8 * 1024 * 1024
"""Bytes, before anything was answered."""

_AT_REST: Final = 4 * 1024 * 1024
"""Bytes for a link without delay: client and server work at the same time."""

_USUAL_RATE: Final = 200 * 1024 * 1024
_USUAL_MOST: Final = 16 * 1024 * 1024
"""Bytes that are as many as smbclient always has on their way."""

_DRAINED: Final = 1.0
"""Seconds in which a link has moved what is on its way beyond what it needs: so long whoever comes next waits."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a request remembers of its sending: when that was, and the bytes that had been answered by then."""

    at: float
    answered: int


class Window:
    """``size`` in bytes; times in seconds of whatever clock."""

    def __init__(self) -> None:
        self.size = FIRST
        self._answered = self._round = 0
        self._held_back = -1
        self._round_trip = float("inf")
        self._rates = (0.0, 0.0)

    def sent(self, now: float) -> Mark:
        """A request leaves."""
        return Mark(now, self._answered)

    def hold_back(self) -> None:
        """More would be sent, were there room for it."""
        self._held_back = self._answered

    def answered(self, now: float, mark: Mark, size: int) -> None:
        """``size`` bytes are on their way no more."""
        took, is_telling = max(now - mark.at, 1e-6), mark.answered <= self._held_back
        self._answered += size
        self._round_trip = min(self._round_trip, took)
        if is_telling:
            self._learn((self._answered - mark.answered) / took, mark)
            fits = window(max(self._rates), self._round_trip)
            self.size = fits if took > 2 * self._round_trip else max(min(self.size + size, MOST), fits)
        elif not any(self._rates):
            self.size = usual(self._round_trip)

    def _learn(self, rate: float, mark: Mark) -> None:
        last, best = self._rates
        if mark.answered >= self._round and best:
            last, best, self._round = best, 0.0, self._answered
        self._rates = (last, max(best, rate))


def window(rate: float, round_trip: float) -> int:
    """Bytes, of bytes a second and seconds."""
    return int(min(max(2 * rate * round_trip, min(usual(round_trip), rate * _DRAINED), LEAST), MOST))


def usual(round_trip: float) -> int:
    """Bytes for a link whose rate is not known, or that is fast enough."""
    return int(min(_AT_REST + _USUAL_RATE * round_trip, _USUAL_MOST))
