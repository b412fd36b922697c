"""Who is next: targets wait here until their site and their subnet have room. Pure.

A target whose site or subnet is full lets others pass; among those with room the order of arrival holds. Retries
wait until they are due.

Those of one site and subnet stand in one line, of which only the first can be next. A line that meets a full site or
subnet is set aside there, and is called in again when somebody has left it. So what a call costs does not grow with
how many wait.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar

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
        if ":" not in self.address:
            return self.address.rpartition(".")[0]
        return str(ipaddress.ip_network((ipaddress.ip_address(self.address), 64), strict=False))


E = TypeVar("E", bound=Entry)


@dataclass(eq=False, slots=True)
class _Room:
    """A site or a subnet: how many of it are worked on, and the lines set aside, a heap by their first number."""

    cap: int
    running: int = 0
    aside: list[tuple[int, _Line[Any]]] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.running >= self.cap


@dataclass(eq=False, slots=True)
class _Line(Generic[E]):
    """Those of one site and subnet who wait, with their numbers, in the order in which they came."""

    key: tuple[str, str]
    rooms: tuple[_Room, ...]
    waiting: deque[tuple[int, E]] = field(default_factory=deque)


class Admission(Generic[E]):
    """The waiting room. ``take`` never blocks: None means that nobody may go now."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._lines: dict[tuple[str, str], _Line[E]] = {}
        self._rooms: dict[tuple[str, str], tuple[_Room, ...]] = {}
        self._sites: dict[str, _Room] = {}
        self._subnets: dict[str, _Room] = {}
        # A line that somebody waits in is in here, or aside in one of its rooms.
        self._ready: list[tuple[int, _Line[E]]] = []
        self._later: list[tuple[float, int, E]] = []
        self._arrivals, self._retries = count(), count()
        self._waiting = self._running = 0

    @property
    def waiting(self) -> int:
        """How many have not been let in, retries included."""
        return self._waiting + len(self._later)

    @property
    def running(self) -> int:
        return self._running

    def arrive(self, entry: E) -> None:
        key = self._key(entry)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(key, self._rooms_of(key))
        number = next(self._arrivals)
        line.waiting.append((number, entry))
        self._waiting += 1
        if len(line.waiting) == 1:
            heapq.heappush(self._ready, (number, line))

    def come_back(self, entry: E, due: float) -> None:
        """Wait until ``due`` (the caller's clock, seconds); see ``back``."""
        heapq.heappush(self._later, (due, next(self._retries), entry))

    def next_due(self) -> float | None:
        """When the next retry is due; None where none waits."""
        return self._later[0][0] if self._later else None

    def back(self, now: float) -> E | None:
        """A retry that is due, the earliest first; the caller has it arrive again. None where none is."""
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return None

    def take(self) -> E | None:
        """Let in the first who may go, and count it as running until ``leave``."""
        if 0 < self._caps.total <= self._running:
            return None
        while self._ready:
            number, line = heapq.heappop(self._ready)
            full = next((room for room in line.rooms if room.is_full), None)
            if full is None:
                return self._let_in(line)
            heapq.heappush(full.aside, (number, line))
            # Its other room may have called in this line, and holds another one that can go.
            _call_in(line.rooms, self._ready)
        return None

    def leave(self, entry: E) -> None:
        """The entry that was let in is done."""
        rooms = self._rooms_of(self._key(entry))
        self._running -= 1
        for room in rooms:
            room.running -= 1
        _call_in(rooms, self._ready)

    def drain(self) -> list[E]:
        """Everyone who has not been let in, in order; nobody waits afterwards."""
        waiting = sorted((number, entry) for line in self._lines.values() for number, entry in line.waiting)
        left = [entry for _, entry in waiting] + [entry for _, _, entry in sorted(self._later)]
        self._lines.clear()
        self._ready.clear()
        self._later.clear()
        for room in (*self._sites.values(), *self._subnets.values()):
            room.aside.clear()
        self._waiting = 0
        return left

    def _let_in(self, line: _Line[E]) -> E:
        _, entry = line.waiting.popleft()
        self._waiting -= 1
        self._running += 1
        for room in line.rooms:
            room.running += 1
        if line.waiting:
            heapq.heappush(self._ready, (line.waiting[0][0], line))
        else:
            del self._lines[line.key]
        return entry

    def _key(self, entry: E) -> tuple[str, str]:
        """Which line it stands in. Where there is no cap, there is no room to tell apart."""
        return (entry.target.site or "") if self._caps.site else "", entry.subnet if self._caps.subnet else ""

    def _rooms_of(self, key: tuple[str, str]) -> tuple[_Room, ...]:
        rooms = self._rooms.get(key)
        if rooms is None:
            site, subnet = key
            found = [self._sites.setdefault(site, _Room(self._caps.site))] if site else []
            found += [self._subnets.setdefault(subnet, _Room(self._caps.subnet))] if subnet else []
            rooms = self._rooms[key] = tuple(found)
        return rooms


def _call_in(rooms: tuple[_Room, ...], ready: list[tuple[int, _Line[Any]]]) -> None:
    """The first line that was set aside in each of the rooms that is not full may be next."""
    for room in rooms:
        if room.aside and not room.is_full:
            heapq.heappush(ready, heapq.heappop(room.aside))
