"""A link to a server that a test interrupts: a proxy on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

_COMMIT = b"COMMIT"


class Link:
    """``port`` leads to the server. ``delay``: seconds that each piece takes one way.

    Of the next ``answers_lost`` commits that the client asks for, the server does each and the answer never arrives:
    the connection breaks instead.
    """

    def __init__(self, server: int, delay: float = 0.0) -> None:
        self._server, self._delay = server, delay
        self.port = 0
        self.answers_lost = self.commits = 0

    async def serve(self) -> asyncio.Server:
        listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        return listening

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server)
        except OSError:
            writer.close()
            return
        losing = asyncio.Event()
        ways = self._asked(reader, far_writer, losing), self._answered(far_reader, writer, losing)
        try:
            async with asyncio.TaskGroup() as group:
                for way in ways:
                    group.create_task(way)
        except* OSError:
            pass
        finally:
            for end in (writer, far_writer):
                end.close()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        async for piece in self._delayed(reader):
            if _COMMIT in piece:
                self.commits += 1
                if self.answers_lost:
                    self.answers_lost -= 1
                    losing.set()
            writer.write(piece)
        writer.close()

    async def _answered(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        async for piece in self._delayed(reader):
            if losing.is_set():
                raise ConnectionAbortedError
            writer.write(piece)
        writer.close()

    async def _delayed(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """What comes, each piece as late as the link is long, however many are on their way."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take_in() -> None:
            piece = b"x"
            while piece:
                piece = await reader.read(65536)
                under_way.put_nowait((loop.time() + self._delay, piece))

        taking = asyncio.create_task(take_in())
        try:
            while True:
                due, piece = await under_way.get()
                await asyncio.sleep(max(due - loop.time(), 0))
                if not piece:
                    return
                yield piece
        finally:
            taking.cancel()


@contextmanager
def linked(server: int, delay: float = 0.0) -> Iterator[Link]:
    """A link to the server's port, until the end of the block."""
    link, ready, ends = Link(server, delay), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        listening = await link.serve()
        ready.set()
        await ends.wait()
        listening.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    ready.wait(30)
    try:
        yield link
    finally:
        loops[0].call_soon_threadsafe(ends.set)
        thread.join(30)
