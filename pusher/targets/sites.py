"""Sites by subnet: the longest prefix that holds an address names its site.

Here live pure values. What must not live here: resolving names, files.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pusher.config.wording import Wrong, shown
from pusher.models import Source, Target
from pusher.problems import BadInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Subnet:
    """A line of the inventory's ``sites``."""

    network: Network
    site: str
    source: Source | None = None


def parse_subnet(text: str) -> Network:
    """The network that ``text`` is; raises Wrong."""
    expected = "a subnet such as 10.1.0.0/16"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise Wrong(f"{shown(text)} is not a subnet", expected) from exc
    if "/" not in text or "%" in text:
        raise Wrong(f"{shown(text)} is not a subnet", expected)
    if text.partition("/")[0] != str(network.network_address) and (
        ipaddress.ip_address(text.partition("/")[0]) != network.network_address
    ):
        raise Wrong(f"{shown(text)} is not the beginning of its subnet", str(network))
    return network


def _no_lengths() -> Mapping[int, tuple[int, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SiteTable:
    """Subnets by family, prefix length and network number; a lookup is one dictionary access a length."""

    _sites: Mapping[tuple[int, int, int], str] = field(default_factory=lambda: MappingProxyType({}))
    _lengths: Mapping[int, tuple[int, ...]] = field(default_factory=_no_lengths)

    @classmethod
    def of(cls, subnets: Iterable[Subnet]) -> SiteTable:
        """A table of ``subnets``; the same subnet under two sites raises BadInput."""
        sites: dict[tuple[int, int, int], str] = {}
        lengths: dict[int, set[int]] = {}
        for subnet in subnets:
            network = subnet.network
            key = (network.version, network.prefixlen, int(network.network_address))
            if sites.setdefault(key, subnet.site) != subnet.site:
                found = f"{network} belongs to site {sites[key]} and to site {subnet.site}"
                raise BadInput(subnet.source, found, "one site for it")
            lengths.setdefault(network.version, set()).add(network.prefixlen)
        ordered = {version: tuple(sorted(found, reverse=True)) for version, found in lengths.items()}
        return cls(MappingProxyType(sites), MappingProxyType(ordered))

    def __bool__(self) -> bool:
        return bool(self._sites)

    @property
    def names(self) -> frozenset[str]:
        """The sites that have a subnet."""
        return frozenset(self._sites.values())

    def site_of(self, address: str) -> str | None:
        """The site of the smallest subnet that holds ``address``."""
        if not self._sites:
            return None
        value = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(value, ipaddress.IPv6Address) and value.ipv4_mapped is not None:
            value = value.ipv4_mapped
        number, bits = int(value), value.max_prefixlen
        for length in self._lengths.get(value.version, ()):
            shift = bits - length
            site = self._sites.get((value.version, length, number >> shift << shift))
            if site is not None:
                return site
        return None

    def placed(self, target: Target, address: str) -> Target:
        """The target with the site of its address, unless the inventory gave it one."""
        if target.site is not None:
            return target
        site = self.site_of(address)
        return target if site is None else dataclasses.replace(target, site=site)
