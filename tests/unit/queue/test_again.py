"""When a host comes back: the table of the module, and what must hold whatever happens to a host in a week."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.models import Attempt
from pusher.problems import CATALOGUE, Again, Code, Stage
from pusher.queue.again import Due, Ended, Waiting, again, remembered
from pusher.queue.jitter import after, around, share

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
MINUTES, HOURS = timedelta(minutes=1), timedelta(hours=1)
HOSTS = [f"ws{number:03}.corp.example" for number in range(400)]

OF_EACH = {again: [code for code in Code if CATALOGUE[code].again is again] for again in Again}
codes = st.sampled_from(Again).flatmap(lambda again: st.sampled_from(OF_EACH[again]))
stages = st.sampled_from(Stage)
instants = st.integers(-86_400, 9 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
hosts = st.sampled_from(["", "ws017.lab.test", "\ud800", "köln-1", *(f"ws{number}" for number in range(20))])
ends = st.builds(
    Ended,
    code=codes,
    stage=stages,
    account=st.none() | st.just("push-2026"),
    free_at=st.none() | instants,
    opens_at=st.none() | instants,
)
waits = st.builds(
    Waiting,
    host=hosts,
    give_up=instants,
    tries=st.integers(0, 12),
    code=st.none() | codes,
    since=st.none() | instants,
)


def fresh(host: str = "ws017.lab.test", **given: object) -> Waiting:
    return replace(Waiting(host=host, give_up=NOW + WEEK), **given)  # type: ignore[arg-type]


def ended(code: Code, stage: Stage | None = None, **given: object) -> Ended:
    return replace(Ended(code=code, stage=stage or CATALOGUE[code].stage), **given)  # type: ignore[arg-type]


def came_back(found: Due | None) -> tuple[datetime, Waiting]:
    assert found is not None
    assert found.at is not None
    return found.at, found.waiting


def waited(end: Ended, tries: int, waiting: Waiting | None = None) -> list[timedelta]:
    """The waits between attempts that all end alike and take no time, until it is given up or ``tries`` are made."""
    found: list[timedelta] = []
    now, waiting = NOW, waiting or fresh()
    while len(found) < tries and (due := again(end, waiting, now)) is not None:
        at, waiting = came_back(due)
        found.append(at - now)
        now = at
    return found


def near(found: list[timedelta], expected: list[timedelta]) -> bool:
    """Each within a tenth of what it should be."""
    return len(found) == len(expected) and all(
        abs(one - other) <= other / 10 for one, other in zip(found, expected, strict=True)
    )


def test_what_is_gone_in_minutes_is_tried_ten_times() -> None:
    found = waited(ended(Code.CONNECTION_LOST), 100)
    assert near(found, [1 * MINUTES, 5 * MINUTES, 15 * MINUTES, *[HOURS] * 6])


def test_a_machine_that_is_off_is_tried_all_week() -> None:
    found = waited(ended(Code.TIMED_OUT, Stage.REACH), 1000)
    assert near(found[:3], [timedelta(seconds=2), HOURS, HOURS])
    assert WEEK - 1.2 * HOURS < sum(found, timedelta()) <= WEEK


def test_what_fell_silent_on_the_way_was_there() -> None:
    found = waited(ended(Code.TIMED_OUT, Stage.STAGE), 100)
    assert near(found[:3], [1 * MINUTES, 5 * MINUTES, 15 * MINUTES])
    assert len(found) == 9


def test_a_laptop_that_was_off_for_days_still_has_its_ten_tries() -> None:
    now, waiting = NOW, fresh()
    for _ in range(72):
        now, waiting = came_back(again(ended(Code.HOST_UNREACHABLE), waiting, now))
    found = waited(ended(Code.FILE_IN_USE), 100, waiting)
    assert len(found) == 8, "the first connection that failed was a try"


def test_a_bad_link_does_not_begin_anew_each_time_it_is_off() -> None:
    """Off and lost by turns: neither the two seconds nor the one minute come again."""
    now, waiting, waits = NOW, fresh(), []
    for code in [Code.TIMED_OUT, Code.CONNECTION_LOST] * 8:
        at, waiting = came_back(again(ended(code), waiting, now))
        waits.append(at - now)
        now = at
    assert waits[0] < MINUTES
    assert min(waits[2:]) > 4 * MINUTES


def test_a_lock_is_looked_at_less_and_less_often_for_a_day() -> None:
    found = waited(ended(Code.PUSH_IN_PROGRESS), 1000)
    assert near(found[:1], [2 * MINUTES])
    rising = [one / other for other, one in pairwise(found[:5])]
    assert all(1.7 < rise < 2.3 for rise in rising)
    assert near(found[5:6], [30 * MINUTES])
    assert 24 * HOURS <= sum(found, timedelta()) <= 25 * HOURS


def test_a_lock_that_was_met_on_the_third_day_has_a_day_from_then() -> None:
    waiting = fresh(code=Code.TIMED_OUT, since=NOW - timedelta(days=3), tries=1)
    assert sum(waited(ended(Code.PUSH_IN_PROGRESS), 1000, waiting), timedelta()) > 24 * HOURS


def test_a_clock_that_was_set_back_makes_no_wait_shorter() -> None:
    waiting = fresh(code=Code.PUSH_IN_PROGRESS, since=NOW + HOURS)
    assert near(waited(ended(Code.PUSH_IN_PROGRESS), 1, waiting), [2 * MINUTES])


@pytest.mark.parametrize("code", [Code.LOCKOUT_BUDGET_SPENT, Code.BUDGET_UNAVAILABLE])
def test_the_budget_is_waited_for_and_is_no_try(code: Code) -> None:
    free = NOW + 30 * HOURS
    at, waiting = came_back(again(ended(code, account="a", free_at=free), fresh(tries=4), NOW))
    assert free <= at <= free + MINUTES
    assert waiting.tries == 4
    assert near(waited(ended(code), 3), [30 * MINUTES] * 3)
    # What is past and was refused all the same is no promise.
    assert near(waited(ended(code, free_at=NOW - MINUTES), 1), [30 * MINUTES])


@pytest.mark.parametrize("code", [Code.OUTSIDE_WINDOW, Code.WINDOW_CLOSED, Code.LEASE_LOST, Code.DRAINING])
def test_what_the_host_is_not_to_blame_for_is_no_try(code: Code) -> None:
    opens = NOW + 14 * HOURS
    at, waiting = came_back(again(ended(code, opens_at=opens), fresh(tries=4), NOW))
    assert opens <= at <= opens + MINUTES
    assert waiting.tries == 4
    at, waiting = came_back(again(ended(code), waiting, at))
    assert waiting.tries == 4
    assert near([at - waiting.since] if waiting.since else [], [opens - NOW + MINUTES])


def test_an_account_s_failure_parks_the_host_on_the_account() -> None:
    due = again(ended(Code.SIGN_IN_UNKNOWN, account="push-2026"), fresh(), NOW)
    assert due is not None
    assert (due.at, due.park, due.why) == (None, "push-2026", Again.PARKED)


def test_a_host_is_parked_on_somebody_and_not_for_ever() -> None:
    assert again(ended(Code.WRONG_PASSWORD), fresh(), NOW) is None
    assert again(ended(Code.WRONG_PASSWORD, account="a"), fresh(give_up=NOW), NOW) is None


@settings(max_examples=300)
@given(ends, waits, instants, st.booleans())
def test_never_in_the_past_and_never_after_the_end(end: Ended, waiting: Waiting, now: datetime, same: bool) -> None:
    due = again(end, replace(waiting, code=end.code) if same else waiting, now)
    if due is None:
        return
    assert (due.at is None) == (due.why is Again.PARKED) == (due.park is not None)
    if due.at is not None:
        assert now < due.at <= waiting.give_up
    assert due.waiting.tries >= waiting.tries
    assert (due.waiting.host, due.waiting.give_up) == (waiting.host, waiting.give_up)


@given(ends, waits, instants)
def test_no_verdict_on_an_account_comes_back_by_time(end: Ended, waiting: Waiting, now: datetime) -> None:
    due = again(end, waiting, now)
    if CATALOGUE[end.code].again in {Again.PARKED, Again.NEVER}:
        assert due is None or due.at is None


@given(ends, waits, instants, st.integers(0, 7 * 86_400))
def test_later_now_is_later_then(end: Ended, waiting: Waiting, now: datetime, later: int) -> None:
    first, second = again(end, waiting, now), again(end, waiting, now + timedelta(seconds=later))
    if second is not None and second.at is not None:
        assert first is not None, "who may come back later may come back now"
        assert first.at is not None
    if first and second and first.at and second.at and not (end.free_at or end.opens_at):
        assert first.at <= second.at


@given(st.sampled_from([code for code in Code if CATALOGUE[code].again in {Again.SOON, Again.HOURLY}]),
       waits, instants, st.integers(1, 5))  # fmt: skip
def test_more_tries_is_no_shorter_wait(code: Code, waiting: Waiting, now: datetime, more: int) -> None:
    few, many = (
        again(ended(code), replace(waiting, tries=tries), now) for tries in (waiting.tries, waiting.tries + more)
    )
    if many is not None:
        assert came_back(few)[0] <= came_back(many)[0]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(codes, stages, st.integers(0, 900)), min_size=1, max_size=40),
    st.sampled_from(HOSTS),
)
def test_a_week_ends(story: list[tuple[Code, Stage, int]], host: str) -> None:
    """Whatever happens to a host, told over and over: it ends, parked or given up, before the week does."""
    now, waiting, attempts = NOW, fresh(host), 0
    while True:
        code, stage, took = story[attempts % len(story)]
        now, attempts = now + timedelta(seconds=took), attempts + 1
        due = again(Ended(code=code, stage=stage, account="push-2026"), waiting, now)
        if due is None or due.at is None:
            break
        assert due.at <= NOW + WEEK
        now, waiting = due.at, due.waiting
        assert attempts <= 7 * 24 * 60 / 0.9, "not once a minute on average"


@given(st.lists(st.tuples(codes, stages, st.integers(0, 900)), max_size=12), hosts)
def test_the_record_of_the_attempts_is_enough(story: list[tuple[Code, Stage, int]], host: str) -> None:
    """Whoever reads it knows of the host what whoever made the attempts knew."""
    now, waiting, record = NOW, fresh(host), []
    for number, (code, stage, took) in enumerate(story, start=1):
        begun, now = now, now + timedelta(seconds=took)
        record.append(
            Attempt(
                run="r", target=host, number=number, stage=stage, code=code, account="a", started_at=begun, ended_at=now
            )
        )
        due = again(Ended(code=code, stage=stage, account="a"), waiting, now)
        if due is None:
            break
        now, waiting = due.at or now, due.waiting
    assert remembered(host, waiting.give_up, reversed(record)) == waiting


def test_what_is_recorded_of_another_version_says_nothing() -> None:
    at = Attempt(run="r", target="a", number=1, stage=Stage.REACH, code="of-a-later-version", account=None,
                 started_at=NOW, ended_at=NOW)  # fmt: skip
    assert remembered("a", NOW + WEEK, [at, replace(at, number=2, code=None)]) == fresh("a")


def test_hosts_that_failed_together_come_back_apart() -> None:
    shares = sorted(share(host) for host in HOSTS)
    tenths = [sum(tenth / 10 <= one < (tenth + 1) / 10 for one in shares) for tenth in range(10)]
    assert sum(tenths) == len(HOSTS)
    assert min(tenths) > 20, "evenly"
    spread = [around(HOURS, host) for host in HOSTS]
    assert 0.9 * HOURS <= min(spread) < 0.91 * HOURS
    assert 1.09 * HOURS < max(spread) <= 1.1 * HOURS
    free = NOW + HOURS
    for code in (Code.LOCKOUT_BUDGET_SPENT, Code.OUTSIDE_WINDOW):
        end = ended(code, free_at=free, opens_at=free)
        freed = {came_back(again(end, fresh(host), NOW))[0] for host in HOSTS}
        assert len(freed) > len(HOSTS) / 2, "what is free at one moment is not asked for at one moment"
    late = [after(MINUTES, host) for host in HOSTS]
    assert timedelta(0) <= min(late) < max(late) < MINUTES


@given(hosts)
def test_a_host_s_share_is_within_bounds(host: str) -> None:
    assert 0 <= share(host) < 1
    assert share(host, "") != share(host)


def test_a_host_s_share_is_the_same_in_each_process() -> None:
    """Reckoned by hand: the first 53 bits of the name's SHA-256 (``printf ws1 | sha256sum``)."""
    assert share("ws1") == (0xBC937AD7FD7C3261 >> 11) / 2**53
