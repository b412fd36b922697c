"""The other end of a ``Wire``: reads requests with smbprotocol's classes, and answers as a test wants."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from smbprotocol import Dialects
from smbprotocol.connection import Ciphers, SigningAlgorithms
from smbprotocol.header import Smb2Flags, SMB2HeaderRequest, SMB2HeaderResponse

from pusher.transports.smb.protection import Encryption, Sign, signing
from pusher.transports.smb.window import Mark, Window
from pusher.transports.smb.wire import Handover, Wire

SESSION = 0x1122
KEY, OTHER_KEY = b"k" * 16, b"o" * 16
OUT, BACK = b"1" * 16, b"2" * 16
PENDING = 0x103


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request, as smbprotocol reads its header."""

    command: int
    message: int
    charge: int
    wanted: int
    tree: int
    is_related: bool
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: to ``message``, or to the request at hand."""

    body: bytes = b""
    status: int = 0
    credits: int = 10
    message: int | None = None
    command: int | None = None
    tree: int = 5
    is_signed: bool = True
    is_forged: bool = False
    is_interim: bool = False
    is_from_server: bool = True
    session: int = SESSION


class StillWindow(Window):
    """One that stays at its first size, however long answers take."""

    def answered(self, now: float, mark: Mark, size: int) -> None:
        """Learn nothing."""


class Peer:
    """A server that has signed somebody in; ``encrypts`` or signs."""

    def __init__(
        self, *, encrypts: bool, credits: int = 100, has_large_mtu: bool = True, window: Window | None = None
    ) -> None:
        ours, self.sock = socket.socketpair()
        self.wire: Wire
        self._window = window
        self.encrypts, self.flights = encrypts, list[list[Seen]]()
        self._serving: threading.Thread | None = None
        self._sign: Sign = signing(Dialects.SMB_3_1_1, SigningAlgorithms.AES_CMAC, KEY)
        self._forge: Sign = signing(Dialects.SMB_3_1_1, SigningAlgorithms.AES_CMAC, OTHER_KEY)
        cipher = Ciphers.AES_128_GCM
        self._encryption = Encryption(Dialects.SMB_3_1_1, cipher, BACK, OUT, SESSION)
        self._handover = Handover(
            sock=ours,
            session=SESSION,
            message=7,
            credits=credits,
            has_large_mtu=has_large_mtu,
            sign=None if encrypts else self._sign,
            encryption=Encryption(Dialects.SMB_3_1_1, cipher, OUT, BACK, SESSION) if encrypts else None,
        )

    async def start(self) -> Peer:
        """Let a ``Wire`` begin at the other end."""
        self.wire = await Wire.start(self._handover, self._window)
        return self

    def serve(self, answer: Callable[[Seen], Sequence[Reply]]) -> None:
        """In a thread of its own: each request is answered at once, each with a frame of its own."""

        def work() -> None:
            with contextlib.suppress(BrokenPipeError):
                while requests := self.requests():
                    for request in requests:
                        for reply in answer(request):
                            self.send(self.message(reply, request))

        self._serving = threading.Thread(target=work, daemon=True)
        self._serving.start()

    def requests(self) -> list[Seen]:
        """The messages of the next frame; none at the end of the connection."""
        head = self._exactly(4)
        if not head:
            return []
        frame = self._exactly(int.from_bytes(head, "big"))
        if self.encrypts:
            assert frame[:4] == b"\xfdSMB"
            frame = self._encryption.open(frame)
        seen = list[Seen]()
        while frame:
            following = struct.unpack_from("<I", frame, 20)[0]
            one, frame = (frame[:following], frame[following:]) if following else (frame, b"")
            seen.append(self._seen(one))
        self.flights.append(seen)
        return seen

    def has_requests(self) -> bool:
        """Something has come that ``requests`` would read; for a test that answers in the wire's own thread."""
        return bool(select.select([self.sock], [], [], 0)[0])

    def message(self, reply: Reply, request: Seen) -> bytes:
        """A whole answer, signed as ``reply`` has it."""
        header = SMB2HeaderResponse()
        header["command"] = request.command if reply.command is None else reply.command
        header["message_id"] = request.message if reply.message is None else reply.message
        header["status"], header["credit_response"], header["data"] = reply.status, reply.credits, reply.body
        header["session_id"], header["tree_id"] = reply.session, reply.tree
        if reply.is_from_server:
            header["flags"].set_flag(Smb2Flags.SMB2_FLAGS_SERVER_TO_REDIR)
        if reply.is_interim:
            header["flags"].set_flag(Smb2Flags.SMB2_FLAGS_ASYNC_COMMAND)
        if reply.is_signed and not self.encrypts:
            header["flags"].set_flag(Smb2Flags.SMB2_FLAGS_SIGNED)
            sign = self._forge if reply.is_forged else self._sign
            header["signature"] = sign(header.pack(), header["message_id"].get_value(), int(reply.is_from_server))
        data: bytes = header.pack()
        return data

    def send(self, message: bytes) -> None:
        """In a frame, encrypted where the session is."""
        self.send_raw(self._encryption.seal(message) if self.encrypts else message)

    def send_raw(self, frame: bytes) -> None:
        self.sock.sendall(len(frame).to_bytes(4, "big") + frame)

    def compound(self, messages: Sequence[bytes]) -> bytes:
        """Answers in one frame, for an encrypted session (a signature covers the next one's place)."""
        made = []
        for message in messages[:-1]:
            padded = message + bytes(-len(message) % 8)
            made.append(padded[:20] + struct.pack("<I", len(padded)) + padded[24:])
        return b"".join([*made, messages[-1]])

    async def close(self) -> None:
        self.wire.abort()
        await self.wire.close()
        if self._serving is not None:
            self._serving.join()
        self.sock.close()

    def _seen(self, message: bytes) -> Seen:
        header: Any = SMB2HeaderRequest()
        header.unpack(message)
        assert header["session_id"].get_value() == SESSION
        number = header["message_id"].get_value()
        if not self.encrypts:
            assert header["flags"].has_flag(Smb2Flags.SMB2_FLAGS_SIGNED)
            assert message[48:64] == self._sign(message[:48] + bytes(16) + message[64:], number, 0)
        return Seen(
            command=header["command"].get_value(),
            message=number,
            charge=header["credit_charge"].get_value(),
            wanted=header["credit_request"].get_value(),
            tree=header["tree_id"].get_value(),
            is_related=header["flags"].has_flag(Smb2Flags.SMB2_FLAGS_RELATED_OPERATIONS),
            body=header["data"].get_value(),
        )

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.sock.recv(length - len(data))
            if not more:
                return b""
            data += more
        return data


@asynccontextmanager
async def peer(
    *, encrypts: bool, credits: int = 100, has_large_mtu: bool = True, window: Window | None = None
) -> AsyncIterator[Peer]:
    made = await Peer(encrypts=encrypts, credits=credits, has_large_mtu=has_large_mtu, window=window).start()
    try:
        yield made
    finally:
        await made.close()


def file_id(number: int) -> bytes:
    return struct.pack("<QQ", number, number)


def created_body(file: bytes, size: int = 0) -> bytes:
    return struct.pack("<HBBIQQQQQQII16sII", 89, 0, 0, 1, 0, 0, 0, 0, size, size, 0x80, 0, file, 0, 0)
