"""One signed-in SMB2 connection: requests out, verified answers back, in the thread that asks.

A *chain* is some requests that travel as one related compound (MS-SMB2 3.2.4.1.4), so that a file is opened, looked at
and closed in one round trip; a *flight* is some chains that are sent before the first answer is read. What may be sent
is bounded by the credits that the server has granted (3.2.4.1.2, 3.2.4.1.5): a chain they do not suffice for goes one
request at a time. What comes is judged by what was asked: only an answer that is signed or encrypted as the session
is, to a request that waits for one, is believed (3.2.5.1).

What must not live here: what a file or a service is; time limits (whoever called shuts the socket down).
"""

from __future__ import annotations

import contextlib
import hmac
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Chain:
    """Requests of one tree that travel together; all but the first are of the file that the first opens."""

    tree: int
    requests: Sequence[Request]


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


class Wire:
    """Raises the exceptions of ``errors``, and OSError; after any of them the connection is of no use."""

    def __init__(self, handover: Handover) -> None:
        self._sock, self._session = handover.sock, handover.session
        self._message, self._credits, self._large = handover.message, handover.credits, handover.has_large_mtu
        self._sign, self._encryption = handover.sign, handover.encryption
        self._failed: Exception | None = None
        self._waiting: dict[int, Command] = {}
        self._answers: dict[int, Answer] = {}
        self._file = self._sock.makefile("rb", 65536)
        self.round_trips = 0

    def ask(self, tree: int, *requests: Request) -> list[Answer]:
        """One chain, and its answers in order."""
        return self.flight([Chain(tree, requests)])[0]

    def flight(self, chains: Sequence[Chain]) -> list[list[Answer]]:
        """Send as many chains as there are credits for, before the first answer is read; answers by chain."""
        sent: list[list[int] | list[Answer]] = []
        frames: list[bytes] = []
        for chain in chains:
            need = sum(self._charge(request) or 1 for request in chain.requests)
            if need > self._credits and frames:
                self._send(frames)
                self._settle()
            if need > self._credits:
                sent.append(self._one_at_a_time(chain))
            else:
                frame, ids = self._frame(chain)
                frames.append(frame)
                sent.append(ids)
        if frames:
            self._send(frames)
            self._settle()
        return [[self._answers.pop(item) if isinstance(item, int) else item for item in row] for row in sent]

    def stream(self, tree: int, requests: Iterable[Request]) -> Iterator[Answer]:
        """Many requests, as many on their way as window and credits allow; their answers in the order of sending."""
        flying: deque[tuple[int, int]] = deque()
        bytes_flying = 0
        for request in requests:
            need = self._charge(request) or 1
            while flying and (need > self._credits or bytes_flying + request.payload > WINDOW):
                message, payload = flying.popleft()
                bytes_flying -= payload
                yield self._answer_to(message)
            frame, (message,) = self._frame(Chain(tree, [request]))
            self._send([frame])
            flying.append((message, request.payload))
            bytes_flying += request.payload
        for message, _ in flying:
            yield self._answer_to(message)

    def largest(self, wanted: int) -> int:
        """Bytes of data for one request, at most ``wanted``: no more than the credits that are there pay for."""
        return max(min(wanted, self._credits * CREDIT_UNIT if self._large else CREDIT_UNIT), 1)

    def sign_off(self) -> None:
        """LOGOFF (MS-SMB2 2.2.7), the last message; nobody waits for its answer."""
        frame, _ = self._frame(Chain(0, [logoff()]))
        self._send([frame])

    def close(self) -> None:
        """Close the connection; never raises."""
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._sock.close()

    # -- sending -------------------------------------------------------------------------------------------------

    def _charge(self, request: Request) -> int:
        """MS-SMB2 3.1.5.2; 0 where the server has no multi-credit requests."""
        return (max(request.payload, 1) - 1) // CREDIT_UNIT + 1 if self._large else 0

    def _one_at_a_time(self, chain: Chain) -> list[Answer]:
        """A chain for which the credits do not suffice; what comes after a refused CREATE is refused alike."""
        answers: list[Answer] = []
        file = RELATED_FILE
        for request in chain.requests:
            if answers and answers[0].status != SUCCESS and chain.requests[0].command is Command.CREATE:
                answers.append(answers[0])
                continue
            mine = request.of_file(file) if file != RELATED_FILE else request
            (answer,) = self.stream(chain.tree, [mine])
            answers.append(answer)
            if request.command is Command.CREATE and answer.status == SUCCESS:
                file = created(answer).file
        return answers

    def _frame(self, chain: Chain) -> tuple[bytes, list[int]]:
        """The chain's bytes with their length before them (MS-SMB2 2.1), and its message ids."""
        if self._failed is not None:
            raise self._failed
        messages, ids, last = [], [], len(chain.requests) - 1
        for index, request in enumerate(chain.requests):
            charge = self._charge(request)
            if (charge or 1) > self._credits:
                raise ImplausibleError(f"{charge or 1} credits are needed, and the server grants {self._credits}")
            size = HEADER_SIZE + len(request.body)
            padding = -size % 8 if index < last else 0
            flags = HeaderFlags.RELATED_OPERATIONS if index else HeaderFlags(0)
            if self._sign is not None:
                flags |= HeaderFlags.SIGNED
            header = HEADER.pack(
                PROTOCOL_ID, HEADER_SIZE, charge, 0, request.command, self._wanted(charge), flags,
                size + padding if index < last else 0, self._message, 0, chain.tree, self._session, b"",
            )  # fmt: skip
            message = b"".join((header, request.body, bytes(padding)))
            if self._sign is not None:
                signature = self._sign(message, self._message, _CLIENT)
                message = b"".join((message[:48], signature, message[64:]))
            messages.append(message)
            ids.append(self._message)
            self._waiting[self._message] = request.command
            self._message += charge or 1
            self._credits -= charge or 1
        plain = messages[0] if not last else b"".join(messages)
        frame = plain if self._encryption is None else self._encryption.seal(plain)
        return len(frame).to_bytes(4, "big") + frame, ids

    def _wanted(self, charge: int) -> int:
        return max(charge, 1, min(_CREDITS_WANTED - self._credits, 256))

    def _send(self, frames: list[bytes]) -> None:
        self._sock.sendall(frames[0] if len(frames) == 1 else b"".join(frames))
        frames.clear()
        self.round_trips += 1

    # -- receiving -----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        while self._waiting:
            self._receive()

    def _answer_to(self, message: int) -> Answer:
        while message not in self._answers:
            self._receive()
        return self._answers.pop(message)

    def _receive(self) -> None:
        """One frame, and the answers in it."""
        try:
            self._take_all(memoryview(self._opened(self._frame_in())))
        except Exception as error:
            self._failed = error
            raise

    def _take_all(self, plain: memoryview) -> None:
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

    def _frame_in(self) -> bytes:
        head = self._exactly(4)
        length = int.from_bytes(head, "big")
        if not 4 <= length <= MAX_MESSAGE:
            raise ImplausibleError(f"a message of {length} bytes was announced")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data: bytes = self._file.read(length)
        if len(data) < length:
            raise ClosedError("the connection was closed")
        return data

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
        if self._waiting.get(number) != command:
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
            self._answers[number] = Answer(status, message[HEADER_SIZE:], tree)
