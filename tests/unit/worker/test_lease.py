"""A lease is over no later here than where others look."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pusher.worker.lease import Lease, since_boot


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def lease_of(seconds: float) -> tuple[Lease, Clock]:
    clock = Clock()
    return Lease(timedelta(seconds=seconds), clock), clock


def test_it_lasts_its_length_from_when_it_was_asked_for() -> None:
    lease, clock = lease_of(90)
    clock.at += 60
    asked = lease.now()
    clock.at += 20  # the answer took so long
    lease.renewed(asked)
    clock.at += 69.9
    assert not lease.is_over
    clock.at += 0.1
    assert lease.is_over


def test_one_that_is_over_never_begins_anew() -> None:
    lease, clock = lease_of(90)
    asked = lease.now()
    clock.at += 90
    lease.renewed(asked + 89)
    assert lease.is_over


def test_an_old_answer_shortens_nothing() -> None:
    lease, clock = lease_of(90)
    first = lease.now()
    clock.at += 10
    lease.renewed(lease.now())
    lease.renewed(first)
    clock.at += 89
    assert not lease.is_over


def test_the_store_may_end_it() -> None:
    lease, _ = lease_of(90)
    lease.end()
    assert lease.is_over


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=20))
def test_whenever_it_is_renewed_it_is_over_before_the_stores(beats: list[tuple[float, float]]) -> None:
    """The store reckons from when it hears of the beat, which is not before that was sent."""
    lease, clock = lease_of(90)
    stored = clock.at + 90
    for pause, way in beats:
        clock.at += pause
        asked = lease.now()
        if asked > stored:
            break
        clock.at += way
        stored = max(stored, clock.at + 90)
        lease.renewed(asked)
    clock.at = stored
    assert lease.is_over


def test_the_clock_goes_on() -> None:
    first = since_boot()
    assert since_boot() >= first > 0
