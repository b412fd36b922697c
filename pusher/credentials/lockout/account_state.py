"""How an account stands: all that is known of its failures, over every task, process and run. Pure.

A ``AccountState`` is one account's entry in the ledger; each function here takes one and gives the next. The rule
itself is ``budget``'s; here is where its numbers come from:

* A lease to sign in (``Held``) is on its way until it is settled. Held by a process that is gone, or for longer than
  any sign-in lasts, it has become a failure of unknown outcome.
* A domain forgets its count once no failure has come for its observation window, so failures count as a chain: all
  of them, until the last is older than the policy's horizon.
* What the directory counts (``read``) replaces those failures that were settled before the reading was begun (by
  their order in the ledger, not by any clock): they are in its count. Every other one is counted beside it.
* An account may have several names, and only a directory knows which: what stands under another name that may be its
  own counts as if it stood here (``beside``).
* A stop holds for the run that met it. In another run the secret may be another one, and nothing that derives from a
  secret is kept to tell; what the stop cost is among the failures, and those hold for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pusher.clock import Moment
from pusher.credentials.lockout.budget import LATE, Budget, LockoutPolicy, Result, Verdict, counts
from pusher.credentials.lockout.process import Process

HELD_AT_MOST = timedelta(minutes=5)
"""A sign-in is over long before (``Limits.sign_in``); whoever keeps a lease for several renews it."""
READING_HOLDS = timedelta(hours=24)
"""How long a directory's word about threshold and window is taken for true."""
KEPT = timedelta(hours=24)
"""How long what counts no more is kept at least: another run's reserve, and so its horizon, may be larger."""
STOP_HOLDS = timedelta(days=30)
"""Longer than any run lasts; then it is forgotten."""
WAITER_FRESH = timedelta(seconds=3)
"""Who waits says so again within this time; nobody's turn is kept longer for it."""

IsGone = Callable[[Process], bool]


class Cause(StrEnum):
    """``REFUSED``: a verdict came, so the domain had counted it by then. ``UNKNOWN``: it may count it yet."""

    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    lease: str
    seq: int
    moment: Moment
    cause: Cause
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A lease to sign in that was granted and is not settled."""

    lease: str
    process: Process
    run: str
    granted: Moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    run: str
    code: str
    moment: Moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A run of a process that has none and wants one; the lowest ``seq`` came first."""

    process: Process
    seq: int
    seen: Moment
    run: str = ""

    def is_of(self, request: Request) -> bool:
        """Two runs of one process take turns as those of two processes do."""
        return self.process == request.process and self.run == request.run


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the directory says. ``threshold`` 0: it locks nobody. ``window``: observation.

    ``complete``: the count is the PDC emulator's, to which every domain controller forwards a failure. Another one's
    may lack ours, so they go on counting beside it.
    """

    threshold: int
    window: timedelta
    bad_count: int
    complete: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingStart:
    """Where the ledger stood when a reading was begun."""

    seq: int
    moment: Moment


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptReading:
    """The newest reading that was kept, and which mark it was begun at."""

    reading: Reading
    mark: int
    moment: Moment


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountState:
    """``seq`` counts what has happened; ``marked``: a mark is out that names it.

    ``ambiguous``: it was asked for by a name that may be another domain's. ``beside``: those of other names that may
    be the same account's; it is never kept, but told anew from the ledger with each look (see ``ledger``).
    """

    seq: int = 0
    marked: bool = False
    failures: tuple[Failure, ...] = ()
    held: tuple[Held, ...] = ()
    read: KeptReading | None = None
    stops: tuple[Stop, ...] = ()
    waiters: tuple[Waiter, ...] = ()
    ambiguous: bool = False
    beside: tuple[AccountState, ...] = ()

    @property
    def together(self) -> tuple[AccountState, ...]:
        """All that counts as one."""
        return (self, *self.beside)

    @property
    def is_blank(self) -> bool:
        """Nothing that anybody would miss."""
        return not (self.marked or self.failures or self.held or self.stops or self.waiters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """How the sign-in under ``lease`` ended. ``stop``: the code that stops the account for its run."""

    lease: str
    result: Result
    stop: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A process asks for as many leases as there are ``leases`` (names of its choice), once ``settled`` are booked.

    ``keeps``: those it has and goes on using, for one sign-in after the other.
    """

    process: Process
    run: str
    policy: LockoutPolicy
    leases: tuple[str, ...] = ()
    settled: tuple[Settled, ...] = ()
    keeps: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """``granted`` are those of the request's leases that may be used from now, ``kept`` those of its ``keeps`` that
    still may: any other was given up for lost meanwhile. The rest says how the account stands; ``beside``: how many of
    the budget's failures are of another name that may be the same account's; ``cut_off``: how many of them are
    sign-ins whose verdict never came."""

    verdict: Verdict
    policy: LockoutPolicy
    budget: Budget
    free_at: datetime | None = None
    granted: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()
    others_wait: bool = False
    stop: Stop | None = None
    beside: int = 0
    cut_off: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleared:
    """Failures that an operator had forgotten (None: nobody knows how many); ``beside``: those that another name of the
    account still counts."""

    forgotten: int | None
    beside: int


