"""Which servers a domain's directory has, by its SRV records (RFC 2782, MS-ADTS 6.3.2).

What must not live here: LDAP. Names are asked of the inventory's name servers, or of this system's.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype

from pusher.directory.faults import refused

Locate = Callable[[str], Awaitable[Sequence[str]]]
"""Servers of a domain, the preferred one first; ProblemError where there is none."""

_MAX_SERVERS = 5
_LIFETIME = 10.0


class SrvLocator:
    """``nameservers`` as the inventory writes them (``ip``, ``ip:port``, ``[ip]:port``); none: the system's own."""

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._nameservers = tuple(nameservers)

    async def __call__(self, domain: str) -> Sequence[str]:
        name = f"_ldap._tcp.dc._msdcs.{domain}."
        try:
            resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                resolver.nameservers = [_server(text) for text in self._nameservers]
            resolver.lifetime = _LIFETIME
            answer = await resolver.resolve(name, dns.rdatatype.SRV, search=False)
        except (dns.exception.DNSException, OSError) as error:
            raise refused("directory-unreachable", f"no SRV record {name[:-1]}") from error
        found = [(record.priority, _weighted(record.weight), record) for record in answer]
        found.sort(key=lambda row: row[:2])
        names = [f"{record.target.to_text(omit_final_dot=True)}:{record.port}" for _, _, record in found]
        return names[:_MAX_SERVERS]


def _weighted(weight: int) -> float:
    """Smaller for a larger weight, at random: RFC 2782's choice among servers of one priority."""
    return -float(random.random() ** (1 / (weight or 0.1)))  # noqa: S311 - spreads load, keeps no secret


def _server(text: str) -> dns.nameserver.Nameserver:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host.strip("[]") and not text.startswith("[")):
        return dns.nameserver.Do53Nameserver(text, 53)
    return dns.nameserver.Do53Nameserver(host.strip("[]"), int(port))
