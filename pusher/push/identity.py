"""Is it the machine that was meant? The inventory's name against the names in the challenge. Pure.

The challenge is not authenticated: a match catches a stale record, not an attacker. NetBIOS names are cut to
fifteen characters (MS-NBTE), and a workgroup machine may have no DNS suffix of its own; a name is only held
against the other side where both have the part to compare. Where the inventory's name is a label, ``machine`` says what
the machine calls itself, and takes its place in every way: here, in its certificate, and in the Kerberos ticket that is
asked for. What the challenge says is never asked for, or whoever answers would choose the ticket.
"""

from __future__ import annotations

import ipaddress

from pusher.models import Target
from pusher.transports.port import PeerIdentity

_NETBIOS_LENGTH = 15


def mismatch(target: Target, address: str, who: PeerIdentity) -> str | None:
    """Why ``who`` is not the machine that ``target`` means; None where it is, or where there is nothing to compare."""
    if bears(target.own_name, who):
        return None
    said = who.dns_name or who.netbios_name
    if target.machine:
        return f"{target.name} was meant, which calls itself {target.machine}, and {said} answers at {address}"
    if target.address is None:
        return f"{target.name} was meant, and {said} answers at {address}, to which the name resolves"
    return f"{target.name} was meant, and {said} answers at {address}, the address that the inventory gives it"


def bears(name: str, who: PeerIdentity) -> bool:
    """Whether ``who`` is called ``name``; also where there is nothing to compare."""
    if is_address(name) or not who.machine:
        return True
    meant = name.lower().rstrip(".")
    label, dot, domain = meant.partition(".")
    said = who.dns_name.lower().rstrip(".")
    said_label, said_dot, said_domain = said.partition(".")
    if dot and said_dot:
        return (label, domain) == (said_label, said_domain)
    if said:
        return label == said_label
    return label[:_NETBIOS_LENGTH] == who.netbios_name.lower()


def machine_key(target: Target, address: str, who: PeerIdentity) -> str:
    """The same for two targets that are one machine.

    Machines of a workgroup may share a name. A file server tells them apart by its GUID (MS-SMB2 2.2.4), whatever the
    address that it was reached at; where none is said, as over WinRM, the place has to be the same too.
    """
    if who.machine and who.server_guid:
        return f"{who.machine} {who.server_guid}"
    return f"{who.machine} {address}:{target.port}:{target.winrm.port}"


def is_address(name: str) -> bool:
    """True for a literal IP address: the operator named no machine, so there is no name to hold against it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
