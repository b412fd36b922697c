"""Negotiate and sign-in: forged, unsigned, plain and oversized answers, as they come off a socket."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from smbprotocol.connection import Request
from smbprotocol.exceptions import SMBConnectionClosed
from smbprotocol.header import Commands, NtStatus, Smb2Flags, SMB2HeaderRequest, SMB2HeaderResponse
from smbprotocol.session import SMB2SessionSetupRequest

from pusher.transports.codes import Operation
from pusher.transports.smb.connection import GuardedConnection, _BoundedTcp
from pusher.transports.smb.errors import ImplausibleError, SessionGoneError, TamperedError
from pusher.transports.smb.faults import translate
from pusher.transports.smb.wire import MAX_MESSAGE

SESSION, MESSAGE = 0x1122, 5
KEY = b"k" * 16


class Feed:
    """A socket that has these messages to give, and then is closed."""

    connected = True

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)

    def recv(self, timeout: float) -> bytes:
        return self.messages.pop(0) if self.messages else b""

    def close(self) -> None: ...


def connection(*, encrypts: bool, signs: bool, command: int = Commands.SMB2_WRITE) -> tuple[Any, Any]:
    """A connection with a session, on which one request waits for its answer."""
    made = GuardedConnection("127.0.0.1", 445, 1.0)
    made.dialect, made.signing_algorithm_id = 0x311, None
    made.session_table[SESSION] = SimpleNamespace(
        encrypt_data=encrypts, signing_required=signs, signing_key=KEY, disconnect=lambda *_: None
    )
    message = SMB2HeaderRequest()
    message["command"], message["message_id"], message["session_id"] = command, MESSAGE, SESSION
    request = Request(message, type(message), made, SESSION)
    made.outstanding_requests[MESSAGE] = request
    return made, request


def answer(
    made: Any,
    *,
    command: int = Commands.SMB2_WRITE,
    signed: bool = False,
    status: int = NtStatus.STATUS_SUCCESS,
    session: int = SESSION,
    forged: bool = False,
) -> bytes:
    header = SMB2HeaderResponse()
    header["command"], header["message_id"], header["session_id"] = command, MESSAGE, session
    header["status"], header["credit_response"], header["data"] = status, 1, b"\x11\x00" + bytes(14)
    header["flags"].set_flag(Smb2Flags.SMB2_FLAGS_SERVER_TO_REDIR)
    if signed:
        header["flags"].set_flag(Smb2Flags.SMB2_FLAGS_SIGNED)
        key = b"x" * 16 if forged else KEY
        header["signature"] = made._generate_signature(header.pack(), key, MESSAGE, True, command)
    data: bytes = header.pack()
    return data


def received(made: Any, *messages: bytes) -> BaseException | None:
    """Let the connection's own reader take the messages; what ended it."""
    made._tcp = Feed(*messages)
    made._process_message_thread()
    error: BaseException | None = made._t_exc
    return error


def test_a_signed_answer_is_taken() -> None:
    made, request = connection(encrypts=False, signs=True)
    assert received(made, answer(made, signed=True)) is None
    assert request.response is not None


def test_an_unsigned_answer_on_a_signed_session() -> None:
    made, request = connection(encrypts=False, signs=True)
    assert isinstance(received(made, answer(made)), TamperedError)
    assert request.response is None


@pytest.mark.parametrize("encrypts", [False, True])
@pytest.mark.parametrize("status", [0xC0000203, 0xC000035C, 0xC00000C9])
def test_a_session_that_is_gone_is_told_unsigned(status: int, encrypts: bool) -> None:
    """Windows has no key left to sign with. The connection ends, and nothing in the answer is taken for one."""
    made, request = connection(encrypts=encrypts, signs=True)
    error = received(made, answer(made, status=status))
    assert isinstance(error, SessionGoneError)
    assert translate(error, Operation.FILE).code == "connection-lost"
    assert request.response is None


@pytest.mark.parametrize("status", [0xC0000022, 0xC0000034, 0xC0000128, NtStatus.STATUS_SUCCESS])
def test_no_other_status_is_believed_unsigned(status: int) -> None:
    made, request = connection(encrypts=False, signs=True)
    assert isinstance(received(made, answer(made, status=status)), TamperedError)
    assert request.response is None


def test_a_session_that_is_gone_with_a_forged_signature() -> None:
    made, _ = connection(encrypts=False, signs=True)
    assert isinstance(received(made, answer(made, status=0xC0000203, signed=True, forged=True)), TamperedError)


def test_a_forged_signature() -> None:
    made, request = connection(encrypts=False, signs=True)
    assert isinstance(received(made, answer(made, signed=True, forged=True)), TamperedError)
    assert request.response is None


@pytest.mark.parametrize("at", range(0, 80, 7))
def test_one_changed_bit_of_a_signed_answer(at: int) -> None:
    made, request = connection(encrypts=False, signs=True)
    data = bytearray(answer(made, signed=True))
    data[at] ^= 1
    assert received(made, bytes(data)) is not None
    assert request.response is None


@pytest.mark.parametrize("signed", [False, True])
def test_a_plain_answer_on_an_encrypted_session(signed: bool) -> None:
    made, request = connection(encrypts=True, signs=False)
    assert isinstance(received(made, answer(made, signed=signed)), TamperedError)
    assert request.response is None


