"""Who answers, before any secret leaves: an NTLM NEGOTIATE_MESSAGE without a name, and the challenge to it.

Sources: MS-NLMP 2.2.1.1 (NEGOTIATE_MESSAGE), 2.2.1.2 (CHALLENGE_MESSAGE), 2.2.2.1 (AV_PAIR). The parser takes
bytes of a stranger: every length is checked, nothing is believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SIGNATURE = b"NTLMSSP\0"
# UNICODE, REQUEST_TARGET, SIGN, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY, TARGET_INFO, VERSION, 128, KEY_EXCH, 56
_FLAGS = 0xE2888235 & ~0x00000020
_VERSION_FLAG = 0x02000000

NEGOTIATE_MESSAGE = _SIGNATURE + struct.pack("<II", 1, _FLAGS) + bytes(16) + bytes([10, 0, 0x63, 0x45, 0, 0, 0, 15])
"""Carries no user, no domain and no workstation name."""

_NETBIOS_NAME, _NETBIOS_DOMAIN, _DNS_NAME, _DNS_DOMAIN = 1, 2, 3, 4
_MAX_NAME = 512


@dataclass(frozen=True, slots=True)
class Challenge:
    """The names and the build that a CHALLENGE_MESSAGE carries; empty where it does not carry them."""

    netbios_name: str
    netbios_domain: str
    dns_name: str
    dns_domain: str
    build: str


def parse_challenge(token: bytes) -> Challenge:
    """Read a CHALLENGE_MESSAGE, alone or inside a SPNEGO token. ValueError where it is none."""
    start = token.find(_SIGNATURE)
    message = token[start:]
    if start < 0 or len(message) < 48 or struct.unpack_from("<I", message, 8)[0] != 2:
        raise ValueError("no NTLM challenge in the answer")
    flags = struct.unpack_from("<I", message, 20)[0]
    info_length, _, info_offset = struct.unpack_from("<HHI", message, 40)
    info = message[info_offset : info_offset + info_length]
    if len(info) != info_length:
        raise ValueError("the NTLM challenge is cut short")
    names = dict(_av_pairs(info))
    build = ""
    if flags & _VERSION_FLAG and len(message) >= 56:
        build = ".".join(str(part) for part in struct.unpack_from("<BBH", message, 48))
    return Challenge(
        netbios_name=names.get(_NETBIOS_NAME, ""),
        netbios_domain=names.get(_NETBIOS_DOMAIN, ""),
        dns_name=names.get(_DNS_NAME, ""),
        dns_domain=names.get(_DNS_DOMAIN, ""),
        build=build,
    )


def _av_pairs(info: bytes) -> list[tuple[int, str]]:
    pairs = []
    at = 0
    while at + 4 <= len(info):
        kind, length = struct.unpack_from("<HH", info, at)
        value = info[at + 4 : at + 4 + length]
        if kind == 0:
            break
        if len(value) != length:
            raise ValueError("an AV_PAIR is cut short")
        if _NETBIOS_NAME <= kind <= _DNS_DOMAIN:
            if length > _MAX_NAME:
                raise ValueError("a name in the challenge is implausibly long")
            name = value.decode("utf-16-le", "replace")
            pairs.append((kind, "".join(c for c in name if c.isprintable())))
        at += 4 + length
    return pairs


def challenge_flags(token: bytes) -> int:
    """The NegotiateFlags (MS-NLMP 2.2.2.5) of a CHALLENGE_MESSAGE. ValueError where it is none."""
    start = token.find(_SIGNATURE)
    if start < 0 or len(token) < start + 24 or struct.unpack_from("<I", token, start + 8)[0] != 2:
        raise ValueError("no NTLM challenge in the answer")
    return int(struct.unpack_from("<I", token, start + 20)[0])
