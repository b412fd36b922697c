"""Readings: the directory is asked how an account stands, before anything that could cost it a failure.

Here live whose account may be asked of which directory, what its answer means for the ledger, and which answers stop
the account at once, with nothing spent. What must not live here: what is read (``directory_state``), the rule that
follows from it (``budget``), who asks when (``kerberos.tickets``, ahead of each sign-in that a counter may see).

A directory that cannot be asked takes nothing away and gives nothing: the assumed policy holds, and a note says so.
Source: MS-ADTS 6.1.1.2.1.1.4 (the crossRef objects, which hold the NetBIOS names of domains).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pusher.credentials.lockout.account_state import Reading
from pusher.credentials.lockout.budget import account_key
from pusher.credentials.lockout.directory_state import LockoutState, read_state
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.directory.filters import escape_filter_value
from pusher.directory.names import base_of
from pusher.directory.port import Directory, Scope
from pusher.directory.values import text
from pusher.models import Account
from pusher.problems import Code, Problem, ProblemError, Stage, problem

Note = Callable[[Account, Problem], None]

_SECONDS = 60.0
"""For all that is asked about one account: whoever signs in waits for it."""
_LONGEST_WINDOW = timedelta(days=365)
"""A calendar has an end, and a directory may claim any window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What came of asking about one account. Neither: it is of another domain than the directory."""

    state: LockoutState | None = None
    why_not: Problem | None = None


def _nobody(_: Account, __: Problem) -> None:
    """Nobody wants the notes."""


class Readings:
    """Of one directory, for one run. ``note`` is told of each account that the directory could not be asked about."""

    def __init__(
        self,
        directory: Directory,
        domain: str,
        guard: LockoutGuard,
        note: Note = _nobody,
        seconds: float = _SECONDS,
    ) -> None:
        self._directory, self._domain, self._base = directory, domain.casefold(), base_of(domain)
        self._guard, self._note, self._seconds = guard, note, seconds
        self._netbios_name: str | None = None
        self._seen: dict[str, Seen] = {}

    async def before(self, account: Account) -> None:
        """To be awaited before a sign-in. ProblemError for an account that the directory says cannot sign in."""
        seen = await self.read(account)
        found = stopping(account, seen.state) if seen.state is not None else None
        if found is not None:
            await self._guard.stop(account_key(account, ""), found.code)
            raise ProblemError(found)

    async def read(self, account: Account) -> Seen:
        """Ask, and tell the ledger. ProblemError where the ledger cannot be kept, never for the directory's sake."""
        key = account_key(account, "")
        try:
            async with asyncio.timeout(self._seconds):
                is_ours = await self.is_of_the_domain(account)
        except (TimeoutError, ProblemError) as error:
            return self._not_read(account, error)
        if not is_ours:
            return self._keep(account, Seen())
        # Before the directory is asked: a failure that is settled meanwhile may or may not be in its count.
        mark = await self._guard.begin_reading(key)
        try:
            async with asyncio.timeout(self._seconds):
                state = await read_state(self._directory, self._base, account)
        except (TimeoutError, ProblemError) as error:
            return self._not_read(account, error)
        reading = Reading(
            threshold=state.threshold,
            window=min(timedelta(seconds=state.window), _LONGEST_WINDOW),
            bad_count=state.bad,
            complete=state.exact,
        )
        await self._guard.read(key, mark, reading)
        return self._keep(account, Seen(state=state))

    def last(self, account: Account) -> Seen | None:
        """What came of the last asking; None: it was not asked about."""
        return self._seen.get(account.name)

    async def is_of_the_domain(self, account: Account) -> bool:
        """Whether the account is this directory's, by the names that are certain; ProblemError.

        A realm goes before the user's own domain: a UPN's suffix may be any name.
        """
        if account.is_local or account.is_own_identity:
            return False
        before, backslash, _ = account.user.partition("\\")
        named = account.realm or (before if backslash else account.user.rpartition("@")[2])
        if account.realm is None and backslash and "." not in named:
            netbios = await self._netbios()
            if netbios is None or named.casefold() != netbios.casefold():
                return False
            self._guard.is_also(netbios, self._domain)  # NETBIOS\user and user@domain have one count
            return True
        return named.casefold() == self._domain

    async def answers(self) -> None:
        """Sign in to the directory; ProblemError says why that cannot be done."""
        async for _ in self._directory.search("", "(objectClass=*)", ("currentTime",), Scope.BASE):
            pass

    async def _netbios(self) -> str | None:
        """The domain's NetBIOS name, asked for once."""
        if self._netbios_name is None:
            self._netbios_name = await _netbios_name(self._directory, self._base)
        return self._netbios_name or None

    def _not_read(self, account: Account, error: TimeoutError | ProblemError) -> Seen:
        """The directory could not be asked; raised where it is the ledger that could not, for its reader."""
        if not isinstance(error, ProblemError):
            return self._unread(account, problem(Code.DIRECTORY_TIMED_OUT, None, f"{self._seconds:g} s"))
        if error.problem.code == Code.BUDGET_UNAVAILABLE:
            raise error
        return self._unread(account, error.problem)

    def _unread(self, account: Account, why: Problem) -> Seen:
        self._note(account, why)
        return self._keep(account, Seen(why_not=why))

    def _keep(self, account: Account, seen: Seen) -> Seen:
        self._seen[account.name] = seen
        return seen


async def _netbios_name(directory: Directory, base: str) -> str:
    """Empty where the directory does not say."""
    configuration = None
    async for root in directory.search("", "(objectClass=*)", ("configurationNamingContext",), Scope.BASE):
        configuration = text(root, "configurationNamingContext")
    if configuration is None:
        return ""
    wanted = f"(nCName={escape_filter_value(base)})"
    async for reference in directory.search(f"CN=Partitions,{configuration}", wanted, ("nETBIOSName",)):
        return text(reference, "nETBIOSName") or ""
    return ""


def stopping(account: Account, state: LockoutState) -> Problem | None:
    """Why the account cannot sign in whatever its secret is; None where the directory sees no reason. Pure."""
    states = (
        (state.disabled, Code.ACCOUNT_DISABLED),
        (state.expired, Code.ACCOUNT_EXPIRED),
        (state.locked, Code.ACCOUNT_LOCKED),
        (state.must_change, Code.PASSWORD_MUST_CHANGE),
        (state.password_expired, Code.PASSWORD_EXPIRED),
    )
    code = next((code for is_so, code in states if is_so), None)
    if code is None:
        return None
    return problem(code, Stage.SIGN_IN, f"{account.user}, as the directory has it; nothing was sent")
