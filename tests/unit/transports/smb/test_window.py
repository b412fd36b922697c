"""The window fits the link: large on a fast or far one, small on a slow one. The links are computed, not waited for."""

from __future__ import annotations

import heapq
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.transports.smb.window import LEAST, MOST, Mark, Window, window

KILO, MEGA = 1024, 1024 * 1024


class Fixed:
    """A window of 16 MiB in pieces of 1 MiB, as smbclient has it."""

    size = 16 * MEGA

    def sent(self, now: float) -> Mark:
        return Mark(now, 0)

    def hold_back(self) -> None:
        """It learns nothing."""

    def answered(self, now: float, mark: Mark, size: int) -> None:
        """It learns nothing."""


class Link:
    """``rate`` in bytes a second, ``trip`` the seconds of a round trip. Pieces leave one after the other."""

    def __init__(self, rate: float, trip: float, flow: Window | Fixed | None = None) -> None:
        self.rate, self.trip, self.flow = rate, trip, flow or Window()
        self.now = self.free = 0.0
        self.flying, self.order = list[tuple[float, int, int, Mark]](), count()

    @property
    def on_its_way(self) -> int:
        return sum(size for _, _, size, _ in self.flying)

    def copy(self, total: int) -> float:
        """A file; seconds."""
        began = self.now
        while total or self.flying:
            total = self.send(total)
            self.answer()
        return self.now - began

    def send(self, total: int) -> int:
        """What there is room for; what is left."""
        while total:
            piece = min(total, MEGA, self.flow.size // 4)
            if self.on_its_way + piece > self.flow.size:
                self.flow.hold_back()
                return total
            self._send(piece)
            total -= piece
        return 0

    def ask(self) -> None:
        """Something small, on a link on which nothing else is."""
        self._send(1)
        self.answer()

    def _send(self, piece: int) -> None:
        self.free = max(self.now, self.free) + piece / self.rate
        heapq.heappush(self.flying, (self.free + self.trip, next(self.order), piece, self.flow.sent(self.now)))

    def answer(self) -> None:
        self.now, _, size, mark = heapq.heappop(self.flying)
        self.flow.answered(self.now, mark, size)


@pytest.mark.parametrize("trip", [0.0002, 0.020, 0.100, 0.300])
@pytest.mark.parametrize("rate", [1 * MEGA, 12 * MEGA, 110 * MEGA, 1000 * MEGA])
def test_a_copy_is_as_fast_as_smbclients(rate: float, trip: float) -> None:
    link = Link(rate, trip)
    link.ask()
    ours, theirs = link.copy(64 * MEGA), Link(rate, trip, Fixed()).copy(64 * MEGA)
    assert theirs / ours >= 0.95, f"{theirs:.3f} {ours:.3f}"


@pytest.mark.parametrize(
    ("rate", "trip", "least", "most"),
    [
        (1000 * MEGA, 0.0002, 4 * MEGA, 4.1 * MEGA),
        (110 * MEGA, 0.020, 8 * MEGA, 8.1 * MEGA),
        (110 * MEGA, 0.100, 20 * MEGA, 30 * MEGA),
        (1000 * MEGA, 0.100, MOST, MOST),
        (1 * MEGA, 0.020, 0.9 * MEGA, 1.1 * MEGA),
        (100 * KILO, 0.050, LEAST, LEAST),
        (100 * KILO, 0.0002, LEAST, LEAST),
    ],
)
def test_what_a_link_comes_to(rate: float, trip: float, least: float, most: float) -> None:
    link = Link(rate, trip)
    link.ask()
    link.copy(400 * MEGA)
    assert least <= link.flow.size <= most


def test_a_slow_link_is_known_from_the_first_piece() -> None:
    """What comes next would else wait for all of the first window."""
    link = Link(200 * KILO, 0.02)
    link.ask()
    link.send(50 * MEGA)
    assert link.on_its_way == 8 * MEGA
    link.answer()
    assert link.flow.size == LEAST


def test_a_far_link_keeps_its_window_while_the_first_answers_come() -> None:
    """They tell of little, since little was answered before them; nothing queues."""
    link = Link(1000 * MEGA, 0.1)
    link.ask()
    first = link.flow.size
    link.send(100 * MEGA)
    for answered in range(1, 5):
        link.answer()
        assert link.flow.size == first + answered * MEGA


def test_a_link_that_becomes_faster_or_slower_is_followed() -> None:
    link = Link(110 * MEGA, 0.1)
    link.ask()
    link.copy(200 * MEGA)
    link.rate = 2 * MEGA
    link.copy(200 * MEGA)
    assert link.flow.size <= 3 * MEGA
    link.rate = 110 * MEGA
    link.copy(200 * MEGA)
    assert link.flow.size >= 16 * MEGA


def test_one_long_wait_does_not_stay() -> None:
    """A server that writes to its disk for a while is no slow link."""
    link = Link(110 * MEGA, 0.02)
    link.ask()
    link.copy(100 * MEGA)
    link.send(100 * MEGA)
    link.now += 5
    link.copy(100 * MEGA)
    assert link.flow.size >= 8 * MEGA


def test_small_questions_say_nothing_of_the_rate() -> None:
    link = Link(110 * MEGA, 0.1)
    link.ask()
    link.copy(200 * MEGA)
    before = link.flow.size
    for _ in range(100):
        link.ask()
    assert link.flow.size == before


@given(rate=st.floats(1, 1e12), trip=st.floats(1e-6, 100), faster=st.floats(1, 1e3), longer=st.floats(1, 1e3))
def test_a_faster_or_longer_link_has_no_smaller_window(rate: float, trip: float, faster: float, longer: float) -> None:
    assert LEAST <= window(rate, trip) <= window(rate * faster, trip * longer) <= MOST


@given(steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 2), st.integers(1, 9 * MEGA)), max_size=50))
def test_whatever_is_answered_whenever_the_window_is_within_its_bounds(steps: list[tuple[float, int, int]]) -> None:
    flow, now, marks = Window(), 0.0, list[Mark]()
    for seconds, kind, size in steps:
        now += seconds
        if kind == 0:
            flow.hold_back()
        elif kind == 1:
            marks.append(flow.sent(now))
        elif marks:
            flow.answered(now, marks.pop(size % len(marks)), size)
        assert LEAST <= flow.size <= MOST
