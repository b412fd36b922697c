"""The lockout budget: how often an account may still be tried. Pure.

Invariant, whatever the interleaving: ``failures + in_flight <= threshold - reserve``. A sign-in whose verdict
never came counts as failed. What is counted is what a domain counts (badPwdCount): an answer that proves the
password right (disabled, expired, denied at this machine) costs nothing. Where the numbers come from is
``account_state``'s matter. Implements "Accounts" ([lockout]) of the surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from pusher.credentials.accounts.users import is_user
from pusher.models import Account, Protocol
from pusher.problems import CATALOGUE, Charges, Code

ASSUMED_WINDOW = timedelta(minutes=30)
"""The observation window where no directory has told one: Windows' own default."""
_LONGEST = timedelta(days=365)
"""A calendar has an end, and a directory may claim any window."""
LATE = timedelta(minutes=2)
"""How much later than we know of it a domain may have counted a failure, or still count one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockoutPolicy:
    """``threshold``: failures that lock the account; ``reserve``: how many of them are left to its people.

    ``window``: how long after the last failure the domain counts from 0 again. ``assumed``: no directory told them.
    """

    threshold: int
    reserve: int
    window: timedelta = ASSUMED_WINDOW
    assumed: bool = True

    @property
    def limit(self) -> int:
        """Failures that pusher may cause; 0 where the reserve leaves none."""
        return max(self.threshold - self.reserve, 0)

    @property
    def horizon(self) -> timedelta:
        """How long failures count after the last of them.

        Longer than the window: its people's own failures start the domain's window anew, each of them once, and more
        than the reserve bears they cannot have without locking the account themselves.
        """
        return min(self.window, _LONGEST) * max(self.reserve, 1) + LATE


class Verdict(Enum):
    """The answer to "may this account be tried now?"."""

    GRANTED = "granted"
    WAIT = "wait"
    SPENT = "spent"
    STOPPED = "stopped"


class Result(Enum):
    """How a sign-in ended, as the budget sees it."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HARMLESS = "harmless"


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """One account's count: failures it has had, sign-ins on their way, and the code that stopped it, if any."""

    failures: int = 0
    in_flight: int = 0
    stopped_by: str | None = None

    def ask(self, policy: LockoutPolicy) -> Verdict:
        """WAIT only where the end of a sign-in that is on its way can help."""
        if self.stopped_by is not None:
            return Verdict.STOPPED
        if self.failures >= policy.limit:
            return Verdict.SPENT
        return Verdict.GRANTED if self.room(policy) else Verdict.WAIT

    def room(self, policy: LockoutPolicy) -> int:
        """How many more may be on their way now."""
        return max(policy.limit - self.failures - self.in_flight, 0)


def result_of(code: Code | None, secret_sent: bool, verdict_came: bool) -> Result:
    """What a sign-in costs: ``code`` is its failure's, ``verdict_came`` tells an answer from a silence."""
    if code is None:
        return Result.OK
    if not secret_sent or (verdict_came and CATALOGUE[code].charges is Charges.NOWHERE):
        return Result.HARMLESS
    return Result.FAILED if verdict_came else Result.UNKNOWN


def counts(result: Result) -> bool:
    return result in (Result.FAILED, Result.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountKey:
    """What a lockout counter belongs to.

    ``entry`` is its place in the ledger: accounts that may be one and the same have one place, so that one transaction
    sees them all. ``domain`` tells them apart there; ``is_certain``: it is the domain's own, and no other's.
    """

    entry: str
    domain: str = ""
    is_certain: bool = True

    @property
    def is_local(self) -> bool:
        """A machine's own: its entry names the machine, before a backslash, which no user's name has."""
        return "\\" in self.entry


def account_key(account: Account, host: str) -> AccountKey:
    """A local account has a counter on each ``host``, a domain account only one.

    ``CORP\\svc`` and ``svc@corp.example`` are one account, so only the domain's first label tells domains apart:
    two accounts that share a count are tried too seldom, one that had two counts could be locked. The realm, where
    it is given, is the domain, however the user is written. Whose a NetBIOS name is, and a UPN's suffix that no KDC
    has answered for, is known only from the directory (see ``LockoutGuard.is_also``): until then it may be any's.
    """
    if account.is_local:
        return AccountKey(entry=f"{host.lower()}\\{account.user[2:].lower()}")
    domain, backslash, user = account.user.lower().rpartition("\\")
    if not backslash:
        user, at, domain = user.rpartition("@")
        if not at:
            return AccountKey(entry=domain)
    named = (account.realm or domain).lower()
    certain = account.realm is not None or ("." in named if backslash else account.protocol is Protocol.KERBEROS)
    return AccountKey(entry=user, domain=named.partition(".")[0], is_certain=certain)


def written(key: AccountKey) -> tuple[str, str | None]:
    """A user that ``account_key`` gives the same place in the ledger; of a machine's own account, that machine too.

    It is for the operator to name what is counted under ``key``, whoever uses the account, and in whatever file.
    """
    host, backslash, user = key.entry.rpartition("\\")
    if backslash:
        return f".\\{user}", host
    by_domain, upn = f"{key.domain}\\{user}", f"{user}@{key.domain}"
    return by_domain if is_user(by_domain) else upn, None
