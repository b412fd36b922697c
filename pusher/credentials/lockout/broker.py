"""The lease broker: where the tasks of this process wait for a lease to try one account.

It asks the ledger for them all. A lease whose sign-in cost nothing is handed on to the next task as it is: in the
ledger nothing would change, a sign-in of this process is on its way before and after. So an account that works costs
no write a host; each one that fails is booked at once. Other processes get their turn.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pusher.clock import Clock, Moment
from pusher.credentials.lockout.account_state import (
    HELD_AT_MOST,
    Answer,
    IsGone,
    Request,
    Settled,
    Stop,
    ask,
    judge,
    policy_of,
    settle,
    tidied,
)
from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy, Result, Verdict, counts, written
from pusher.credentials.lockout.ledger import Ledger, account_state_of, changed
from pusher.credentials.lockout.process import Process
from pusher.credentials.lockout.refusal import damaged, spent, stopped_by
from pusher.next_commands import NextCommands
from pusher.problems import Problem, ProblemError

_GOES_ON = HELD_AT_MOST / 2
"""A process that was frozen for longer may have been given up for lost; a sign-in fits into the other half."""
_AT_ONCE = 64
"""No more leases are asked for in one transaction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds. How long to wait before looking at the ledger again (``first``, doubling to ``most``), how often to
    say there that one still waits, and how long a lease is handed on while another process waits."""

    first: float = 0.05
    most: float = 0.25
    refresh: float = 1.0
    turn: float = 1.0


@dataclass(frozen=True, kw_only=True)
class LedgerClient:
    """On whose behalf the ledger is asked. ``following``: has the command that forgets what is counted there;
    ``store``: where that is, as it may be shown."""

    ledger: Ledger
    policy: LockoutPolicy
    run: str
    process: Process
    clock: Clock
    is_gone: IsGone
    pace: Pace
    following: NextCommands
    store: str = ""

    def clear_command(self, account: AccountKey) -> str:
        """Forgets what is counted under ``account``."""
        return self.following.clear(*written(account))

    def damaged(self, account: AccountKey) -> Problem:
        """What is said where the account's entry cannot be understood."""
        return damaged(self.clear_command(account), self.store)


@dataclass(slots=True)
class _Out:
    """``since``: its turn began, by the monotonic clock. ``renewed``: the ledger knew last that it is in use."""

    since: float
    renewed: Moment


