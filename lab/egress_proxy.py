"""How a host of the lab reaches a server outside, such as pusher's content endpoint: a process for the whole lab.

    python -m lab.egress_proxy --state DIR --listener FD --go FD

Hosts have network namespaces of their own, with nothing in them but a loopback interface. This process is in the
ordinary one and listens on a Unix socket that every host has; it connects to loopback addresses and to nothing else,
so that the lab has no way out of this machine. One JSON line asks, one word answers, then bytes go both ways:

    {"from": "127.0.20.5", "to": "127.0.0.1", "port": 4433}  ->  ok | refused | timeout | forbidden

`from` is the host's own address, and the connection comes from it. With `"kind": "udp"` one datagram goes each
way, with its length in front in two bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import socket
from contextlib import closing, suppress

from lab.processes import wait_for_go
from lab.streams import PIECE, pass_on

_PATIENCE = 60.0
_DATAGRAM_PATIENCE = 10.0


def is_allowed(address: str) -> bool:
    """Loopback addresses of IPv4, written as such; a name could lead anywhere."""
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of a host."""
    with suppress(OSError, EOFError, TimeoutError, ValueError, KeyError, TypeError):
        asked = json.loads(await reader.readline())
        source, target, port = str(asked["from"]), str(asked["to"]), int(asked["port"])
        if asked.get("kind") == "udp":
            await _exchange(reader, writer, source, target, port)
            return
        answer, ends = await _connect(source, target, port)
        writer.write(f"{answer}\n".encode())
        await writer.drain()
        if ends is not None:
            await asyncio.gather(pass_on(reader, ends[1]), pass_on(ends[0], writer))
    writer.close()


async def _connect(
    source: str, target: str, port: int
) -> tuple[str, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
    if not (is_allowed(source) and is_allowed(target)):
        return "forbidden", None
    try:
        opening = asyncio.open_connection(target, port, local_addr=(source, 0), limit=PIECE)
        return "ok", await asyncio.wait_for(opening, _PATIENCE)
    except TimeoutError:
        return "timeout", None
    except OSError:
        return "refused", None


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, target: str, port: int
) -> None:
    """A question of one datagram and its answer; where there is none, the connection just ends."""
    with closing(writer), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        if not (is_allowed(source) and is_allowed(target)):
            writer.write(b"forbidden\n")
            return
        writer.write(b"ok\n")
        loop = asyncio.get_running_loop()
        outside.setblocking(False)
        outside.bind((source, 0))
        outside.connect((target, port))
        question = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        await loop.sock_sendall(outside, question)
        answer = await asyncio.wait_for(loop.sock_recv(outside, 1 << 16), _DATAGRAM_PATIENCE)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()


async def _run(listener: socket.socket) -> None:
    server = await asyncio.start_unix_server(serve, sock=listener, limit=PIECE)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.egress_proxy", description=__doc__)
    parser.add_argument("--state", help="the lab's state folder; shows whose process this is", required=True)
    for descriptor in ("--listener", "--go"):
        parser.add_argument(descriptor, type=int, required=True)
    arguments = parser.parse_args()
    wait_for_go(arguments.go)
    asyncio.run(_run(socket.socket(fileno=arguments.listener)))


if __name__ == "__main__":
    main()
