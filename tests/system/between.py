"""Servers of the tests' own: one that is no SMB server, and one between pusher and a host that changes what is said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from lab import Host
from tests.system.site import unused_address

SMB2, ENCRYPTED = b"\xfeSMB", b"\xfdSMB"
SESSION_SETUP, READ = 1, 8
SIGNED = 0x08
STATUS_PENDING = 0x103
_COMMAND, _STATUS, _FLAGS, _SIGNATURE = slice(12, 14), slice(8, 12), slice(16, 20), slice(48, 64)
_NEXT = slice(20, 24)

Talk = Callable[[socket.socket], None]


class Server:
    """Listens on an address that nobody else has; each connection is one call of ``talk`` in a thread of its own."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.address = unused_address()
        self._listener = socket.create_server((self.address, 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in [self._listener, *self._open]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection:
            self._talk(connection)


class Message:
    """One SMB2 message of the host, as it comes over the wire."""

    def __init__(self, data: bytes, number: int, number_after: int | None) -> None:
        self.data = bytearray(data)
        self.number = number  # from 0, of all messages of this connection
        self.number_after = number_after  # from 0, of those that come after the sign-in; None for those before

    @property
    def is_encrypted(self) -> bool:
        return self.data.startswith(ENCRYPTED)

    @property
    def command(self) -> int | None:
        """None where it cannot be read."""
        return None if self.is_encrypted else int.from_bytes(self.data[_COMMAND], "little")

    @property
    def parts(self) -> list[tuple[int, int, int]]:
        """Of each message of a compound: where it begins and ends, and its command (MS-SMB2 3.2.4.1.4)."""
        found, at = [], 0
        while not self.is_encrypted:
            following = int.from_bytes(self.data[at:][_NEXT], "little")
            end = at + following if following else len(self.data)
            found.append((at, end, int.from_bytes(self.data[at:][_COMMAND], "little")))
            if not following:
                break
            at = end
        return found

    @property
    def status(self) -> int:
        return int.from_bytes(self.data[_STATUS], "little")

    @property
    def is_interim(self) -> bool:
        """A promise of an answer (MS-SMB2 3.3.4.2): never signed and never believed, so a change of it does nothing."""
        return not self.is_encrypted and self.status == STATUS_PENDING

    def flip(self, at: int) -> None:
        self.data[at] ^= 0x01

    def unsign(self, at: int = 0) -> None:
        """As if the host had never signed it; ``at``: where it begins in its compound."""
        flags = int.from_bytes(self.data[at:][_FLAGS], "little") & ~SIGNED
        self.data[at + _FLAGS.start : at + _FLAGS.stop] = flags.to_bytes(4, "little")
        self.data[at + _SIGNATURE.start : at + _SIGNATURE.stop] = bytes(16)


Change = Callable[[Message], bytes | None]
"""What to send instead of a message, with its length in front; None: the message as it is (or was changed)."""


class Between(Server):
    """Joins each connection to a host and hands every message from the host to ``change``."""

    def __init__(self, host: Host, change: Change) -> None:
        super().__init__(self._join)
        self._host, self._change = host, change
        self.changed = 0

    def item(self, fqdn: str | None = None) -> str:
        """The host in an inventory, by this way."""
        return f"{{name: {fqdn or self._host.fqdn}, address: {self.address}, port: {self.port}}}"

    def _join(self, client: socket.socket) -> None:
        with socket.create_connection((self._host.address, self._host.port)) as server:
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
            number, after = 0, None
            try:
                while True:
                    message = Message(_exactly(server, int.from_bytes(_exactly(server, 4), "big")), number, after)
                    signed_in = message.command == SESSION_SETUP and message.status == 0
                    before = bytes(message.data)
                    instead = self._change(message)
                    self.changed += instead is not None or message.data != before
                    client.sendall(instead or len(message.data).to_bytes(4, "big") + message.data)
                    number += 1
                    after = 0 if signed_in else None if after is None else after + 1
            except EOFError:
                client.shutdown(socket.SHUT_WR)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 18):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
