"""The proxy in front of a server that echoes: what passes, and what each fault does."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.fault_proxy import ByteBudget, Fault, FaultProxy, MessageBudget, Plan


class Echo:
    """A server that sends back what it gets, and keeps count of it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.received = b""
        self.ends: dict[int, socket.socket] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname())

    def kill_server(self, connection: socket.socket) -> None:
        port = connection.getsockname()[1]
        while port not in self.ends:
            time.sleep(0.001)
        self.ends[port].shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                self.ends[peer[1]] = connection
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                self.received += data
                connection.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    with socket.socket() as made:
        # By its number, as a host's is: a port that the kernel chose is lost when the proxy stops listening.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        yield made


@pytest.fixture
def proxy(echo: Echo, listener: socket.socket) -> FaultProxy:
    made = FaultProxy(listener, echo.connect, echo.kill_server)
    made.open()
    return made


def client(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=5)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
    return read(connection, len(data))


def read(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        piece = connection.recv(65536)
        if not piece:
            break
        got += piece
    return got


def is_reset(listener: socket.socket) -> bool:
    """Whether a new connection is reset, which may be before we know that it was made."""
    try:
        with client(listener) as connection:
            connection.recv(1)
    except ConnectionResetError:
        return True
    return False


def silent(connection: socket.socket) -> bool:
    """Open, and nothing comes."""
    connection.settimeout(0.3)
    try:
        return connection.recv(1) is None
    except TimeoutError:
        return True


def test_before_it_opens_connections_are_refused(echo: Echo, listener: socket.socket) -> None:
    FaultProxy(listener, echo.connect, echo.kill_server)
    with pytest.raises(ConnectionRefusedError):
        client(listener)


def test_a_fault_that_is_there_before_it_opens(echo: Echo, listener: socket.socket) -> None:
    proxy = FaultProxy(listener, echo.connect, echo.kill_server)
    proxy.link(Plan(fault=Fault.STALL))
    with pytest.raises(ConnectionRefusedError):
        client(listener)
    proxy.link(Plan(fault=Fault.REFUSE))
    proxy.open()
    with pytest.raises(ConnectionRefusedError):
        client(listener)
    proxy.heal()
    with client(listener) as connection:
        assert exchange(connection, b"hello") == b"hello"


def test_everything_passes_both_ways(proxy: FaultProxy, listener: socket.socket) -> None:
    data = os.urandom(3_000_000)
    with client(listener) as connection:
        assert exchange(connection, data) == data
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_stall_keeps_the_connection_open(proxy: FaultProxy, listener: socket.socket, echo: Echo) -> None:
    proxy.link(Plan(fault=Fault.STALL, after=1000))
    with client(listener) as connection:
        connection.sendall(bytes(5000))
        assert len(read(connection, 1000)) == 1000
        assert silent(connection)
        connection.sendall(b"still open")
    assert len(echo.received) == 1000


def test_bytes_are_counted_for_each_connection(proxy: FaultProxy, listener: socket.socket) -> None:
    proxy.link(Plan(fault=Fault.STALL, after=1000))
    for _ in range(3):
        with client(listener) as connection:
            assert exchange(connection, bytes(900)) == bytes(900)


def test_a_reset_is_a_reset_and_no_orderly_end(proxy: FaultProxy, listener: socket.socket, echo: Echo) -> None:
    proxy.link(Plan(fault=Fault.RESET, after=1000))
    with client(listener) as connection:
        connection.sendall(bytes(1500))
        with pytest.raises(ConnectionResetError):
            while connection.recv(65536):
                pass
    assert len(echo.received) <= 1000  # the server may be reset before it has read them


def ends(connection: socket.socket) -> bool:
    """TimeoutError where it does not."""
    with suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


def test_a_killed_server_ends_the_connection(proxy: FaultProxy, listener: socket.socket) -> None:
    proxy.link(Plan(fault=Fault.KILL_SMBD, after=1000))
    with client(listener) as connection:
        connection.sendall(bytes(1000))
        assert ends(connection)


def test_messages_are_counted_whole(proxy: FaultProxy, listener: socket.socket, echo: Echo) -> None:
    proxy.link(Plan(fault=Fault.STALL, after_messages=1))
    first = (500).to_bytes(4, "big") + bytes(500)
    with client(listener) as connection:
        for start in range(0, len(first), 100):  # in pieces, none of which is the message
            connection.sendall(first[start : start + 100])
            time.sleep(0.01)
        assert len(read(connection, len(first))) == len(first)
        connection.sendall(first)
        assert silent(connection)
    assert echo.received == first


def test_refused_for_good_until_healed(proxy: FaultProxy, listener: socket.socket) -> None:
    address = listener.getsockname()
    proxy.link(Plan(fault=Fault.REFUSE))
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
    proxy.heal()
    with socket.create_connection(address, timeout=5) as connection:
        assert exchange(connection, b"again") == b"again"


def test_another_fault_ends_the_refusing(proxy: FaultProxy, listener: socket.socket) -> None:
    proxy.link(Plan(fault=Fault.REFUSE))
    proxy.link(Plan(fault=Fault.DELAY, ms=1))
    with client(listener) as connection:
        assert exchange(connection, b"hello") == b"hello"


def test_a_fault_for_so_many_connections(proxy: FaultProxy, listener: socket.socket) -> None:
    proxy.link(Plan(fault=Fault.REFUSE, times=2))
    for _ in range(2):
        assert is_reset(listener)
    with client(listener) as connection:
        assert exchange(connection, b"fine") == b"fine"


def test_a_delay_delays(
    proxy: FaultProxy, listener: socket.socket, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has passed when the wait begins, all of it passes when the wait is over."""
    waits: list[tuple[float, bytes]] = []
    monkeypatch.setattr("lab.fault_proxy._wait", lambda seconds: waits.append((seconds, echo.received)))
    proxy.link(Plan(fault=Fault.DELAY, ms=200))
    with client(listener) as connection:
        assert exchange(connection, b"hello") == b"hello"
    assert waits == [(0.2, b"")]


def test_open_connections_keep_what_they_had(proxy: FaultProxy, listener: socket.socket) -> None:
    with client(listener) as connection:
        assert exchange(connection, b"one") == b"one"
        proxy.link(Plan(fault=Fault.STALL))
        assert exchange(connection, b"two") == b"two"
        proxy.heal()


def test_without_a_server_connections_are_reset(listener: socket.socket) -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError

    FaultProxy(listener, refuse, lambda connection: None).open()
    assert is_reset(listener)


@given(pieces=st.lists(st.binary(max_size=50)), limit=st.integers(0, 200))
def test_a_byte_budget_passes_so_many_bytes(pieces: list[bytes], limit: int) -> None:
    budget = ByteBudget(limit)
    passed = sum(budget.passing(piece) for piece in pieces)
    assert passed == min(limit, sum(map(len, pieces)))
    assert budget.spent == (passed == limit)


@given(bodies=st.lists(st.binary(max_size=20), min_size=1), limit=st.integers(0, 5), step=st.integers(1, 30))
def test_a_message_budget_passes_so_many_messages(bodies: list[bytes], limit: int, step: int) -> None:
    messages = [len(body).to_bytes(4, "big") + body for body in bodies]
    stream, budget = b"".join(messages), MessageBudget(limit)
    passed = 0
    for start in range(0, len(stream), step):
        piece = stream[start : start + step]
        count = budget.passing(piece)
        passed += count
        if count < len(piece):
            break
    assert passed == len(b"".join(messages[:limit]))
    assert budget.spent == (len(messages) >= limit)


def test_a_port_probe_costs_no_fault(proxy: FaultProxy, listener: socket.socket) -> None:
    proxy.link(Plan(fault=Fault.RESET, after=1, times=1))
    for _ in range(3):
        client(listener).close()
    with client(listener) as connection, pytest.raises(ConnectionResetError):
        connection.sendall(b"12")
        while connection.recv(1):
            pass
    with client(listener) as connection:
        connection.sendall(b"12")
        assert connection.recv(2) == b"12"