class LeaseBroker:
    """One account's. ``take`` waits for a lease; each one taken is brought to its ``end`` once."""

    def __init__(self, account: AccountKey, client: LedgerClient) -> None:
        self._account, self._client = account, client
        self._waiting: deque[asyncio.Future[str]] = deque()
        self._out: dict[str, _Out] = {}
        """The leases this process has."""
        self._unbooked: dict[str, Settled] = {}
        """What the ledger could not be told; the next who asks tells it."""
        self._bookings: set[asyncio.Future[None]] = set()
        self._stopped: Stop | None = None
        self._others_wait = False
        self._changed = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def take(self) -> str:
        """A lease's name. ProblemError where there is none."""
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=f"lease-broker {self._account.entry}")
        try:
            return await waiting
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiting.remove(waiting)
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.end(Settled(lease=waiting.result(), result=Result.HARMLESS))
            raise

    def end(self, settled: Settled) -> None:
        """Nothing is awaited: a task that is cancelled must not lose the count."""
        if settled.stop is not None and self._stopped is None:
            self._stopped = Stop(run=self._client.run, code=settled.stop, moment=self._client.clock())
        goes_on = not counts(settled.result) and self._stopped is None and self._may_go_on(settled.lease)
        if goes_on and (waiting := self._next()) is not None:
            waiting.set_result(settled.lease)
            return
        self._out.pop(settled.lease, None)
        self._book(settled)

    def stop(self, stop: Stop) -> None:
        """Nobody here gets a lease from now on."""
        self._stopped = self._stopped or stop
        self._changed.set()

    @property
    def is_idle(self) -> bool:
        """Nothing would be lost with it."""
        return not (self._waiting or self._out or self._unbooked or self._bookings or self._stopped or self._worker)

    # What the tasks do

    def _next(self) -> asyncio.Future[str] | None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                return waiting
        return None

    def _may_go_on(self, lease: str) -> bool:
        out = self._out.get(lease)
        if out is None or self._client.clock().since(out.renewed) > _GOES_ON:
            return False
        return not (self._others_wait and time.monotonic() - out.since > self._client.pace.turn)

    def _book(self, settled: Settled) -> None:
        client = self._client
        booking = changed(
            client.ledger,
            self._account,
            lambda account_state: (settle(account_state, settled, client.run, client.clock()), None),
            client.damaged(self._account),
        )
        self._bookings.add(booking)
        booking.add_done_callback(lambda done: self._booked(settled, done))
        self._changed.set()

    def _booked(self, settled: Settled, done: asyncio.Future[None]) -> None:
        self._bookings.discard(done)
        # Not told, the lease is still on its way in the ledger: that counts as much as a failure.
        if done.cancelled() or done.exception() is not None:
            self._unbooked[settled.lease] = settled

    # What the one does who asks for them all

    async def _work(self) -> None:
        try:
            delay = self._client.pace.first
            while self._anybody():
                if self._stopped is None:
                    self._changed.clear()
                    answer = await self._ask()
                    self._hand_out(answer)
                    if answer.verdict is Verdict.SPENT:
                        clear = self._client.clear_command(self._account)
                        store = self._client.store
                        self._refuse(lambda: spent(answer, clear, store))  # noqa: B023 (called before the next answer)
                if self._stopped is not None:
                    stop = self._stopped
                    if self._bookings:
                        await asyncio.wait(self._bookings)  # so that the count in its words holds what stopped it
                    seen = await self._look()
                    self._refuse(lambda: stopped_by(stop, seen, self._client.store))  # noqa: B023
                elif self._anybody():
                    delay = await self._until_worth_asking(delay)
        except ProblemError as error:
            found = error.problem
            self._refuse(lambda: found)
        except Exception as error:
            # A fault of ours: nobody shall wait for what will never come.
            while (waiting := self._next()) is not None:
                waiting.set_exception(error)
        finally:
            self._worker = None

    def _anybody(self) -> bool:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        return bool(self._waiting)

    def _request(self, leases: tuple[str, ...] = ()) -> Request:
        return Request(
            process=self._client.process,
            run=self._client.run,
            policy=self._client.policy,
            leases=leases,
            settled=tuple(self._unbooked.values()),
            keeps=frozenset(self._out),
        )

    async def _ask(self) -> Answer:
        client, wanted = self._client, min(len(self._waiting), _AT_ONCE)
        request = self._request(tuple(secrets.token_hex(8) for _ in range(wanted)))
        asked_at = client.clock()
        asking = changed(
            client.ledger,
            self._account,
            lambda account_state: ask(account_state, request, client.clock(), client.is_gone),
            client.damaged(self._account),
        )
        try:
            answer = await asyncio.shield(asking)
        except BaseException as error:
            # Whether they were granted is not known; no sign-in is made with them.
            for lease in request.leases:
                unused = Settled(lease=lease, result=Result.HARMLESS)
                if isinstance(error, asyncio.CancelledError):
                    self._book(unused)
                else:
                    self._unbooked[lease] = unused
            raise
        for settled in request.settled:
            self._unbooked.pop(settled.lease, None)
        for lease in answer.kept & self._out.keys():
            self._out[lease].renewed = asked_at
        for lease in answer.granted:
            self._out[lease] = _Out(since=time.monotonic(), renewed=asked_at)
        return answer

    def _hand_out(self, answer: Answer) -> None:
        self._others_wait = answer.others_wait
        self._stopped = self._stopped or answer.stop
        for lease in answer.granted:
            self.end(Settled(lease=lease, result=Result.HARMLESS))

    async def _until_worth_asking(self, delay: float) -> float:
        """Until a sign-in of ours has ended, or the ledger has changed; the delay to go on with."""
        pace, began = self._client.pace, time.monotonic()
        while self._anybody() and time.monotonic() - began < pace.refresh:
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                delay = min(delay * 2, pace.most)
            else:
                return pace.first
            answer = await self._look()
            self._others_wait = answer.others_wait
            if answer.verdict is not Verdict.WAIT:
                break
        return delay

    async def _look(self) -> Answer:
        client = self._client
        found = await client.ledger.look(self._account.entry)
        account_state = account_state_of(found, self._account, client.damaged(self._account))
        now = client.clock()
        horizon = policy_of(account_state, client.policy, now).horizon
        return judge(tidied(account_state, now, horizon, client.is_gone), self._request(), now)

    def _refuse(self, why: Callable[[], Problem]) -> None:
        while (waiting := self._next()) is not None:
            waiting.set_exception(ProblemError(why()))
