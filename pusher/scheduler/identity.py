"""Is it the machine that was meant? The inventory's name against the names in the challenge. Pure.

The challenge is not authenticated: a match catches a stale record, not an attacker. NetBIOS names are cut to
fifteen characters (MS-NBTE), and a workgroup machine may have no DNS suffix of its own; a name is only held
against the other side where both have the part to compare.
"""

from __future__ import annotations

import ipaddress

from pusher.transports.port import PeerIdentity

_NETBIOS_LENGTH = 15


def mismatch(name: str, who: PeerIdentity) -> str | None:
    """Why ``who`` is not the machine called ``name``; None where it is, or where there is nothing to compare."""
    if is_address(name) or not who.machine:
        return None
    meant = name.lower().rstrip(".")
    label, dot, domain = meant.partition(".")
    said = who.dns_name.lower().rstrip(".")
    said_label, said_dot, said_domain = said.partition(".")
    if dot and said_dot:
        same = (label, domain) == (said_label, said_domain)
    elif said:
        same = label == said_label
    else:
        same = label[:_NETBIOS_LENGTH] == who.netbios_name.lower()
    return None if same else f"{name} was meant, {who.dns_name or who.netbios_name} answers"


def is_address(name: str) -> bool:
    """True for a literal IP address: the operator named no machine, so there is no name to hold against it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
