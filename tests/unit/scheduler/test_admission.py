"""The waiting room: caps hold, order holds among those with room, nobody is lost, nobody is early."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pusher.models import Target
from pusher.scheduler.admission import Admission, Caps, Entry

SITES = [None, "paris", "lyon"]
NETS = ["10.0.1.", "10.0.2.", "2001:db8:1::"]


def entry(name: str, address: str = "10.0.1.1", site: str | None = None, attempt: int = 1) -> Entry:
    return Entry(target=Target(name=name, site=site), address=address, attempt=attempt)


def has_room(candidate: Entry, inside: list[Entry], caps: Caps) -> bool:
    """The rule, counted anew each time."""
    sites = Counter(other.target.site for other in inside)
    subnets = Counter(other.subnet for other in inside)
    site = candidate.target.site
    return (
        (not caps.total or len(inside) < caps.total)
        and (not caps.site or site is None or sites[site] < caps.site)
        and (not caps.subnet or subnets[candidate.subnet] < caps.subnet)
    )


class AdmissionMachine(RuleBasedStateMachine):
    """Arrivals, departures, retries and draining in any order, beside a plain list of what must be."""

    @initialize(total=st.integers(0, 4), site=st.integers(0, 3), subnet=st.integers(0, 3))
    def begin(self, total: int, site: int, subnet: int) -> None:
        self.caps = Caps(total=total, site=site, subnet=subnet)
        self.room: Admission[Entry] = Admission(self.caps)
        self.queue: list[Entry] = []
        self.later: list[tuple[float, int, Entry]] = []
        self.inside: list[Entry] = []
        self.clock = 0.0
        self.made = 0

    @rule(net=st.sampled_from(NETS), site=st.sampled_from(SITES), count=st.integers(1, 5))
    def arrive(self, net: str, site: str | None, count: int) -> None:
        for _ in range(count):
            self.made += 1
            new = entry(f"ws{self.made}", f"{net}{self.made % 200 + 1}", site)
            self.room.arrive(new)
            self.queue.append(new)

    @precondition(lambda self: self.inside)
    @rule(pick=st.integers(0, 100), wait=st.none() | st.integers(0, 5))
    def leave(self, pick: int, wait: int | None) -> None:
        """Done, or to be tried again later: come_back comes before leave, as in a run."""
        done = self.inside.pop(pick % len(self.inside))
        if wait is not None:
            self.made += 1
            self.room.come_back(done, self.clock + wait)
            self.later.append((self.clock + wait, self.made, done))
        self.room.leave(done)

    @rule(seconds=st.integers(0, 4))
    def pass_time(self, seconds: int) -> None:
        self.clock += seconds

    @rule()
    def those_who_are_due_arrive_again(self) -> None:
        for due in sorted(self.later):
            if due[0] <= self.clock:
                self.later.remove(due)
                assert self.room.back(self.clock) is due[2]
                self.room.arrive(due[2])
                self.queue.append(due[2])
        assert self.room.back(self.clock) is None

    @rule(at_most=st.sampled_from([1, 3, 100]))
    def take(self, at_most: int) -> None:
        """The first of a plain list that has room, each time."""
        for _ in range(at_most):
            expected = next((waiting for waiting in self.queue if has_room(waiting, self.inside, self.caps)), None)
            assert self.room.take() is expected
            if expected is None:
                return
            self.queue.remove(expected)
            self.inside.append(expected)

    @rule()
    def drain(self) -> None:
        left = self.room.drain()
        assert left == self.queue + [waiting for _, _, waiting in sorted(self.later)]
        self.queue, self.later = [], []

    @invariant()
    def the_caps_hold(self) -> None:
        caps = self.caps
        assert not caps.total or len(self.inside) <= caps.total
        sites = Counter(other.target.site for other in self.inside if other.target.site)
        assert not caps.site or all(count <= caps.site for count in sites.values())
        assert not caps.subnet or all(count <= caps.subnet for count in Counter(e.subnet for e in self.inside).values())

    @invariant()
    def nobody_is_lost(self) -> None:
        assert self.room.waiting == len(self.queue) + len(self.later)
        assert self.room.running == len(self.inside)
        assert self.room.next_due() == (min(self.later)[0] if self.later else None)


TestAdmissionMachine = pytest.mark.thorough(AdmissionMachine.TestCase)
TestAdmissionMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_a_full_site_lets_others_pass() -> None:
    room: Admission[Entry] = Admission(Caps(total=0, site=1, subnet=0))
    for name, site in (("a", "paris"), ("b", "paris"), ("c", "lyon"), ("d", None), ("e", "paris")):
        room.arrive(entry(name, site=site))
    taken = []
    while (next_one := room.take()) is not None:
        taken.append(next_one)
    assert [one.target.name for one in taken] == ["a", "c", "d"]
    room.leave(taken[0])
    following = room.take()
    assert following is not None
    assert following.target.name == "b"


def test_a_cap_holds_however_many_wait() -> None:
    room: Admission[Entry] = Admission(Caps(total=0, site=0, subnet=2))
    for number in range(100):
        room.arrive(entry(f"ws{number}", f"10.0.1.{number}"))
    assert [room.take() is not None for _ in range(4)] == [True, True, False, False]
    assert (room.running, room.waiting) == (2, 98)


def test_a_retry_is_not_before_its_time_and_then_last() -> None:
    room: Admission[Entry] = Admission(Caps())
    room.come_back(entry("later", attempt=2), 10.0)
    room.come_back(entry("sooner", attempt=2), 5.0)
    assert room.back(4.9) is None
    assert room.next_due() == 5.0
    room.arrive(entry("new"))
    for now in (5.0, 10.0):
        while (due := room.back(now)) is not None:
            room.arrive(due)
    taken = (room.take() for _ in range(4))
    assert [one.target.name for one in taken if one is not None] == ["new", "sooner", "later"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), total=st.integers(0, 6), site=st.integers(1, 2), subnet=st.integers(1, 2))
def test_sites_and_subnets_that_cross_let_in_whom_a_plain_list_would(
    seed: int, total: int, site: int, subnet: int
) -> None:
    """Long stories under tight caps, where a target is kept out now by its site and now by its subnet."""
    caps, rolls = Caps(total=total, site=site, subnet=subnet), random.Random(seed)
    room: Admission[Entry] = Admission(caps)
    queue: list[Entry] = []
    inside: list[Entry] = []
    for step in range(120):
        roll = rolls.random()
        if roll < 0.4:
            new = entry(f"ws{step}", f"10.0.{rolls.randrange(4)}.1", rolls.choice([None, "a", "b", "c"]))
            room.arrive(new)
            queue.append(new)
        elif roll < 0.6 and inside:
            room.leave(inside.pop(rolls.randrange(len(inside))))
        else:
            expected = next((waiting for waiting in queue if has_room(waiting, inside, caps)), None)
            assert room.take() is expected
            if expected is not None:
                queue.remove(expected)
                inside.append(expected)
    assert (room.waiting, room.running) == (len(queue), len(inside))


class Asked(Entry):
    """Counts how often anybody looks at one of its kind."""

    __slots__ = ()
    times = 0

    @property
    def subnet(self) -> str:
        Asked.times += 1
        return Entry.subnet.fget(self)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("waiting", [100, 10_000])
def test_who_waits_behind_costs_nothing(waiting: int) -> None:
    """However many wait in a full subnet, a call looks at those only who come and go."""
    room: Admission[Entry] = Admission(Caps(total=0, site=3, subnet=2))
    for number in range(waiting):
        room.arrive(Asked(target=Target(name=f"ws{number}", site="paris"), address=f"10.0.1.{number % 250}"))
    Asked.times = 0
    inside = [one for _ in range(5) if (one := room.take()) is not None]
    assert len(inside) == 2
    for _ in range(50):
        room.leave(inside.pop(0))
        inside += [one for _ in range(2) if (one := room.take()) is not None]
    assert (Asked.times, len(inside)) == (50, 2)


@given(data=st.data(), site=st.integers(0, 2), subnet=st.integers(0, 2))
def test_nobody_waits_for_ever(data: st.DataObject, site: int, subnet: int) -> None:
    """Others arrive all the while, and overtake it while its place is full: those before it go in, then it."""
    total = 3
    room: Admission[Entry] = Admission(Caps(total=total, site=site, subnet=subnet))
    places = st.tuples(st.sampled_from(NETS), st.sampled_from(SITES))

    def one(name: str) -> Entry:
        net, its_site = data.draw(places)
        return entry(name, f"{net}7", its_site)

    before = data.draw(st.integers(0, 12))
    for number in range(before):
        room.arrive(one(f"before{number}"))
    meant = one("meant")
    room.arrive(meant)
    inside: list[Entry] = []
    for left in range((before + 1) * total):
        while (taken := room.take()) is not None:
            inside.append(taken)
        if meant in inside:
            return
        # Of those inside the ones that came first leave first: nobody stays for ever either.
        room.leave(inside.pop(0))
        room.arrive(one(f"after{left}"))
    pytest.fail("it still waits")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.1.1", "10.0.1.254", True),
        ("10.0.1.1", "10.0.2.1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("10.0.1.1", "::ffff:10.0.1.1", False),
    ],
)
def test_what_a_subnet_is(one: str, other: str, same: bool) -> None:
    assert (entry("a", one).subnet == entry("b", other).subnet) == same


@given(st.ip_addresses())
def test_every_address_has_a_subnet(address: object) -> None:
    assert entry("a", str(address)).subnet
