"""A worker's places go to the most urgent, and some to whoever has waited for too long."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pusher.models import ReadyWork
from pusher.worker.turns import shares

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JUST_NOW, LONG_AGO = NOW - timedelta(minutes=5), NOW - timedelta(minutes=61)


def ready(run: str, priority: int, count: int = 1000, since: datetime = JUST_NOW) -> ReadyWork:
    return ReadyWork(run=run, priority=priority, count=count, since=since)


def test_one_run_has_all_it_likes() -> None:
    assert shares([ready("a", 100)], {}, 50, NOW) == {"a": None}
    assert shares([], {"a": {100: 7}}, 50, NOW) == {"a": None}
    assert shares([], {}, 50, NOW) == {}


def test_where_there_is_room_for_all_nobody_is_bounded() -> None:
    assert shares([ready("a", 100, 20), ready("b", 10, 20)], {"b": {10: 10}}, 50, NOW) == {"a": None, "b": None}


def test_the_more_urgent_run_has_all_places_whatever_the_other_has_in_hand() -> None:
    found = shares([ready("button", 10), ready("campaign", 100)], {"campaign": {100: 50}}, 50, NOW)
    assert found == {"campaign": {100: 0}, "button": {10: 50}}


def test_what_the_more_urgent_leaves_is_the_others() -> None:
    found = shares([ready("button", 10, 8), ready("campaign", 100)], {"campaign": {100: 50}}, 50, NOW)
    assert found == {"campaign": {100: 42}, "button": {10: 8}}


def test_a_tenth_is_kept_for_who_has_waited_for_more_than_an_hour() -> None:
    work = [ready("button", 10), ready("campaign", 100, since=LONG_AGO)]
    assert shares(work, {"button": {10: 50}}, 50, NOW) == {"button": {10: 45}, "campaign": {100: 5}}


def test_of_two_that_are_as_urgent_the_first_goes_first() -> None:
    assert shares([ready("a", 100), ready("b", 100)], {}, 50, NOW) == {"a": {100: 50}, "b": {100: 0}}


def test_the_late_retries_of_a_run_have_their_tenth_of_it() -> None:
    work = [ready("a", 100), ready("a", 200, since=LONG_AGO)]
    assert shares(work, {}, 50, NOW) == {"a": {100: 45, 200: 5}}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3)), st.tuples(st.integers(1, 60), st.booleans()), max_size=6
    ),
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.integers(0, 3), st.integers(0, 30), max_size=3)),
    st.integers(1, 40),
)
def test_every_place_is_somebodys_and_nobody_urgent_is_behind_more_than_the_kept(
    work: dict[tuple[str, int], tuple[int, bool]], held: dict[str, dict[int, int]], room: int
) -> None:
    rows = (ready(run, priority, count, LONG_AGO if late else JUST_NOW)
            for (run, priority), (count, late) in work.items())  # fmt: skip
    listed = sorted(rows, key=lambda one: one.priority)
    found = shares(listed, held, room, NOW)
    wanted = Counter({(one.run, one.priority): one.count for one in listed})
    wanted.update({(run, priority): count for run, counts in held.items() for priority, count in counts.items()})
    given = {(run, priority): count for run, share in found.items() if share is not None
             for priority, count in share.items()}  # fmt: skip
    if not given:
        assert len([1 for count in wanted.values() if count]) <= 1 or wanted.total() <= room
        return
    assert sum(given.values()) == room
    assert all(count <= wanted[key] for key, count in given.items())
    short = [priority for (_, priority), count in given.items() if count < wanted[_, priority]]
    below = sum(count for (_, priority), count in given.items() if short and priority > min(short))
    assert below <= max(room // 10, 1)
