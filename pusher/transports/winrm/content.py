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
import base64
import contextlib
import datetime
import hashlib
import ipaddress
import secrets
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
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

    def __init__(self, server: ContentServer, url: str, pin: str, entry: _Entry) -> None:
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
        peer = _plain(target)
        here = _usable(_plain(local) if local else _local_address(peer))
        with self._guard:
            if self._closed:
                raise OSError("the content endpoint is closed")
            if self._running is None:
                self._running = _Running(self._bounds)
            running = self._running
            port = running.listen(here, self._port)
        entry = _Entry(
            token=secrets.token_urlsafe(32),
            peer=peer,
            data=data,
            moved=moved,
            ends=time.monotonic() + self._bounds.life,
        )
        running.add(entry)
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

    def _withdraw(self, entry: _Entry) -> None:
        with self._guard:
            running = self._running
        if running is not None:
            running.withdraw(entry)


class _Entry:
    """An offer, from the endpoint's side."""

    def __init__(
        self, *, token: str, peer: Address, data: memoryview, moved: Callable[[int], None], ends: float
    ) -> None:
        self.token, self.peer, self.data, self.moved, self.ends = token, peer, data, moved, ends
        self.taken = self.withdrawn = False
        self.sent = 0
        self.guard = threading.Lock()

    def note(self, count: int) -> None:
        """``count`` more bytes went out. The lock keeps ``moved`` from being called after a withdrawal."""
        with self.guard:
            if self.withdrawn:
                raise ConnectionAbortedError("the offer was withdrawn")
            self.sent += count
            self.moved(count)


class _Running:
    """The endpoint while it runs: key, listeners, thread."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._context, self.pin = _identity()
        self._guard = threading.Lock()
        self._entries = dict[str, _Entry]()
        """By token, in the order in which their time is over."""
        self._expected = Counter[Address]()
        """How many offers each machine has."""
        self._ports = dict[Address, int]()
        self._sockets = list[socket.socket]()
        self._connections = Counter[Address]()
        self._serving = dict[_Entry, asyncio.WriteTransport]()
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

    def add(self, entry: _Entry) -> None:
        with self._guard:
            self._expire()
            self._entries[entry.token] = entry
            self._expected[_whose(entry.peer)] += 1

    def withdraw(self, entry: _Entry) -> None:
        with self._guard:
            self._forget(entry)
        with entry.guard:
            entry.withdrawn = True
        # The loop may have been stopped by close() in the meantime, which ends every transfer too.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cut, entry)

    def stop(self) -> None:
        with self._guard:
            self._entries.clear()
            self._expected.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _take(self, token: str, peer: Address) -> _Entry | None:
        """The offer of ``token``, for the one who may have it; nobody gets it again."""
        with self._guard:
            entry = self._entries.get(token)
            if entry is None or entry.ends <= time.monotonic() or not _is(peer, entry.peer):
                return None
            self._forget(entry)
            entry.taken = True
            return entry

    def _expire(self) -> None:
        """What nobody came for lends out memory no longer than its time."""
        now = time.monotonic()
        while self._entries and (oldest := next(iter(self._entries.values()))).ends <= now:
            self._forget(oldest)

    def _forget(self, entry: _Entry) -> None:
        if self._entries.pop(entry.token, None) is None:
            return
        whose = _whose(entry.peer)
        self._expected[whose] -= 1
        if not self._expected[whose]:
            del self._expected[whose]

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

    def _cut(self, entry: _Entry) -> None:
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
            peer = _plain(host)
            if self._welcome(peer):
                self._connections[peer] += 1
                self._start(self._serve(connection, peer))
            else:
                connection.close()

    def _welcome(self, peer: Address) -> bool:
        """Whom nothing is offered to does not even get a handshake; nor does one who takes more than his share."""
        mine, all_of_them = self._connections[peer], self._connections.total()
        # Many machines may stand behind one loopback address: test hosts, a tunnel.
        share = self._bounds.connections if peer.is_loopback else self._bounds.each
        if mine >= share or all_of_them >= self._bounds.connections:
            return False
        with self._guard:
            self._expire()
            return self._expected[_whose(peer)] > 0

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
            self._connections += Counter()  # forgets the zeros
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
        entry = self._take(path.removeprefix("/"), peer) if request.method == b"GET" else None
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


def _identity() -> tuple[ssl.SSLContext, str]:
    """A fresh key with a certificate of its own, and the key's pin."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pusher content endpoint")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # ssl reads keys from files only: encrypted with a password that nobody else ever sees, and removed at once.
    password = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory(prefix="pusher-") as folder:
        pem = Path(folder, "content.pem")
        pem.touch(mode=0o600)
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(pem, password=password)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return context, "sha256//" + base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")


def _local_address(target: Address) -> Address:
    """The address of ours from which traffic to ``target`` leaves; connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if target.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(target), 9))
        return _plain(probe.getsockname()[0])


def _usable(local: Address) -> Address:
    if local.version == 6 and local.is_link_local:
        raise OSError(f"{local} means nothing to another machine: a link-local address has a zone of our own")
    return local


def _plain(text: str) -> Address:
    """An address without the ways there are to spell it differently (RFC 4291 2.5.5.2: IPv4-mapped)."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is(peer: Address, target: Address) -> bool:
    """Whether ``peer`` is the machine at ``target``."""
    return _whose(peer) == _whose(target)


def _whose(address: Address) -> Address:
    """One address for each machine. A loopback address is this machine's, whichever it is."""
    return _LOOPBACK if address.is_loopback else address
