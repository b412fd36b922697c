"""Maintenance windows: when a host may be worked on. Pure, but for the zones' own tables, which ``zoneinfo`` reads.

A window is written in local time (days, from, to, zone) and belongs to the day on which it starts: mon 22:00-04:00 ends
on Tuesday. Its times become instants of UTC first, and all arithmetic is done there. Where the clock changes:

* A time that is skipped (spring: 02:30, where 03:00 follows 02:00) is the moment of the change.
* Of a time that comes twice (autumn) a start is the first, an end the second: the window is longer, never cut in two.

What must not live here: how a file of windows is written (``window_format``), and what happens when one closes.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import reduce
from typing import Any
from zoneinfo import ZoneInfo

from pusher.models import Source
from pusher.problems import BadInput

HORIZON = timedelta(days=400)
"""What does not open within it never opens; what does not close within it never closes."""
DAY = 24 * 60

Piece = tuple[datetime, datetime]
"""From and to, in UTC; open from the first on, closed from the second on."""


class Day(IntEnum):
    """As ``date.weekday`` counts."""

    MON = 0
    TUE = 1
    WED = 2
    THU = 3
    FRI = 4
    SAT = 5
    SUN = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """``start`` (0 to 1439) and ``end`` (0 to 1440) in minutes since midnight in ``zone``, an IANA name; never equal.

    An ``end`` before ``start`` is the next day's. ``source``: where it was written.
    """

    days: frozenset[Day]
    start: int
    end: int
    zone: str
    source: Source | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """As it is written in a file, too."""
        days = [day.name.lower() for day in sorted(self.days)]
        return {"days": days, "from": _clock(self.start), "to": _clock(self.end), "zone": self.zone}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Window:
        """What ``to_json`` made. KeyError or ValueError for anything else, and for a zone that this machine lacks."""
        ZoneInfo(written["zone"])
        days = frozenset(Day[name.upper()] for name in written["days"])
        return cls(days=days, start=minutes(written["from"]), end=minutes(written["to"]), zone=written["zone"])

    def pieces(self, since: datetime) -> Iterator[Piece]:
        """Those that end after ``since``, for as long as ``HORIZON``, in order. Two may overlap in an autumn night."""
        zone = ZoneInfo(self.zone)
        # Two days back: it may be a day long, and a day may have 25 hours.
        first = since.astimezone(zone).date() - timedelta(days=2)
        for number in range(HORIZON.days + 3):
            day = first + timedelta(days=number)
            if day.weekday() not in self.days:
                continue
            start = _instant(day, self.start, zone, second=False)
            end = _instant(day, self.end + (DAY if self.end < self.start else 0), zone, second=True)
            if max(start, since) < end:
                yield start, end


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """All that apply to a host: those of its site, its groups and its run, a set each.

    It is open while at least one window of each set is. A set without windows says nothing: with no other it is always
    open.
    """

    sets: tuple[tuple[Window, ...], ...] = ()

    def is_open(self, at: datetime) -> bool:
        start, _ = next(self._open(at), (None, None))
        return start is not None and start <= at

    def next_opening(self, after: datetime) -> datetime:
        """The first moment from ``after`` on at which it is open, in UTC: ``after`` itself where it is open then.

        Raises BadInput where it never opens: the windows exclude each other.
        """
        start, _ = next(self._open(after), (None, None))
        if start is None:
            raise self._never_opens()
        return start

    def closes_at(self, at: datetime) -> datetime | None:
        """When it closes, in UTC: ``at`` itself where it is closed then; None where it never closes."""
        closes = at.astimezone(UTC)
        for start, end in self._open(at):
            if start > closes:
                return closes
            closes = max(closes, end)
            if closes - at >= HORIZON:
                return None
        return closes

    def has_time(self, at: datetime, takes: timedelta) -> bool:
        """Whether it is open ``at`` and stays so for as long as that: what is begun can be ended."""
        closes = self.closes_at(at)
        return closes is None or (closes > at and closes - at >= takes)

    def may_begin(self, at: datetime, takes: timedelta) -> bool:
        """Whether what ``takes`` so long may be begun: it is open, and stays so until that is done.

        In a window that is too short for it, it may be begun in the first half: else it never would be.
        """
        closes = self.closes_at(at)
        if closes is None or closes - at >= takes:
            return closes is None or closes > at
        if closes <= at:
            return False
        opened = self._opened(at, at - takes)
        return closes - opened < takes and at - opened <= (closes - opened) / 2

    def _opened(self, at: datetime, since: datetime) -> datetime:
        """Since when it has been open ``at``; ``since``, where that was before."""
        opened = closed = since.astimezone(UTC)
        for start, end in self._open(since):
            if start > at:
                break
            if start > closed:
                opened = start
            closed = max(closed, end)
        return opened

    def _open(self, since: datetime) -> Iterator[Piece]:
        """Pieces that end after ``since``, in order; they may touch, and never overlap."""
        if since.tzinfo is None:
            raise ValueError("a time without a zone")
        each = (_any_of(window.pieces(since) for window in windows) for windows in self.sets if windows)
        return reduce(_both, each, iter([(since.astimezone(UTC), since.astimezone(UTC) + HORIZON)]))

    def _never_opens(self) -> BadInput:
        windows = [window for windows in self.sets for window in windows]
        written = [f"{source.file}:{source.line}" for window in windows if (source := window.source) is not None]
        also = f" (it is written in {', '.join(written)})" if len(written) > 1 else ""
        found = f"the maintenance window never opens: its parts have no time in common{also}"
        return BadInput(windows[0].source if windows else None, found, "windows that are open at the same time")


ALWAYS = Windows()


def minutes(clock: str) -> int:
    """Minutes since midnight of ``HH:MM``, 00:00 to 24:00. Raises ValueError."""
    hour, colon, minute = clock.partition(":")
    if not (colon and len(hour) == len(minute) == 2 and clock.isascii() and (hour + minute).isdigit()):
        raise ValueError(f"{clock!r} is not HH:MM")
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > DAY:
        raise ValueError(f"{clock!r} is no time of day")
    return found


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _instant(day: date, minute: int, zone: ZoneInfo, *, second: bool) -> datetime:
    """The instant of a wall clock's time. ``second``: which of the two, where it comes twice."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    one, other = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if one <= other:
        return other if second else one
    # Skipped: PEP 495 reckons with the offset before (one) and after (other): on either side of the change.
    before = other.astimezone(zone).utcoffset()

    def is_changed(seconds: int) -> bool:
        return (other + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != before

    return other + timedelta(seconds=bisect_left(range(int((one - other).total_seconds())), True, key=is_changed))


def _any_of(streams: Iterable[Iterator[Piece]]) -> Iterator[Piece]:
    """The pieces of all of them in order, each without what is covered already."""
    covered: datetime | None = None
    for start, end in heapq.merge(*streams):
        fresh = start if covered is None else max(start, covered)
        if fresh < end:
            yield fresh, end
            covered = end


def _both(one: Iterator[Piece], other: Iterator[Piece]) -> Iterator[Piece]:
    """What both have. Of each stream the pieces are in order and do not overlap."""
    first, second = next(one, None), next(other, None)
    while first is not None and second is not None:
        start, end = max(first[0], second[0]), min(first[1], second[1])
        if start < end:
            yield start, end
        if first[1] <= second[1]:
            first = next(one, None)
        else:
            second = next(other, None)
