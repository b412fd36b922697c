"""A link that takes its time: ``python -m bench.delay HOST PORT MS`` prints its own port, and joins it to HOST:PORT.

Each direction takes half of MS, a round trip MS; the link itself is as fast as this process, and forgets nothing.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque

_UNBOUNDED = 1 << 40


class _End(asyncio.Protocol):
    """One end; what comes in leaves at the other one, later."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._loop = seconds, asyncio.get_running_loop()
        self._coming = deque[bytes]()
        self.other: asyncio.Future[_End] = self._loop.create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(_UNBOUNDED)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._coming.append(data)
        self._loop.call_later(self._seconds, self._pass_on)

    def connection_lost(self, _: Exception | None) -> None:
        self._loop.call_later(self._seconds, self._end)

    def _pass_on(self) -> None:
        if self.other.done():
            self.other.result().transport.write(self._coming.popleft())
        else:  # the way to HOST is not open yet
            self.other.add_done_callback(lambda _: self._pass_on())

    def _end(self) -> None:
        if self.other.done():
            self.other.result().transport.close()


async def serve(host: str, port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    joining = set[asyncio.Task[None]]()

    async def join(client: _End) -> None:
        _, server = await loop.create_connection(lambda: _End(seconds), host, port)
        server.other.set_result(client)
        client.other.set_result(server)

    def accepted() -> _End:
        end = _End(seconds)
        task = loop.create_task(join(end))
        joining.add(task)
        task.add_done_callback(joining.discard)
        return end

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 2000))