@pytest.mark.parametrize("encrypts", [False, True])
@pytest.mark.parametrize("session", [SESSION, 0, 99])
@pytest.mark.parametrize("claims_to_be_signed", [False, True])
def test_an_answer_to_another_command_than_was_sent(encrypts: bool, session: int, claims_to_be_signed: bool) -> None:
    """smbprotocol looks at no SESSION_SETUP's signature, and the session id in it is its sender's choice."""
    made, request = connection(encrypts=encrypts, signs=not encrypts)
    setup = Commands.SMB2_SESSION_SETUP
    forged = answer(made, command=setup, session=session, signed=claims_to_be_signed, forged=True)
    assert isinstance(received(made, forged), TamperedError)
    assert request.response is None


@pytest.mark.parametrize("session", [0, 99])
def test_a_session_of_the_senders_choice(session: int) -> None:
    made, request = connection(encrypts=False, signs=True)
    assert isinstance(received(made, answer(made, session=session)), TamperedError)
    assert request.response is None


def test_an_interim_answer_need_not_be_signed() -> None:
    """MS-SMB2 3.3.4.4: it carries nothing; the final one follows, and is judged."""
    made, request = connection(encrypts=False, signs=True)
    pending = answer(made, status=NtStatus.STATUS_PENDING)
    assert isinstance(received(made, pending, answer(made)), TamperedError)
    made, request = connection(encrypts=False, signs=True)
    assert received(made, pending, answer(made, signed=True)) is None
    assert request.response["status"].get_value() == NtStatus.STATUS_SUCCESS


def test_before_anybody_has_signed_in_nothing_is_signed() -> None:
    made, request = connection(encrypts=False, signs=True, command=Commands.SMB2_SESSION_SETUP)
    made.session_table.clear()
    made.preauth_integrity_session_hash_value[MESSAGE] = []
    assert received(made, answer(made, command=Commands.SMB2_SESSION_SETUP)) is None
    assert request.response is not None


def test_an_encrypted_answer_that_does_not_verify() -> None:
    made, request = connection(encrypts=True, signs=False)
    made.session_table[SESSION].decryption_key, made.cipher_id = KEY, 2
    transform = b"\xfdSMB" + bytes(16) + bytes(16) + struct.pack("<IHHQ", 16, 0, 1, SESSION) + bytes(16)
    assert isinstance(received(made, transform), TamperedError)
    assert request.response is None


def test_an_answer_nobody_asked_for_ends_the_connection() -> None:
    made, _ = connection(encrypts=False, signs=True)
    made.outstanding_requests.clear()
    assert received(made, answer(made, signed=True)) is not None


# The socket


@pytest.fixture
def pair() -> Iterator[tuple[_BoundedTcp, socket.socket]]:
    ours, theirs = socket.socketpair()
    tcp = _BoundedTcp("127.0.0.1", 445, 1.0)
    tcp._sock, tcp.connected = ours, True
    yield tcp, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("length", [0, 3, MAX_MESSAGE + 1, 2**31, 2**32 - 1])
def test_a_length_that_no_server_would_announce(length: int, pair: tuple[_BoundedTcp, socket.socket]) -> None:
    """Refused before anything is allocated: nothing of the body has come, nor is it waited for."""
    tcp, theirs = pair
    theirs.sendall(struct.pack(">I", length))
    with pytest.raises(ImplausibleError):
        tcp.recv(30)


def test_a_plausible_message_is_read_in_whole(pair: tuple[_BoundedTcp, socket.socket]) -> None:
    tcp, theirs = pair
    theirs.sendall(struct.pack(">I", 10) + b"0123")
    theirs.sendall(b"456789" + struct.pack(">I", 4) + b"next")
    assert (bytes(tcp.recv(30)), bytes(tcp.recv(30))) == (b"0123456789", b"next")


def test_the_end_of_the_connection_is_no_message(pair: tuple[_BoundedTcp, socket.socket]) -> None:
    tcp, theirs = pair
    theirs.close()
    assert tcp.recv(30) == b""


def test_an_abort_ends_a_read_in_another_thread(pair: tuple[_BoundedTcp, socket.socket]) -> None:
    tcp, _ = pair
    made = GuardedConnection("127.0.0.1", 445, 1.0)
    made._tcp = tcp
    ended = threading.Event()

    def read() -> None:
        tcp.recv(600)
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    made.abort()
    assert ended.wait(30)
    made.abort()


def test_an_abort_before_there_is_a_socket_ends_the_connecting() -> None:
    """The NEGOTIATE behind it waits for ten minutes where the server is silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = GuardedConnection("127.0.0.1", silent.getsockname()[1], 5.0)
        made.abort()
        with pytest.raises(SMBConnectionClosed):
            made.open()


def test_session_setups_are_counted() -> None:
    """What ``secret_sent`` goes by."""
    made, _ = connection(encrypts=False, signs=False)
    made._tcp = Feed()
    for command, count in (
        (Commands.SMB2_SESSION_SETUP, 1),
        (Commands.SMB2_WRITE, 1),
        (Commands.SMB2_SESSION_SETUP, 2),
    ):
        with pytest.raises(Exception):  # noqa: B017 - nothing can be sent here
            made.send(SimpleNamespace(COMMAND=command))
        assert made.session_setups_sent == count


def test_a_session_setup_on_a_connection_known_to_be_gone_is_not_sent() -> None:
    """A server that hangs up with its challenge gets nothing that is made of the password."""
    made, _ = connection(encrypts=False, signs=False)
    made._tcp = Feed()
    made._tcp.connected = False
    with pytest.raises(SMBConnectionClosed):
        made.send(SMB2SessionSetupRequest())
    assert made.session_setups_sent == 0
