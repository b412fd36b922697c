"""The trial of one account: what is known of it without cost, then one sign-in where the lockout budget spares one.

Here lives what ``pusher accounts test`` does with each kind of account. What must not live here: how that is shown
(``report``), which adapters are used (``wiring``). Nothing is repeated, no target is contacted, and no secret is among
what comes of it: of a reference to one only its scheme.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from pusher.clock import Now
from pusher.credentials.kerberos.tickets import CCACHE, Kerberos, Ticket, Tickets, principal_of
from pusher.credentials.lockout.account_state import Answer
from pusher.credentials.lockout.budget import account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.readings import Readings, Seen
from pusher.credentials.secrets.laps import is_laps
from pusher.credentials.secrets.references import scheme_of
from pusher.models import Account, Protocol, Secret
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.problems import BadInput, Code, Problem, ProblemError, Stage, problem

SecretOf = Callable[[Account], Secret | None]

_SECONDS = 120.0
"""For the lease, the directory's answer and the sign-in: the last two have deadlines of their own, shorter together."""
_PROMPT = "prompt"
_LOCAL = "a local account is another one on each machine: not testable without a host. To try it on one: {check}"
_LAPS = (
    "the directory answers, and each machine's password is read from it when that machine is signed in to: not "
    "testable without a host"
)
_NO_REALM = (
    "its Kerberos realm is not known, so no domain controller can be asked: give it realm = "
    '"CORP.EXAMPLE" in the accounts file'
)


class Found(StrEnum):
    """``NOT_TESTED``: nothing was found wrong, and only a machine's own answer could tell more."""

    WORKS = "works"
    FAILS = "fails"
    NOT_TESTED = "not-tested"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One account. ``seen``: the directory's word, None where it was not asked. ``account_state``: the ledger's, after.

    ``words``: what the proof is, or why there can be none here.
    """

    account: Account
    principal: str | None
    found: Found
    problem: Problem | None = None
    words: str = ""
    seen: Seen | None = None
    account_state: Answer | None = None

    @property
    def secret(self) -> str:
        """Where the secret comes from, by its scheme alone."""
        return "own identity" if self.account.is_own_identity else scheme_of(self.account.secret)


class Examiner:
    """Tries accounts one after the other. ``readings`` None: there is no directory to ask."""

    def __init__(
        self,
        kerberos: Kerberos,
        guard: LockoutGuard,
        secret_of: SecretOf,
        now: Now,
        readings: Readings | None = None,
        realm: str | None = None,
        seconds: float = _SECONDS,
        following: NextCommands = NONE_GIVEN,
    ) -> None:
        """``realm``: of an account which the directory knows for one of its domain."""
        self._kerberos, self._guard = kerberos, guard
        self._secret_of, self._now = secret_of, now
        self._readings, self._realm, self._seconds, self._following = readings, realm, seconds, following

    async def examine(self, account: Account) -> Trial:
        """All that can be said of it. ProblemError never; whatever is wrong is the trial's ``problem``."""
        if account.is_own_identity:
            return await self._ticket(account, None)
        if account.is_local and scheme_of(account.secret) == _PROMPT:
            return await self._local(account)  # nobody is asked for what could not be tried
        try:
            secret = self._secret_of(account)
        except BadInput as error:
            return await self._without_secret(account, error)
        if account.is_local:
            return await self._local(account)
        try:
            account = await self._with_realm(account)
            if principal_of(account) is None:
                return await self._without_realm(account)
            if scheme_of(account.secret) == CCACHE and self._readings is not None:
                await self._readings.read(account)  # no sign-in of ours comes before which it would be read
        except ProblemError as error:
            return await self._made(account, Found.FAILS, error.problem)
        return await self._ticket(account, secret)

    # Kinds of accounts

    async def _without_secret(self, account: Account, error: BadInput) -> Trial:
        """What else is known costs nothing."""
        found = problem(Code.SECRET_UNREADABLE, Stage.SIGN_IN, error.sentence)
        if self._readings is not None and not account.is_local:
            try:
                await self._readings.read(account)
            except ProblemError as unread:
                found = unread.problem
        return await self._made(account, Found.FAILS, found)

    async def _local(self, account: Account) -> Trial:
        if not is_laps(account):
            return await self._made(account, Found.NOT_TESTED, words=_LOCAL.format(check=self._following.check()))
        if self._readings is None:
            return await self._made(account, Found.FAILS, problem(Code.LAPS_UNAVAILABLE, Stage.SIGN_IN))
        try:
            await self._readings.answers()
        except ProblemError as error:
            return await self._made(account, Found.FAILS, error.problem)
        return await self._made(account, Found.NOT_TESTED, words=_LAPS)

    async def _with_realm(self, account: Account) -> Account:
        """``CORP\\svc`` has no realm by its name; the directory knows whether its domain is called CORP."""
        if principal_of(account) is not None or self._readings is None or self._realm is None:
            return account
        try:
            ours = await self._readings.is_of_the_domain(account)
        except ProblemError:
            return account  # the reading that follows says why
        return replace(account, realm=self._realm) if ours else account

    async def _without_realm(self, account: Account) -> Trial:
        await self._before(account)
        return await self._made(account, Found.NOT_TESTED, words=_NO_REALM)

    async def _ticket(self, account: Account, secret: Secret | None) -> Trial:
        secrets = {account.name: secret} if secret is not None else {}
        # Its own tickets: nothing of this account goes on while the next one is tried.
        tickets = Tickets(self._kerberos, self._guard, secrets, self._now, self._before)
        try:
            async with asyncio.timeout(self._seconds):
                ticket = await tickets.ticket(account)
        except TimeoutError:
            busy = "sign-ins of other runs are on their way with all that is left; it was not tried"
            return await self._made(account, Found.FAILS, problem(Code.LOCKOUT_BUDGET_SPENT, Stage.SIGN_IN, busy))
        except ProblemError as error:
            return await self._made(account, Found.FAILS, error.problem)
        finally:
            await tickets.close()
        return await self._made(account, Found.WORKS, words=_proof(account, ticket), principal=ticket.principal)

    async def _before(self, account: Account) -> None:
        if self._readings is not None:
            await self._readings.before(account)

    async def _made(
        self,
        account: Account,
        found: Found,
        why: Problem | None = None,
        words: str = "",
        principal: str | None = None,
    ) -> Trial:
        of_domain = not (account.is_own_identity or account.is_local)
        return Trial(
            account=account,
            principal=principal or principal_of(account),
            found=found,
            problem=why,
            words=words,
            seen=self._readings.last(account) if self._readings is not None else None,
            account_state=await self._account_state(account) if of_domain else None,
        )

    async def _account_state(self, account: Account) -> Answer | None:
        key = account_key(account, "")
        try:
            await self._guard.booked(key)  # the end of the sign-in
            return self._guard.look(key)
        except ProblemError:
            return None  # the trial has met it too, and says so


def _proof(account: Account, ticket: Ticket) -> str:
    until = f"{ticket.ends:%Y-%m-%d %H:%M} UTC"
    if account.is_own_identity:
        return f"holds a ticket until {until}"
    if scheme_of(account.secret) == CCACHE:
        return f"holds a ticket until {until}; no sign-in was needed"
    by = " (a sign-in to a machine is by NTLM)" if account.protocol is Protocol.NTLM else ""
    return f"a domain controller gave it a ticket until {until}{by}"
