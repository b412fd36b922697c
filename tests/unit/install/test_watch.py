"""Watching a start: what the statuses of a service mean, second by second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.install.watch import LEAST_PATIENCE, StartWatch, has_told_why, stopped
from pusher.problems import Problem, Stage
from pusher.transports.port import ServiceState, ServiceStatus

RUNNING = ServiceStatus(state=ServiceState.RUNNING)
WAIT = "wait"


def pending(checkpoint: int = 0, hint: int = 0) -> ServiceStatus:
    return ServiceStatus(state=ServiceState.START_PENDING, checkpoint=checkpoint, wait_hint=hint)


def ended(win32: int, own: int = 0) -> ServiceStatus:
    return ServiceStatus(state=ServiceState.STOPPED, win32_exit=win32, service_exit=own)


def verdicts(story: list[tuple[float, ServiceStatus | None]], timeout: float = 60) -> list[str]:
    watch = StartWatch(timeout=timeout, began=0.0)
    said = []
    for at, status in story:
        verdict = watch.feed(status, at)
        said.append(verdict.code if isinstance(verdict, Problem) else "runs" if verdict else WAIT)
    return said


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([(0, RUNNING)], "runs"),
        ([(0, pending()), (1, RUNNING)], "runs"),
        ([(0, None)], "service-missing"),
        ([(0, ended(0))], "service-exited"),
        ([(0, ended(1067))], "service-exited"),
        ([(0, ended(1077))], "service-exited"),
        ([(0, ended(1066, 42))], "service-failed"),
        ([(0, ended(5))], "service-failed"),
        # Without a hint a service has LEAST_PATIENCE between two signs of life.
        ([(0, pending(1)), (LEAST_PATIENCE, pending(1))], WAIT),
        ([(0, pending(1)), (LEAST_PATIENCE + 0.1, pending(1))], "service-start-timeout"),
        # A checkpoint that moves starts the patience anew, again and again.
        ([(0, pending(1)), (4, pending(2)), (8, pending(3)), (12, pending(4))], WAIT),
        ([(0, pending(1)), (4, pending(2)), (9.1, pending(2))], "service-start-timeout"),
        ([(0, pending(1)), (4, pending(2)), (8, pending(2))], WAIT),
        ([(0, pending(5)), (4, pending(1)), (8, pending(1))], WAIT),
        # A hint gives more time, up to the package's limit.
        ([(0, pending(1, 20_000)), (20, pending(1, 20_000))], WAIT),
        ([(0, pending(1, 20_000)), (20.1, pending(1, 20_000))], "service-start-timeout"),
        ([(0, pending(1, 600_000)), (60, pending(1, 600_000))], WAIT),
        ([(0, pending(1, 600_000)), (60.1, pending(1, 600_000))], "service-start-timeout"),
        # A hint shorter than the least patience does not cut it.
        ([(0, pending(1, 10)), (LEAST_PATIENCE, pending(1, 10))], WAIT),
        ([(0, ServiceStatus(state=ServiceState.PAUSED)), (5.1, ServiceStatus(state=ServiceState.PAUSED))],
         "service-start-timeout"),
    ],
)  # fmt: skip
def test_what_a_start_comes_to(story: list[tuple[float, ServiceStatus | None]], expected: str) -> None:
    *before, last = verdicts(story)
    assert last == expected
    assert before == [WAIT] * len(before)


def test_the_reason_is_in_the_words() -> None:
    assert "42" in stopped(ended(1066, 42), Stage.START).message
    assert "1067" in stopped(ended(1067), Stage.VERIFY).message
    assert stopped(ended(1067), Stage.VERIFY).stage is Stage.VERIFY
    stuck = StartWatch(timeout=60, began=0.0)
    stuck.feed(pending(7), 0.0)
    verdict = stuck.feed(pending(7), 6.0)
    assert isinstance(verdict, Problem)
    assert "START_PENDING at checkpoint 7" in verdict.message


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100_000)), min_size=1, max_size=30),
    st.floats(1, 100),
)
def test_one_that_stands_still_is_given_up_in_the_end(signs: list[tuple[int, int]], timeout: float) -> None:
    """Whatever the hints: past the package's limit without a new checkpoint there is an end."""
    watch = StartWatch(timeout=timeout, began=0.0)
    for second, (checkpoint, hint) in enumerate(signs):
        watch.feed(pending(checkpoint, hint), float(second))
    last = signs[-1][0]
    assert isinstance(watch.feed(pending(last, 10**9), len(signs) + timeout + 0.1), Problem)


@pytest.mark.parametrize(
    ("status", "earlier", "told"),
    [
        (ended(1066, 42), ended(1077), True),
        (ended(1066, 42), None, True),
        (ended(1066, 42), ended(1066, 7), True),
        (ended(1066, 42), ended(1066, 42), False),  # what the one before it said
        (ended(1077), ended(0), False),
        (ended(0), ended(1077), False),
    ],
)
def test_what_a_service_said_before_it_was_gone(
    status: ServiceStatus, earlier: ServiceStatus | None, told: bool
) -> None:
    assert has_told_why(status, earlier) is told
