"""What a listener may send: read within bounds whatever its framing says, or ended. Real sockets; no answer is nice."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.problems import ProblemError
from pusher.transports.codes import Operation
from pusher.transports.port import Endpoint
from pusher.transports.winrm.adapter import WinrmTransport
from pusher.transports.winrm.authentication import MAX_BODY
from pusher.transports.winrm.faults import translate
from pusher.transports.winrm.wire import MAX_ANSWER, Answer, Wire
from tests.unit.transports.winrm.conftest import HOST, LIMITS

KIND = "application/soap+xml;charset=UTF-8"
MOST = 32 * 1024 * 1024
"""Far more than a client may take: what is read, and what lies in the buffers of two sockets."""


class Teller:
    """A server that sends ``said`` to whoever asks, and counts the bytes that went out."""

    def __init__(self) -> None:
        self.said: Callable[[], Iterable[bytes]] = lambda: ()
        self.stays = False
        self.sent, self.ended = 0, threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                made, _ = self._socket.accept()
                threading.Thread(target=self._tell, args=(made,), daemon=True).start()

    def _tell(self, made: socket.socket) -> None:
        with contextlib.suppress(OSError), made:
            asked = b""
            while not asked.endswith(b"\r\n\r\n") and (piece := made.recv(65536)):
                asked += piece
            for part in self.said():
                made.sendall(part)
                self.sent += len(part)
                assert self.sent < MOST, "nobody stopped reading"
            made.shutdown(socket.SHUT_WR)
            if self.stays:
                self.ended.wait(60)
            while made.recv(65536):  # what is not read would turn the end into a reset
                pass


@pytest.fixture
def teller() -> Iterator[Teller]:
    made = Teller()
    yield made
    made.close()


@pytest.fixture(scope="module")
def one() -> Iterator[Teller]:
    """For many examples, one after another."""
    made = Teller()
    yield made
    made.close()


def ask(teller: Teller, most: int = MAX_ANSWER) -> tuple[Answer | str, Wire]:
    """The answer, or the code that came instead."""
    wire = Wire(HOST, "127.0.0.1", teller.port, None)
    wire.open(5)
    try:
        return wire.post(b"", {"Content-Type": KIND}, most), wire
    except Exception as error:
        return translate(error, Operation.FACTS).code, wire
    finally:
        wire.close()


START = b"HTTP/1.1 401 x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "chunk of size -1": (CHUNKED + b"-1\r\n", bytes(1 << 16)),
    "chunk of a size that is none": (CHUNKED + b"0x10\r\n", bytes(1 << 16)),
    "chunk of a huge size": (CHUNKED + b"ffffffffffffffff\r\n", bytes(1 << 16)),
    "chunks": (CHUNKED, b"10000\r\n" + bytes(0x10000) + b"\r\n"),
    "chunks of a byte": (CHUNKED, b"1\r\nx\r\n" * 1000),
    "a chunk's size without end": (CHUNKED, b"0" * 1000),
    "a chunk's extension without end": (CHUNKED + b"1;", b"x" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
    "no framing": (START + b"\r\n", bytes(1 << 16)),
    "the old HTTP": (b"HTTP/1.0 401 x\r\n\r\n", bytes(1 << 16)),
    "a length": (START + b"Content-Length: 99999999999\r\n\r\n", bytes(1 << 16)),
    "a length of too many digits": (START + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", bytes(1 << 16)),
    "a negative length": (START + b"Content-Length: -1\r\n\r\n", bytes(1 << 16)),
    "a length past the bound for strangers": (START + f"Content-Length: {MAX_BODY + 1}\r\n\r\n".encode(), b"x"),
    "headers": (START, b"X: y\r\n" * 1000),
    "a header": (START + b"X: ", b"y" * 1000),
    "a folded header": (START + b"X: y\r\n", b" z\r\n" * 1000),
    "a status line": (b"HTTP/1.1 401 ", b"x" * 1000),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "other interim answers": (b"", b"HTTP/1.1 103 x\r\nLink: y\r\n\r\n" * 100),
    "blank lines": (b"", b"\r\n" * 1000),
    "no HTTP": (b"", b"x" * 1000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_end_is_left(teller: Teller, kind: str) -> None:
    """Its sender is stopped: what was read is bounded, not what it says that it sends."""
    first, more = ENDLESS[kind]
    teller.said = lambda: itertools.chain([first], itertools.repeat(more))
    code, wire = ask(teller, MAX_BODY)
    assert code == "protocol-error"
    assert not wire.alive


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "connection-lost"),
        (b"HTTP/1.1 4", "connection-lost"),
        (START, "connection-lost"),
        (START + b"Content-Length: 10\r\n\r\nx", "connection-lost"),
        (CHUNKED + b"5\r\nx", "connection-lost"),
        (CHUNKED + b"0\r\n", "connection-lost"),
        (b"HTTP/1.1 100 x\r\n\r\n", "connection-lost"),
        (START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "protocol-error"),
        (START + b"Content-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\nx", "protocol-error"),
        (b"HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: Upgrade\r\n\r\n", "protocol-error"),
        (START + b"Content-Length: 1\r\n\r\nxHTTP/1.1 200 x\r\n", "protocol-error"),
    ],
)
def test_answers_that_are_none(teller: Teller, said: bytes, code: str) -> None:
    teller.said = lambda: [said]
    assert ask(teller)[0] == code


@pytest.mark.parametrize(
    ("said", "alive"),
    [
        (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (CHUNKED.replace(b"401", b"200") + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nX: y\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", False),
    ],
)
def test_a_connection_lives_on_only_where_the_answer_lets_it(teller: Teller, said: bytes, alive: bool) -> None:
    teller.said = lambda: [said]
    wire = Wire(HOST, "127.0.0.1", teller.port, None)
    wire.open(5)
    answer = wire.post(b"", {"Content-Type": KIND})
    assert (answer.status, answer.body, wire.alive) == (200, b"ok", alive)
    wire.close()
    assert not wire.alive


NAMES = st.sampled_from(["Content-Length", "Transfer-Encoding", "Connection", "WWW-Authenticate", "X", "", "\0"])
VALUES = st.sampled_from(
    ["0", "5", "-1", "1e9", "99999999", "chunked", "close", "gzip, chunked", "Negotiate TlRM", "é"]
)
HEADS = st.builds(
    lambda version, status, fields, end: (
        f"{version} {status} x{end}" + "".join(f"{name}: {value}{end}" for name, value in fields) + end
    ).encode("latin-1"),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "http/1.1", ""]),
    st.sampled_from(["401", "200", "100", "101", "204", "304", "-1", "999999", ""]),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.sampled_from(["\r\n", "\n", "\r"]),
)
BODIES = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda size, data: f"{size}\r\n".encode() + data + b"\r\n",
        st.sampled_from(["0", "5", "-5", "zz", "fffff", ""]),
        st.binary(max_size=8),
    ),
)


@pytest.mark.thorough
@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.one_of(HEADS, BODIES), max_size=6))
def test_whatever_is_sent_there_is_an_answer_or_a_code(one: Teller, pieces: list[bytes]) -> None:
    one.said, one.sent = lambda: pieces, 0
    found, wire = ask(one)
    assert found in ("protocol-error", "connection-lost") or isinstance(found, Answer)
    assert not wire.alive
    if isinstance(found, Answer):
        assert len(found.body) <= sum(map(len, pieces))
        assert 200 <= found.status <= 999


async def test_an_answer_that_drips_is_given_up(transport: WinrmTransport, teller: Teller) -> None:
    """Each byte in time, the whole never: the call's time is the whole's."""

    def drip() -> Iterator[bytes]:
        yield START
        while not teller.ended.wait(0.02):
            yield b"X"

    teller.said = drip
    where = Endpoint(host=HOST, address="127.0.0.1", port=teller.port, scheme="http")
    link = await transport.open(where, replace(LIMITS, connect=0.3))
    with pytest.raises(ProblemError) as caught:
        await link.identify()
    assert caught.value.problem.code == "timed-out"
    await link.close()
