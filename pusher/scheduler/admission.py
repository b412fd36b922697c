"""Who is next: targets wait here until their site and their subnet have room. Pure.

A target whose site or subnet is full lets others pass; among those with room the order of arrival holds. Retries
wait until they are due. The caller bounds how many wait here, so memory does not grow with the inventory.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count

from pusher.models import Outcome, Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """How many targets may be worked on at once: in all, in one site, in one /24 (IPv6: /64). 0: no cap."""

    total: int = 50
    site: int = 0
    subnet: int = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A resolved target and the number of its next attempt, from 1. ``last``: what the attempt before it came to."""

    target: Target
    address: str
    attempt: int = 1
    last: Outcome | None = None

    @property
    def subnet(self) -> str:
        address = ipaddress.ip_address(self.address)
        width = 24 if address.version == 4 else 64
        return str(ipaddress.ip_network((address, width), strict=False))


class Admission:
    """The waiting room. ``take`` never blocks: None means that nobody may go now."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._waiting: deque[Entry] = deque()
        self._later: list[tuple[float, int, Entry]] = []
        self._order = count()
        self._running = 0
        self._sites: Counter[str] = Counter()
        self._subnets: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many have not been let in, retries included."""
        return len(self._waiting) + len(self._later)

    @property
    def running(self) -> int:
        return self._running

    def arrive(self, entry: Entry) -> None:
        self._waiting.append(entry)

    def come_back(self, entry: Entry, due: float) -> None:
        """Wait until ``due`` (the caller's clock, seconds) and queue again."""
        heapq.heappush(self._later, (due, next(self._order), entry))

    def next_due(self) -> float | None:
        """When the next retry is due; None where none waits."""
        return self._later[0][0] if self._later else None

    def take(self, now: float) -> Entry | None:
        """Let in the first who may go, and count it as running until ``leave``."""
        while self._later and self._later[0][0] <= now:
            self._waiting.append(heapq.heappop(self._later)[2])
        if self._caps.total and self._running >= self._caps.total:
            return None
        for index, entry in enumerate(self._waiting):
            if self._has_room(entry):
                del self._waiting[index]
                self._count(entry, 1)
                return entry
        return None

    def leave(self, entry: Entry) -> None:
        """The entry that was let in is done."""
        self._count(entry, -1)

    def drain(self) -> list[Entry]:
        """Everyone who has not been let in, in order; nobody waits afterwards."""
        left = [*self._waiting, *(entry for _, _, entry in sorted(self._later))]
        self._waiting.clear()
        self._later.clear()
        return left

    def _has_room(self, entry: Entry) -> bool:
        site, caps = entry.target.site, self._caps
        if caps.site and site and self._sites[site] >= caps.site:
            return False
        return not (caps.subnet and self._subnets[entry.subnet] >= caps.subnet)

    def _count(self, entry: Entry, by: int) -> None:
        self._running += by
        if entry.target.site:
            self._sites[entry.target.site] += by
        self._subnets[entry.subnet] += by
