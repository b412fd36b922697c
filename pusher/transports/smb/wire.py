"""One signed-in SMB2 connection under asyncio: requests out, verified answers back, as many at once as are asked.

A *chain* is some requests that travel as one related compound (MS-SMB2 3.2.4.1.4), so that a file is opened, looked at
and closed in one round trip; chains that are asked at the same time are on their way together. What may be sent is
bounded by the credits that the server has granted (3.2.4.1.2, 3.2.4.1.5): a chain waits for answers until there are
enough, and one for which they will never suffice goes one request at a time. What comes is judged by what was asked:
only an answer that is signed or encrypted as the session is, to a request that waits for one, is believed (3.2.5.1).

What must not live here: what a file or a service is; time limits (``session`` has them, and calls ``abort``).
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pusher.transports.smb.errors import ClosedError, ImplausibleError, SessionGoneError, TamperedError
from pusher.transports.smb.messages import (
    HEADER,
    HEADER_SIZE,
    PROTOCOL_ID,
    RELATED_FILE,
    SUCCESS,
    Answer,
    Command,
    HeaderFlags,
    Request,
    created,
    logoff,
)
from pusher.transports.smb.protection import TRANSFORM_ID, Encryption, Sign

MAX_MESSAGE: Final = 9 * 1024 * 1024
"""Bytes of the largest message that is read: Windows' 8 MiB MaxReadSize plus headers."""

CREDIT_UNIT: Final = 65536
"""Bytes that one credit pays for."""

WINDOW: Final = 8 * 1024 * 1024
"""Bytes of a copy that are on their way at once, where the server's credits allow as many."""

_BUFFERED: Final = 256 * 1024
"""Bytes that wait for the socket to take them, before a copy waits too."""

