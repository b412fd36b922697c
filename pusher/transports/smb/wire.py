"""One signed-in SMB2 connection under asyncio: requests out, verified answers back, as many at once as are asked.

A *chain* is some requests that travel as one related compound (MS-SMB2 3.2.4.1.4), so that a file is opened, looked at
and closed in one round trip; chains that are asked at the same time are on their way together. How much may be,
``flow`` says: chains and pieces of long files take turns, first come, first sent, and wait for answers until there is
room. A chain for which the credits will never suffice goes one request at a time. What comes is judged by what was
asked: only an answer that is signed or encrypted as the session is, to a request that waits for one, is believed
(3.2.5.1).

What must not live here: what a file or a service is; time limits (``session`` has them, looks at when something moved
last, and drops the connection).
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from pusher.transports.smb.errors import ClosedError, ImplausibleError, SessionGoneError, TamperedError
from pusher.transports.smb.flow import Flow, Load, Pieces
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
from pusher.transports.smb.window import Mark, Window

MAX_MESSAGE: Final = 9 * 1024 * 1024
"""Bytes of the largest message that is read: Windows' 8 MiB MaxReadSize plus headers."""

_BUFFERED: Final = 256 * 1024
"""Bytes that wait for the socket to take them, before anything more waits too."""

_BESIDE: Final = 64 * 1024
"""Bytes of an answer beside what was asked for: headers, an error's data, padding."""

_NOT_IN_A_CHAIN: Final = 0xC00000E5
"""INTERNAL_ERROR: a server's answer to what it will not do within a chain, for it would have to be done asynchronously
(MS-SMB2 3.3.5.2.7)."""

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


@dataclass(frozen=True, eq=False, slots=True)
class _Sent:
    """A request that waits for its answer."""

    command: Command
    load: Load
    mark: Mark
    answer: asyncio.Future[Answer]


@dataclass(frozen=True, eq=False, slots=True)
class _Turn:
    """Something that waits to be sent: how much it is, and what, once it may go.

    ``sent`` comes to what was sent, or None where it is too much to go at once; whoever cancels it gives the turn up.
    """

    tree: int
    load: Callable[[], Load]
    requests: Callable[[], Sequence[Request]]
    sent: asyncio.Future[Sequence[_Sent] | None]


