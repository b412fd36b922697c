"""Account selection: the accounts that apply to a target, in the order the operator wrote them. Pure.

Tiers are kept here: an account is left out where its ``never`` fits, and on a domain controller where inventory and
account do not both allow it. That a machine is one is known here only of the group ``domain-controllers`` (of the
inventory, the directory, or what the domain announces); of any other the checks find out, on the session, before
anything is done.

A package may have accounts of its own (``packages``). Then nobody else signs in for it, on any target: an account was
named so that it, and no stronger one, does this work.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from pusher.models import DOMAIN_CONTROLLERS, Account, Protocol, Target

OWN_IDENTITY = Account(name="own-identity", user="", secret="", protocol=Protocol.KERBEROS)
"""The process's own identity: a ticket cache or keytab, as a site server's computer account would be."""


_MAPPED = 96
"""Bits before an IPv4 address that is written as IPv6."""


def for_package(accounts: Sequence[Account], package: str | None) -> tuple[Account, ...]:
    """The accounts that are tried for ``package`` (None: for no package in particular), in their order.

    Those that name it, where any does; else the general ones, which name none.
    """
    own = tuple(account for account in accounts if package is not None and is_for(account, package))
    return own or tuple(account for account in accounts if not account.packages)


def is_for(account: Account, package: str) -> bool:
    """True where the account names the package; as on Windows, case makes no difference."""
    return any(fnmatchcase(package.lower(), pattern.lower()) for pattern in account.packages)


def select_accounts(accounts: Sequence[Account], target: Target, fallback: Account | None) -> Iterator[Account]:
    """The accounts to try on ``target``; ``fallback``, the process's own identity, comes last."""
    return (account for account in _all(accounts, fallback) if left_out(account, target) is None)


def why_nobody(accounts: Sequence[Account], target: Target, fallback: Account | None) -> str:
    """Why each account is left out on ``target``."""
    return "; ".join(why for account in _all(accounts, fallback) if (why := left_out(account, target)) is not None)


def left_out(account: Account, target: Target) -> str | None:
    """Why ``account`` is not tried on ``target``; None where it is."""
    if not in_scope(account, target):
        return f"{account.name} is for {', '.join(account.scope)}"
    if (pattern := forbidden_by(account, target)) is not None:
        return f"{account.name} never goes to {pattern}"
    if is_domain_controller(target):
        if not target.domain_controller_allowed:
            return f"the inventory does not allow {account.name} on a domain controller"
        if not account.domain_controllers:
            return f"{account.name} is not allowed on domain controllers (domain_controllers = true)"
    return None


def in_scope(account: Account, target: Target) -> bool:
    """True where no scope is given or one of its patterns fits: ``site:NAME``, ``group:NAME``, a glob, a block."""
    return not account.scope or any(_fits(pattern, target) for pattern in account.scope)


def forbidden_by(account: Account, target: Target) -> str | None:
    """The pattern of ``never`` that fits: as in a scope, and a bare word is a group's name too."""
    for pattern in account.never:
        if _fits(pattern, target) or _in_group(pattern, target):
            return pattern
    return None


def is_domain_controller(target: Target) -> bool:
    """True where that is known before anything is asked of the machine."""
    return _in_group(DOMAIN_CONTROLLERS, target)


def _all(accounts: Sequence[Account], fallback: Account | None) -> Sequence[Account]:
    return accounts if fallback is None else (*accounts, fallback)


def _fits(pattern: str, target: Target) -> bool:
    kind, colon, rest = pattern.partition(":")
    if colon and kind == "site":
        return fnmatchcase((target.site or "").lower(), rest.lower())
    if colon and kind == "group":
        return _in_group(rest, target)
    addresses = {address for text in (target.name, target.address) if (address := _address(text or "")) is not None}
    if "/" in pattern:
        return any(address in _block(pattern) for address in addresses)
    names = [*(_canonical(name) for name in target.all_names), *map(str, addresses)]
    return any(fnmatchcase(name, _canonical(pattern)) for name in names)


def _canonical(text: str) -> str:
    """A name, a glob or an address in the one spelling in which they are compared."""
    address = _address(text)
    return text.lower().rstrip(".") if address is None else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that ``text`` is, or None, without its zone; an IPv4 address written as IPv6 is that address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _block(text: str) -> IPv4Network | IPv6Network:
    """The block, which the accounts file has proven to be one; of IPv4 where it is one written as IPv6."""
    block = ipaddress.ip_network(text)
    mapped = getattr(block.network_address, "ipv4_mapped", None)
    if mapped is None or block.prefixlen < _MAPPED:
        return block
    return ipaddress.IPv4Network((mapped, block.prefixlen - _MAPPED))


def _in_group(pattern: str, target: Target) -> bool:
    return any(fnmatchcase(group.lower(), pattern.lower()) for group in target.groups)