_CREDITS_WANTED: Final = 512
_PENDING: Final = 0x103
UNSIGNED_ENDS: Final = frozenset(
    {
        0xC00000C9,  # NETWORK_NAME_DELETED
        0xC0000203,  # USER_SESSION_DELETED
        0xC000035C,  # NETWORK_SESSION_EXPIRED
    }
)
"""What a server that has dropped a session answers on it: it has no key left to sign with (MS-SMB2 3.3.5.2.9).

Whoever stands in between can send them too, and gains what cutting the connection would give him: it ends either way.
"""
_SERVER: Final = 1
_CLIENT: Final = 0


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What the sign-in leaves: the socket, and where its numbers stand. Exactly one of ``sign`` and ``encryption``."""

    sock: socket.socket
    session: int
    message: int
    credits: int
    has_large_mtu: bool
    sign: Sign | None
    encryption: Encryption | None


class Wire(asyncio.Protocol):
    """Raises the exceptions of ``errors``, and OSError; after any of them the connection is of no use."""

    def __init__(self, handover: Handover) -> None:
        self._session = handover.session
        self._message, self._credits, self._large = handover.message, handover.credits, handover.has_large_mtu
        self._sign, self._encryption = handover.sign, handover.encryption
        self._failed: Exception | None = None
        self._waiting: dict[int, tuple[Command, asyncio.Future[Answer]]] = {}
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._answered, self._closed = self._loop.create_future(), self._loop.create_future()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.round_trips = 0

    @classmethod
    async def start(cls, handover: Handover) -> Wire:
        """Take the socket over."""
        wire = cls(handover)
        handover.sock.setblocking(False)
        await wire._loop.create_connection(lambda: wire, sock=handover.sock)
        return wire

    async def ask(self, tree: int, *requests: Request) -> list[Answer]:
        """One chain, and its answers in order."""
        need = sum(self._charge(request) or 1 for request in requests)
        while need > self._credits:
            if not self._waiting:
                return await self._one_at_a_time(tree, requests)
            await self._next_answer()
        futures = self._send(tree, requests)
        await self._may_write.wait()
        return [await future for future in futures]

    async def stream(self, tree: int, requests: Iterable[Request]) -> AsyncIterator[Answer]:
        """Many requests, as many on their way as window and credits allow; their answers in the order of sending."""
        flying: deque[tuple[asyncio.Future[Answer], int]] = deque()
        on_their_way = 0
        for request in requests:
            while flying and (self._must_wait(request) or on_their_way + request.payload > WINDOW):
                future, payload = flying.popleft()
                on_their_way -= payload
                yield await future
            while self._must_wait(request) and self._waiting:
                await self._next_answer()
            (future,) = self._send(tree, [request])
            flying.append((future, request.payload))
            on_their_way += request.payload
            await self._may_write.wait()
        for future, _ in flying:
            yield await future

    def largest(self, wanted: int) -> int:
        """Bytes of data for one request, at most ``wanted``: no more than the credits that are there pay for."""
        return max(min(wanted, max(self._credits, 1) * CREDIT_UNIT if self._large else CREDIT_UNIT), 1)

    def sign_off(self) -> None:
        """LOGOFF (MS-SMB2 2.2.7), the last message; nobody waits for its answer."""
        for future in self._send(0, [logoff()]):
            future.cancel()

    async def close(self) -> None:
        """Close the connection, once what was sent has left."""
        if self._transport is not None:
            self._transport.close()
            await asyncio.shield(self._closed)

    def abort(self) -> None:
        """Drop the connection; whoever waits for an answer gets a ClosedError."""
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_BUFFERED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ClosedError("the connection was closed"))
        self._may_write.set()
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        try:
            while len(received) >= 4:
                length = int.from_bytes(received[:4], "big")
                if not 4 <= length <= MAX_MESSAGE:
                    raise ImplausibleError(f"a message of {length} bytes was announced")
                if len(received) < 4 + length:
                    break
                frame = bytes(memoryview(received)[4 : 4 + length])
                del received[: 4 + length]
                self._take_all(memoryview(self._opened(frame)))
        except Exception as error:
            self._fail(error)
            self.abort()

    def _fail(self, error: Exception) -> None:
        self._failed = self._failed or error
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(self._failed)
                future.exception()  # seen, should nobody wait for it any more
        self._tell()

    async def _next_answer(self) -> None:
        """Until an answer has come, to whatever request."""
        await asyncio.shield(self._answered)

    def _tell(self) -> None:
        told, self._answered = self._answered, self._loop.create_future()
        if not told.done():
            told.set_result(None)

    # -- sending -------------------------------------------------------------------------------------------------

    def _charge(self, request: Request) -> int:
        """MS-SMB2 3.1.5.2; 0 where the server has no multi-credit requests."""
        return (max(request.payload, 1) - 1) // CREDIT_UNIT + 1 if self._large else 0

    def _must_wait(self, request: Request) -> bool:
        return (self._charge(request) or 1) > self._credits

    async def _one_at_a_time(self, tree: int, requests: Sequence[Request]) -> list[Answer]:
        """A chain for which the credits do not suffice; what comes after a refused CREATE is refused alike."""
        answers: list[Answer] = []
        file = RELATED_FILE
        for request in requests:
            if answers and answers[0].status != SUCCESS and requests[0].command is Command.CREATE:
                answers.append(answers[0])
                continue
            mine = request.of_file(file) if file != RELATED_FILE else request
            answers += [answer async for answer in self.stream(tree, [mine])]
            if request.command is Command.CREATE and answers[-1].status == SUCCESS:
                file = created(answers[-1]).file
        return answers

    def _send(self, tree: int, requests: Sequence[Request]) -> list[asyncio.Future[Answer]]:
        """Write a chain with its length before it (MS-SMB2 2.1); what will be its answers."""
        if self._failed is not None:
            raise self._failed
        assert self._transport is not None
        messages, futures, last = [], [], len(requests) - 1
        for index, request in enumerate(requests):
            charge = self._charge(request)
            if (charge or 1) > self._credits:
                raise ImplausibleError(f"{charge or 1} credits are needed, and the server grants {self._credits}")
            size = HEADER_SIZE + len(request.body)
            padding = -size % 8 if index < last else 0
            flags = HeaderFlags.RELATED_OPERATIONS if index else 0
            if self._sign is not None:
                flags |= HeaderFlags.SIGNED
            header = HEADER.pack(
                PROTOCOL_ID, HEADER_SIZE, charge, 0, request.command, self._wanted(charge), flags,
                size + padding if index < last else 0, self._message, 0, tree, self._session, b"",
            )  # fmt: skip
            message = b"".join((header, request.body, bytes(padding)))
            if self._sign is not None:
                signature = self._sign(message, self._message, _CLIENT)
                message = b"".join((message[:48], signature, message[64:]))
            messages.append(message)
            future: asyncio.Future[Answer] = self._loop.create_future()
            futures.append(future)
            self._waiting[self._message] = (request.command, future)
            self._message += charge or 1
            self._credits -= charge or 1
        plain = messages[0] if not last else b"".join(messages)
        frame = plain if self._encryption is None else self._encryption.seal(plain)
        self._transport.write(len(frame).to_bytes(4, "big") + frame)
        self.round_trips += 1
        return futures

    def _wanted(self, charge: int) -> int:
        return max(charge, 1, min(_CREDITS_WANTED - self._credits, 256))

    # -- receiving -----------------------------------------------------------------------------------------------

    def _take_all(self, plain: memoryview) -> None:
        """The answers of one frame."""
        at, more = 0, True
        while more:
            if len(plain) - at < HEADER_SIZE:
                raise ImplausibleError(f"an answer of {len(plain) - at} bytes")
            following = int.from_bytes(plain[at + 20 : at + 24], "little")
            end = at + following if following else len(plain)
            if following and (following < HEADER_SIZE or following % 8 or end > len(plain)):
                raise ImplausibleError(f"the next answer of a compound is said to be at {following}")
            self._take(plain[at:end])
            at, more = end, bool(following)

    def _opened(self, frame: bytes) -> bytes:
        if frame[:4] == TRANSFORM_ID:
            if self._encryption is None:
                raise TamperedError("an encrypted answer on a session that is not")
            return self._encryption.open(frame)
        if self._encryption is not None:
            self._refuse_gone(frame)
            raise TamperedError("a plain answer on an encrypted session")
        return frame

    @staticmethod
    def _refuse_gone(message: bytes | memoryview) -> None:
        """Where an unsigned message says that the session is gone it is, whoever says so."""
        status = int.from_bytes(message[8:12], "little")
        signed = int.from_bytes(message[16:20], "little") & HeaderFlags.SIGNED
        if not signed and status in UNSIGNED_ENDS:
            raise SessionGoneError(f"status 0x{status:08X}, unsigned")

    def _take(self, message: memoryview) -> None:
        identity, size, _, status, command, granted, flags, _, number, _, tree, session, signature = HEADER.unpack_from(
            message
        )
        if identity != PROTOCOL_ID or size != HEADER_SIZE or not flags & HeaderFlags.SERVER_TO_REDIR:
            raise ImplausibleError("an answer without an answer's header")
        asked, future = self._waiting.get(number, (None, None))
        if asked != command or future is None:
            raise TamperedError("an answer to nothing that was asked")
        is_interim = status == _PENDING and bool(flags & HeaderFlags.ASYNC_COMMAND)
        if self._sign is not None and not is_interim:
            if not flags & HeaderFlags.SIGNED:
                self._refuse_gone(message)
                raise TamperedError("an unsigned answer on a signed session")
            unsigned = b"".join((message[:48], bytes(16), message[64:]))
            if not hmac.compare_digest(self._sign(unsigned, number, _SERVER), signature) or session != self._session:
                raise TamperedError("the signature does not verify")
        self._credits += granted
        if not is_interim:
            del self._waiting[number]
            if not future.done():
                future.set_result(Answer(status, message[HEADER_SIZE:], tree))
        self._tell()
