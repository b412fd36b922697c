"""What a server says it is, by fixed templates: MS-SRVS and MS-DSSP. Pure.

Byte for byte what impacket's NDR marshals. Sources: MS-SRVS 3.1.4.17 (NetrServerGetInfo), 2.2.4.41 (SERVER_INFO_101);
MS-DSSP 3.2.5.1 (DsRolerGetPrimaryDomainInformation), 2.2.1. What must not live here: NDR itself (``ndr``), the pipe.
"""

from __future__ import annotations

from typing import Final

from pusher.transports.smb.errors import ImplausibleError
from pusher.transports.smb.ndr import Call, done, number, pointer

SRVS: Final = bytes.fromhex("c84f324b7016d30112785a47bf6ee18803000000")
"""4B324FC8-1670-01D3-1278-5A47BF6EE188, version 3.0 (MS-SRVS 1.9)."""
DSSP: Final = bytes.fromhex("6a2819390cb1d0119ba800c04fd92ef500000000")
"""3919286A-B10C-11D0-9BA8-00C04FD92EF5, version 0.0 (MS-DSSP 1.9)."""

_INFO_101: Final = 101
_BASIC: Final = 1


def server_info() -> Call:
    """NetrServerGetInfo with level 101."""
    return Call(21, pointer(None) + number(_INFO_101))


def server_type(stub: bytes) -> int:
    """sv101_type, the sum of SV_TYPE_ (MS-SRVS 2.2.2.7)."""
    return _member(stub, level=stub[:4] == number(_INFO_101), pointed_to=stub[4:8], at=24, size=4)


def primary_domain() -> Call:
    """DsRolerGetPrimaryDomainInformation with DsRolePrimaryDomainInfoBasic."""
    return Call(0, _BASIC.to_bytes(2, "little"))


def machine_role(stub: bytes) -> int:
    """DSROLE_MACHINE_ROLE (MS-DSSP 2.2.2)."""
    return _member(stub, level=stub[4:6] == _BASIC.to_bytes(2, "little"), pointed_to=stub[:4], at=8, size=2)


def _member(stub: bytes, *, level: bool, pointed_to: bytes, at: int, size: int) -> int:
    """A number of the structure in an answer; ``level``: whether it is the one that was asked for."""
    done(stub)
    if not level or not any(pointed_to) or len(stub) < at + size + 4:
        raise ImplausibleError(f"no such information in an answer of {len(stub)} bytes")
    return int.from_bytes(stub[at : at + size], "little")
