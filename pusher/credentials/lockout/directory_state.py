"""What the directory says of an account's lockout: policy, counter, state. It is read, and nothing is spent.

Here lives the one reader of threshold, observation window and badPwdCount (MS-SAMR 3.1.1.7.1, MS-ADTS 4.4.2 for
fine-grained policies). What must not live here: the budget that follows from it, a sign-in.

The counter is read from the PDC emulator, to which every domain controller forwards a failed sign-in; another's copy
may be lower. What cannot be read is assumed at its worst: a threshold of 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pusher.clock import Now, utc_now
from pusher.config.wording import Wrong
from pusher.directory.filters import escape_filter_value
from pusher.directory.names import domain_of, format_dn, parse_dn
from pusher.directory.port import Directory, Entry, Scope
from pusher.directory.values import (
    DISABLED,
    LOCKED,
    PASSWORD_EXPIRED,
    filetime,
    generalized_time,
    integer,
    interval,
    text,
)
from pusher.models import Account, Stage
from pusher.problems import Code, ProblemError, problem

ASSUMED_THRESHOLD = 3
ASSUMED_WINDOW = 86_400.0
"""Of a window that cannot be read: a day, so that no failure is forgotten before the domain forgets it."""

_ANY = "(objectClass=*)"
_DOMAIN = ("lockoutThreshold", "lockOutObservationWindow", "fSMORoleOwner")
_FINE_GRAINED = ("msDS-LockoutThreshold", "msDS-LockoutObservationWindow")
_COMPUTED = "msDS-User-Account-Control-Computed"
"""What the server works out for every reading (MS-ADTS 3.1.1.4.5.17)."""
_USER = (
    "sAMAccountName", "userPrincipalName", "badPwdCount", "badPasswordTime", "lockoutTime", "userAccountControl",
    _COMPUTED, "msDS-ResultantPSO", "accountExpires", "pwdLastSet",
)  # fmt: skip
_MAX_THRESHOLD = 65_535
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class LockoutState:
    """``threshold``: failures that lock the account, 0 where none ever do; ``window``: seconds after which the domain
    forgets them; ``bad``: how many it counts now; ``policy`` and ``counted_by``: where these come from, in words.
    ``expired`` is the account, ``password_expired`` and ``must_change`` its password. ``exact``: the PDC emulator's
    count, which has every failure of the domain; else ours count beside it."""

    threshold: int
    window: float
    bad: int
    locked: bool
    disabled: bool
    policy: str
    counted_by: str
    expired: bool = False
    password_expired: bool = False
    must_change: bool = False
    exact: bool = True


async def read_state(directory: Directory, base: str, account: Account, now: Now = utc_now) -> LockoutState:
    """The state of a domain account under ``base``, its domain's own name; ProblemError where it cannot be read.

    ``no-such-account`` where the directory does not hold it.
    """
    if account.is_local or account.is_own_identity:
        raise ValueError("the account belongs to no domain")
    domain = await _part(directory, base, _DOMAIN)
    server = await _pdc_emulator(directory, domain)
    try:
        at = directory.at(server) if server else directory
        user, clock, exact = await _user(at, base, account), await _clock(at), server is not None
    except ProblemError as error:
        if server is None or error.problem.code == Code.NO_SUCH_ACCOUNT:
            raise
        user, clock, exact = await _user(directory, base, account), await _clock(directory), False
    threshold, window, policy = await _policy(directory, domain, user)
    at_server = clock or now()
    expires = filetime(user, "accountExpires")
    stale = bool((integer(user, _COMPUTED) or 0) & PASSWORD_EXPIRED)
    must_change = integer(user, "pwdLastSet") == 0
    bad = _bad(user, window, at_server)
    source = server if exact and server else "another domain controller than the PDC emulator"
    if bad is None:
        exact, source = False, "nobody: badPwdCount may not be read"
    if not exact:
        threshold = min(threshold, ASSUMED_THRESHOLD)
    return LockoutState(
        threshold=threshold,
        window=window,
        bad=bad or 0,
        locked=_is_locked(user),
        disabled=bool((integer(user, "userAccountControl") or 0) & DISABLED),
        policy=policy if exact else f"{policy}; at most {ASSUMED_THRESHOLD}, since the count may be more",
        counted_by=source,
        expired=expires is not None and expires <= at_server,
        password_expired=stale and not must_change,
        must_change=stale and must_change,
        exact=exact,
    )


# -- where it is read ---------------------------------------------------------------------------------------


async def _pdc_emulator(directory: Directory, domain: Entry | None) -> str | None:
    """Its DNS name: the role is owned by the NTDS Settings below the server's object (MS-ADTS 3.1.1.1.11)."""
    owner = text(domain, "fSMORoleOwner") if domain is not None else None
    try:
        above = parse_dn(owner or "")[1:]
    except Wrong:
        return None
    if not above or owner is None:
        return None
    server = await _part(directory, format_dn(above), ("dNSHostName",))
    name = text(server, "dNSHostName") if server is not None else None
    return name if name is not None and _HOST.fullmatch(name) else None


