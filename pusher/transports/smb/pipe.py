"""DCE/RPC over an SMB named pipe: calls out, answers back; impacket's NDR structures where no template is worth it.

Each call and its answer travel in one FSCTL_PIPE_TRANSCEIVE (MS-SMB2 2.2.31), one round trip; the pipe is opened and
the interface bound in one. What a server may send in answer to one call is bounded.
Sources: C706 12.6 (PDUs), MS-RPCE 2.2.2. What must not live here: what a call means.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
import uuid
from typing import Any, Final

from impacket.dcerpc.v5.rpcrt import DCERPCException, rpc_status_codes

from pusher.transports.smb.errors import ImplausibleError, RpcFaultError, WireError
from pusher.transports.smb.messages import (
    Access,
    Options,
    Share,
    close,
    create,
    created,
    data_read,
    read,
    transceive,
    transceived,
    write,
)
from pusher.transports.smb.wire import Wire

_FRAGMENT: Final = 65536
_LARGEST_PDU: Final = 4280
"""Bytes of a PDU, as Windows' own clients offer (max_xmit_frag)."""
_MAX_ANSWER: Final = 128 * 1024
"""Bytes of the answer to one call: some thousand SIDs; a service's configuration has 8 KiB at most."""
_PARSED_HERE: Final = 2048
"""Bytes that impacket unmarshals in a few milliseconds; longer answers are unmarshalled in a thread."""
_COMMON = struct.Struct("<BBBBIHHI")
"""C706 12.6.3.1: version, minor version, type, flags, data representation, length, length of authentication, call."""
_CALL = struct.Struct("<IHH")
_LITTLE_ENDIAN: Final = 0x10
_REQUEST, _RESPONSE, _FAULT, _BIND, _BIND_ACK = 0, 2, 3, 11, 12
_FIRST, _LAST = 1, 2
_NDR = uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le + struct.pack("<I", 2)
_OPEN_PIPE_ACCESS = Access.GENERIC_READ | Access.GENERIC_WRITE


class Rpc:
    """One bound interface. ``call`` takes and gives stubs, ``request`` impacket's structures; one call at a time."""

    def __init__(self, wire: Wire, tree: int, file: bytes) -> None:
        self._wire, self._tree, self._file = wire, tree, file
        self._most, self._call, self._turn = _LARGEST_PDU, 1, asyncio.Lock()

    @classmethod
    async def bind(cls, wire: Wire, tree: int, pipe: str, interface: bytes) -> Rpc:
        """``interface``: UUID and version in 20 bytes, as impacket's ``MSRPC_UUID_…`` have them."""
        opening = create(pipe, _OPEN_PIPE_ACCESS, options=Options.NON_DIRECTORY_FILE, share=Share.READ | Share.WRITE)
        opened, bound = await wire.ask(tree, opening, transceive(_bind(interface), _FRAGMENT))
        rpc = cls(wire, tree, created(opened).file)
        try:
            rpc._most = _accepted((await rpc._pdu(transceived(bound)))[0])
        except Exception:
            with contextlib.suppress(WireError, OSError):
                await rpc.disconnect()
            raise
        return rpc

    async def call(self, opnum: int, stub: bytes) -> bytes:
        """The answer's stub. RpcFaultError where the server answers with a fault."""
        async with self._turn:
            self._call += 1
            *first, last = _fragments(self._call, opnum, stub, self._most)
            for fragment in first:
                (written,) = await self._wire.ask(self._tree, write(fragment, file=self._file))
                written.must()
            (answer,) = await self._wire.ask(self._tree, transceive(last, _FRAGMENT, self._file))
            received, stubs, ended, total = transceived(answer), list[bytes](), False, 0
            while not ended:
                pdu, received = await self._pdu(received)
                total += len(pdu)
                if total > _MAX_ANSWER:
                    raise ImplausibleError(f"the pipe answered {total} bytes to one call")
                stubs.append(_stub(pdu, self._call))
                ended = bool(pdu[3] & _LAST)
            return stubs[0] if len(stubs) == 1 else b"".join(stubs)

    async def request(self, request: Any) -> Any:
        """As impacket's DCERPC has it: the unmarshalled answer, DCERPCException where its status is an error.

        impacket's helpers (``hBaseRegOpenKey`` …) return what this returns: they are awaited.
        """
        answer = await self.call(request.opnum, request.getData())
        module = sys.modules[request.__module__]
        if len(answer) < 4:
            raise ImplausibleError(f"an answer of {len(answer)} bytes to a call")
        status = int.from_bytes(answer[-4:], "little")
        if status in rpc_status_codes:
            raise DCERPCException(error_code=status)
        if status:
            raise module.DCERPCSessionError(error_code=status)
        unmarshalled = getattr(module, f"{type(request).__name__}Response")
        return unmarshalled(answer) if len(answer) <= _PARSED_HERE else await asyncio.to_thread(unmarshalled, answer)

    async def disconnect(self) -> None:
        """Close the pipe."""
        (closed,) = await self._wire.ask(self._tree, close(self._file))
        closed.must()

    async def _read(self) -> bytes:
        """What the pipe has more to say."""
        (answer,) = await self._wire.ask(self._tree, read(_FRAGMENT, file=self._file))
        return bytes(data_read(answer))

    async def _pdu(self, received: bytes) -> tuple[bytes, bytes]:
        """The first whole PDU, and what came after it."""
        while len(received) < _COMMON.size or len(received) < _length(received):
            more = await self._read()
            if not more or len(received) > _MAX_ANSWER:
                raise ImplausibleError(f"the pipe ended a PDU after {len(received)} bytes")
            received += more
        length = _length(received)
        if received[2] == _FAULT and length >= 28:
            raise RpcFaultError(struct.unpack_from("<I", received, 24)[0])
        return received[:length], received[length:]


