"""Negotiate and sign-in: smbprotocol's connection with what it lets pass turned into errors, and without its thread.

smbprotocol 1.x verifies a signature only where the answer carries one, accepts plain answers on an encrypted
session, and allocates whatever length a peer announces. Here an answer on an established session must be signed
(or encrypted, where the session is), and a message's length is bounded before anything is allocated. It reads in a
thread of its own; here whoever waits for an answer reads it. Once somebody has signed in, ``handover`` gives socket
and keys to ``wire``, and nothing more is sent from here.
Sources: MS-SMB2 3.2.5.1.3 (verifying the signature), 3.2.5.1.1 (decrypting), 2.1 (transport).
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from smbprotocol import Dialects
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBConnectionClosed, SMBException
from smbprotocol.header import Commands, NtStatus, Smb2Flags
from smbprotocol.session import Session
from smbprotocol.transport import Tcp
from smbprotocol.tree import TreeConnect

from pusher.transports.smb.errors import (
    ClosedError,
    ImplausibleError,
    SessionGoneError,
    TamperedError,
    UnsupportedDialectError,
)
from pusher.transports.smb.protection import Encryption, signing
from pusher.transports.smb.wire import MAX_MESSAGE, UNSIGNED_ENDS, Handover


class _BoundedTcp(Tcp):
    """Direct TCP (MS-SMB2 2.1) that refuses an announced length past ``MAX_MESSAGE``."""

    given_up = False
    turns = -1
    """Messages that may be taken; below zero as many as come."""

    def connect(self) -> None:
        super().connect()
        if self.given_up:
            # There was no socket to shut down yet; the NEGOTIATE that comes next would wait without limit.
            self.close()
            raise SMBConnectionClosed("given up while connecting")

    def recv(self, timeout: float) -> bytes:
        """The next message; nothing at the end of the connection, or once ``turns`` messages have been taken."""
        if self.turns == 0:
            return b""
        self.turns -= 1
        head, timeout = self._recv(4, timeout)
        if not head:
            return b""
        length = int.from_bytes(head, "big")
        if not 4 <= length <= MAX_MESSAGE:
            raise ImplausibleError(f"a message of {length} bytes was announced")
        return self._recv(length, timeout)[0] or b""

    def _recv(self, length: int, timeout: float) -> tuple[bytes | None, float]:
        """``length`` bytes and the time that is left; None at the end of the connection.

        As smbprotocol's, which waits by select: that fails from descriptor 1,024 on, and it reads the last bytes into
        another buffer. Only one thread reads; ``close`` waits for ``_close_lock`` before the descriptor goes.
        """
        buffer, have, until = bytearray(length), 0, time.monotonic() + max(timeout, 1)
        view = memoryview(buffer)
        while have < length:
            with self._close_lock:
                if not self.connected:
                    return None, 0
                ready = select.poll()
                ready.register(self._sock, select.POLLIN)
                if not ready.poll(max(until - time.monotonic(), 0) * 1000):
                    raise TimeoutError(f"nothing came ({have} of {length} bytes)")
                try:
                    count = self._sock.recv_into(view[have:])
                except ConnectionError:
                    count = 0
            if not count:
                self.close()
                return None, 0
            have += count
        return bytes(buffer), until - time.monotonic()

    def give(self) -> socket.socket:
        """The socket itself, which from now on somebody else reads and closes."""
        with self._sock_lock:
            if not self.connected:
                raise ClosedError("the connection was closed")
            self.connected: bool = False
            sock: socket.socket = self._sock
            return sock


class _NoThread:
    """In the place of the thread that smbprotocol starts for its reader."""

    ident = None
    daemon = True

    def start(self) -> None:
        """Nothing is read before somebody waits for it."""

    def join(self, timeout: float | None = None) -> None:
        """There is nothing to wait for."""


_NO_THREAD = _NoThread()


class GuardedConnection(Connection):
    """One TCP connection to one server; ``server_time`` is the clock of its negotiate response."""

    def __init__(self, address: str, port: int, connect_timeout: float) -> None:
        self._tcp: _BoundedTcp | None = None
        self._given_up = False
        self._connect_timeout = connect_timeout
        self.server_time: datetime | None = None
        self.session_setups_sent = 0
        super().__init__(uuid.uuid4(), address, port, require_signing=True)

    # smbprotocol makes its own Tcp in connect(); the property puts the bounded one in its place.
    @property
    def transport(self) -> Any:
        return self._tcp

    @transport.setter
    def transport(self, made: Tcp | None) -> None:
        self._tcp = _BoundedTcp(made.server, made.port, self._connect_timeout) if made else None
        if self._tcp is not None:
            self._tcp.given_up = self._given_up

    # Nor does it get the thread that it starts for its reader.
    @property
    def _t_worker(self) -> Any:
        return _NO_THREAD

    @_t_worker.setter
    def _t_worker(self, made: Any) -> None:
        """Not taken."""

    def receive(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """As smbprotocol's, but the caller reads: message by message, until the answer to ``request`` is there."""
        while request.response is None or request.response["status"].get_value() == NtStatus.STATUS_PENDING:
            self._check_worker_running()
            self._read_one()
        return super().receive(request, *args, **kwargs)

    def _read_one(self) -> None:
        """smbprotocol's reader for one message: it takes what then comes, nothing, for the end."""
        tcp = self._tcp
        assert tcp is not None
        tcp.turns = 1
        self._process_message_thread()

    def open(self) -> None:
        """TCP connect and SMB2 NEGOTIATE; blocks without a limit of its own once TCP is up (see ``abort``)."""
        self.connect(timeout=600)
        if self.dialect < Dialects.SMB_2_1_0:
            raise UnsupportedDialectError(f"dialect 0x{self.dialect:04x}")

    def abort(self) -> None:
        """End whatever call is in progress, from any thread.

        ``close`` would wait for the lock that a stuck ``send`` holds; shutting the socket down does not.
        """
        self._given_up = True
        if self._tcp is not None:
            self._tcp.given_up = True
        sock = self._tcp._sock if self._tcp else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def send(self, message: Any, *args: Any, **kwargs: Any) -> Any:
        if message.COMMAND == Commands.SMB2_SESSION_SETUP:
            self._check_worker_running()  # what cannot leave has not left: on a connection that is gone none counts
            self.session_setups_sent += 1
        return super().send(message, *args, **kwargs)

    def _send_smb2_negotiate(self, *args: Any, **kwargs: Any) -> Any:
        response = super()._send_smb2_negotiate(*args, **kwargs)
        with contextlib.suppress(Exception):
            clock = response["system_time"].get_value()
            self.server_time = clock if clock.tzinfo else clock.replace(tzinfo=UTC)
        return response

    def verify_signature(self, header: Any, session_id: int, force: bool = False) -> None:
        if not force:
            self._refuse_unprotected(header)
        try:
            super().verify_signature(header, session_id, force)
        except SMBException as error:
            raise TamperedError("the signature does not verify") from error

    def _refuse_unprotected(self, header: Any) -> None:
        """Judged by what was asked: the answer's own command and session are what a forger would choose."""
        request = self.outstanding_requests[header["message_id"].get_value()]
        if header["command"].get_value() != request.message["command"].get_value():
            raise TamperedError("an answer to another command than was sent")
        session = self.session_table.get(request.session_id)
        if session is None:
            return  # nobody has signed in yet
        signed = header["flags"].has_flag(Smb2Flags.SMB2_FLAGS_SIGNED)
        if not signed and header["status"].get_value() in UNSIGNED_ENDS:
            raise SessionGoneError(f"status 0x{header['status'].get_value():08X}, unsigned")
        if session.encrypt_data:
            raise TamperedError("a plain answer on an encrypted session")
        interim = header["status"].get_value() == NtStatus.STATUS_PENDING
        if session.signing_required and not signed and not interim:
            raise TamperedError("an unsigned answer on a signed session")

    def _decrypt(self, message: Any) -> bytes:
        try:
            plain: bytes = super()._decrypt(message)
        except Exception as error:
            raise TamperedError("the encrypted answer does not verify") from error
        return plain

    def handover(self, session: Session) -> tuple[Handover, dict[str, int]]:
        """What ``Wire`` goes on with, and the shares that are connected already, with their TreeIds.

        Before SMB 3.1.1 a first tree connect proves that nobody had a hand in the negotiation (MS-SMB2 3.2.5.5).
        """
        connected = {}
        if self.dialect < Dialects.SMB_3_1_1:
            pipes = TreeConnect(session, f"\\\\{self.server_name}\\IPC$")
            pipes.connect()
            connected["IPC$"] = int(pipes.tree_connect_id)
        assert self._tcp is not None
        made = Handover(
            sock=self._tcp.give(),
            session=session.session_id,
            message=self.sequence_window["low"],
            credits=self.sequence_window["high"] - self.sequence_window["low"],
            has_large_mtu=bool(self.supports_multi_credit),
            sign=None
            if session.encrypt_data
            else signing(self.dialect, self.signing_algorithm_id, session.signing_key),
            encryption=Encryption(
                self.dialect, self.cipher_id, session.encryption_key, session.decryption_key, session.session_id
            )
            if session.encrypt_data
            else None,
        )
        return made, connected
