"""A model of a domain and of those who sign in to it, and a machine that drives the ledger through any interleaving.

The domain counts as a real one does: a wrong password adds one, the counter starts anew once no failure has come for
the observation window, and a success sets it to nothing. The account's people mistype, too, as often as the reserve
bears, and each pusher may know it by another name. Whatever processes, crashes, clocks and late messages do: the
domain never locks the account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pusher.clock import Moment
from pusher.credentials.lockout.account_state import (
    HELD_AT_MOST,
    STOP_HOLDS,
    AccountState,
    Reading,
    ReadingStart,
    Request,
    Settled,
    ask,
    marked,
    read,
    settle,
)
from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy, Result, Verdict
from pusher.credentials.lockout.ledger import Ledger, MemoryLedger, account_state_of, changed
from pusher.credentials.lockout.process import Process

T = TypeVar("T")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = (
    AccountKey(entry="svc", domain="ad"),
    AccountKey(entry="svc", domain="corp", is_certain=False),
    AccountKey(entry="svc", domain="mail", is_certain=False),
)
"""Of one account. That the first is it is certain; the directory is asked by that name alone."""
DELAYS = st.none() | st.integers(0, 119)


@dataclass
class Domain:
    """One account's counter. ``ours`` and ``theirs`` are what it is made of."""

    threshold: int
    window: float
    ours: int = 0
    theirs: int = 0
    last_bad: float = 0.0
    locked: bool = False

    def count(self, now: float) -> int:
        if now - self.last_bad > self.window:
            self.ours = self.theirs = 0
        return self.ours + self.theirs

    def fail(self, now: float, *, ours: bool) -> None:
        self.count(now)
        self.ours, self.theirs, self.last_bad = self.ours + ours, self.theirs + (not ours), now
        self.locked = self.locked or self.ours + self.theirs >= self.threshold

    def succeed(self) -> None:
        self.ours = self.theirs = 0


@dataclass
class Pusher:
    """One process and what it has: ``open`` are its leases, and whether each is being used by a sign-in just now."""

    process: Process
    run: str
    account: AccountKey
    open: dict[str, str] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    stopped: float | None = None
    alive: bool = True


