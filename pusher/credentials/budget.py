"""The lockout budget: how often an account may still be tried. Pure.

Invariant, whatever the interleaving: ``failures + in_flight <= threshold - reserve``. A sign-in whose verdict
never came counts as failed. What is counted is what a domain counts (badPwdCount): an answer that proves the
password right (disabled, expired, denied at this machine) costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from pusher.models import Account


@dataclass(frozen=True, kw_only=True, slots=True)
class LockoutPolicy:
    """``threshold``: failures that lock the account; ``reserve``: how many of them are left to its people."""

    threshold: int
    reserve: int

    @property
    def limit(self) -> int:
        """Failures that pusher may cause; 0 where the reserve leaves none."""
        return max(self.threshold - self.reserve, 0)


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
        if self.stopped_by is not None:
            return Verdict.STOPPED
        if self.failures >= policy.limit:
            return Verdict.SPENT
        return Verdict.GRANTED if self.failures + self.in_flight < policy.limit else Verdict.WAIT

    def granted(self) -> Budget:
        return replace(self, in_flight=self.in_flight + 1)

    def settled(self, result: Result) -> Budget:
        """One sign-in on its way has ended."""
        counts = result in (Result.FAILED, Result.UNKNOWN)
        return replace(self, in_flight=self.in_flight - 1, failures=self.failures + counts)

    def stopped(self, code: str) -> Budget:
        return replace(self, stopped_by=self.stopped_by or code)


HARMLESS_CODES = frozenset(
    {
        "account-disabled",
        "account-expired",
        "password-expired",
        "password-must-change",
        "account-locked",
        "logon-hours",
        "logon-type-denied",
        "selective-authentication",
        "ntlm-blocked",
        "no-such-account",
        "no-logon-servers",
        "trust-broken",
        "clock-skew",
        "kerberos-unavailable",
        "wrong-host",
    }
)
"""Sign-in failures that add nothing to a lockout counter: the password was right, or was never compared.

``kerberos-failed`` is none of them: a wrong password at the domain controller (KDC_ERR_PREAUTH_FAILED) ends so.
"""


def result_of(code: str | None, secret_sent: bool, verdict_came: bool) -> Result:
    """What a sign-in costs: ``code`` is its failure's, ``verdict_came`` tells an answer from a silence."""
    if code is None:
        return Result.OK
    if not secret_sent or (verdict_came and code in HARMLESS_CODES):
        return Result.HARMLESS
    return Result.FAILED if verdict_came else Result.UNKNOWN


def account_key(account: Account, host: str) -> str:
    """What a lockout counter belongs to: a local account has one on each ``host``, a domain account only one."""
    return f"{host.lower()}\\{account.user[2:].lower()}" if account.is_local else account.user.lower()
