"""The egress proxy leads to loopback addresses of this machine and nowhere else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lab import egress_proxy


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.20.5", "127.255.255.254"])
def test_loopback_is_allowed(address: str) -> None:
    assert egress_proxy.is_allowed(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "10.0.0.1", "0.0.0.0", "localhost", "example.org", "::1", "127.1", "2130706433", ""]
)
def test_anything_else_is_not(address: str) -> None:
    assert not egress_proxy.is_allowed(address)


async def ask(socket: Path, **question: object) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(json.dumps(question).encode() + b"\n")
    return (await reader.readline()).decode().strip(), reader, writer


async def test_bytes_go_both_ways_from_the_hosts_own_address(tmp_path: Path) -> None:
    peers = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.write((await reader.read()).upper())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    way = await asyncio.start_unix_server(egress_proxy.serve, tmp_path / "way")
    answer, reader, writer = await ask(tmp_path / "way", **{"from": "127.0.99.7", "to": "127.0.0.1", "port": port})
    writer.write(b"hello")
    writer.write_eof()
    assert (answer, await reader.read(), peers) == ("ok", b"HELLO", ["127.0.99.7"])
    for question, expected in (
        ({"from": "127.0.99.7", "to": "127.0.0.1", "port": 1}, "refused"),
        ({"from": "127.0.99.7", "to": "192.0.2.1", "port": 443}, "forbidden"),
        ({"from": "192.0.2.1", "to": "127.0.0.1", "port": port}, "forbidden"),
    ):
        answer, reader, _ = await ask(tmp_path / "way", **question)
        assert (answer, await reader.read()) == (expected, b"")
    for listening in (server, way):
        listening.close()


async def test_what_is_no_question_is_hung_up_on(tmp_path: Path) -> None:
    way = await asyncio.start_unix_server(egress_proxy.serve, tmp_path / "way")
    for line in (b"GET / HTTP/1.1\r\n", b"{}\n", b'{"from": "x"}\n', b"[]\n"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "way")
        writer.write(line)
        assert await reader.read() == b""
    way.close()
