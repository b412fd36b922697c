"""The port through which a name becomes addresses, and what all its adapters share.

Here live ``Resolver``, ``Resolution`` and pure rules about names and answers. What must not live here: the system's
resolver and the DNS client (``system_resolver``, ``dns_resolver``), deciding whether an address may be pushed to.

Every adapter: an address needs no look-up; IPv4 comes first; answers are bounded; a failure is a ProblemError at
stage ``resolve`` with ``name-not-found``, ``name-server-failed`` or ``timed-out``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pusher.problems import Code, ProblemError, Stage, problem
from pusher.targets.ranges import is_host_name, parse_address

MAX_ADDRESSES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """The addresses of a name, the preferred one first (there is at least one), and who said so."""

    addresses: tuple[str, ...]
    source: str

    @property
    def address(self) -> str:
        """The preferred address."""
        return self.addresses[0]


class Resolver(Protocol):
    """Looks names up."""

    async def resolve(self, name: str) -> Resolution:
        """The addresses of ``name``; raises ProblemError, never later than the adapter's deadline."""
        ...


def given(name: str) -> Resolution | None:
    """The resolution of a name that is an address already."""
    address = parse_address(name)
    return None if address is None else Resolution(addresses=(str(address),), source="given")


def refuse_unless_name(name: str) -> None:
    """Keeps from the C library what it would misread: ``10.1`` is 10.0.0.1 to it, and a space ends a name."""
    if not is_host_name(name):
        raise failed(Code.NAME_NOT_FOUND, name, "it is not a host name")


def resolution(name: str, addresses: Iterable[str], source: str) -> Resolution:
    """What an adapter answers: usable addresses, each once, IPv4 first; raises where none is left."""
    found: dict[str, int] = {}
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        # A blocked name is often answered with 0.0.0.0, which would connect to this very machine.
        if not (address.is_unspecified or address.is_multicast or text == "255.255.255.255"):
            found.setdefault(text, address.version)
    if not found:
        raise failed(Code.NAME_NOT_FOUND, name, f"{source} gives it no usable address")
    ordered = sorted(found, key=lambda text: found[text])
    return Resolution(addresses=tuple(ordered[:MAX_ADDRESSES]), source=source)


def failed(code: Code, name: str, detail: str) -> ProblemError:
    """The problem of a look-up."""
    return ProblemError(problem(code, Stage.RESOLVE, f"{name}: {detail}"))
