"""The guard: the lockout budget held over all tasks of the process.

A task asks before each sign-in and waits while others are on their way; it settles exactly once, whatever
happens to it. One guard lives as long as one run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pusher.credentials.budget import Budget, LockoutPolicy, Result, Verdict
from pusher.problems import ProblemError, Stage, problem


class Lease:
    """The leave to try once. What the sign-in came to is told by ``settle``; untold it counts as unknown."""

    def __init__(self) -> None:
        self.result = Result.UNKNOWN
        self.stop_code: str | None = None

    def settle(self, result: Result, stop_code: str | None = None) -> None:
        """``stop_code`` stops the account everywhere, with that code as the reason."""
        self.result, self.stop_code = result, stop_code


class LockoutGuard:
    """Budgets by account key (see ``budget.account_key``)."""

    def __init__(self, policy: LockoutPolicy) -> None:
        self.policy = policy
        self._budgets: defaultdict[str, Budget] = defaultdict(Budget)
        self._changed = asyncio.Condition()

    def budget(self, key: str) -> Budget:
        return self._budgets[key]

    @asynccontextmanager
    async def leave(self, key: str) -> AsyncIterator[Lease]:
        """Wait for leave to try ``key`` once; ``lockout-budget-spent`` or ``account-stopped`` where there is none."""
        await self._admit(key)
        lease = Lease()
        try:
            yield lease
        finally:
            # No await before the count is right: a cancelled task must not lose it.
            budget = self._budgets[key].settled(lease.result)
            self._budgets[key] = budget.stopped(lease.stop_code) if lease.stop_code else budget
            await asyncio.shield(self._tell())

    async def _admit(self, key: str) -> None:
        async with self._changed:
            while True:
                budget = self._budgets[key]
                verdict = budget.ask(self.policy)
                if verdict is Verdict.GRANTED:
                    self._budgets[key] = budget.granted()
                    return
                if verdict is Verdict.STOPPED:
                    raise ProblemError(problem("account-stopped", Stage.SIGN_IN, f"by {budget.stopped_by}"))
                if verdict is Verdict.SPENT:
                    spent = f"{budget.failures} of {self.policy.limit} allowed"
                    raise ProblemError(problem("lockout-budget-spent", Stage.SIGN_IN, spent))
                await self._changed.wait()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
