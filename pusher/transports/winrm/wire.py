"""One connection to one WinRM listener: TCP, TLS, and one HTTP exchange after another. Blocking.

requests and urllib3 are not used: they follow redirects, read proxies and .netrc from the environment, connect
anew by themselves and read answers without a limit, each of which would have to be taken away again. Here there
is one socket; when it is gone, or an exchange broke off in the middle, nothing more is said on it.
Sources: RFC 9110, RFC 9112, MS-WSMV 2.1 (transport).
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pusher.transports.winrm.tls import Certificate, Trust

MAX_ANSWER = 1024 * 1024
"""The largest answer that is read: twice Windows' default MaxEnvelopeSizekb."""

PATH = "/wsman"
_MAX_HEADERS = 64 * 1024


class ImplausibleError(Exception):
    """An answer that no WinRM service would give: past every limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. ``challenges`` are the values of its WWW-Authenticate headers."""

    status: int
    content_type: str
    challenges: tuple[str, ...]
    body: bytes


class Wire:
    """The connection; ``trust`` None: plain HTTP. ``unreached`` where not even TCP came about."""

    def __init__(self, host: str, address: str, port: int, trust: Trust | None, fingerprint: str | None = None) -> None:
        self.host, self.address, self.port = host, address, port
        self.certificate: Certificate | None = None
        self.tls_version = ""
        self.unreached = False
        self._trust, self._fingerprint = trust, fingerprint
        self._socket: socket.socket | None = None
        self._http: http.client.HTTPConnection | None = None
        self._given_up = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._trust else 'http'}://{host}:{self.port}{PATH}"

    @property
    def alive(self) -> bool:
        return self._http is not None and self._http.sock is not None and not self._given_up

    @property
    def lost(self) -> bool:
        """True where it was given up or the other side has ended it, though nobody has met that yet."""
        found = self._socket
        if not self.alive or found is None:
            return True
        try:
            if hasattr(select, "POLLRDHUP"):
                ended = select.poll()
                ended.register(found, select.POLLRDHUP)  # told even where a last word of TLS is still to be read
                return bool(ended.poll(0))
            return not socket.socket.recv(found, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            return True

    @property
    def local_address(self) -> str:
        if self._socket is None:
            raise ConnectionError("not connected")
        return str(self._socket.getsockname()[0])

    def again(self) -> Wire:
        """Another connection to the same place, not opened yet."""
        return Wire(self.host, self.address, self.port, self._trust, self._fingerprint)

    def open(self, seconds: float) -> None:
        """Connect, and prove the certificate before anything is said; all within ``seconds``."""
        until = time.monotonic() + seconds
        family, kind, protocol, _, where = socket.getaddrinfo(
            self.address, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        plain = socket.socket(family, kind, protocol)
        self._keep(plain)
        try:
            plain.settimeout(seconds)
            self._reach(plain, where)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(max(until - time.monotonic(), 0.01))
            ready = self._secure(plain, self._trust) if self._trust else plain
        except BaseException:
            self.close()
            raise
        ready.settimeout(None)  # from here on each call has the bridge's deadline, which shuts the socket down
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.auto_open = 0  # a dropped connection is the end: what was signed in on it is gone
        connection.sock = ready
        self._http = connection

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One exchange. Whatever goes wrong in it ends the connection: the next answer could be the last one's."""
        connection = self._http
        if connection is None or self._given_up or connection.sock is None:
            raise ConnectionError("the connection is closed")
        try:
            connection.request("POST", PATH, body, {**_HEADERS, **headers})
            response = connection.getresponse()
            if sum(len(name) + len(value) for name, value in response.getheaders()) > _MAX_HEADERS:
                raise ImplausibleError("headers without end")
            if response.length is not None and response.length > MAX_ANSWER:
                raise ImplausibleError(f"an answer of {response.length} bytes was announced")
            content = response.read(MAX_ANSWER + 1)
            if len(content) > MAX_ANSWER:
                raise ImplausibleError("an answer without end")
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
        except BaseException:
            self.abort()
            raise
        return Answer(
            status=response.status,
            content_type=response.getheader("Content-Type", ""),
            challenges=tuple(response.headers.get_all("WWW-Authenticate") or ()),
            body=content,
        )

    def abort(self) -> None:
        """End whatever call is in progress, from any thread."""
        self._given_up = True
        found = self._socket
        if found is not None:
            # SSLSocket's own shutdown would first take the encryption away from a thread that still writes.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection, by the thread that uses it; never raises."""
        self.abort()
        with contextlib.suppress(OSError):
            if self._http is not None:
                self._http.close()
            if self._socket is not None:
                self._socket.close()

    def _keep(self, made: socket.socket) -> None:
        self._socket = made
        if self._given_up:
            made.close()
            raise ConnectionError("given up while connecting")

    def _reach(self, plain: socket.socket, where: Any) -> None:
        try:
            plain.connect(where)
        except OSError:
            self.unreached = True
            raise

    def _secure(self, plain: socket.socket, trust: Trust) -> ssl.SSLSocket:
        context = trust.context(self._fingerprint)
        tls = context.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self._keep(tls)
        try:
            tls.do_handshake()
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionError) as error:
            raise HandshakeError(getattr(error, "reason", None) or type(error).__name__) from error
        self.certificate = trust.believe(tls, self.host, self._fingerprint)
        self.tls_version = (tls.version() or "TLS").replace("TLSv", "TLS ")
        return tls


class HandshakeError(Exception):
    """TLS could not be agreed on, for a reason other than the certificate."""


_HEADERS = {"User-Agent": "pusher", "Accept-Encoding": "identity", "Connection": "Keep-Alive"}
