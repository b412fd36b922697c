"""Which servers a domain's directory has, by its SRV records (RFC 2782, MS-ADTS 6.3.2).

Who signs in to the directory wants one of them (``SrvLocator``), who pushes wants to know all (``Announced``). What
must not live here: LDAP. Names are asked of the inventory's name servers, or of this system's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype

from pusher.directory.faults import refused
from pusher.problems import Code

Locate = Callable[[str], Awaitable[Sequence[str]]]
"""Servers of a domain, the preferred one first; ProblemError where there is none."""

_MAX_SERVERS = 5
_LIFETIME = 10.0
_PATIENCE = 3.0
"""Of those who can go on without an answer."""
_MAX_ANNOUNCED = 5_000
_MAX_DOMAINS = 1_000


class SrvLocator:
    """``nameservers`` as the inventory writes them (``ip``, ``ip:port``, ``[ip]:port``); none: the system's own."""

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._nameservers = tuple(nameservers)

    async def __call__(self, domain: str) -> Sequence[str]:
        try:
            answer = await _records(domain, self._nameservers, _LIFETIME)
        except (dns.exception.DNSException, OSError) as error:
            raise refused(Code.DIRECTORY_UNREACHABLE, f"no SRV record {_name(domain)}") from error
        found = [(record.priority, _weighted(record.weight), record) for record in answer]
        found.sort(key=lambda row: row[:2])
        names = [f"{record.target.to_text(omit_final_dot=True)}:{record.port}" for _, _, record in found]
        return names[:_MAX_SERVERS]


class Announced:
    """Which machines their own domain announces as domain controllers: each domain is asked once.

    No record is no proof of the contrary: a read-only domain controller has none of these, and a name server may be
    silent. So it keeps accounts away from those that are known, and what a machine says of itself counts besides.
    """

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._nameservers = tuple(nameservers)
        self._asked: dict[str, asyncio.Task[frozenset[str]]] = {}

    async def has(self, name: str) -> bool:
        """Whether the machine of that DNS name is one; False for an address and for a name without a domain."""
        plain = name.lower().rstrip(".")
        domain = plain.partition(".")[2]
        if not domain or domain.rpartition(".")[2].isdigit() or ":" in domain:
            return False
        asking = self._asked.get(domain)
        if asking is None:
            if len(self._asked) >= _MAX_DOMAINS:
                return False
            asking = self._asked[domain] = asyncio.create_task(self._ask(domain))
        return plain in await asyncio.shield(asking)

    async def _ask(self, domain: str) -> frozenset[str]:
        try:
            answer = await _records(domain, self._nameservers, _PATIENCE)
        except (dns.exception.DNSException, OSError):
            return frozenset()
        names = (record.target.to_text(omit_final_dot=True).lower() for record in answer)
        return frozenset(name for name, _ in zip(names, range(_MAX_ANNOUNCED), strict=False))


def _name(domain: str) -> str:
    return f"_ldap._tcp.dc._msdcs.{domain}"


async def _records(domain: str, nameservers: Sequence[str], lifetime: float) -> Any:
    """The SRV records, as dnspython has them; its exceptions."""
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [_server(text) for text in nameservers]
    resolver.lifetime = lifetime
    return await resolver.resolve(f"{_name(domain)}.", dns.rdatatype.SRV, search=False)


def _weighted(weight: int) -> float:
    """Smaller for a larger weight, at random: RFC 2782's choice among servers of one priority."""
    return -float(random.random() ** (1 / (weight or 0.1)))  # noqa: S311 - spreads load, keeps no secret


def _server(text: str) -> dns.nameserver.Nameserver:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host.strip("[]") and not text.startswith("[")):
        return dns.nameserver.Do53Nameserver(text, 53)
    return dns.nameserver.Do53Nameserver(host.strip("[]"), int(port))