# What is asked of it


def policy_of(account_state: AccountState, own: LockoutPolicy, now: Moment) -> LockoutPolicy:
    """What the directory said, where it lately said something; else what the operator has us assume.

    Of another name that may be its own, too: then whatever locks earlier, and counts longer.
    """
    said = _said(account_state, now)
    policy = own if said is None else replace(own, threshold=said.threshold, window=said.window, assumed=False)
    for theirs in (said for one in account_state.beside if (said := _said(one, now)) is not None):
        threshold, window = min(policy.threshold, theirs.threshold), max(policy.window, theirs.window)
        policy = replace(policy, threshold=threshold, window=window)
    return policy


def _said(account_state: AccountState, now: Moment) -> Reading | None:
    """The reading that holds; None also where it says that nobody is ever locked."""
    read = account_state.read
    if read is None or read.reading.threshold < 1 or now.since(read.moment) > READING_HOLDS:
        return None
    return read.reading


def judge(account_state: AccountState, request: Request, now: Moment) -> Answer:
    """How the account stands for the request's process, and whether it may be tried. Grants nothing."""
    policy = policy_of(account_state, request.policy, now)
    chain = _chain(account_state, policy.horizon, now)
    failures = sum(one.weight for one in chain)
    stop = next((stop for stop in account_state.stops if stop.run == request.run), None)
    in_flight = sum(len(one.held) for one in account_state.together)
    budget = Budget(failures=failures, in_flight=in_flight, stopped_by=stop.code if stop else None)
    verdict = budget.ask(policy)
    others = [one for one in account_state.waiters if not one.is_of(request) and _is_fresh(one, now)]
    if verdict is Verdict.GRANTED and budget.room(policy) <= len(_before(others, account_state, request)):
        verdict = Verdict.WAIT
    return Answer(
        verdict=verdict,
        policy=policy,
        budget=budget,
        free_at=now.at + policy.horizon - chain[0].age if chain else None,
        others_wait=bool(others),
        stop=stop,
        beside=failures - sum(one.weight for one in chain if one.of is account_state),
        cut_off=sum(one.cause is Cause.UNKNOWN for one in chain),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counted:
    """So many failures, so long ago, booked in the state ``of``. ``cause`` None: the directory says so."""

    age: timedelta
    weight: int
    of: AccountState
    cause: Cause | None = None


def _counted(account_state: AccountState, now: Moment) -> Iterator[_Counted]:
    for one in account_state.failures:
        yield _Counted(age=now.since(one.moment), weight=1, of=account_state, cause=one.cause)
    read = account_state.read
    if read is not None and read.reading.threshold > 0 and read.reading.bad_count > 0:
        yield _Counted(age=now.since(read.moment), weight=read.reading.bad_count, of=account_state)


def _chain(account_state: AccountState, horizon: timedelta, now: Moment) -> list[_Counted]:
    """The newest failures first, as far back as no gap between two is longer than ``horizon``."""
    # A sign-in on its way may have failed as early as it was granted, and have kept the chain alive.
    reached = max([timedelta(), *(now.since(one.granted) for each in account_state.together for one in each.held)])
    chain = []
    for one in sorted((one for each in account_state.together for one in _counted(each, now)), key=lambda one: one.age):
        if one.age - reached > horizon:
            break
        chain.append(one)
        reached = max(reached, one.age)
    return chain


def _is_fresh(waiter: Waiter, now: Moment) -> bool:
    # Another machine's clock may go before: its waiter is not kept a place for ever.
    return abs(now.since(waiter.seen)) <= WAITER_FRESH


def _before(others: Iterable[Waiter], account_state: AccountState, request: Request) -> list[Waiter]:
    """Who came before: all of them, for one who does not wait yet."""
    mine = next((one.seq for one in account_state.waiters if one.is_of(request)), None)
    return [one for one in others if mine is None or one.seq < mine]


# What happens to it


def tidied(account_state: AccountState, now: Moment, horizon: timedelta, is_gone: IsGone) -> AccountState:
    """Leases that nobody can settle any more have failed; what is long past is forgotten."""
    for held in account_state.held:
        age = now.since(held.granted)
        if age > HELD_AT_MOST or is_gone(held.process):
            # As late as it can have been tried; a night later it is not of this morning.
            ended = held.granted.after(HELD_AT_MOST) if age > HELD_AT_MOST else now
            account_state = _failed(account_state, held, ended, Cause.UNKNOWN)
    account_state = replace(
        account_state, beside=tuple(tidied(one, now, horizon, is_gone) for one in account_state.beside)
    )
    chain = _chain(account_state, max(KEPT, horizon), now)
    oldest = chain[-1].age if chain else timedelta.min
    return replace(
        account_state,
        failures=tuple(one for one in account_state.failures if now.since(one.moment) <= oldest),
        stops=tuple(one for one in account_state.stops if now.since(one.moment) <= STOP_HOLDS),
        waiters=tuple(one for one in account_state.waiters if _is_fresh(one, now) and not is_gone(one.process)),
    )


def ask(account_state: AccountState, request: Request, now: Moment, is_gone: IsGone) -> tuple[AccountState, Answer]:
    """Book what is settled, then grant as many of the request's leases as the rule allows."""
    for one in request.settled:
        account_state = settle(account_state, one, request.run, now)
    account_state = tidied(account_state, now, policy_of(account_state, request.policy, now).horizon, is_gone)
    # Only now: who was frozen has lost what nobody could settle any more, and others may have been given its place.
    account_state = replace(
        account_state,
        held=tuple(replace(one, granted=now) if one.lease in request.keeps else one for one in account_state.held),
    )
    answer = judge(account_state, request, now)
    granted: tuple[str, ...] = ()
    if answer.verdict is Verdict.GRANTED:
        others = [one for one in account_state.waiters if not one.is_of(request)]
        room = answer.budget.room(answer.policy) - len(_before(others, account_state, request))
        granted = request.leases[:room]
        taken = tuple(Held(lease=one, process=request.process, run=request.run, granted=now) for one in granted)
        account_state = replace(account_state, held=account_state.held + taken)
    kept = request.keeps & {one.lease for one in account_state.held}
    return _waiting(account_state, request, answer, now), replace(answer, granted=granted, kept=kept)


def _waiting(account_state: AccountState, request: Request, answer: Answer, now: Moment) -> AccountState:
    """Only who has none stands in the queue: who gives his back goes to its end."""
    mine = next((one for one in account_state.waiters if one.is_of(request)), None)
    others = tuple(one for one in account_state.waiters if one is not mine)
    has_one = any(held.process == request.process and held.run == request.run for held in account_state.held)
    if answer.verdict is not Verdict.WAIT or has_one or not request.leases:
        return replace(account_state, waiters=others)
    if mine is None:
        account_state = replace(account_state, seq=account_state.seq + 1)
        mine = Waiter(process=request.process, run=request.run, seq=account_state.seq, seen=now)
    return replace(account_state, waiters=(*others, replace(mine, seen=now)))


def settle(account_state: AccountState, settled: Settled, run: str, now: Moment) -> AccountState:
    """One sign-in has ended. Booked twice, it counts once."""
    held = next((one for one in account_state.held if one.lease == settled.lease), None)
    booked = next((one for one in account_state.failures if one.lease == settled.lease), None)
    if held is None and booked is None and not counts(settled.result):
        return _stopped(account_state, settled, run, now)
    if not counts(settled.result):
        # It was given up for lost, and yet it went well: a failure that there was not.
        account_state = replace(
            account_state,
            held=tuple(one for one in account_state.held if one is not held),
            failures=tuple(one for one in account_state.failures if one is not booked),
        )
    else:
        cause = Cause.REFUSED if settled.result is Result.FAILED else Cause.UNKNOWN
        of_run = held.run if held else booked.run if booked else run
        account_state = _failed(account_state, _Ended(lease=settled.lease, run=of_run), now, cause)
    return _stopped(account_state, settled, run, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ended:
    lease: str
    run: str


def _failed(account_state: AccountState, ended: Held | _Ended, moment: Moment, cause: Cause) -> AccountState:
    seq = account_state.seq + 1
    failure = Failure(lease=ended.lease, seq=seq, moment=moment, cause=cause, run=ended.run)
    return replace(
        account_state,
        seq=seq,
        held=tuple(one for one in account_state.held if one.lease != ended.lease),
        failures=(*(one for one in account_state.failures if one.lease != ended.lease), failure),
    )


def _stopped(account_state: AccountState, settled: Settled, run: str, now: Moment) -> AccountState:
    return stopped(account_state, run, settled.stop, now) if settled.stop else account_state


def stopped(account_state: AccountState, run: str, code: str, now: Moment) -> AccountState:
    """The first reason is kept."""
    if any(stop.run == run for stop in account_state.stops):
        return account_state
    return replace(account_state, stops=(*account_state.stops, Stop(run=run, code=code, moment=now)))


def cleared(account_state: AccountState) -> tuple[AccountState, int]:
    """By the operator's word the domain counts nothing any more; and how many failures were forgotten by it.

    What is on its way stays, and counts if it fails.
    """
    read = account_state.read
    forgotten = len(account_state.failures) + (read.reading.bad_count if read is not None else 0)
    return replace(account_state, failures=(), read=None, stops=()), forgotten


def marked(account_state: AccountState, now: Moment) -> tuple[AccountState, ReadingStart]:
    """To be taken before the directory is asked."""
    seq = account_state.seq + 1
    return replace(account_state, seq=seq, marked=True), ReadingStart(seq=seq, moment=now)


def read(account_state: AccountState, mark: ReadingStart, reading: Reading, now: Moment) -> AccountState:
    """What the directory said after ``mark`` was taken. One that was overtaken by a newer one is not kept."""
    if account_state.read is not None and account_state.read.mark >= mark.seq:
        return account_state
    return replace(
        account_state,
        read=KeptReading(reading=reading, mark=mark.seq, moment=now),
        failures=tuple(one for one in account_state.failures if not (reading.complete and _is_in(one, mark))),
    )


def _is_in(failure: Failure, mark: ReadingStart) -> bool:
    """Whether the domain had counted it for certain when the reading was begun."""
    if failure.seq > mark.seq:
        return False
    return failure.cause is Cause.REFUSED or mark.moment.since(failure.moment) > LATE
