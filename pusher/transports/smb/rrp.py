"""MS-RRP calls by fixed templates: stubs out, and what is read of the answers. Pure.

Byte for byte what impacket's NDR marshals, but for a value's buffer, which goes out empty. Sources: MS-RRP 3.1.5
(methods, with their opnums). What must not live here: NDR itself (``ndr``), the pipe, the order of calls.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from pusher.transports.smb.errors import ImplausibleError
from pusher.transports.smb.ndr import Call, counted_string, done, handle_at, number, pointer

INTERFACE: Final = bytes.fromhex("01d08c334422f131aaaa90003800100301000000")
"""338CD001-2244-31F1-AAAA-900038001003, version 1.0 (MS-RRP 1.9)."""

HIVES: Mapping[str, int] = {"HKCR": 0, "HKLM": 2, "HKU": 4}
"""The opnums that open them (3.1.5.1, 3.1.5.3, 3.1.5.5)."""

SZ, EXPAND_SZ, DWORD, QWORD = 1, 2, 4, 11
"""Types of values (MS-RRP 2.2.3)."""

_MAXIMUM_ALLOWED: Final = 0x02000000


def open_hive(name: str) -> Call:
    """OpenLocalMachine and its like; KeyError where there is no such hive."""
    return Call(HIVES[name], pointer(None) + number(_MAXIMUM_ALLOWED))


def open_key(parent: bytes, path: str, access: int) -> Call:
    """BaseRegOpenKey (3.1.5.15)."""
    return Call(15, parent + counted_string(path) + number(0) + number(access))


def close_key(key: bytes) -> Call:
    """BaseRegCloseKey (3.1.5.6)."""
    return Call(5, key)


def query_value(key: bytes, name: str, room: int) -> Call:
    """BaseRegQueryValue (3.1.5.17); ``room`` in bytes, of which none is sent."""
    buffer = pointer(struct.pack("<III", room, 0, 0))
    lengths = pointer(number(room)) + pointer(number(0))
    return Call(17, key + counted_string(name) + pointer(number(0)) + buffer + lengths)


def key_of(stub: bytes) -> bytes:
    """Of open_hive and open_key."""
    return handle_at(stub, 0)


def value_of(stub: bytes) -> tuple[int, bytes]:
    """A value's type and its data; ImplausibleError where the server left either out, or tells of more than came."""
    done(stub)
    if len(stub) < 24 or not any(stub[0:4]) or not any(stub[8:12]):
        raise ImplausibleError(f"a value in {len(stub)} bytes")
    kind, _, _, offset, count = struct.unpack_from("<IIIII", stub, 4)
    if offset or count > len(stub) - 28:
        raise ImplausibleError(f"a value of {count} bytes in an answer of {len(stub)}")
    return kind, stub[24 : 24 + count]