async def _clock(directory: Directory) -> datetime | None:
    """The server's own time, by which it counts."""
    root = await _part(directory, "", ("currentTime",))
    return generalized_time(root, "currentTime") if root is not None else None


async def _user(directory: Directory, base: str, account: Account) -> Entry:
    name, upn = _names(account, base)
    wanted = [f"({attribute}={escape_filter_value(value)})" for attribute, value in (
        ("sAMAccountName", name), ("userPrincipalName", upn)) if value]  # fmt: skip
    filter = f"(|{''.join(wanted)})"
    found = [entry async for entry in directory.search(base, filter, _USER)]
    for entry in found:
        if upn and (text(entry, "userPrincipalName") or "").casefold() == upn.casefold():
            break  # an explicit UPN goes before another account's implicit one
    else:
        if not found:
            raise ProblemError(problem(Code.NO_SUCH_ACCOUNT, Stage.SIGN_IN, account.user))
        entry = found[0]
    if integer(entry, "userAccountControl") is None:
        raise ProblemError(problem(Code.DIRECTORY_DENIED, None, f"the state of {account.user}"))
    return entry


def _names(account: Account, base: str) -> tuple[str | None, str | None]:
    """sAMAccountName and UPN to look for; ``user@domain`` is an implicit UPN in the domain of that name."""
    _, backslash, name = account.user.partition("\\")
    if backslash:
        return name, None
    name, _, suffix = account.user.rpartition("@")
    own = domain_of(base).casefold()
    return (name if own in {suffix.casefold(), (account.realm or "").casefold()} else None), account.user


async def _part(directory: Directory, dn: str, attributes: Sequence[str]) -> Entry | None:
    """One object; None where it may not be read or is not there."""
    try:
        async for entry in directory.search(dn, _ANY, attributes, Scope.BASE):
            return entry
    except ProblemError as error:
        if not error.problem.row.of_one_object and error.problem.code is not Code.DIRECTORY_FAILED:
            raise
    return None


# -- what it says -------------------------------------------------------------------------------------------


async def _policy(directory: Directory, domain: Entry | None, user: Entry) -> tuple[int, float, str]:
    """Threshold, window, and where they come from."""
    threshold = _threshold(domain, "lockoutThreshold")
    window = interval(domain, "lockOutObservationWindow") if domain is not None else None
    if (dn := text(user, "msDS-ResultantPSO")) is not None:
        fine = await _part(directory, dn, _FINE_GRAINED)
        threshold = _threshold(fine, _FINE_GRAINED[0])
        own_window = interval(fine, _FINE_GRAINED[1]) if fine is not None else None
        if threshold is None or own_window is None:
            return ASSUMED_THRESHOLD, max(window or 0.0, ASSUMED_WINDOW), f"assumed: {dn} may not be read"
        return threshold, own_window, f"fine-grained policy {dn}"
    if threshold is None or window is None:
        return ASSUMED_THRESHOLD, ASSUMED_WINDOW, "assumed: the domain's policy may not be read"
    return threshold, window, "the domain's policy"


def _threshold(entry: Entry | None, attribute: str) -> int | None:
    found = integer(entry, attribute) if entry is not None else None
    return found if found is not None and 0 <= found <= _MAX_THRESHOLD else None


def _bad(user: Entry, window: float, clock: datetime) -> int | None:
    """badPwdCount stays until the next failure, which first resets it where the window is over (MS-SAMR 3.1.1.7.1).

    None where it may not be read: every user has it, and it is of another property set than the account's state
    (MS-ADTS 3.1.1.2.3.3).
    """
    count = integer(user, "badPwdCount")
    if count is None or count < 0:
        return None
    last = filetime(user, "badPasswordTime")
    if last is not None and (clock - last).total_seconds() > window:
        return 0
    return count


def _is_locked(user: Entry) -> bool:
    computed = integer(user, _COMPUTED)
    if computed is not None:
        return bool(computed & LOCKED)
    return (integer(user, "lockoutTime") or 0) != 0  # it may have ended by itself; nobody tells
