"""DCE/RPC over a pipe: what is sent is what impacket sends, and what a server may answer."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket.dcerpc.v5 import rrp, scmr
from impacket.dcerpc.v5.rpcrt import (
    CtxItem,
    DCERPCException,
    MSRPCBind,
    MSRPCBindAck,
    MSRPCHeader,
    MSRPCRequestHeader,
)
from impacket.uuid import uuidtup_to_bin

from pusher.transports.smb.errors import ImplausibleError, RpcFaultError, WireError
from pusher.transports.smb.messages import BUFFER_OVERFLOW, Command
from pusher.transports.smb.pipe import Rpc
from tests.unit.transports.smb.peer import Reply, Seen, created_body, file_id, peer

FILE = file_id(9)
NDR = uuidtup_to_bin(("8a885d04-1ceb-11c9-9fe8-08002b104860", "2.0"))
ACCEPTED = struct.pack("<HH", 0, 0) + NDR


def pdu(kind: int, body: bytes, *, call: int, flags: int = 3) -> bytes:
    return struct.pack("<BBBBIHHI", 5, 0, kind, flags, 0x10, 16 + len(body), 0, call) + body


def bind_ack(result: bytes = ACCEPTED, most: int = 4280) -> bytes:
    name = b"\\PIPE\\svcctl\0"
    head = struct.pack("<HHIH", 4280, most, 77, len(name)) + name
    return pdu(12, head + bytes(-(16 + len(head)) % 4) + b"\1\0\0\0" + result, call=1)


def response(stub: bytes, *, call: int = 2, flags: int = 3) -> bytes:
    return pdu(2, struct.pack("<IHH", len(stub), 0, 0) + stub, call=call, flags=flags)


def ioctl_body(data: bytes) -> bytes:
    return struct.pack("<HHI16sIIIIII", 49, 0, 0x11C017, FILE, 112, 0, 112, len(data), 0, 0) + data


def read_body(data: bytes) -> bytes:
    return struct.pack("<HBBIII", 17, 80, 0, len(data), 0, 0) + data


class Server:
    """A pipe whose answers are given piece by piece: the first to the call, the others to reads."""

    def __init__(self, *pieces: bytes, bound: bytes = b"", opens: int = 0) -> None:
        self.pieces, self.bound, self.opens, self.sent = list(pieces), bound or bind_ack(), opens, list[bytes]()

    def answer(self, request: Seen) -> list[Reply]:
        if request.command == Command.CREATE:
            return [Reply(body=created_body(FILE), status=self.opens)]
        if request.command == Command.IOCTL:
            self.sent.append(request.body[56:])
            if len(self.sent) == 1:
                return [Reply(body=ioctl_body(self.bound), status=self.opens)]
            return [Reply(body=ioctl_body(self.pieces.pop(0)), status=BUFFER_OVERFLOW if self.pieces else 0)]
        if request.command == Command.WRITE:
            count = struct.unpack_from("<I", request.body, 4)[0]
            self.sent.append(request.body[48 : 48 + count])
            return [Reply(body=struct.pack("<HHIIHH", 17, 0, count, 0, 0, 0))]
        if request.command == Command.READ:
            piece = self.pieces.pop(0) if self.pieces else b""
            return [Reply(body=read_body(piece), status=BUFFER_OVERFLOW if self.pieces else 0)]
        return [Reply(body=struct.pack("<HHIQQQQQQI", 60, 0, 0, 0, 0, 0, 0, 0, 0, 0))]


@asynccontextmanager
async def bound(server: Server) -> AsyncIterator[Rpc]:
    async with peer(encrypts=True) as made:
        made.serve(server.answer)
        yield await Rpc.bind(made.wire, 5, "svcctl", scmr.MSRPC_UUID_SCMR)


async def test_the_bind_is_impackets() -> None:
    item = CtxItem()
    item["ContextID"], item["TransItems"] = 0, 1
    item["AbstractSyntax"], item["TransferSyntax"] = scmr.MSRPC_UUID_SCMR, NDR
    bind = MSRPCBind()
    bind.addCtxItem(item)
    packet = MSRPCHeader()
    packet["type"], packet["pduData"], packet["call_id"] = 11, bind.getData(), 1
    server = Server()
    async with bound(server):
        assert server.sent == [packet.get_packet()]


@given(st.binary(max_size=200), st.integers(0, 60))
@settings(max_examples=20)
async def test_a_call_is_impackets(stub: bytes, opnum: int) -> None:
    packet = MSRPCRequestHeader()
    packet["pduData"], packet["op_num"], packet["call_id"] = stub, opnum, 2
    packet["alloc_hint"] = len(stub)
    server = Server(response(b"done"))
    async with bound(server) as rpc:
        assert await rpc.call(opnum, stub) == b"done"
    assert server.sent[1] == packet.get_packet()


@given(length=st.integers(0, 20_000), most=st.sampled_from([0, 1024, 2000, 4280, 65535]))
@settings(max_examples=20)
async def test_a_long_call_goes_in_fragments_that_the_server_takes(length: int, most: int) -> None:
    stub = bytes(index % 251 for index in range(length))
    server = Server(response(b"done"), bound=bind_ack(most=most))
    async with bound(server) as rpc:
        assert await rpc.call(7, stub) == b"done"
    fragments = server.sent[1:]
    assert b"".join(each[24:] for each in fragments) == stub
    assert all(len(each) <= min(max(most, 1024), 4280) for each in fragments)
    assert [each[3] for each in fragments] == [
        (index == 0) + 2 * (index == len(fragments) - 1) for index in range(len(fragments))
    ]


@given(stubs=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=4), cut=st.integers(1, 200))
@settings(max_examples=40)
async def test_an_answer_in_fragments_and_pieces_of_any_size(stubs: list[bytes], cut: int) -> None:
    last = len(stubs) - 1
    whole = b"".join(response(stub, flags=(index == 0) + 2 * (index == last)) for index, stub in enumerate(stubs))
    async with bound(Server(*(whole[at : at + cut] for at in range(0, len(whole), cut)))) as rpc:
        assert await rpc.call(7, b"") == b"".join(stubs)


async def test_a_fault_is_told_by_its_status() -> None:
    fault = pdu(3, struct.pack("<IHHII", 0, 0, 0, 0x1C010003, 0), call=2)
    async with bound(Server(fault)) as rpc:
        with pytest.raises(RpcFaultError) as caught:
            await rpc.call(7, b"")
    assert caught.value.status == 0x1C010003


@pytest.mark.parametrize(
    "answer",
    [
        response(b"x", call=3),  # to another call
        pdu(12, bytes(30), call=2),  # of another kind
        response(b"x")[:20],  # cut short, and nothing follows
        b"",
        b"\4" + response(b"x")[1:],  # of another version
        response(b"x")[:4] + b"\0" + response(b"x")[5:],  # big-endian
        response(b"x")[:8] + struct.pack("<H", 10) + response(b"x")[10:],  # shorter than a header
        response(b"x", flags=1),  # the last fragment never comes
    ],
)
async def test_no_such_answer_is_believed(answer: bytes) -> None:
    async with bound(Server(answer)) as rpc:
        with pytest.raises(ImplausibleError):
            await rpc.call(7, b"")


async def test_an_answer_without_end() -> None:
    part, server = response(bytes(60_000), flags=0), Server()
    server.pieces = [part] * 100
    async with bound(server) as rpc:
        with pytest.raises(ImplausibleError, match="one call"):
            await rpc.call(7, b"")
    assert len(server.pieces) == 97, "no more than 128 KiB are read"


@given(st.binary(max_size=80))
@settings(max_examples=40)
async def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    async with bound(Server(data)) as rpc:
        with pytest.raises(WireError):
            await rpc.call(7, b"")


@pytest.mark.parametrize("result", [struct.pack("<HH", 2, 1) + bytes(20), b""])
async def test_an_interface_that_is_not_served(result: bytes) -> None:
    """Its pipe is closed again."""
    server, closed = Server(bound=bind_ack(result)), list[bytes]()

    def answer(request: Seen) -> list[Reply]:
        if request.command == Command.CLOSE:
            closed.append(request.body)
        return server.answer(request)

    async with peer(encrypts=True) as made:
        made.serve(answer)
        with pytest.raises(DCERPCException):
            await Rpc.bind(made.wire, 5, "svcctl", scmr.MSRPC_UUID_SCMR)
    assert len(closed) == 1 and FILE in closed[0]


def test_a_bind_ack_is_read_as_impacket_reads_it() -> None:
    """The place of the results depends on the length of the pipe's name."""
    theirs = MSRPCBindAck(bind_ack(most=3000))
    assert theirs["max_rfrag"] == 3000 and theirs.getCtxItem(1)["Result"] == 0


