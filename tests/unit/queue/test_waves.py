"""Waves against an oracle that plays out all that may still happen, and stories of runs from the first wave on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.queue.waves import (
    LEAST_VERDICTS,
    Counts,
    Rollout,
    Wave,
    WaveState,
    advance,
    assign,
    has_failed,
    resume,
    sizes,
)

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HELD, OPEN, SOAKING, PASSED, STOPPED = WaveState
FIELDS = ("succeeded", "failed", "unreachable", "left_out")
HOSTS = [f"ws{number:04}.site{number // 100}.corp.example" for number in range(1000)]

parts = st.lists(st.integers(0, 14), min_size=6, max_size=6)
counts = parts.map(
    lambda six: Counts(
        size=sum(six), succeeded=six[0], failed=six[1], unreachable=six[2], parked=six[3] % 3, left_out=six[4]
    )
)
limits = st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.25, 0.3, 0.5, 0.7])
percents = st.lists(st.integers(1, 199), unique=True, max_size=5).map(
    lambda halves: (*sorted(half / 2 for half in halves), 100)
)


def is_certain(seen: Counts, limit: float) -> bool:
    """Every way in which the hosts that are left may end, one by one: too many have failed in each of them."""
    left = seen.size - seen.succeeded - seen.failed - seen.unreachable - seen.left_out
    for ends in combinations_with_replacement(FIELDS, left):
        more = Counter(ends)
        failed, succeeded = seen.failed + more["failed"], seen.succeeded + more["succeeded"]
        if failed + succeeded == 0 or Fraction(failed, failed + succeeded) <= Fraction(str(limit)):
            return False
    return True


@given(counts, limits)
def test_a_wave_is_stopped_as_soon_as_it_is_certain(seen: Counts, limit: float) -> None:
    left = seen.size - seen.succeeded - seen.failed - seen.unreachable - seen.left_out
    enough = seen.succeeded + seen.failed >= LEAST_VERDICTS or left == 0
    assert has_failed(seen, limit) is (enough and is_certain(seen, limit))


@given(counts, limits)
def test_hosts_that_do_not_answer_change_nothing(seen: Counts, limit: float) -> None:
    more = replace(seen, size=seen.size + 7, unreachable=seen.unreachable + 7)
    assert has_failed(seen, limit) is has_failed(more, limit)


@given(counts, limits)
def test_parked_hosts_are_no_failures(seen: Counts, limit: float) -> None:
    """A wave that goes on is not stopped because hosts of it are parked."""
    left = seen.size - seen.verdicts - seen.unreachable - seen.left_out
    parked = replace(seen, parked=left)
    assert has_failed(parked, limit) is has_failed(replace(seen, parked=0), limit)
    if left:
        (wave,) = advance([Wave(number=1, state=OPEN)], {1: parked}, Rollout(stop_above=limit), NOW)
        assert wave.state in {OPEN, STOPPED}, "its wave waits for them"


@given(counts)
def test_without_a_limit_nothing_stops(seen: Counts) -> None:
    assert not has_failed(seen, None)


def test_a_small_wave_is_judged_as_a_whole() -> None:
    limit = 0.1
    assert not has_failed(Counts(size=5, failed=1), limit), "four are to come"
    assert has_failed(Counts(size=5, failed=1, succeeded=4), limit)
    assert has_failed(Counts(size=5, failed=1, unreachable=4), limit), "nobody is to come"
    assert not has_failed(Counts(size=100, failed=10), limit), "exactly as many as may"
    assert has_failed(Counts(size=100, failed=11), limit), "89 successes would not mend it"


@given(st.integers(0, 30_000), percents)
def test_sizes_add_up(hosts: int, percents: tuple[float, ...]) -> None:
    found = sizes(hosts, percents)
    assert sum(found) == hosts
    assert min(found) >= 0
    assert hosts == 0 or found[0] >= 1
    reached = 0
    for size, percent in zip(found, percents, strict=True):
        reached += size
        # percents here are halves, so that a float holds them
        assert percent * hosts <= 100 * reached < percent * hosts + 100


@pytest.mark.parametrize(
    ("hosts", "percents", "expected"),
    [
        (20_000, (1, 10, 50, 100), (200, 1800, 8000, 10_000)),
        (1000, (0.9, 100), (9, 991)),
        (5000, (0.14, 100), (7, 4993)),
        (3, (1, 10, 50, 100), (1, 0, 1, 1)),
        (1, (1, 100), (1, 0)),
        (0, (10, 100), (0, 0)),
    ],
)
def test_sizes(hosts: int, percents: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert sizes(hosts, percents) == expected


@given(st.sets(st.sampled_from(HOSTS), max_size=60), st.sets(st.sampled_from(HOSTS), max_size=20), percents)
def test_each_host_is_in_one_wave_and_canaries_come_first(
    hosts: set[str], canaries: set[str], percents: tuple[float, ...]
) -> None:
    found = assign("run", hosts, percents, canaries)
    assert found.keys() == hosts
    size_of = Counter(found.values())
    assert tuple(size_of[number] for number in range(1, len(percents) + 1)) == sizes(len(hosts), percents)
    last_canary = max((found[host] for host in hosts & canaries), default=1)
    assert all(found[host] >= last_canary for host in hosts - canaries)
    assert assign("run", sorted(hosts, reverse=True), percents, canaries) == found


def test_the_first_wave_is_of_all_sites_and_another_in_each_run() -> None:
    def first(run: str) -> set[str]:
        return {host for host, number in assign(run, HOSTS, (10, 100)).items() if number == 1}

    one, other = first("a"), first("b")
    assert len({host.split(".")[1] for host in one}) == 10, "ten sites of a hundred hosts each"
    assert 0 < len(one & other) < 40


def run_of(waves: int) -> tuple[Wave, ...]:
    return tuple(Wave(number=number) for number in range(1, waves + 1))


def states(waves: tuple[Wave, ...]) -> list[WaveState]:
    return [wave.state for wave in waves]


def test_a_run_from_the_first_wave_to_the_last() -> None:
    rollout = Rollout(percents=(10, 50, 100), soak=HOUR, stop_above=0.1)
    counts = {1: Counts(size=10), 2: Counts(size=40), 3: Counts(size=50)}
    waves = advance(run_of(3), counts, rollout, NOW)
    assert states(waves) == [OPEN, HELD, HELD]
    assert waves[0].opened_at == NOW
    # One fails, one is off: the rest is enough.
    counts[1] = Counts(size=10, succeeded=9, unreachable=1)
    waves = advance(waves, counts, rollout, NOW + HOUR)
    assert states(waves) == [SOAKING, HELD, HELD]
    assert states(advance(waves, counts, rollout, NOW + 2 * HOUR - timedelta(seconds=1))) == [SOAKING, HELD, HELD]
    waves = advance(waves, counts, rollout, NOW + 2 * HOUR)
    assert states(waves) == [PASSED, OPEN, HELD]
    # The straggler comes back and fails: it counts where it ends. Of 41 verdicts four may fail.
    counts[1] = Counts(size=9, succeeded=9)
    counts[2] = Counts(size=41, succeeded=30, failed=4)
    assert states(advance(waves, counts, rollout, NOW + 3 * HOUR)) == [PASSED, OPEN, HELD]
    counts[2] = Counts(size=41, succeeded=30, failed=5)
    waves = advance(waves, counts, rollout, NOW + 3 * HOUR)
    assert states(waves) == [PASSED, STOPPED, HELD]
    assert advance(waves, {**counts, 2: Counts(size=41, succeeded=41)}, rollout, NOW + 9 * HOUR) == waves


def test_a_wave_that_soaks_may_still_be_stopped_and_is_not_opened_again() -> None:
    rollout = Rollout(percents=(50, 100), soak=HOUR, stop_above=0.1)
    soaking = (Wave(number=1, state=SOAKING, soak_until=NOW + HOUR), Wave(number=2))
    late = {1: Counts(size=21, succeeded=18, failed=3), 2: Counts(size=20)}
    assert states(advance(soaking, late, rollout, NOW)) == [STOPPED, HELD]
    tried = {1: Counts(size=21, succeeded=19), 2: Counts(size=20)}
    assert advance(soaking, tried, rollout, NOW)[0] == soaking[0], "a straggler is tried"


def test_a_wave_that_is_resumed_goes_on_until_it_fails_anew() -> None:
    rollout, stopped = (
        Rollout(percents=(50, 100), stop_above=0.1),
        (Wave(number=1, state=STOPPED, soak_until=NOW), Wave(number=2)),
    )
    seen = Counts(size=40, succeeded=7, failed=5)
    waves = resume(stopped, {1: seen, 2: Counts(size=40)})
    assert states(waves) == [OPEN, HELD]
    assert waves[0].soak_until is None
    # 35 are left to be judged, with those that have succeeded: three may fail, the fourth stops it.
    for more, state in ((0, OPEN), (3, OPEN), (4, STOPPED)):
        now = {1: replace(seen, failed=5 + more), 2: Counts(size=40)}
        assert states(advance(waves, now, rollout, NOW)) == [state, HELD]
    done = {1: replace(seen, succeeded=35), 2: Counts(size=40)}
    assert states(advance(waves, done, rollout, NOW)) == [PASSED, OPEN]


@given(counts, limits)
def test_what_is_forgiven_does_not_stop_it_again(seen: Counts, limit: float) -> None:
    assert not has_failed(seen, limit, forgiven=seen.failed)


def test_waves_without_hosts_hold_up_nobody() -> None:
    assert states(advance(run_of(3), {3: Counts(size=1)}, Rollout(), NOW)) == [PASSED, PASSED, OPEN]
    assert states(advance(run_of(2), {}, Rollout(), NOW)) == [PASSED, PASSED]


@given(st.lists(counts, min_size=1, max_size=4), st.integers(0, 3), limits)
def test_a_wave_opens_only_behind_waves_that_passed(seen: list[Counts], hours: int, limit: float) -> None:
    rollout, waves = Rollout(soak=hours * HOUR, stop_above=limit), run_of(len(seen))
    order = {HELD: 0, OPEN: 1, SOAKING: 2, PASSED: 3, STOPPED: 3}
    for hour in range(8):
        after = advance(waves, dict(enumerate(seen, start=1)), rollout, NOW + hour * HOUR)
        assert all(order[one.state] <= order[other.state] for one, other in zip(waves, after, strict=True))
        waves = after
        for number, wave in enumerate(waves):
            assert wave.state is HELD or all(before.state is PASSED for before in waves[:number])
    assert advance(waves, dict(enumerate(seen, start=1)), rollout, NOW + 8 * HOUR) == waves, "nothing more happens"


@pytest.mark.parametrize(
    "wrong",
    [{"percents": ()}, {"percents": (10, 90)}, {"percents": (10, 10, 100)}, {"percents": (0, 100)},
     {"percents": (50, 20, 100)}, {"stop_above": 1.0}, {"stop_above": -0.1}],
)  # fmt: skip
def test_a_rollout_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"percents|part"):
        Rollout(**wrong)  # type: ignore[arg-type]
