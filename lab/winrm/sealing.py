"""WinRM message encryption, the multipart of MS-WSMV 2.2.9.1: bytes to SOAP and back.

Here: the format. The cryptography is the sign-in's context.
"""

from __future__ import annotations

import re
import struct
from typing import Any

_HEAD = re.compile(
    rb"--Encrypted Boundary\r\n"
    rb"\s*Content-Type: ?(?P<protocol>application/HTTP-[A-Za-z]+-session-encrypted)\r\n"
    rb"\s*OriginalContent: ?type=application/soap\+xml;charset=UTF-8;Length=(?P<length>\d+)\r\n"
    rb"--Encrypted Boundary\r\n"
    rb"\s*Content-Type: ?application/octet-stream\r\n"
)
_END = b"--Encrypted Boundary--\r\n"
PROTOCOLS = {
    "ntlm": "application/HTTP-SPNEGO-session-encrypted",
    "kerberos": "application/HTTP-Kerberos-session-encrypted",
}


class SealError(Exception):
    """The message is not what it must be, or not from the one who signed in."""


def is_sealed(content_type: str) -> bool:
    return content_type.startswith("multipart/encrypted")


def unseal(context: Any, body: bytes) -> bytes:
    """The SOAP of an encrypted body."""
    head = _HEAD.match(body)
    if head is None or not body.endswith(_END):
        raise SealError("no multipart as MS-WSMV has it")
    payload = body[head.end() : -len(_END)]
    if len(payload) < 4:
        raise SealError("no signature")
    (size,) = struct.unpack("<I", payload[:4])
    try:
        plain = bytes(context.unwrap_winrm(payload[4 : 4 + size], payload[4 + size :]))
    except Exception as exc:  # whatever the library makes of bytes that somebody has changed
        raise SealError(str(exc)) from exc
    if len(plain) != int(head["length"]):
        raise SealError("not of the announced length")
    return plain


def seal(context: Any, soap: bytes, protocol: str) -> tuple[str, bytes]:
    """Content type and body."""
    sealed = context.wrap_winrm(soap)
    kind = PROTOCOLS[protocol]
    head = (
        "--Encrypted Boundary\r\n"
        f"\tContent-Type: {kind}\r\n"
        f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(soap) + sealed.padding_length}\r\n"
        "--Encrypted Boundary\r\n"
        "\tContent-Type: application/octet-stream\r\n"
    )
    body = head.encode() + struct.pack("<I", len(sealed.header)) + sealed.header + sealed.data + _END
    return f'multipart/encrypted;protocol="{kind}";boundary="Encrypted Boundary"', body
