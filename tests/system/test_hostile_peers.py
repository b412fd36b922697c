"""Peers that lie: what is no SMB server, and somebody in between who changes what a host says."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import Host
from tests.system import witness
from tests.system.between import READ, SMB2, Between, Message, Server
from tests.system.site import Site

pytestmark = pytest.mark.lab

MEMORY_LIMIT = 300 << 20
COPIES = 3


def _endless(connection: socket.socket, head: bytes) -> None:
    """Answers with this, and then with zeros for as long as anybody listens."""
    connection.recv(65536)
    connection.sendall(head)
    while True:
        connection.sendall(bytes(1 << 16))


def _huge_length(connection: socket.socket) -> None:
    _endless(connection, b"\x00\xff\xff\xff")


def _all_bits_set(connection: socket.socket) -> None:
    _endless(connection, b"\xff\xff\xff\xff")


def _largest_allowed(connection: socket.socket) -> None:
    """A length that a server may announce, and a header that counts on it."""
    _endless(connection, (9 << 20).to_bytes(4, "big") + SMB2 + bytes(60))


def _empty_message(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(bytes(4) * 1000)
    _wait_for_end(connection)


def _web_server(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    _wait_for_end(connection)


def _greets_first(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.lab.test ESMTP\r\n")
    _wait_for_end(connection)


def _hangs_up(connection: socket.socket) -> None:
    connection.recv(65536)


def _resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _drips(connection: socket.socket) -> None:
    """A byte now and then, of a message that never comes to its end."""
    connection.recv(65536)
    connection.sendall((1 << 20).to_bytes(4, "big") + SMB2)
    while True:
        connection.sendall(b"\0")
        time.sleep(0.2)


def _old_dialect(connection: socket.socket) -> None:
    """A NEGOTIATE response whose dialect is SMB 2.0.2 and whose security blob lies far outside."""
    connection.recv(65536)
    header = SMB2 + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0) + bytes(16)
    body = struct.pack(
        "<HHHH16sIIIIQQHHI", 65, 1, 0x0202, 0, os.urandom(16), 0, 1 << 31, 1 << 31, 1 << 31, 0, 0, 65535, 65535, 0
    )
    message = header + body
    connection.sendall(len(message).to_bytes(4, "big") + message)
    _wait_for_end(connection)


def _wait_for_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


PEERS: dict[str, Callable[[socket.socket], None]] = {
    talk.__name__.strip("_").replace("_", "-"): talk
    for talk in (
        _huge_length, _all_bits_set, _largest_allowed, _empty_message, _web_server, _greets_first, _hangs_up, _resets,
        _drips, _old_dialect,
    )
}  # fmt: skip
UNREACHED = {"protocol-error", "connection-lost", "timed-out", "dialect-unsupported"}


def test_the_run_goes_on_and_memory_stays_bounded(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    """Many of them at once, and a good machine among them."""
    host = fresh("spare1")
    with ExitStack() as stack:
        servers = [(name, stack.enter_context(Server(talk))) for name, talk in PEERS.items() for _ in range(COPIES)]
        items = [
            f"{{name: {name}{number}.lab.test, address: {server.address}, port: {server.port}}}"
            for number, (name, server) in enumerate(servers)
        ]
        ended = site.pusher(tmp_path / "run", quick).push(
            site.inventory_of(tmp_path, [*items, host]), "--connect-timeout", "3", "--per-subnet", "0"
        )
    assert ended.status == 1
    assert len(ended.outcomes) == COPIES * len(PEERS) + 1
    assert ended.outcomes.pop(host.fqdn)["status"] == "installed"
    for target, line in ended.outcomes.items():
        assert line["code"] in UNREACHED, (target, line["code"], line["message"])
        assert line["remedy"] and line["stage"] in ("reach", "identify")
        assert line["accounts_tried"] == []
    assert all(server.connections for _, server in servers)
    assert ended.peak < MEMORY_LIMIT, f"{ended.peak >> 20} MiB"


# -- somebody in between ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ways(site: Site) -> dict[str, Host]:
    """A host that encrypts and one that only signs. Nothing here may come to be installed on them."""
    hosts = {name: site.host(name) for name in ("spare1", "signed")}
    for host in hosts.values():
        host.reset()
    return hosts


def _push_by(site: Site, between: Between, host: Host, quick: Path, folder: Path) -> tuple[tuple[str, str | None], str]:
    inventory = site.inventory_of(folder, [between.item()])
    with between:
        ended = site.pusher(folder / "run", quick).push(inventory, "--attempts", "1")
    return ended.verdict, ended.everything_said()


@pytest.mark.parametrize("nth", [0, 3, 40])
@pytest.mark.parametrize("name", ["spare1", "signed"], ids=["encrypted", "signed"])
def test_a_flipped_bit_is_noticed(
    site: Site, ways: dict[str, Host], quick: Path, tmp_path: Path, name: str, nth: int
) -> None:
    host = ways[name]

    def flip(message: Message) -> None:
        after = message.number_after
        if not between.changed and after is not None and after >= nth and not message.is_interim:
            message.flip(-1)

    between = Between(host, flip)
    verdict, said = _push_by(site, between, host, quick, tmp_path)
    assert between.changed == 1, said
    assert verdict == ("failed", "tampered"), said
    assert witness.service_of(host) is None


def test_an_unsigned_answer_is_refused(site: Site, ways: dict[str, Host], quick: Path, tmp_path: Path) -> None:
    """Every answer after the sign-in comes without a signature, and with other content than the host sent."""
    host = ways["signed"]

    def unsign(message: Message) -> None:
        if message.number_after is not None:
            message.unsign()
            if message.command == READ:
                message.flip(-1)

    between = Between(host, unsign)
    verdict, said = _push_by(site, between, host, quick, tmp_path)
    assert between.changed, said
    assert verdict == ("failed", "tampered"), said


def test_what_is_read_back_is_what_the_host_sent(
    site: Site, ways: dict[str, Host], quick: Path, tmp_path: Path
) -> None:
    """Only the large reads are changed and left without a signature: those that prove the copy."""
    host = ways["signed"]

    def unsign(message: Message) -> None:
        for start, end, command in message.parts if message.number_after is not None else []:
            if command == READ and end - start > 100_000:
                message.flip(start + 100_000)
                message.unsign(start)

    between = Between(host, unsign)
    verdict, said = _push_by(site, between, host, quick, tmp_path)
    assert between.changed, said
    assert verdict == ("failed", "tampered"), said
    assert witness.service_of(host) is None


def test_a_plain_answer_on_an_encrypted_session_is_refused(
    site: Site, ways: dict[str, Host], quick: Path, tmp_path: Path
) -> None:
    """The first encrypted answer is replaced by one that anybody could have written: access denied, in the clear."""
    host = ways["spare1"]
    session = b""

    def forge(message: Message) -> bytes | None:
        nonlocal session
        if message.command == 1:
            session = bytes(message.data[40:48])
        if not message.is_encrypted:
            return None
        # The requests so far: NEGOTIATE, the probe, and the two of the sign-in.
        header = SMB2 + struct.pack("<HHIHHIIQII", 64, 1, 0xC0000022, 3, 1, 1, 0, 4, 0, 0) + session + bytes(16)
        forged = header + struct.pack("<HBBI", 9, 0, 0, 0) + b"\0"
        return len(forged).to_bytes(4, "big") + forged

    between = Between(host, forge)
    verdict, said = _push_by(site, between, host, quick, tmp_path)
    assert between.changed, said
    assert verdict == ("failed", "tampered"), said


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 12, 30])
def test_nonsense_in_the_middle_of_a_conversation(
    site: Site, ways: dict[str, Host], quick: Path, tmp_path: Path, nth: int
) -> None:
    """The n-th message is replaced by the announcement of a huge one, and nothing follows."""
    host = ways["spare1"]

    def announce(message: Message) -> bytes | None:
        return b"\x00\xff\xff\xff" if message.number == nth else None

    between = Between(host, announce)
    verdict, said = _push_by(site, between, host, quick, tmp_path)
    assert between.changed, said
    assert verdict[0] in ("failed", "unreachable") and verdict[1] != "internal-error", said
    assert verdict[1] in UNREACHED | {"tampered", "sign-in-unknown", "rpc-failed"}, said


def test_in_between_without_a_change_all_is_well(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    for name in ("spare2", "signed"):
        host = fresh(name)
        between = Between(host, lambda message: None)
        verdict, said = _push_by(site, between, host, quick, tmp_path / name)
        assert verdict == ("installed", None), said
