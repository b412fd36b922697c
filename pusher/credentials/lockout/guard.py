"""The guard: the lockout budget held over all tasks of the run, and by the ledger over all processes and runs.

A task asks before each sign-in and waits while others are on their way; it settles exactly once, whatever
happens to it. One guard lives as long as one run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from pusher.clock import Clock, moment
from pusher.credentials.lockout import account_state as rules
from pusher.credentials.lockout import process as processes
from pusher.credentials.lockout.account_state import (
    Answer,
    Cleared,
    IsGone,
    Reading,
    ReadingStart,
    Request,
    Settled,
    Stop,
)
from pusher.credentials.lockout.broker import LeaseBroker, LedgerClient, Pace
from pusher.credentials.lockout.budget import AccountKey, Budget, LockoutPolicy, Result, Verdict
from pusher.credentials.lockout.ledger import (
    Found,
    Ledger,
    MemoryLedger,
    account_state_of,
    account_states_of,
    changed,
)
from pusher.credentials.lockout.process import Process
from pusher.credentials.lockout.refusal import spent, stopped_by
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.problems import Problem, ProblemError

T = TypeVar("T")
_BROKERS = 256
_ANY_DOMAIN = "any"
"""Where an entry does not tell of which domains its accounts are: all of them have their place there."""


class Lease:
    """The lease to try once. What the sign-in came to is told by ``settle``; untold it counts as unknown."""

    def __init__(self) -> None:
        self.result = Result.UNKNOWN
        self.stop_code: str | None = None

    def settle(self, result: Result, stop_code: str | None = None) -> None:
        """``stop_code`` stops the account everywhere, with that code as the reason."""
        self.result, self.stop_code = result, stop_code


class LockoutGuard:
    """Leases by account key (see ``budget.account_key``). Without a ``ledger`` the count is this guard's alone.

    ``local`` is what is assumed of machines' own accounts, where it is not ``policy``. ``run`` is whose stops hold;
    ``process`` whose leases the ledger knows these to be. ``following``: has the command that forgets what
    ``ledger`` counts. ``store``: where that is, as it may be shown.
    """

    def __init__(
        self,
        policy: LockoutPolicy,
        ledger: Ledger | None = None,
        *,
        local: LockoutPolicy | None = None,
        run: str = "",
        process: Process | None = None,
        clock: Clock = moment,
        is_gone: IsGone = processes.is_gone,
        pace: Pace | None = None,
        following: NextCommands = NONE_GIVEN,
        store: str = "",
    ) -> None:
        self.policy = policy
        self._client = LedgerClient(
            ledger=ledger or MemoryLedger(),
            policy=policy,
            run=run,
            process=process or processes.this_process(),
            clock=clock,
            is_gone=is_gone,
            pace=pace or Pace(),
            following=following,
            store=store,
        )
        self._local = replace(self._client, policy=local or policy)
        self._brokers: dict[AccountKey, LeaseBroker] = {}
        self._enough = _BROKERS
        self._names: dict[str, str] = {}

    @property
    def ledger(self) -> Ledger:
        """Where it counts."""
        return self._client.ledger

    @property
    def store(self) -> str:
        """Where that is, as it may be shown; empty where it is nowhere."""
        return self._client.store

    def is_also(self, netbios: str, domain: str) -> None:
        """``netbios`` names the same domain as ``domain`` does: ``NETBIOS\\svc`` and ``svc@domain`` are one account."""
        self._names[netbios.lower()] = domain.lower().partition(".")[0]

    def _known(self, key: AccountKey) -> AccountKey:
        """The one key of an account whose domain has two names."""
        domain = self._names.get(key.domain)
        return key if domain is None else replace(key, domain=domain, is_certain=True)

    @asynccontextmanager
    async def lease(self, key: AccountKey) -> AsyncIterator[Lease]:
        """Wait for a lease to try ``key`` once; ``lockout-budget-spent`` or ``account-stopped`` where there is none."""
        broker = self._broker(self._known(key))
        name = await broker.take()
        lease = Lease()
        try:
            yield lease
        finally:
            broker.end(Settled(lease=name, result=lease.result, stop=lease.stop_code))

    async def begin_reading(self, key: AccountKey) -> ReadingStart:
        """To be called before the directory is asked how ``key`` stands."""
        clock = self._client.clock
        return await self._changed(key, lambda account_state: rules.marked(account_state, clock()))

    async def read(self, key: AccountKey, mark: ReadingStart, reading: Reading) -> Answer:
        """What the directory said, asked after ``mark``; how the account stands now."""
        clock = self._client.clock

        def keep(account_state: rules.AccountState) -> tuple[rules.AccountState, Answer]:
            kept = rules.read(account_state, mark, reading, clock())
            return kept, rules.judge(kept, _request(self._client_of(key)), clock())

        return await self._changed(key, keep)

    async def stop(self, key: AccountKey, code: str) -> None:
        """Stop the account for this run, at once here and, when this returns, in its other processes."""
        run, now = self._client.run, self._client.clock()
        self._broker(self._known(key)).stop(Stop(run=run, code=code, moment=now))
        await self._changed(key, lambda account_state: (rules.stopped(account_state, run, code, now), None))

    async def booked(self, key: AccountKey) -> None:
        """Wait until the ledger has all that it was told of ``key`` here: it keeps the order of the calls."""
        await self._changed(key, lambda account_state: (account_state, None))

    async def clear(self, key: AccountKey) -> Cleared:
        """Forget the failures of ``key``: the operator says that its domain has. ``budget-damaged``: see ``forget``."""

        def clear(account_state: rules.AccountState) -> tuple[rules.AccountState, Cleared]:
            left, forgotten = rules.cleared(account_state)
            return left, Cleared(forgotten=forgotten, beside=self._judged(key, left).beside)

        return await self._changed(key, clear)

    async def forget(self, key: AccountKey) -> None:
        """Forget the place of ``key`` in the ledger where it cannot be understood: what it counted, of whatever account
        has its place there, is lost. One that can be is left as it is."""
        await self._client.ledger.change(key.entry, lambda found: (None if _is_damaged(found) else found, None))

    def look(self, key: AccountKey) -> Answer:
        """How the account stands; for callers without an event loop."""
        return self._judged(key, self._account_state(self._known(key)))

    def budget(self, key: AccountKey) -> Budget:
        return self.look(key).budget

    def why_not(self, key: AccountKey) -> Problem | None:
        """What ``lease`` would be refused with now; None where it may be had, or waited for."""
        answer = self.look(key)
        if answer.verdict is Verdict.STOPPED and answer.stop is not None:
            return stopped_by(answer.stop, answer, self._client.store)
        return spent(answer, self.clear_command(key), self._client.store) if answer.verdict is Verdict.SPENT else None

    def clear_command(self, key: AccountKey) -> str:
        return self._client.clear_command(self._known(key))

    def counted(self, entry: str | None = None) -> Iterator[tuple[AccountKey, Answer]]:
        """Every account of which the ledger counts a failure, or knows a sign-in on its way, and how it stands.

        ``entry``: only those of one place in the ledger. Places that cannot be understood are ``damaged``.
        """
        ledger = self._client.ledger
        places = ledger.accounts() if entry is None else {entry: ledger.read(entry)}
        for name, found in places.items():
            if _is_damaged(found):
                continue
            for domain in account_states_of(found):
                key = AccountKey(entry=name, domain=domain)
                answer = self._judged(key, account_state_of(found, key))
                if answer.budget.failures or answer.budget.in_flight:
                    yield key, answer

    def damaged(self, entry: str | None = None) -> Iterator[AccountKey]:
        """Each place of the ledger (or only ``entry``) that cannot be understood, by the key of one account there."""
        ledger = self._client.ledger
        places = ledger.accounts() if entry is None else {entry: ledger.read(entry)}
        for name, found in places.items():
            if _is_damaged(found):
                domains = [domain for domain in found if domain] if isinstance(found, dict) else []
                yield AccountKey(entry=name, domain=domains[0] if domains else _ANY_DOMAIN)

    def _changed(
        self, key: AccountKey, step: Callable[[rules.AccountState], tuple[rules.AccountState, T]]
    ) -> asyncio.Future[T]:
        known = self._known(key)
        return changed(self._client.ledger, known, step, self._client.damaged(known))

    def _account_state(self, key: AccountKey) -> rules.AccountState:
        return account_state_of(self._client.ledger.read(key.entry), key, self._client.damaged(key))

    def _judged(self, key: AccountKey, account_state: rules.AccountState) -> Answer:
        client = self._client_of(key)
        now = client.clock()
        horizon = rules.policy_of(account_state, client.policy, now).horizon
        return rules.judge(rules.tidied(account_state, now, horizon, client.is_gone), _request(client), now)

    def _client_of(self, key: AccountKey) -> LedgerClient:
        return self._local if key.is_local else self._client

    def _broker(self, key: AccountKey) -> LeaseBroker:
        if (found := self._brokers.get(key)) is not None:
            return found
        if len(self._brokers) >= self._enough:
            # A long inventory's local accounts are as many as its hosts.
            self._brokers = {name: broker for name, broker in self._brokers.items() if not broker.is_idle}
            self._enough = 2 * len(self._brokers) + _BROKERS
        made = self._brokers[key] = LeaseBroker(key, self._client_of(key))
        return made


def _is_damaged(found: Found) -> bool:
    try:
        account_states_of(found)
    except ProblemError:
        return True
    return False


def _request(client: LedgerClient) -> Request:
    return Request(process=client.process, run=client.run, policy=client.policy)
