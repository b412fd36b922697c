"""Addresses of targets and of our own, without the ways there are to spell one differently."""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")


def local_address(target: Address) -> Address:
    """The address of ours from which traffic to ``target`` leaves; connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if target.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(target), 9))
        return plain(probe.getsockname()[0])


def usable(local: Address) -> Address:
    if local.version == 6 and local.is_link_local:
        raise OSError(f"{local} means nothing to another machine: a link-local address has a zone of our own")
    return local


def plain(text: str) -> Address:
    """An address without the ways there are to spell it differently (RFC 4291 2.5.5.2: IPv4-mapped)."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_same(peer: Address, target: Address) -> bool:
    """Whether ``peer`` is the machine at ``target``."""
    return whose(peer) == whose(target)


def whose(address: Address) -> Address:
    """One address for each machine. A loopback address is this machine's, whichever it is."""
    return _LOOPBACK if address.is_loopback else address