def _length(pdu: bytes) -> int:
    length = int.from_bytes(pdu[8:10], "little")
    if length < _COMMON.size + _CALL.size or pdu[0] != 5 or pdu[4] != _LITTLE_ENDIAN:
        raise ImplausibleError(f"a PDU of version {pdu[0]} with a length of {length}")
    return length


def _bind(interface: bytes) -> bytes:
    """One presentation context, NDR 2.0 (C706 12.6.4.3)."""
    context = struct.pack("<HHIBBHHBB", _LARGEST_PDU, _LARGEST_PDU, 0, 1, 0, 0, 0, 1, 0) + interface + _NDR
    length = _COMMON.size + len(context)
    return _COMMON.pack(5, 0, _BIND, _FIRST | _LAST, _LITTLE_ENDIAN, length, 0, 1) + context


def _accepted(pdu: bytes) -> int:
    """The largest PDU that the server takes, of its bind_ack (C706 12.6.4.4)."""
    if pdu[2] != _BIND_ACK or len(pdu) < 28:
        raise ImplausibleError(f"a PDU of type {pdu[2]} in answer to a bind")
    most: int = struct.unpack_from("<H", pdu, 18)[0]  # what the server receives at most
    at = 26 + struct.unpack_from("<H", pdu, 24)[0]
    at += -at % 4
    if len(pdu) < at + 8 or pdu[at] != 1 or struct.unpack_from("<H", pdu, at + 4)[0] != 0:
        raise DCERPCException("the interface was not accepted")
    return min(max(most, 1024), _LARGEST_PDU)


def _fragments(call: int, opnum: int, stub: bytes, most: int) -> list[bytes]:
    """The request's PDUs (C706 12.6.4.9), none longer than ``most``."""
    room = (most - _COMMON.size - _CALL.size) // 8 * 8
    starts = range(0, len(stub), room) if stub else range(1)
    made = []
    for at in starts:
        part = stub[at : at + room]
        flags = (_FIRST if at == 0 else 0) | (_LAST if at + room >= len(stub) else 0)
        length = _COMMON.size + _CALL.size + len(part)
        head = _COMMON.pack(5, 0, _REQUEST, flags, _LITTLE_ENDIAN, length, 0, call)
        made.append(head + _CALL.pack(len(stub) - at, 0, opnum) + part)
    return made


def _stub(pdu: bytes, call: int) -> bytes:
    if pdu[2] != _RESPONSE or int.from_bytes(pdu[12:16], "little") != call:
        raise ImplausibleError(f"a PDU of type {pdu[2]} that answers no call of ours")
    return pdu[_COMMON.size + _CALL.size :]
