"""DCE/RPC PDUs over a connection-oriented transport (C706 chapter 12, little endian only): parse, build, split.

Pure bytes; as much as the service manager's pipe needs. Not here: NDR and what the calls mean (scm.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

HEADER_SIZE = 16
FIRST, LAST, HAS_OBJECT = 0x01, 0x02, 0x80
_LITTLE_ENDIAN = b"\x10\0\0\0"


class Type(IntEnum):
    REQUEST = 0
    RESPONSE = 2
    FAULT = 3
    BIND = 11
    BIND_ACK = 12
    BIND_NAK = 13
    ALTER_CONTEXT = 14
    ALTER_CONTEXT_RESPONSE = 15


class PduError(Exception):
    """The bytes are no PDU this module understands."""


@dataclass(frozen=True, kw_only=True)
class Pdu:
    """One PDU: the header's fields that matter here, and all that follows the header."""

    type: int
    flags: int
    call_id: int
    body: bytes
    auth_length: int = 0

    @property
    def is_last(self) -> bool:
        return bool(self.flags & LAST)

    def pack(self) -> bytes:
        size = HEADER_SIZE + len(self.body)
        fixed = (5, 0, self.type, self.flags, _LITTLE_ENDIAN, size, self.auth_length, self.call_id)
        return struct.pack("<BBBB4sHHI", *fixed) + self.body


def announced_size(header: bytes) -> int:
    """The size of the whole PDU that starts with these (at least 16) bytes."""
    size = int.from_bytes(header[8:10], "little")
    if size < HEADER_SIZE:
        raise PduError(f"a PDU announces {size} bytes, less than its header has")
    return size


def parse(data: bytes) -> Pdu:
    version, _minor, kind, flags, drep, size, auth_length, call_id = struct.unpack_from("<BBBB4sHHI", data)
    if version != 5 or drep != _LITTLE_ENDIAN or size != len(data):
        raise PduError(f"not a little-endian version 5 PDU of {len(data)} bytes: {data[:HEADER_SIZE].hex()}")
    return Pdu(type=kind, flags=flags, call_id=call_id, body=data[HEADER_SIZE:], auth_length=auth_length)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A whole request, however many fragments it came in."""

    call_id: int
    context: int
    opnum: int
    stub: bytes
    object_id: bytes = b""


def request_fragment(pdu: Pdu) -> Call:
    """One fragment of a request."""
    if len(pdu.body) < 8 or pdu.auth_length:
        raise PduError("a request without its fixed part, or with an authentication trailer")
    _hint, context, opnum = struct.unpack_from("<IHH", pdu.body)
    start = 24 if pdu.flags & HAS_OBJECT else 8
    return Call(call_id=pdu.call_id, context=context, opnum=opnum, stub=pdu.body[start:], object_id=pdu.body[8:start])


def join(fragments: list[Call]) -> Call:
    return replace(fragments[0], stub=b"".join(fragment.stub for fragment in fragments))


def split_request(call: Call, largest: int) -> Iterator[Pdu]:
    """The call as PDUs of at most `largest` bytes."""
    room = largest - HEADER_SIZE - 8 - len(call.object_id)
    for flags, hint, piece in _pieces(call.stub, room):
        yield Pdu(
            type=Type.REQUEST,
            flags=flags | (HAS_OBJECT if call.object_id else 0),
            call_id=call.call_id,
            body=struct.pack("<IHH", hint, call.context, call.opnum) + call.object_id + piece,
        )


def split_response(call: Call, stub: bytes, largest: int) -> Iterator[Pdu]:
    """The answer to a call as PDUs of at most `largest` bytes."""
    for flags, hint, piece in _pieces(stub, largest - HEADER_SIZE - 8):
        body = struct.pack("<IHBB", hint, call.context, 0, 0) + piece
        yield Pdu(type=Type.RESPONSE, flags=flags, call_id=call.call_id, body=body)


def _pieces(stub: bytes, room: int) -> Iterator[tuple[int, int, bytes]]:
    """(first/last flags, bytes still to come, piece); one empty piece for an empty stub."""
    for start in range(0, len(stub) or 1, room):
        flags = (FIRST if start == 0 else 0) | (LAST if start + room >= len(stub) else 0)
        yield flags, len(stub) - start, stub[start : start + room]


def response_stub(pdu: Pdu) -> bytes:
    if pdu.auth_length:
        raise PduError("an answer with an authentication trailer")
    return pdu.body[8:]


def fault(call: Call, status: int) -> Pdu:
    body = struct.pack("<IHBBII", 0, call.context, 0, 0, status, 0)
    return Pdu(type=Type.FAULT, flags=FIRST | LAST, call_id=call.call_id, body=body)


def fragment_sizes(bind: Pdu) -> tuple[int, int]:
    """max_xmit_frag and max_recv_frag of a bind, an alter_context or their answers."""
    transmit, receive = struct.unpack_from("<HH", bind.body)
    return transmit, receive


def with_fragment_sizes(bind: Pdu, transmit: int, receive: int) -> Pdu:
    return replace(bind, body=struct.pack("<HH", transmit, receive) + bind.body[4:])


def bind_nak(bind: Pdu, reason: int) -> Pdu:
    """Refuse a bind; the one protocol version offered is 5.0."""
    body = struct.pack("<HBBB", reason, 1, 5, 0)
    return Pdu(type=Type.BIND_NAK, flags=FIRST | LAST, call_id=bind.call_id, body=body)
