"""The content endpoint: where a target fetches a payload that it was told of over WinRM.

One for the process, started at the first offer. It serves nothing but offers: a random path, one GET, one size, to
the target's own address. Who has come for one may ask for the next on the same connection; whoever asks for what is
not his is hung up on. HTTP (RFC 9112) is h11's, TLS is Python's; here are the rules of what is given to whom, and
the bounds that keep a stranger from holding it up. It runs in a thread with an event loop of its own, so that it
serves while the transports' threads wait, and so that encrypting does not hold up the scheduler.

The key is made at start and dies with the process. Its certificate is signed by nobody: the target is given the key's
hash (RFC 7469 2.4) over the authenticated WinRM session and accepts no other. Nothing here knows of WinRM.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import h11

from pusher.transports.winrm.addresses import Address, local_address, plain, usable
from pusher.transports.winrm.content_key import fresh_key
from pusher.transports.winrm.offers import Entry, Offers

_CHUNK = 64 * 1024
_REQUEST_BYTES = 8 * 1024
"""A request is one line and a few headers; more is no customer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What one stranger may take. Times in seconds.

    ``connections``: at once, in all; ``each``: of one address. ``stall``: how long a reader may take for one chunk;
    ``life``: how long an offer waits for its GET.
    """

    connections: int = 512
    each: int = 8
    handshake: float = 10.0
    request: float = 10.0
    stall: float = 30.0
    life: float = 120.0


_BOUNDS = Bounds()


class Offer:
    """One payload for one target: to be fetched once, until closed or until its time is over.

    ``url`` and ``pin`` (``sha256//…``, as curl's --pinnedpubkey wants it) are for the target. ``sent`` counts the
    bytes handed to the network; ``complete`` says that there are no more to come. ``close`` may be called twice; after
    it nothing is sent and ``moved`` is called no more.
    """

    def __init__(self, server: ContentServer, url: str, pin: str, entry: Entry) -> None:
        self._server, self._entry = server, entry
        self.url, self.pin = url, pin

    @property
    def sent(self) -> int:
        return self._entry.sent

    @property
    def complete(self) -> bool:
        return self._entry.sent == len(self._entry.data) and self._entry.taken

    @property
    def asked_for(self) -> bool:
        """Whether the target came for it."""
        return self._entry.taken

    def close(self) -> None:
        self._server._withdraw(self._entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ContentServer:
    """Offers payloads over HTTPS; ``offer`` and ``close`` may be called from any thread.

    ``port``: the TCP port on each local address in use; 0 lets the system choose one.
    """

    def __init__(self, *, port: int = 0, bounds: Bounds = _BOUNDS) -> None:
        self._port, self._bounds = port, bounds
        self._guard = threading.Lock()
        self._running: _Running | None = None
        self._closed = False

    def offer(self, data: memoryview, target: str, moved: Callable[[int], None], *, local: str | None = None) -> Offer:
        """Have ``data`` ready for the machine at ``target`` (an address), on our address ``local``.

        None: the address from which traffic to the target leaves.

        ``moved`` is called, in the endpoint's thread, with the number of bytes as they go out. OSError where no local
        address leads to the target or the port cannot be had.
        """
        peer = plain(target)
        here = usable(plain(local) if local else local_address(peer))
        with self._guard:
            if self._closed:
                raise OSError("the content endpoint is closed")
            if self._running is None:
                self._running = _Running(self._bounds)
            running = self._running
            port = running.listen(here, self._port)
        entry = Entry(
            token=secrets.token_urlsafe(32),
            peer=peer,
            data=data,
            moved=moved,
            ends=time.monotonic() + self._bounds.life,
        )
        running.offers.add(entry)
        host = f"[{here}]" if here.version == 6 else str(here)
        return Offer(self, f"https://{host}:{port}/{entry.token}", running.pin, entry)

    def close(self) -> None:
        """End every transfer and stop listening. May be called twice."""
        with self._guard:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _withdraw(self, entry: Entry) -> None:
        with self._guard:
            running = self._running
        if running is not None:
            running.withdraw(entry)


class _Running:
    """The endpoint while it runs: key, listeners, thread."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._context, self.pin = fresh_key()
        self.offers = Offers()
        self._ports = dict[Address, int]()
        self._sockets = list[socket.socket]()
        self._connections, self._open = Counter[Address](), 0
        """Of each machine, and in all."""
        self._serving = dict[Entry, asyncio.WriteTransport]()
        self._loop = asyncio.new_event_loop()
        # What a stranger's bytes bring about in asyncio is for nobody's terminal.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._tasks = set[asyncio.Task[None]]()
        self._thread = threading.Thread(target=self._run, name="content", daemon=True)
        self._thread.start()

    # From any thread

    def listen(self, local: Address, port: int) -> int:
        """The port on ``local``; the listener is made when it is first asked for."""
        if local not in self._ports:
            family = socket.AF_INET6 if local.version == 6 else socket.AF_INET
            listener = socket.create_server((str(local), port), family=family, backlog=self._bounds.connections)
            listener.setblocking(False)
            self._sockets.append(listener)
            self._ports[local] = listener.getsockname()[1]
            self._loop.call_soon_threadsafe(lambda: self._start(self._accept(listener)))
        return self._ports[local]

    def withdraw(self, entry: Entry) -> None:
        self.offers.withdraw(entry)
        # The loop may have been stopped by close() in the meantime, which ends every transfer too.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cut, entry)

    def stop(self) -> None:
        self.offers.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # In the endpoint's own thread

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._end())
            for listener in self._sockets:
                listener.close()
            self._loop.close()

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the next turn

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cut(self, entry: Entry) -> None:
        transport = self._serving.get(entry)
        if transport is not None:
            transport.abort()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, (host, *_) = await self._loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.1)  # out of descriptors, say: whoever knocked may come again
                continue
            peer = plain(host)
            if self._welcome(peer):
                self._connections[peer] += 1
                self._open += 1
                self._start(self._serve(connection, peer))
            else:
                connection.close()

    def _welcome(self, peer: Address) -> bool:
        """Whom nothing is offered to does not even get a handshake; nor does one who takes more than his share."""
        mine, all_of_them = self._connections[peer], self._open
        # Many machines may stand behind one loopback address: test hosts, a tunnel.
        share = self._bounds.connections if peer.is_loopback else self._bounds.each
        if mine >= share or all_of_them >= self._bounds.connections:
            return False
        return self.offers.are_for(peer)

    async def _serve(self, connection: socket.socket, peer: Address) -> None:
        transport: asyncio.Transport | None = None
        try:
            reader = asyncio.StreamReader(limit=_REQUEST_BYTES, loop=self._loop)
            transport, protocol = await self._loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, loop=self._loop),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._bounds.handshake,
                ssl_shutdown_timeout=self._bounds.stall,
            )
            # A write returns when what came before it is with the system: ``moved`` is a chunk ahead at most.
            transport.set_write_buffer_limits(high=1)
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            await self._answer(reader, writer, peer)
            writer.close()
            await writer.wait_closed()
        except (OSError, TimeoutError, h11.ProtocolError):
            pass  # the target tells by its exit code; of strangers there is nothing to tell
        finally:
            self._connections[peer] -= 1
            self._open -= 1
            if not self._connections[peer]:
                del self._connections[peer]
            if transport is not None:
                transport.abort()
            else:
                connection.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Address) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_REQUEST_BYTES)
        while await self._answer_one(http, reader, writer, peer):
            http.start_next_cycle()

    async def _answer_one(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Address
    ) -> bool:
        """One request; True where the connection may bring another."""
        async with asyncio.timeout(self._bounds.request):
            request = await _request(http, reader)
        path = request.target.decode("ascii", "replace")
        entry = self.offers.take(path.removeprefix("/"), peer) if request.method == b"GET" else None
        data = entry.data if entry else memoryview(b"")
        head = h11.Response(
            status_code=200 if entry else 404,
            headers=[
                ("Content-Length", str(len(data))),
                ("Content-Type", "application/octet-stream"),
                ("Cache-Control", "no-store"),
                *([] if entry else [("Connection", "close")]),
            ],
        )
        await self._write(writer, http.send(head) or b"")
        if entry is None:
            return False
        self._serving[entry] = writer.transport
        try:
            for at in range(0, len(data), _CHUNK):
                part = data[at : at + _CHUNK]
                await self._write(writer, http.send(h11.Data(data=bytes(part))) or b"")
                entry.note(len(part))
        finally:
            del self._serving[entry]
        http.send(h11.EndOfMessage())
        # A request with a body is nobody's of ours: what follows it is not read.
        return isinstance(http.next_event(), h11.EndOfMessage) and http.our_state is h11.DONE

    async def _write(self, writer: asyncio.StreamWriter, part: bytes) -> None:
        async with asyncio.timeout(self._bounds.stall):
            writer.write(part)
            await writer.drain()


async def _request(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Request:
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            raise ConnectionAbortedError("gone before it asked")
        http.receive_data(await reader.read(_REQUEST_BYTES))
