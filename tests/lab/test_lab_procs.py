"""Which process of a server is killed for a connection: the one that serves it, never the one that listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab import procs

# As smbd between accept and fork: the connection and the listening socket are open in one process. What it is
# sent has it close the listening one.
SERVER = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
print("accepted", flush=True)
connection.recv(1)
listener.close()
print("closed", flush=True)
time.sleep(60)
"""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    port = int(said(process))
    monkeypatch.setattr(procs, "SERVER_PORT", port)
    yield Server(process, port)
    process.kill()
    process.wait()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_who_listens_is_left_alone(server: Server) -> None:
    with server.connect() as connection:
        assert said(server.process) == "accepted"
        assert procs.kill_all() == 0
        procs.kill_peer(connection, patience=0.1)
        assert server.process.poll() is None
        connection.sendall(b"!")
        assert said(server.process) == "closed"
        procs.kill_peer(connection)
        assert server.process.wait(5) == -9


def test_only_the_peer_of_that_connection_is_killed(server: Server) -> None:
    with (
        server.connect() as connection,
        server.connect() as other,  # in the queue, nobody's yet
    ):
        connection.sendall(b"!")
        assert [said(server.process), said(server.process)] == ["accepted", "closed"]
        procs.kill_peer(other, patience=0.1)
        assert server.process.poll() is None
        assert procs.kill_all() == 1
        assert server.process.wait(5) == -9


def test_processes_are_listed_with_their_parents() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        deadline = time.monotonic() + 5
        while not (found := [p for p in procs.processes() if p.pid == child.pid and "sleep(60)" in p.command]):
            assert time.monotonic() < deadline
        assert found[0].parent == os.getpid()
    finally:
        child.kill()
        child.wait()
