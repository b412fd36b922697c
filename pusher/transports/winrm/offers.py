"""What the content endpoint has on offer: which payload, for whom, until when, and that nobody gets it twice.

Any thread may call. Nothing here knows of a connection.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from pusher.transports.winrm.addresses import Address, is_same, whose


class Entry:
    """An offer, from the endpoint's side."""

    def __init__(
        self, *, token: str, peer: Address, data: memoryview, moved: Callable[[int], None], ends: float
    ) -> None:
        self.token, self.peer, self.data, self.moved, self.ends = token, peer, data, moved, ends
        self.taken = self.withdrawn = False
        self.sent = 0
        self.guard = threading.Lock()

    def note(self, count: int) -> None:
        """``count`` more bytes went out. The lock keeps ``moved`` from being called after a withdrawal."""
        with self.guard:
            if self.withdrawn:
                raise ConnectionAbortedError("the offer was withdrawn")
            self.sent += count
            self.moved(count)


class Offers:
    """All of one endpoint."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._entries = dict[bytes, Entry]()
        """By the hash of their token, in the order in which their time is over.

        So how long a look takes tells nothing of a token, however many there are.
        """
        self._expected = Counter[Address]()
        """How many offers each machine has."""

    def __iter__(self) -> Iterator[Entry]:
        with self._guard:
            return iter(list(self._entries.values()))

    def add(self, entry: Entry) -> None:
        with self._guard:
            self._expire()
            self._entries[_hash(entry.token)] = entry
            self._expected[whose(entry.peer)] += 1

    def withdraw(self, entry: Entry) -> None:
        """Nobody gets it any more, nor more of it."""
        with self._guard:
            self._forget(entry)
        with entry.guard:
            entry.withdrawn = True

    def clear(self) -> None:
        with self._guard:
            self._entries.clear()
            self._expected.clear()

    def are_for(self, peer: Address) -> bool:
        """Whether there is one for this machine."""
        with self._guard:
            self._expire()
            return self._expected[whose(peer)] > 0

    def take(self, token: str, peer: Address) -> Entry | None:
        """The offer of ``token``, for the one who may have it; nobody gets it again."""
        with self._guard:
            entry = self._entries.get(_hash(token))
            if entry is None or entry.ends <= time.monotonic() or not is_same(peer, entry.peer):
                return None
            self._forget(entry)
            entry.taken = True
            return entry

    def _expire(self) -> None:
        """What nobody came for lends out memory no longer than its time."""
        now = time.monotonic()
        while self._entries and (oldest := next(iter(self._entries.values()))).ends <= now:
            self._forget(oldest)

    def _forget(self, entry: Entry) -> None:
        if self._entries.pop(_hash(entry.token), None) is None:
            return
        machine = whose(entry.peer)
        self._expected[machine] -= 1
        if not self._expected[machine]:
            del self._expected[machine]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
