"""A week of a run, played: machines that are off, busy, behind a closed window or a locked account, in three waves.

The clock is whatever the next event says. It also shows how the parts fit together.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from pusher.problems import CATALOGUE, Again, Code
from pusher.queue.again import GIVE_UP_AFTER, Due, Ended, Waiting, again, when_open
from pusher.queue.waves import Counts, Rollout, Wave, WaveState, advance, assign
from pusher.queue.windows import Window, Windows

MONDAY = datetime(2026, 10, 19, 8, 0, tzinfo=UTC)
HOUR, TAKES = timedelta(hours=1), timedelta(seconds=40)
NIGHTS = Windows(sets=((Window.from_json(
    {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "20:00", "to": "06:00", "zone": "Europe/Berlin"}
),),))  # fmt: skip
HOSTS = [f"ws{number:03}.corp.example" for number in range(300)]


@dataclass
class Machine:
    """``on``: the hours of the day (UTC) at which it answers. ``fails``: how its first attempts that reach it end."""

    on: frozenset[int] = frozenset(range(24))
    fails: list[Code] = field(default_factory=list)

    def ends(self, at: datetime) -> Code | None:
        if at.hour not in self.on:
            return Code.TIMED_OUT
        return self.fails.pop(0) if self.fails else None


@dataclass
class Story:
    """What happened: who was tried when, how each host ended (None: installed), who is parked, the waves over time."""

    tried: list[tuple[datetime, str]] = field(default_factory=list)
    ended: dict[str, Code | None] = field(default_factory=dict)
    parked: dict[str, str] = field(default_factory=dict)
    waves: list[tuple[WaveState, ...]] = field(default_factory=list)


class Run:
    def __init__(self, machines: dict[str, Machine], rollout: Rollout) -> None:
        self.machines, self.rollout, self.story = machines, rollout, Story()
        self.wave_of = assign("run", machines, rollout.percents)
        self.waves = tuple(Wave(number=number) for number in range(1, len(rollout.percents) + 1))
        self.waiting = {host: Waiting(host=host, give_up=MONDAY + GIVE_UP_AFTER) for host in machines}
        self.silent: set[str] = set()
        self.events: list[tuple[datetime, str]] = []

    def counts(self) -> dict[int, Counts]:
        found = {}
        for number in {*self.wave_of.values()}:
            hosts = [host for host, wave in self.wave_of.items() if wave == number]
            verdicts = [self.story.ended[host] for host in hosts if host in self.story.ended]
            silent = sum(host in self.silent for host in hosts)
            succeeded = verdicts.count(None)
            failed = len(verdicts) - succeeded - sum(host in self.silent for host in hosts if host in self.story.ended)
            found[number] = Counts(size=len(hosts), succeeded=succeeded, failed=failed, unreachable=silent,
                                   parked=sum(host in self.story.parked for host in hosts))  # fmt: skip
        return found

    def advance(self, now: datetime) -> None:
        before = {wave.number: wave.state for wave in self.waves}
        self.waves = advance(self.waves, self.counts(), self.rollout, now)
        self.story.waves.append(tuple(wave.state for wave in self.waves))
        for wave in self.waves:
            if before[wave.number] is WaveState.HELD and wave.state is not WaveState.HELD:
                for host in (host for host, number in self.wave_of.items() if number == wave.number):
                    first = Due(at=now, why=Again.WINDOW, waiting=self.waiting[host])
                    self.come_back(host, when_open(first, NIGHTS), Code.OUTSIDE_WINDOW)
            if wave.soak_until is not None and wave.state is WaveState.SOAKING:
                heapq.heappush(self.events, (wave.soak_until, ""))

    def come_back(self, host: str, due: Due | None, code: Code) -> None:
        if due is None:
            self.story.ended[host] = code
            return
        self.waiting[host] = due.waiting
        if due.park is not None:
            self.story.parked[host] = due.park
        if due.at is not None:
            heapq.heappush(self.events, (due.at, host))

    def attempt(self, host: str, at: datetime) -> datetime:
        self.story.tried.append((at, host))
        now, code = at + TAKES, self.machines[host].ends(at)
        if code is None:
            self.silent.discard(host)
            self.story.ended[host] = None
            # Where its wave has passed already, it counts in the one that is open.
            at_work = [wave.number for wave in self.waves if wave.state is not WaveState.PASSED]
            self.wave_of[host] = max(self.wave_of[host], min(at_work, default=len(self.waves)))
            return now
        (self.silent.add if CATALOGUE[code].again is Again.HOURLY else self.silent.discard)(host)
        end = Ended(code=code, stage=CATALOGUE[code].stage, account="push-2026", free_at=now + HOUR)
        self.come_back(host, when_open(again(end, self.waiting[host], now), NIGHTS), code)
        return now

    def play(self) -> Story:
        self.advance(MONDAY)
        for at, host in self._in_order():
            self.advance(self.attempt(host, at) if host else at)
        return self.story

    def is_stopped(self, host: str) -> bool:
        return self.waves[self.wave_of[host] - 1].state is WaveState.STOPPED

    def _in_order(self) -> Iterator[tuple[datetime, str]]:
        while self.events:
            at, host = heapq.heappop(self.events)
            if not host or not self.is_stopped(host):
                yield at, host


SLOW_START = Rollout(percents=(10, 50, 100), soak=2 * HOUR, stop_above=0.1)
WORDS = [Code.CONNECTION_LOST, Code.FILE_IN_USE, Code.PUSH_IN_PROGRESS, Code.LOCKOUT_BUDGET_SPENT, Code.LEASE_LOST]


def fleet(seed: int) -> dict[str, Machine]:
    """Most are on; a third is off at night but for an hour or two; some are busy for a while; one never comes back."""
    chance = random.Random(seed)
    machines = {host: Machine(fails=chance.choices(WORDS, k=chance.choice([0, 0, 0, 1, 3]))) for host in HOSTS}
    for host in chance.sample(HOSTS, 100):
        machines[host].on = frozenset({*range(7, 17), chance.choice([18, 19, 20, 21, 22, 23, 0, 1, 2])})
    machines[HOSTS[7]].on = frozenset()
    return machines


@pytest.fixture(scope="module", params=[1, 2])
def story(request: pytest.FixtureRequest) -> Story:
    return Run(fleet(request.param), SLOW_START).play()


def test_all_that_answer_at_some_time_of_the_window_are_installed(story: Story) -> None:
    assert {host: code for host, code in story.ended.items() if code is not None} == {HOSTS[7]: Code.TIMED_OUT}
    assert len(story.ended) == len(HOSTS)
    assert story.waves[-1] == (WaveState.PASSED,) * 3


def test_nothing_is_touched_outside_of_its_window_or_after_the_week(story: Story) -> None:
    assert all(NIGHTS.is_open(at) for at, _ in story.tried)
    assert max(at for at, _ in story.tried) <= MONDAY + GIVE_UP_AFTER


def test_a_machine_that_is_off_costs_some_ten_looks_a_night(story: Story) -> None:
    tries = Counter(host for _, host in story.tried)
    assert 60 <= tries[HOSTS[7]] <= 90, "seven nights of ten hours"
    assert sorted(tries.values())[len(HOSTS) // 2] <= 4


def test_the_waves_open_one_after_the_other(story: Story) -> None:
    order = [tuple(WaveState).index(state) for states in dict.fromkeys(story.waves) for state in states]
    triples = [order[at : at + 3] for at in range(0, len(order), 3)]
    assert all(list(triple) == sorted(triple, reverse=True) for triple in triples)
    assert triples == sorted(triples)


def test_a_package_that_fails_stops_in_its_first_wave() -> None:
    machines = {host: Machine(fails=[Code.INSTALLER_FAILED]) for host in HOSTS}
    story = Run(machines, SLOW_START).play()
    assert story.waves[-1] == (WaveState.STOPPED, WaveState.HELD, WaveState.HELD)
    assert len(story.tried) == len({host for _, host in story.tried}) == 10, "the least to judge by, each once"


def test_a_wrong_password_parks_the_first_wave_and_asks_nobody_twice() -> None:
    machines = {host: Machine(fails=[Code.WRONG_PASSWORD] * 99) for host in HOSTS}
    story = Run(machines, SLOW_START).play()
    assert story.waves[-1] == (WaveState.OPEN, WaveState.HELD, WaveState.HELD), "it waits; it has not failed"
    assert set(story.parked.values()) == {"push-2026"}
    assert len(story.tried) == len(story.parked) == 30
    assert story.ended == {}
