"""The registry's pipe, as Windows Server has it: the service behind it starts when the pipe is first opened.

That open is refused (STATUS_PIPE_NOT_AVAILABLE), and so is any other until the service runs, a moment later. Samba
serves the pipe itself, and opens it for its own purposes, as the system; what is here stands in front of its socket and
passes everything on, the handshake included.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lab import npa

log = logging.getLogger("lab.winreg")

PIPE_NOT_AVAILABLE = 0xC00000AC
_SYSTEM = "S-1-5-18"
_STARTS = 0.4
"""Seconds from the first open until the service runs."""


class RegistryPipe:
    """Takes the place of Samba's socket at `path`, which gets another name."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._samba = path.with_name(path.name + ".samba")
        path.rename(self._samba)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(64)
        self._runs: float | None = None

    def start(self) -> None:
        threading.Thread(target=self._accept, name="winreg", daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, npa.HandshakeError):
            handshake = _exactly(client, 4)
            handshake += _exactly(client, int.from_bytes(handshake, "big"))
            if _SYSTEM not in npa.parse_request(handshake).sids and self._starting():
                log.info("refused: the service is being started")
                client.sendall(npa.reply(PIPE_NOT_AVAILABLE))
                return
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as samba:
                samba.connect(str(self._samba))
                samba.sendall(handshake)
                threading.Thread(target=_pass_on, args=(samba, client), daemon=True).start()
                _pass_on(client, samba)

    def _starting(self) -> bool:
        now = self._now()
        if self._runs is None:
            self._runs = now + _STARTS
        return now < self._runs


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise ConnectionError("smbd closed the connection in mid-message")
        data += part
    return data


def _pass_on(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    for end in (source, to):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
