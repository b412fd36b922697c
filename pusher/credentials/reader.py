"""The reader: the account that reads the directory can be locked too, so its sign-in takes a leave like any other.

Here lives a directory that asks the lockout guard before the one behind it is signed in to. What must not live here:
LDAP, and what is searched for. Run after run with a wrong secret in ``[directory]`` would lock the reader otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from pusher.credentials.budget import AccountKey, Result, account_key
from pusher.credentials.guard import LockoutGuard
from pusher.directory.port import Directory, DirectoryAccount, Entry, Scope
from pusher.models import Account, Protocol
from pusher.problems import Problem, ProblemError, Stage, problem

_REFUSED = "directory-sign-in-failed"
_COUNTED: Mapping[str, Result] = {_REFUSED: Result.FAILED, "directory-timed-out": Result.UNKNOWN}
"""Ends of a sign-in that a lockout counter may have seen; at all others nothing made of the secret was judged."""


class GuardedDirectory:
    """``inner``, whose sign-in takes a leave of ``key`` (see ``key_of``). One that failed is never repeated."""

    def __init__(self, inner: Directory, guard: LockoutGuard, key: AccountKey) -> None:
        self._inner, self._guard, self._key = inner, guard, key
        self._opening = asyncio.Lock()
        self._is_open = False
        self._final: Problem | None = None
        self._others: dict[str, GuardedDirectory] = {}

    async def search(
        self, base: str, filter: str, attributes: Sequence[str], scope: Scope = Scope.SUBTREE
    ) -> AsyncIterator[Entry]:
        async with self._opening:
            if not self._is_open:
                await self._open()
        async for entry in self._inner.search(base, filter, attributes, scope):
            yield entry

    def at(self, server: str) -> Directory:
        inner = self._inner.at(server)
        if inner is self._inner:
            return self
        return self._others.setdefault(server.lower(), GuardedDirectory(inner, self._guard, self._key))

    async def close(self) -> None:
        await self._inner.close()

    async def _open(self) -> None:
        if self._final is not None:
            raise ProblemError(self._final)
        try:
            async with self._guard.leave(self._key) as lease:
                # A verdict that never comes is as final as a refusal; so it is where this task is cancelled.
                self._final = problem(_REFUSED, Stage.SIGN_IN, "its verdict never came")
                try:
                    async for _ in self._inner.search("", "(objectClass=*)", ("currentTime",), Scope.BASE):
                        pass
                except ProblemError as error:
                    result = _COUNTED.get(error.problem.code, Result.HARMLESS)
                    lease.settle(result)
                    self._final = error.problem if result is not Result.HARMLESS else None
                    raise
                lease.settle(Result.OK)
        except ProblemError as error:
            if error.problem.code in ("lockout-budget-spent", "account-stopped"):
                found = problem(_REFUSED, Stage.SIGN_IN, f"it was not tried: {error.problem.message}")
                raise ProblemError(found) from error
            raise
        self._final, self._is_open = None, True


def key_of(account: DirectoryAccount) -> AccountKey | None:
    """The reader's key in the ledger; None where it signs in with a ticket that somebody else got."""
    if account.secret.partition(":")[0] == "ccache":
        return None
    return account_key(reader_of(account), "")


def reader_of(account: DirectoryAccount) -> Account:
    """The reader as an account that gets a ticket. Its realm is the directory's, however its name is written."""
    return Account(
        name="directory",
        user=account.user,
        secret=account.secret,
        protocol=Protocol.KERBEROS,
        realm=account.domain.upper(),
    )
