"""A port that is asked: it says what a connection would, of one that is open, closed or silent; and many at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from pusher.problems import Problem, ProblemError
from pusher.transports.codes import Operation
from pusher.transports.probe import probe
from pusher.transports.smb import faults as smb
from pusher.transports.smb.connection import GuardedConnection
from pusher.transports.winrm import faults as winrm
from pusher.transports.winrm.tls import Trust
from pusher.transports.winrm.wire import Wire

SECONDS = 0.2


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Its queue is full: the system drops who comes next, as a firewall would."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = int(listener.getsockname()[1])
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def by_smb(port: int) -> Problem:
    connection = GuardedConnection("127.0.0.1", port, SECONDS)
    with pytest.raises(ProblemError) as told:
        smb.guarded(Operation.REACH, connection.open, f"127.0.0.1:{port}")
    return told.value.problem


def by_winrm(port: int) -> Problem:
    wire = Wire("ws01.corp.example", "127.0.0.1", port, Trust(None))
    with pytest.raises(ProblemError) as told:
        winrm.guarded(Operation.REACH, lambda: wire.open(SECONDS), f"127.0.0.1:{port}")
    return told.value.problem


@pytest.mark.parametrize(("translate", "connect"), [(smb.translate, by_smb), (winrm.translate, by_winrm)])
async def test_one_that_is_silent_or_closed_is_told_as_by_a_connection(
    translate: object, connect: object, silent_port: int
) -> None:
    assert callable(translate)
    assert callable(connect)
    for port, code in ((silent_port, "timed-out"), (1, "port-closed")):
        found = await probe("127.0.0.1", [port], SECONDS, translate)
        assert found == connect(port)
        assert found is not None
        assert found.code == code


async def test_one_port_that_answers_is_enough(open_port: int, silent_port: int) -> None:
    assert await probe("127.0.0.1", [silent_port, open_port, 1], SECONDS, smb.translate) is None


async def test_of_several_that_do_not_answer_the_last_is_told_with_all_their_names(silent_port: int) -> None:
    found = await probe("127.0.0.1", [silent_port, 1], SECONDS, winrm.translate)
    assert found is not None
    assert (found.code, f"127.0.0.1:{silent_port} and 127.0.0.1:1" in found.message) == ("port-closed", True)


async def test_nothing_is_sent(open_port: int) -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await probe("127.0.0.1", [port], 5, smb.translate) is None
        assert await received == b""


async def test_an_address_of_the_other_family() -> None:
    found = await probe("::1", [1], 5, smb.translate)
    assert found is not None
    assert found.code in {"port-closed", "host-unreachable"}  # the latter where this machine has no IPv6
