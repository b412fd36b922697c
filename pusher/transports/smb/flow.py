"""Flow control of one connection: how much may wait for answers at once, and in what pieces a long file goes. Pure.

Three bounds, none of which is ever overdrawn: the credits that the server has granted (MS-SMB2 3.2.4.1.2, 3.2.4.1.5),
the number of requests, and the bytes that these send or ask for (``window`` says how many). A load that is larger than
the window goes alone. What must not live here: sockets, and who waits for whom (``wire``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pusher.transports.smb.messages import Request
from pusher.transports.smb.window import MOST, Mark, Window

CREDIT_UNIT: Final = 65536
"""Bytes that one credit pays for."""

MOST_REQUESTS: Final = 32
"""Requests that wait for answers at once, each of a compound counted.

Windows' client editions answer STATUS_INSUFFICIENT_RESOURCES past some 64 in a session (docs/windows.md).
"""

_PIECES: Final = 4
"""Pieces that a window is cut into at least, so that one is on its way while another is answered."""

_CREDITS_WANTED: Final = MOST // CREDIT_UNIT + MOST_REQUESTS
_MOST_ASKED: Final = 256
"""Credits that one request asks for beyond its own."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is on its way, or would be: requests, the credits they cost, the bytes they send or ask for."""

    requests: int = 0
    credits: int = 0
    size: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(self.requests + other.requests, self.credits + other.credits, self.size + other.size)

    def __sub__(self, other: Load) -> Load:
        return Load(self.requests - other.requests, self.credits - other.credits, self.size - other.size)


class Flow:
    """What is on its way. ``credits``: those granted and not spent; ``has_large_mtu``: one request may cost several."""

    def __init__(self, credits: int, has_large_mtu: bool, window: Window) -> None:
        self.credits, self._large = credits, has_large_mtu
        self.unanswered = Load()
        self._window = window

    @property
    def window(self) -> int:
        """Bytes that may be on their way."""
        return self._window.size

    def charge(self, request: Request) -> int:
        """The CreditCharge of its header (MS-SMB2 3.1.5.2); 0 where the server has no multi-credit requests."""
        return _units(request.payload) if self._large else 0

    def load(self, requests: Iterable[Request]) -> Load:
        each = (Load(1, self.charge(request) or 1, request.payload) for request in requests)
        return sum(each, start=Load())

    def load_of_piece(self, size: int) -> Load:
        return Load(1, _units(size) if self._large else 1, size)

    def fits(self, load: Load) -> bool:
        after = self.unanswered + load
        return (
            load.credits <= self.credits
            and after.requests <= MOST_REQUESTS
            and (after.size <= self.window or self.is_idle)
        )

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way: what does not fit now never will."""
        return not self.unanswered.requests

    @property
    def _held(self) -> int:
        """Credits that there are when everything is answered, as long as the server grants what it is paid."""
        return self.credits + self.unanswered.credits

    def piece(self, most: int) -> int:
        """Bytes of one piece of a long file, at most ``most``: a part of the window, and of what credits pay for."""
        paid = max(self._held, 1) * CREDIT_UNIT
        units = min(self.window, paid) // _PIECES // CREDIT_UNIT if self._large else 1
        return max(min(most, max(units, 1) * CREDIT_UNIT), 1)

    def wanted(self, charge: int) -> int:
        """The CreditRequest of a header: what it costs back, and some of what is missing."""
        return max(charge, 1) + min(max(_CREDITS_WANTED - self._held, 0), _MOST_ASKED)

    def send(self, load: Load, now: float) -> Mark:
        self.credits -= load.credits
        self.unanswered += load
        return self._window.sent(now)

    def hold_back(self, load: Load) -> None:
        """It would be sent, and has to wait: for room in the window, perhaps."""
        if self.unanswered.size + load.size > self.window:
            self._window.hold_back()

    def hold_back_all(self) -> None:
        """The socket takes no more for now: the link is full, whatever the window."""
        self._window.hold_back()

    def grant(self, granted: int) -> None:
        """The CreditResponse of whatever answer, an interim one too."""
        self.credits += granted

    def answer(self, load: Load, now: float, mark: Mark) -> None:
        """What was sent is answered."""
        self.unanswered -= load
        self._window.answered(now, mark, load.size)


class Pieces:
    """A file's bytes from ``start`` to ``end``, cut as they are sent; ``request`` makes one of an offset and a size."""

    def __init__(self, start: int, end: int, request: Callable[[int, int], Request]) -> None:
        self._at, self._end, self._request = start, end, request

    @property
    def left(self) -> int:
        """Bytes that were not cut yet."""
        return max(self._end - self._at, 0)

    def cut(self, most: int) -> Request:
        """The next piece, of at most ``most`` bytes."""
        at, size = self._at, min(most, self.left)
        self._at += size
        return self._request(at, size)


def _units(size: int) -> int:
    return (max(size, 1) - 1) // CREDIT_UNIT + 1
