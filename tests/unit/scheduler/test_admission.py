"""The waiting room: caps hold, order holds among those with room, nobody is lost, nobody is early."""

from __future__ import annotations

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


class AdmissionMachine(RuleBasedStateMachine):
    """Arrivals, departures, retries and draining in any order, beside a plain list of what must be."""

    @initialize(total=st.integers(0, 4), site=st.integers(0, 3), subnet=st.integers(0, 3))
    def begin(self, total: int, site: int, subnet: int) -> None:
        self.caps = Caps(total=total, site=site, subnet=subnet)
        self.room = Admission(self.caps)
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
    def take(self) -> None:
        for due in sorted(self.later):
            if due[0] <= self.clock:
                self.later.remove(due)
                self.queue.append(due[2])
        expected = next((waiting for waiting in self.queue if self._has_room(waiting)), None)
        assert self.room.take(self.clock) is expected
        if expected is not None:
            self.queue.remove(expected)
            self.inside.append(expected)

    @rule()
    def drain(self) -> None:
        left = self.room.drain()
        assert left == self.queue + [waiting for _, _, waiting in sorted(self.later)]
        self.queue, self.later = [], []

    def _has_room(self, candidate: Entry) -> bool:
        sites = Counter(other.target.site for other in self.inside)
        subnets = Counter(other.subnet for other in self.inside)
        caps, site = self.caps, candidate.target.site
        return (
            (not caps.total or len(self.inside) < caps.total)
            and (not caps.site or site is None or sites[site] < caps.site)
            and (not caps.subnet or subnets[candidate.subnet] < caps.subnet)
        )

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
    room = Admission(Caps(total=0, site=1, subnet=0))
    for name, site in (("a", "paris"), ("b", "paris"), ("c", "lyon"), ("d", None), ("e", "paris")):
        room.arrive(entry(name, site=site))
    taken = []
    while (next_one := room.take(0.0)) is not None:
        taken.append(next_one)
    assert [one.target.name for one in taken] == ["a", "c", "d"]
    room.leave(taken[0])
    following = room.take(0.0)
    assert following is not None
    assert following.target.name == "b"


def test_a_cap_holds_however_many_wait() -> None:
    room = Admission(Caps(total=0, site=0, subnet=2))
    for number in range(100):
        room.arrive(entry(f"ws{number}", f"10.0.1.{number}"))
    assert [room.take(0.0) is not None for _ in range(4)] == [True, True, False, False]
    assert (room.running, room.waiting) == (2, 98)


def test_a_retry_is_not_before_its_time_and_then_last() -> None:
    room = Admission(Caps())
    room.come_back(entry("later", attempt=2), 10.0)
    room.come_back(entry("sooner", attempt=2), 5.0)
    assert room.take(4.9) is None
    assert room.next_due() == 5.0
    room.arrive(entry("new"))
    names = [one.target.name for now in (5.0, 5.0, 10.0) if (one := room.take(now)) is not None]
    assert names == ["new", "sooner", "later"]


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
