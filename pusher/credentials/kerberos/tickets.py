"""Tickets: a domain account is proven once at the domain controller (pre-authentication) and then used as a ticket.

One AS-REQ a run and account, whatever the interleaving of the tasks that ask: they share one pre-authentication check,
which runs in a task of its own, so that no asker's end can take it from the others. What it came to holds for the whole
run. A verdict on the account stops it everywhere: the first who asked hears why, the others that it was stopped. Here
too: the port to Kerberos. What must not live here: the Kerberos library (``kerberos``), any transport. Sources: RFC
4120 3.1 (the AS exchange), MS-KILE 3.3.5.6 (which counts a wrong password like any other sign-in).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pusher.clock import Now
from pusher.credentials.lockout.budget import Result, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import Account, Secret
from pusher.models import Protocol as Wire
from pusher.problems import Charges, Code, NextMove, Problem, ProblemError, Stage, problem

KEYTAB, CCACHE = "keytab", "ccache"

_RENEW_BEFORE = timedelta(minutes=10)
_RENEW_SHARE = 4
"""A ticket of a short life is renewed in the last quarter of it, not all the time."""
_HOLD_OFF = {Wire.KERBEROS: timedelta(seconds=15), Wire.NTLM: timedelta(minutes=10)}
"""How long a domain controller that did not answer is left alone: each question takes its time, and NTLM, which goes
on without an answer, shall not wait for it again and again."""
_COUNTED = {Charges.EVERYWHERE: Result.FAILED, Charges.PERHAPS: Result.UNKNOWN}
"""What an AS-REQ has cost; at all other ends no password was compared, or it was right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket-granting ticket in a cache of this process: ``ccache`` is its name, for any number of threads."""

    ccache: str
    principal: str
    ends: datetime


class Kerberos(Protocol):
    """The port. Each method ends with a ticket in a cache of its own, or ProblemError, within a deadline.

    ``no-logon-servers`` promises that nothing made of a secret has left; ``sign-in-unknown`` that it may have, and
    that no verdict came.
    """

    async def by_password(self, principal: str, secret: Secret) -> Ticket:
        """One AS-REQ, never repeated at another domain controller."""

    async def by_keytab(self, principal: str, keytab: Path) -> Ticket:
        """One AS-REQ, with the key that ``keytab`` has for the principal."""

    async def from_cache(self, principal: str, cache: Path) -> Ticket:
        """A copy of the ticket that somebody else got; the file is only read."""

    async def own(self) -> Ticket:
        """A copy of the process's own: of its default cache."""

    async def own_principal(self) -> str | None:
        """Whose key the process's client keytab holds first; None where there is none. Nobody is asked."""

    async def by_own_keytab(self, principal: str) -> Ticket:
        """As ``by_keytab``, with the client keytab."""

    def close(self) -> None:
        """Forget every ticket."""


def principal_of(account: Account) -> str | None:
    """The account's Kerberos principal; None where its realm cannot be told. A realm is upper case (MS-KILE 3.1.5.2).

    A UPN whose suffix is not the realm's name is an enterprise name (RFC 6806 5): its ``@`` is escaped.
    """
    if account.is_local or account.is_own_identity:
        return None
    domain, backslash, user = account.user.partition("\\")
    if not backslash:
        user, _, domain = account.user.rpartition("@")
        if account.realm is not None and account.realm.upper() != domain.upper():
            return f"{user}\\@{domain}@{account.realm}"
        return f"{user}@{account.realm or domain.upper()}"
    realm = account.realm or (domain.upper() if "." in domain else None)
    return f"{user}@{realm}" if realm else None


def _spends(account: Account) -> bool:
    """Whether each ticket takes an AS-REQ with the account's own secret, which a lockout counter may see."""
    return not account.is_own_identity and account.secret.partition(":")[0] != CCACHE


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """What a pre-authentication check came to. ``due``: from when on it is worth another; None: never."""

    found: Ticket | Problem
    due: datetime | None


async def _nothing(_: Account) -> None:
    """Nobody wants to look."""