class TestImpacketsStructures:
    """Rare calls are marshalled by impacket, whose helpers ask ``request``."""

    async def test_an_answer(self) -> None:
        made = scmr.ROpenSCManagerWResponse()
        made["lpScHandle"], made["ErrorCode"] = bytes(range(20)), 0
        async with bound(Server(response(made.getData()))) as rpc:
            assert (await scmr.hROpenSCManagerW(rpc))["lpScHandle"] == bytes(range(20))

    async def test_a_long_answer(self) -> None:
        made = rrp.BaseRegQueryValueResponse()
        made["lpType"], made["lpData"], made["ErrorCode"] = 3, b"a" * 8000, 0
        made["lpcbData"] = made["lpcbLen"] = 8000
        opened = response(bytes(24))
        async with bound(Server(opened, response(made.getData(), call=3))) as rpc:
            key = (await rrp.hOpenLocalMachine(rpc))["phKey"]
            request = rrp.BaseRegQueryValue()
            request["hKey"], request["lpValueName"], request["lpData"] = key, "x\0", b" "
            request["lpcbData"] = request["lpcbLen"] = 1
            answer = await rpc.request(request)
        assert b"".join(answer["lpData"]) == b"a" * 8000

    @pytest.mark.parametrize("status", [5, 1060])
    async def test_an_error(self, status: int) -> None:
        server = Server(response(bytes(20) + struct.pack("<I", status)))
        async with bound(server) as rpc:
            with pytest.raises(DCERPCException) as caught:
                await rrp.hOpenLocalMachine(rpc)
        assert caught.value.get_error_code() == status

    async def test_a_fault_status_in_the_place_of_an_error(self) -> None:
        server = Server(response(bytes(20) + struct.pack("<I", 0x1C010014)))
        async with bound(server) as rpc:
            with pytest.raises(DCERPCException):
                await rrp.hOpenLocalMachine(rpc)

    async def test_an_answer_too_short_for_a_status(self) -> None:
        async with bound(Server(response(b"ab"))) as rpc:
            with pytest.raises(ImplausibleError):
                await rrp.hOpenLocalMachine(rpc)
