"""How a member reaches its domain controller out of a network namespace with nothing in it: on the same address.

Inside the namespace the controller's address is a loopback address like any other. Its ports are listened on there, and
what comes is passed on through lab/egress_proxy.py, so that names, tickets and referrals hold inside as
outside, and the controller sees the member's own address. Not here: what is spoken.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

from lab.domain import configuration
from lab.streams import PIECE, pass_on

_TCP_PORTS = (
    *(configuration.DNS_PORT, configuration.KERBEROS_PORT, configuration.ENDPOINT_MAPPER_PORT),
    *(configuration.LDAP_PORT, configuration.SMB_PORT, configuration.PASSWORD_PORT, configuration.LDAPS_PORT),
    *(configuration.CATALOGUE_PORT, *configuration.RPC_PORTS),
)
_UDP_PORTS = (configuration.DNS_PORT, configuration.KERBEROS_PORT, configuration.LDAP_PORT)


class Bridge:
    """All of it, in a thread of its own until the process ends."""

    def __init__(self, egress: Path, member: str, controller: str) -> None:
        self._egress, self._member, self._controller = egress, member, controller
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Returns once every port is listened on."""
        listening = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._run(listening)), name="bridge", daemon=True).start()
        if not listening.wait(10):
            raise OSError(f"the ports of {self._controller} cannot be listened on")

    async def _run(self, listening: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        for port in _TCP_PORTS:
            await asyncio.start_server(self._server(port), self._controller, port, limit=PIECE)
        for port in _UDP_PORTS:
            await loop.create_datagram_endpoint(
                lambda port=port: _Datagrams(self, port),  # type: ignore[misc]
                local_addr=(self._controller, port),
            )
        listening.set()
        await asyncio.Event().wait()

    def _server(self, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                outside = await self._open(port, "tcp")
                if outside is not None:
                    await asyncio.gather(pass_on(reader, outside[1]), pass_on(outside[0], writer))
            writer.close()

        return connected

    async def _open(self, port: int, kind: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the controller's port through the proxy; None where the controller refuses it."""
        reader, writer = await asyncio.open_unix_connection(str(self._egress), limit=PIECE)
        asked = {"from": self._member, "to": self._controller, "port": port, "kind": kind}
        writer.write(json.dumps(asked).encode() + b"\n")
        if await reader.readline() == b"ok\n":
            return reader, writer
        writer.close()
        return None

    def ask(self, port: int, question: bytes, transport: asyncio.DatagramTransport, client: tuple[str, int]) -> None:
        """Have a datagram answered."""
        task = asyncio.ensure_future(self._answer(port, question, transport, client))
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, port: int, question: bytes, transport: asyncio.DatagramTransport, client: tuple[str, int]
    ) -> None:
        with suppress(OSError, EOFError):
            outside = await self._open(port, "udp")
            if outside is None:
                return
            reader, writer = outside
            writer.write(len(question).to_bytes(2, "big") + question)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            writer.close()
            transport.sendto(answer, client)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, bridge: Bridge, port: int) -> None:
        self._bridge, self._port = bridge, port
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._bridge.ask(self._port, data, self._transport, addr)
