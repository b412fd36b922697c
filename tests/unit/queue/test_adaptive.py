"""How many at once: bounds that hold whatever is seen, and what becomes of it on networks that are played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.queue.adaptive import FIRST, Answered, Limit, Trouble, adapt

QUICK = Answered(connect=0.01, rate=10e6)
answers = st.builds(Answered, connect=st.floats(0, 30), rate=st.none() | st.floats(0, 1e9))
seen = st.lists(answers | st.sampled_from(Trouble), max_size=200)
caps = st.integers(1, 60)


def after(limit: Limit, told: Sequence[Answered | Trouble], cap: int) -> list[Limit]:
    return list(accumulate(told, lambda now, one: adapt(now, one, cap), initial=limit))


@given(seen, caps)
def test_never_none_never_above_the_cap_and_one_more_at_a_time(told: list[Answered | Trouble], cap: int) -> None:
    limits = after(Limit(), told, cap)
    for before, now in pairwise(limits):
        assert 1 <= now.size <= cap
        assert now.size <= before.size + 1
        assert len(now.connects) < now.size, "what is remembered is bounded"
        assert len(now.rates) < now.size


@given(seen, caps)
def test_it_takes_as_many_answers_as_are_in_hand_to_have_one_more(told: list[Answered | Trouble], cap: int) -> None:
    limits = after(Limit(), told, cap)
    since = 0
    for (before, now), one in zip(pairwise(limits), told, strict=True):
        since = since + 1 if isinstance(one, Answered) else since
        if now.size > before.size:
            assert since >= before.size
            since = 0


@given(seen, caps, st.sampled_from(Trouble))
def test_one_jam_is_one_decrease(told: list[Answered | Trouble], cap: int, trouble: Trouble) -> None:
    """All that was in hand when it jammed meets the same trouble: it is told of as often, and counted once."""
    calm = replace(after(Limit(), told, cap)[-1], settling=0)
    calm = replace(calm, size=min(calm.size, cap))
    first, *rest = after(calm, [trouble] * (calm.size + 1), cap)[1:]
    assert first.size == max(1, int(0.7 * calm.size))
    assert {limit.size for limit in rest} == {first.size}
    again = adapt(rest[-1], Trouble.LOST, cap).size
    assert trouble is Trouble.LAGGING or again == max(1, int(0.7 * first.size)), "and a new jam again"


def test_being_late_is_told_at_any_time_and_is_no_host_s_end() -> None:
    """However often it is told, the hosts that were in hand have not ended; then it counts again."""
    lagging = after(Limit(size=20), [Trouble.LAGGING] * 100, 40)[-1]
    assert lagging.size == 14
    assert adapt(after(lagging, [QUICK] * 20, 40)[-1], Trouble.LAGGING, 40).size == 9


def test_where_nothing_is_slow_it_comes_to_the_cap() -> None:
    sizes = [limit.size for limit in after(Limit(), [QUICK] * 2000, 40)]
    assert sizes[0] == FIRST
    assert sizes[-1] == 40
    assert sizes == sorted(sizes)


def test_it_recovers_from_one() -> None:
    low = after(Limit(), [Trouble.LOST] * 200, 40)[-1]
    assert low.size == 1
    assert after(low, [QUICK] * 2000, 40)[-1].size == 40


@pytest.mark.parametrize(
    ("slow", "grows"),
    [
        (Answered(connect=0.014, rate=10e6), True),
        (Answered(connect=0.016, rate=10e6), False),
        (Answered(connect=0.01, rate=7.5e6), True),
        (Answered(connect=0.01, rate=6.5e6), False),
        (Answered(connect=0.01, rate=None), True),
    ],
)
def test_what_is_slow_holds_it_where_it_is(slow: Answered, grows: bool) -> None:
    settled = after(Limit(), [QUICK] * FIRST, 40)[-1]
    assert settled.size == FIRST + 1
    assert (after(settled, [slow] * settled.size, 40)[-1].size > settled.size) is grows


def test_a_few_slow_hosts_do_not_hold_it() -> None:
    settled = after(Limit(), [QUICK] * FIRST, 40)[-1]
    mixed = [QUICK] * 5 + [Answered(connect=9.0, rate=1e3)] * 4
    assert after(settled, mixed, 40)[-1].size == settled.size + 1


def test_what_the_network_could_do_at_night_is_no_measure_by_day() -> None:
    night = after(Limit(), [QUICK] * 200, 20)[-1]
    low = after(night, [Trouble.LOST] * 60, 20)[-1]
    day = Answered(connect=0.05, rate=3e6)
    assert after(low, [day] * 5000, 20)[-1].size == 20


@pytest.mark.parametrize("capacity", [12, 20, 35])
def test_on_a_link_that_is_shared_it_stays_near_what_the_link_carries(capacity: int) -> None:
    """Connecting takes longer as soon as more are at work than the link carries, and twice as many lose connections."""
    limit, sizes = Limit(), []
    for number in range(6000):
        load = limit.size / capacity
        jammed = load > 1.3 and number % 50 == 0
        late = max(1.0, load)
        limit = adapt(limit, Trouble.LOST if jammed else Answered(connect=0.02 * late, rate=10e6 / late), 200)
        sizes.append(limit.size)
    assert 0.6 * capacity <= min(sizes[2000:])
    assert max(sizes) <= 2 * capacity
