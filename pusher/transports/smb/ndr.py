"""NDR by fixed templates: what the calls of several interfaces are made of, and what is read of their answers. Pure.

Sources: C706 14.3 (strings, pointers, alignment); MS-DTYP 2.3.10 (RPC_UNICODE_STRING). What must not live here: any
interface's calls.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from pusher.transports.smb.errors import CallError, ImplausibleError

REFERENT: Final = 0x20000
HANDLE_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its opnum, and its parameters as NDR has them."""

    opnum: int
    stub: bytes


def number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def string(text: str) -> bytes:
    """Conformant and varying, with its NUL, padded to four bytes for what comes after it."""
    return padded(last_string(text))


def last_string(text: str) -> bytes:
    data = f"{text}\0".encode("utf-16-le")
    count = len(data) // 2
    return struct.pack("<III", count, 0, count) + data


def counted_string(text: str) -> bytes:
    """An RPC_UNICODE_STRING whose lengths count its NUL (MS-RRP 2.2.4)."""
    length = len(text.encode("utf-16-le")) + 2
    return struct.pack("<HHI", length, length, REFERENT) + string(text)


def array(data: bytes | None) -> bytes | None:
    """A conformant array of bytes, padded to four."""
    return None if data is None else padded(number(len(data)) + data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def pointer(target: bytes | None) -> bytes:
    """A unique pointer and what it points to; NULL for None."""
    return bytes(4) if target is None else number(REFERENT) + target


def done(stub: bytes, *also: int) -> int:
    """The return value, 0 or one of ``also``; CallError otherwise."""
    if len(stub) < 4:
        raise ImplausibleError(f"an answer of {len(stub)} bytes to a call")
    status = int.from_bytes(stub[-4:], "little")
    if status and status not in also:
        raise CallError(status)
    return status


def handle_at(stub: bytes, at: int) -> bytes:
    """A context handle, with nothing but the return value behind it."""
    done(stub)
    if len(stub) != at + HANDLE_SIZE + 4:
        raise ImplausibleError(f"a handle in {len(stub)} bytes")
    return stub[at : at + HANDLE_SIZE]