class Tickets:
    """The tickets of one run, for all its tasks. ``close`` ends what is on its way; the port is closed by its maker."""

    def __init__(
        self,
        kerberos: Kerberos,
        guard: LockoutGuard,
        secrets: Mapping[str, Secret],
        now: Now,
        before: Callable[[Account], Awaitable[None]] = _nothing,
    ) -> None:
        """``before`` is awaited before each AS-REQ, and where an NTLM account has none: who wants to know how the
        account stands looks then. What it raises is the pre-authentication check's end.
        """
        self._kerberos, self._guard, self._secrets, self._now, self._before = kerberos, guard, secrets, now, before
        self._pre_authentications: dict[str, asyncio.Task[_Answer]] = {}
        self._told: set[str] = set()

    async def ticket(self, account: Account) -> Ticket:
        """The account's ticket, with ten minutes or more to go where that can be had; ProblemError."""
        found = await self._found(account)
        if isinstance(found, Ticket):
            return found
        raise ProblemError(self._as_told(account, found))

    async def prove(self, account: Account) -> bool:
        """Prove the password of a domain account that signs in by NTLM; ProblemError where it must not be sent.

        False where no domain controller of its realm can be asked: nothing is proven, and the lockout budget alone
        holds.
        """
        if account.is_local:
            return False
        found = await self._found(account)
        if isinstance(found, Problem) and found.next_move is NextMove.STOP_ACCOUNT:
            raise ProblemError(self._as_told(account, found))
        return isinstance(found, Ticket)

    async def close(self) -> None:
        """End the pre-authentication checks that are on their way: one without a verdict has cost its lease."""
        for pre_authentication in self._pre_authentications.values():
            pre_authentication.cancel()
        await asyncio.gather(*self._pre_authentications.values(), return_exceptions=True)

    async def _found(self, account: Account) -> Ticket | Problem:
        pre_authentication = self._pre_authentications.get(account.name)
        if pre_authentication is None or self._is_over(pre_authentication):
            before = pre_authentication.result().found if pre_authentication is not None else None
            # No await between the look and the start: nobody else can start one.
            pre_authentication = asyncio.create_task(self._prove(account, before))
            self._pre_authentications[account.name] = pre_authentication
        return (await asyncio.shield(pre_authentication)).found

    def _is_over(self, pre_authentication: asyncio.Task[_Answer]) -> bool:
        if (
            not pre_authentication.done()
            or pre_authentication.cancelled()
            or pre_authentication.exception() is not None
        ):
            return False
        due = pre_authentication.result().due
        return due is not None and due <= self._now()

    def _as_told(self, account: Account, found: Problem) -> Problem:
        """A verdict on the account is told once; whoever asks later hears that the account was stopped."""
        if found.next_move is not NextMove.STOP_ACCOUNT:
            return found
        if account.name not in self._told:
            self._told.add(account.name)
            return found
        return problem(Code.ACCOUNT_STOPPED, Stage.SIGN_IN, f"by {found.code}")

    async def _prove(self, account: Account, before: Ticket | Problem | None) -> _Answer:
        try:
            found = await self._ask(account)
        except ProblemError as error:
            why = error.problem
            again = self._now() + _HOLD_OFF[account.protocol]
            passing = why.row.passing or not _spends(account)
            if isinstance(before, Ticket) and before.ends > self._now() and passing:
                return _Answer(found=before, due=again)  # what cannot be renewed now is good until its end
            return _Answer(found=why, due=again if why.row.passing else None)
        left = found.ends - self._now()
        return _Answer(found=found, due=found.ends - min(_RENEW_BEFORE, left / _RENEW_SHARE))

    async def _ask(self, account: Account) -> Ticket:
        if account.is_own_identity:
            return await self._own(account)
        principal = principal_of(account)
        if principal is None:
            if account.protocol is Wire.NTLM:
                await self._before(account)  # then what it sees is the only proof
                raise ProblemError(problem(Code.NO_LOGON_SERVERS, detail=f"the realm of {account.user} is not known"))
            raise ProblemError(problem(Code.REALM_UNKNOWN, detail=account.user))
        scheme, _, rest = account.secret.partition(":")
        if scheme == CCACHE:
            return await self._kerberos.from_cache(principal, Path(rest))
        if scheme == KEYTAB:
            return await self._as_req(account, lambda: self._kerberos.by_keytab(principal, Path(rest)))
        return await self._as_req(account, lambda: self._kerberos.by_password(principal, self._secrets[account.name]))

    async def _own(self, account: Account) -> Ticket:
        """Of the default cache, or else by the client keytab: that is an AS-REQ of whose key it holds."""
        try:
            return await self._kerberos.own()
        except ProblemError:
            principal = await self._kerberos.own_principal()
            if principal is None:
                raise
        named = replace(account, user=principal)
        return await self._as_req(named, lambda: self._kerberos.by_own_keytab(principal))

    async def _as_req(self, account: Account, exchange: Callable[[], Awaitable[Ticket]]) -> Ticket:
        """The one exchange that a lockout counter may see, within the account's budget."""
        await self._before(account)
        async with self._guard.lease(account_key(account, "")) as lease:
            try:
                ticket = await exchange()
            except ProblemError as error:
                found = error.problem
                stops = found.code if found.next_move is NextMove.STOP_ACCOUNT else None
                lease.settle(_COUNTED.get(found.row.charges, Result.HARMLESS), stops)
                raise
            lease.settle(Result.OK)
            return ticket
