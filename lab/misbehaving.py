"""Hosts that misbehave: no Windows is behind them. One accepts and is mute, one talks garbage, one is silent.

    python -m lab.misbehaving --kind KIND --folder DIR --listener FD --control FD --go FD

Not here: hosts with faults on their link (fault_proxy.py), addresses where nothing listens (nothing runs for those).
"""

from __future__ import annotations

import argparse
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from lab import control
from lab.processes import wait_for_go
from lab.scenarios import Kind


def mute(listener: socket.socket) -> None:
    """Accept and say nothing, until the client goes."""
    listener.listen(128)
    _each(listener, _drain)


def garbage(listener: socket.socket) -> None:
    """Answer whatever comes with random bytes.

    They have a length in front as any SMB message has: a random length would have the client wait for the rest.
    """

    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall((300).to_bytes(4, "big") + os.urandom(300))

    listener.listen(128)
    _each(listener, answer)


def silent(listener: socket.socket) -> None:
    """Leave every SYN without an answer: the kernel drops them while the queue of connections is full."""
    listener.listen(0)
    while True:
        filler = socket.socket()
        filler.settimeout(0.3)
        try:
            filler.connect(listener.getsockname())
        except TimeoutError:
            filler.close()
            return
        _fillers.append(filler)


_fillers: list[socket.socket] = []  # open for as long as the process lives


def _drain(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _each(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    """Accept from now on, each connection in a thread of its own."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


_KINDS = {Kind.MUTE: mute, Kind.GARBAGE: garbage, Kind.SILENT: silent}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.misbehaving", description=__doc__)
    parser.add_argument("--kind", choices=[kind.value for kind in _KINDS], required=True)
    parser.add_argument("--folder", help="the host's folder; shows whose process this is", required=True)
    for descriptor in ("--listener", "--control", "--go"):
        parser.add_argument(descriptor, type=int, required=True)
    arguments = parser.parse_args()
    wait_for_go(arguments.go)
    listener = socket.socket(fileno=arguments.listener)  # collected, it would be closed
    _KINDS[Kind(arguments.kind)](listener)
    control.serve(socket.socket(fileno=arguments.control), {"ready": lambda: None, "processes": list})
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