class Wire(asyncio.Protocol):
    """Raises the exceptions of ``errors``, and OSError; after any of them the connection is of no use."""

    def __init__(self, handover: Handover, window: Window | None = None) -> None:
        self._session, self._message = handover.session, handover.message
        self._sign, self._encryption = handover.sign, handover.encryption
        self._flow = Flow(handover.credits, handover.has_large_mtu, window or Window())
        self._failed: Exception | None = None
        self._turns = deque[_Turn]()
        self._waiting: dict[int, _Sent] = {}
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = self._loop.create_future()
        self._may_write = True
        self._streamed = 0
        self.round_trips = 0
        self.moved_at = self._loop.time()
        """When the last answer came, by the event loop's clock; where none has, when the connection was taken over."""

    @classmethod
    async def start(cls, handover: Handover, window: Window | None = None) -> Wire:
        """Take the socket over."""
        wire = cls(handover, window)
        handover.sock.setblocking(False)
        await wire._loop.create_connection(lambda: wire, sock=handover.sock)
        return wire

    async def ask(self, tree: int, *requests: Request) -> list[Answer]:
        """One chain, and its answers in order."""
        load = self._flow.load(requests)
        sent = await self._in_turn(tree, lambda: load, lambda: requests).sent
        if sent is None:
            return await self._one_at_a_time(tree, requests)
        return await self._completed(tree, requests, [await each.answer for each in sent])

    async def stream(self, tree: int, pieces: Pieces, most: int) -> AsyncGenerator[tuple[int, Answer], None]:
        """A long file in pieces of at most ``most`` bytes: the bytes of each and its answer, in the order of sending.

        Several pieces are on their way at once, and what other streams and chains ask for meanwhile has its turn too.
        Of what they have asked for and not handed on there is a window's worth in all, and one piece of each.
        """
        flying, turn = deque[_Sent](), None
        try:
            while flying or pieces.left:
                if turn is None and pieces.left and (not flying or self._streamed <= self._flow.window):
                    turn = self._turn_of_piece(tree, pieces, most)
                if turn is not None:
                    await _until(turn.sent, *(each.answer for each in islice(flying, 1)))
                if turn is not None and turn.sent.done():
                    went, turn = turn.sent.result() or (), None
                    flying += went
                    self._streamed += sum(each.load.size for each in went)
                else:
                    answer = await flying[0].answer
                    size = flying.popleft().load.size
                    self._streamed -= size
                    yield size, answer
        finally:
            self._streamed -= sum(each.load.size for each in flying)
            if turn is not None:
                turn.sent.cancel()

    def largest(self, wanted: int) -> int:
        """Bytes of data for one request, at most ``wanted``."""
        return self._flow.piece(wanted)

    def sign_off(self) -> None:
        """LOGOFF (MS-SMB2 2.2.7), the last message; nobody waits for its answer, nor for its turn."""
        if self._flow.fits(self._flow.load([logoff()])):
            for sent in self._send(0, [logoff()]):
                sent.answer.cancel()

    async def close(self) -> None:
        """Close the connection, once what was sent has left."""
        if self._transport is not None:
            self._transport.close()
            await asyncio.shield(self._closed)

    def abort(self, why: Exception | None = None) -> None:
        """Drop the connection; whoever waits for an answer gets ``why``, and who comes later a ClosedError."""
        self._failed = self._failed or ClosedError("the connection was dropped")
        self._end(why or self._failed)
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_BUFFERED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ClosedError("the connection was closed"))
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._may_write = False
        self._flow.hold_back_all()

    def resume_writing(self) -> None:
        self._may_write = True
        self._send_next()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        try:
            while len(received) >= 4:
                length = int.from_bytes(received[:4], "big")
                if not 4 <= length <= self._room:
                    raise ImplausibleError(f"a message of {length} bytes was announced")
                if len(received) < 4 + length:
                    break
                frame = bytes(memoryview(received)[4 : 4 + length])
                del received[: 4 + length]
                self._take_all(memoryview(self._opened(frame)))
            self._send_next()
        except Exception as error:
            self._fail(error)
            self.abort()

    def _fail(self, error: Exception) -> None:
        self._failed = self._failed or error
        self._end(self._failed)

    def _end(self, error: Exception) -> None:
        """Nothing is waited for any more."""
        waits: list[asyncio.Future[Any]] = [sent.answer for sent in self._waiting.values()]
        waits += [turn.sent for turn in self._turns]
        self._waiting.clear()
        self._turns.clear()
        for each in waits:
            if not each.done():
                each.set_exception(error)
                each.exception()  # seen, should nobody wait for it any more

    @property
    def _room(self) -> int:
        """Bytes that a message may have: all that is waited for might come in one."""
        unanswered = self._flow.unanswered
        return min(_BESIDE + unanswered.size + unanswered.requests * _BESIDE, MAX_MESSAGE)

    # -- sending -------------------------------------------------------------------------------------------------

    def _turn_of_piece(self, tree: int, pieces: Pieces, most: int) -> _Turn:
        """How long the piece is, is known when it may go: by then there may be fewer credits than there were."""
        flow = self._flow
        return self._in_turn(
            tree,
            lambda: flow.load_of_piece(min(flow.piece(most), pieces.left)),
            lambda: [pieces.cut(flow.piece(most))],
        )

    def _in_turn(self, tree: int, load: Callable[[], Load], requests: Callable[[], Sequence[Request]]) -> _Turn:
        if self._failed is not None:
            raise self._failed
        turn = _Turn(tree, load, requests, self._loop.create_future())
        self._turns.append(turn)
        self._send_next()
        return turn

    def _send_next(self) -> None:
        """Send what may be sent, in the order in which it was asked for."""
        while self._turns and self._may_write:
            turn = self._turns[0]
            if not turn.sent.done():
                load = turn.load()
                if self._flow.fits(load):
                    turn.sent.set_result(self._send(turn.tree, turn.requests()))
                elif not self._flow.is_idle:
                    self._flow.hold_back(load)
                    return
                elif load.requests > 1:
                    turn.sent.set_result(None)
                else:
                    wrong = f"{load.credits} credits are needed, and the server grants {self._flow.credits}"
                    turn.sent.set_exception(ImplausibleError(wrong))
            self._turns.popleft()

    async def _completed(self, tree: int, requests: Sequence[Request], answers: list[Answer]) -> list[Answer]:
        """What the server would not do within a chain is asked again by itself; what stayed open is closed."""
        opens_and_closes = requests[0].command is Command.CREATE and requests[-1].command is Command.CLOSE
        for index, answer in enumerate(answers[:-1]):
            if answer.status == _NOT_IN_A_CHAIN:
                is_closed = opens_and_closes and answers[-1].status == SUCCESS
                return await self._one_at_a_time(tree, requests, [] if is_closed else answers[:index])
        if opens_and_closes and answers[0].status == SUCCESS and answers[-1].status != SUCCESS:
            answers[-1:] = await self.ask(tree, requests[-1].of_file(created(answers[0]).file))
        return answers

    async def _one_at_a_time(
        self, tree: int, requests: Sequence[Request], answered: Sequence[Answer] = ()
    ) -> list[Answer]:
        """A chain that does not go as one, behind ``answered``; what comes after a refused CREATE is refused alike."""
        answers = list(answered)
        is_open = bool(answers) and requests[0].command is Command.CREATE and answers[0].status == SUCCESS
        file = created(answers[0]).file if is_open else RELATED_FILE
        for request in requests[len(answers) :]:
            if answers and answers[0].status != SUCCESS and requests[0].command is Command.CREATE:
                answers.append(answers[0])
                continue
            mine = request.of_file(file) if file != RELATED_FILE else request
            answers += await self.ask(tree, mine)
            if request.command is Command.CREATE and answers[-1].status == SUCCESS:
                file = created(answers[-1]).file
        return answers

    def _send(self, tree: int, requests: Sequence[Request]) -> list[_Sent]:
        """Write a chain with its length before it (MS-SMB2 2.1)."""
        if self._failed is not None:
            raise self._failed
        assert self._transport is not None
        messages, numbers, last = [], list[int](), len(requests) - 1
        for index, request in enumerate(requests):
            charge = self._flow.charge(request)
            size = HEADER_SIZE + len(request.body)
            padding = -size % 8 if index < last else 0
            flags = HeaderFlags.RELATED_OPERATIONS if index else 0
            if self._sign is not None:
                flags |= HeaderFlags.SIGNED
            header = HEADER.pack(
                PROTOCOL_ID, HEADER_SIZE, charge, 0, request.command, self._flow.wanted(charge), flags,
                size + padding if index < last else 0, self._message, 0, tree, self._session, b"",
            )  # fmt: skip
            message = b"".join((header, request.body, bytes(padding)))
            if self._sign is not None:
                signature = self._sign(message, self._message, _CLIENT)
                message = b"".join((message[:48], signature, message[64:]))
            messages.append(message)
            numbers.append(self._message)
            self._message += charge or 1
        plain = messages[0] if not last else b"".join(messages)
        frame = plain if self._encryption is None else self._encryption.seal(plain)
        now = self._loop.time()
        self._transport.write(len(frame).to_bytes(4, "big") + frame)
        self.round_trips += 1
        made = [self._sent(request, now) for request in requests]
        self._waiting.update(zip(numbers, made, strict=True))
        return made

    def _sent(self, request: Request, now: float) -> _Sent:
        load = self._flow.load([request])
        return _Sent(request.command, load, self._flow.send(load, now), self._loop.create_future())

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
        sent = self._waiting.get(number)
        if sent is None or sent.command != command:
            raise TamperedError("an answer to nothing that was asked")
        is_interim = status == _PENDING and bool(flags & HeaderFlags.ASYNC_COMMAND)
        if self._sign is not None and not is_interim:
            if not flags & HeaderFlags.SIGNED:
                self._refuse_gone(message)
                raise TamperedError("an unsigned answer on a signed session")
            unsigned = b"".join((message[:48], bytes(16), message[64:]))
            if not hmac.compare_digest(self._sign(unsigned, number, _SERVER), signature) or session != self._session:
                raise TamperedError("the signature does not verify")
        if len(message) > sent.load.size + _BESIDE:
            raise ImplausibleError(f"an answer of {len(message)} bytes where {sent.load.size} were asked for")
        self._flow.grant(granted)
        if is_interim:
            return
        del self._waiting[number]
        self.moved_at = self._loop.time()
        self._flow.answer(sent.load, self.moved_at, sent.mark)
        if not sent.answer.done():
            sent.answer.set_result(Answer(status, message[HEADER_SIZE:], tree))


async def _until(*futures: asyncio.Future[Any]) -> None:
    """One of them is done."""
    if not any(each.done() for each in futures):
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
