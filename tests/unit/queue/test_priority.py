"""Who is next: strictly by priority, but for the room that is kept for whoever has waited too long."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.queue.priority import BACKGROUND_RETRY, BUTTON, CAMPAIGN, RETRY_BY_HAND, Ready, choose, kept_room

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEVELS = [BUTTON, RETRY_BY_HAND, CAMPAIGN, BACKGROUND_RETRY]

waiting = st.lists(st.tuples(st.sampled_from(LEVELS), st.integers(0, 120)), max_size=30).map(
    lambda drawn: [Ready(key=number, priority=priority, since=NOW - minutes * MINUTE)
                   for number, (priority, minutes) in enumerate(drawn)]
)  # fmt: skip
running = st.dictionaries(st.sampled_from(LEVELS), st.integers(0, 30))
rooms = st.integers(0, 60)
frees = st.integers(0, 6)


def is_late(one: Ready[int]) -> bool:
    return NOW - one.since > timedelta(hours=1)


@given(waiting, frees, rooms, running)
def test_all_places_are_used_and_nobody_is_taken_twice(
    ready: list[Ready[int]], free: int, room: int, running: dict[int, int]
) -> None:
    taken = choose(ready, free, room, running, NOW)
    assert len(taken) == min(free, len(ready))
    assert len({one.key for one in taken}) == len(taken)
    assert {one.key for one in taken} <= {one.key for one in ready}


@given(waiting, frees, rooms, running)
def test_only_the_kept_room_is_taken_out_of_turn(
    ready: list[Ready[int]], free: int, room: int, running: dict[int, int]
) -> None:
    taken = {one.key for one in choose(ready, free, room, running, NOW)}
    left = [one for one in ready if one.key not in taken]
    best_left = min((one.priority for one in left), default=1000)
    out_of_turn = [one for one in ready if one.key in taken and one.priority > best_left]
    assert len(out_of_turn) <= kept_room(room)
    assert len({one.priority for one in out_of_turn}) <= 1
    assert all(is_late(one) for one in out_of_turn)


@given(waiting, frees, rooms)
def test_who_has_waited_too_long_gets_what_is_kept(ready: list[Ready[int]], free: int, room: int) -> None:
    late = [one for one in ready if is_late(one)]
    if not late:
        return
    lowest = max(one.priority for one in late)
    taken = {one.key for one in choose(ready, free, room, {}, NOW)}
    theirs = [one for one in late if one.priority == lowest]
    got = [one for one in theirs if one.key in taken]
    assert len(got) >= min(len(theirs), kept_room(room), free)
    if len(got) <= kept_room(room):
        missed = [one.since for one in theirs if one.key not in taken]
        assert all(one.since <= since for one in got for since in missed), "the longest first"


@given(waiting, frees, rooms, running)
def test_while_nobody_has_waited_too_long_it_is_strict(
    ready: list[Ready[int]], free: int, room: int, running: dict[int, int]
) -> None:
    prompt = [one for one in ready if not is_late(one)]
    expected: list[int] = []
    for level in LEVELS:
        expected += [one.key for one in prompt if one.priority == level]
    assert [one.key for one in choose(prompt, free, room, running, NOW)] == expected[:free]


def test_what_is_kept_is_kept_once() -> None:
    campaign = [Ready(key=number, priority=CAMPAIGN, since=NOW) for number in range(50)]
    old = [Ready(key=100 + number, priority=BACKGROUND_RETRY, since=NOW - 90 * MINUTE) for number in range(50)]

    def taken(running: dict[int, int], free: int = 50) -> Counter[int]:
        return Counter(one.priority for one in choose([*campaign, *old], free, 50, running, NOW))

    assert taken({}) == {CAMPAIGN: 45, BACKGROUND_RETRY: 5}
    assert taken({CAMPAIGN: 48, BACKGROUND_RETRY: 1}, free=1) == {BACKGROUND_RETRY: 1}
    assert taken({CAMPAIGN: 44, BACKGROUND_RETRY: 5}, free=1) == {CAMPAIGN: 1}, "theirs are all in use"


def test_an_hour_is_not_too_long_and_more_is() -> None:
    button = Ready(key="button", priority=BUTTON, since=NOW)
    for waits, first in ((60 * MINUTE, "button"), (61 * MINUTE, "old")):
        old = Ready(key="old", priority=CAMPAIGN, since=NOW - waits)
        assert [one.key for one in choose([button, old], 1, 20, {}, NOW)] == [first]


@pytest.mark.parametrize(("room", "kept"), [(0, 0), (1, 0), (2, 1), (8, 1), (19, 1), (20, 2), (50, 5)])
def test_a_worker_of_one_place_keeps_none(room: int, kept: int) -> None:
    assert kept_room(room) == kept
