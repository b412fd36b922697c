"""The ladder: the accounts that apply to a target, in the order the operator wrote them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pusher.models import Account, Protocol, Target

OWN_IDENTITY = Account(name="own-identity", user="", secret="", protocol=Protocol.KERBEROS)
"""The process's own identity: a ticket cache or keytab, as a site server's computer account would be."""


def ladder(accounts: Sequence[Account], target: Target, fallback: bool) -> Iterator[Account]:
    """The accounts to try on ``target``; the process's own identity comes last, where ``fallback`` allows it."""
    for account in accounts:
        if in_scope(account, target):
            yield account
    if fallback:
        yield OWN_IDENTITY


def in_scope(account: Account, target: Target) -> bool:
    """True where no scope is given or one of its patterns fits: ``site:NAME``, ``group:NAME`` or a name's glob."""
    return not account.scope or any(_fits(pattern, target) for pattern in account.scope)


def _fits(pattern: str, target: Target) -> bool:
    kind, colon, rest = pattern.partition(":")
    if colon and kind == "site":
        return fnmatchcase((target.site or "").lower(), rest.lower())
    if colon and kind == "group":
        return any(fnmatchcase(group.lower(), rest.lower()) for group in target.groups)
    names = [target.name.lower().rstrip("."), *([target.address] if target.address else [])]
    return any(fnmatchcase(name, pattern.lower()) for name in names)