class LedgerMachine(RuleBasedStateMachine):
    """Subclasses may give another ``ledger``."""

    burst = tuple(f"burst{number}" for number in range(9))

    def ledger(self) -> Ledger:
        return MemoryLedger()

    @initialize(
        reserve=st.integers(1, 3),
        limit=st.integers(1, 4),
        cautious=st.integers(0, 2),
        window=st.sampled_from([600, 1800, 7200]),
        assumed=st.sampled_from([1, 3]),
        machines=st.sampled_from([1, 2]),
        may=st.tuples(st.booleans(), st.booleans(), st.integers(1, len(NAMES))),
    )
    def begin(
        self,
        reserve: int,
        limit: int,
        cautious: int,
        window: int,
        assumed: int,
        machines: int,
        may: tuple[bool, bool, int],
    ) -> None:
        self.may_be_right, self.may_stop, self.known_by = may
        self.loop = asyncio.new_event_loop()
        self.book = self.ledger()
        self.domain = Domain(threshold=limit + reserve, window=window)
        self.policy = LockoutPolicy(
            threshold=max(limit + reserve - cautious, 1), reserve=reserve, window=timedelta(seconds=window * assumed)
        )
        self.machines = machines
        self.now, self.wall = 1000.0, 0.0
        self.pushers: list[Pusher] = []
        self.late: list[float] = []
        self.marks: list[ReadingStart] = []
        self.said: list[tuple[ReadingStart, int]] = []
        self.names = 0
        for number in range(3):
            self._start(number)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    # The world

    def _start(self, number: int) -> None:
        self.names += 1
        machine = number % self.machines
        process = Process(host=f"m{machine}", place=f"m{machine}", pid=self.names, started=self.names)
        self.pushers.append(Pusher(process=process, run=f"run{self.names}", account=NAMES[number % self.known_by]))

    def _moment(self, pusher: Pusher) -> Moment:
        """One machine's clock may be set as it likes: its uptime tells the time. Two machines agree on theirs."""
        wall = NOON + timedelta(seconds=self.now + self.wall)
        return Moment(at=wall, boot=pusher.process.place, uptime=self.now)

    def _is_gone(self, asker: Pusher) -> Callable[[Process], bool]:
        dead = {one.process for one in self.pushers if not one.alive}
        return lambda process: process.place == asker.process.place and process in dead

    def _change(self, account: AccountKey, step: Callable[[AccountState], tuple[AccountState, T]]) -> T:
        async def done() -> T:
            return await changed(self.book, account, step)

        return self.loop.run_until_complete(done())

    def _living(self) -> list[Pusher]:
        return [one for one in self.pushers if one.alive]

    def _pass(self, seconds: float) -> None:
        until = self.now + seconds
        for due in sorted(one for one in self.late if one <= until):
            self.now = max(self.now, due)
            self.domain.fail(self.now, ours=True)
        self.late = [one for one in self.late if one > until]
        self.now = until

    # What can happen

    @rule(data=st.data(), wanted=st.integers(1, 5))
    def asks(self, data: st.DataObject, wanted: int) -> None:
        self._ask(data.draw(st.sampled_from(self._living())), wanted)

    def _ask(self, pusher: Pusher, wanted: int) -> tuple[str, ...]:
        names = tuple(f"l{self.names + n}" for n in range(wanted))
        self.names += wanted
        request = Request(
            process=pusher.process, run=pusher.run, policy=self.policy, leases=names, keeps=frozenset(pusher.open)
        )
        answer = self._change(pusher.account, lambda s: ask(s, request, self._moment(pusher), self._is_gone(pusher)))
        if answer.granted:
            assert answer.verdict is Verdict.GRANTED
            assert answer.budget.failures + answer.budget.in_flight + len(answer.granted) <= answer.policy.limit
            assert pusher.stopped is None or self.now - pusher.stopped > STOP_HOLDS.total_seconds()
        for name in [*answer.kept, *answer.granted]:
            pusher.since[name] = self.now
        for name in answer.granted:
            pusher.open[name] = "free"
        return answer.granted

    def _usable(self, state: str) -> list[tuple[Pusher, str]]:
        return [(one, name) for one in self._living() for name, is_in in one.open.items() if is_in == state]

    @precondition(lambda self: self._usable("free"))
    @rule(data=st.data(), right=st.booleans())
    def signs_in(self, data: st.DataObject, right: bool) -> None:
        pusher, name = data.draw(st.sampled_from(self._usable("free")))
        self._sign_in(pusher, name, right and self.may_be_right)

    def _in_time(self, pusher: Pusher, name: str) -> bool:
        """A sign-in has its time limit: nothing is sent by one that was frozen for longer than a lease may be kept."""
        return self.now - pusher.since[name] <= HELD_AT_MOST.total_seconds()

    def _sign_in(self, pusher: Pusher, name: str, right: bool) -> None:
        """The domain has compared the password; who asked does not know it yet."""
        if not self._in_time(pusher, name):
            return
        if right:
            self.domain.succeed()
        else:
            self.domain.fail(self.now, ours=True)
        pusher.open[name] = "right" if right else "wrong"

    @precondition(lambda self: any(one.open for one in self._living()))
    @rule(data=st.data(), lost=st.booleans(), on=st.booleans(), stops=st.booleans(), delay=DELAYS)
    def ends(self, data: st.DataObject, lost: bool, on: bool, stops: bool, delay: int | None) -> None:
        pusher, name = data.draw(st.sampled_from([(one, name) for one in self._living() for name in one.open]))
        self._end(pusher, name, lost, on, stops and self.may_stop, delay)

    def _end(self, pusher: Pusher, name: str, lost: bool, on: bool, stops: bool, delay: int | None) -> None:
        """``lost``: no verdict. ``on``: used again, where it cost nothing. ``delay``: the domain hears of it late."""
        state = pusher.open[name]
        if lost:
            result = Result.UNKNOWN
            if state == "free" and delay is not None and self._in_time(pusher, name):
                self.late.append(self.now + delay)
        else:
            result = {"free": Result.HARMLESS, "right": Result.OK, "wrong": Result.FAILED}[state]
        if on and result in (Result.HARMLESS, Result.OK) and not stops:
            pusher.open[name] = "free"
            return
        del pusher.open[name]
        if stops and pusher.stopped is None:
            pusher.stopped = self.now
        settled = Settled(lease=name, result=result, stop="account-disabled" if stops else None)
        for _ in range(1 + (delay is not None)):  # told twice it counts once
            self._change(pusher.account, lambda s: (settle(s, settled, pusher.run, self._moment(pusher)), None))

    @rule(data=st.data(), lost=st.booleans(), times=st.integers(1, 4), delay=DELAYS)
    def fails(self, data: st.DataObject, lost: bool, times: int, delay: int | None) -> None:
        """The whole story, several times: what a run with a wrong password does."""
        for _ in range(times):
            pusher = data.draw(st.sampled_from(self._living()))
            for name in self._ask(pusher, 1):
                if delay is None:
                    self._sign_in(pusher, name, right=False)
                self._end(pusher, name, lost, on=False, stops=False, delay=delay)

    @precondition(lambda self: len(self._living()) > 1)
    @rule(data=st.data(), delay=DELAYS)
    def is_killed(self, data: st.DataObject, delay: int | None) -> None:
        pusher = data.draw(st.sampled_from(self._living()))
        pusher.alive = False
        sent = [name for name, state in pusher.open.items() if state == "free" and self._in_time(pusher, name)]
        self.late += [self.now + delay for _ in sent if delay is not None]

    @precondition(lambda self: len(self._living()) < 4)
    @rule(number=st.integers(0, 5))
    def another_starts(self, number: int) -> None:
        self._start(number)

    @rule(seconds=st.sampled_from([1, 50, 121, 250, HELD_AT_MOST.total_seconds() + 1]))
    def a_little_time_passes(self, seconds: float) -> None:
        self._pass(seconds)

    @rule(share=st.sampled_from([0.7, 0.99, 1.0, 1.01]))
    def a_window_passes(self, share: float) -> None:
        self._pass(self.domain.window * share)

    @rule(more=st.sampled_from([-1, 1, 90000]))
    def a_horizon_passes(self, more: float) -> None:
        self._pass(self.policy.horizon.total_seconds() + more)

    @precondition(lambda self: self.machines == 1)
    @rule(hours=st.sampled_from([-1000, -2, -0.1, 0.1, 2, 1000]))
    def the_clock_is_set(self, hours: float) -> None:
        self.wall += hours * 3600

    @rule()
    def its_people_mistype(self) -> None:
        self.domain.count(self.now)
        if self.domain.theirs < self.policy.reserve - 1:
            self.domain.fail(self.now, ours=False)

    @precondition(lambda self: self.may_be_right)
    @rule()
    def its_people_sign_in(self) -> None:
        self.domain.succeed()

    @rule(times=st.integers(1, 2), share=st.sampled_from([0.9, 1.0]))
    def its_people_mistype_now_and_then(self, times: int, share: float) -> None:
        """As late as they can, to keep the window from ever closing."""
        for _ in range(times):
            self._pass(self.domain.window * share)
            self.its_people_mistype()

    # Readings: begun, answered by the domain, booked; each as late as it likes, in any order

    @rule(data=st.data())
    def a_reading_begins(self, data: st.DataObject) -> None:
        pusher = data.draw(st.sampled_from(self._living()))
        self.marks.append(self._change(NAMES[0], lambda s: marked(s, self._moment(pusher))))

    @precondition(lambda self: self.marks)
    @rule(data=st.data())
    def the_domain_says(self, data: st.DataObject) -> None:
        mark = data.draw(st.sampled_from(self.marks))
        self.marks.remove(mark)
        self.said.append((mark, self.domain.count(self.now)))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def a_reading_ends(self, data: st.DataObject) -> None:
        mark, bad = data.draw(st.sampled_from(self.said))
        self.said.remove((mark, bad))
        pusher = data.draw(st.sampled_from(self._living()))
        window = timedelta(seconds=self.domain.window)
        reading = Reading(threshold=self.domain.threshold, window=window, bad_count=bad)
        self._change(NAMES[0], lambda s: (read(s, mark, reading, self._moment(pusher)), None))

    # What must hold

    @invariant()
    def the_domain_locks_nobody(self) -> None:
        if hasattr(self, "domain"):
            assert not self.domain.locked
            assert self.domain.ours <= self.domain.threshold - self.policy.reserve

    @invariant()
    def nor_would_it_if_all_that_may_be_tried_now_went_wrong(self) -> None:
        if not hasattr(self, "domain"):
            return
        self.domain.count(self.now)
        flying = sum(self._in_time(one, name) for one, name in self._usable("free")) + len(self.late)
        for pusher in self._living():
            account_state = account_state_of(self.book.read(pusher.account.entry), pusher.account)
            moment, gone = self._moment(pusher), self._is_gone(pusher)
            request = Request(process=pusher.process, run="any", policy=self.policy, leases=self.burst)
            granted = ask(account_state, request, moment, gone)[1].granted
            most = self.domain.threshold - self.policy.reserve
            assert not granted or self.domain.ours + flying + len(granted) <= most
