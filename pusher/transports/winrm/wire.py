"""One connection to one WinRM listener: TCP, TLS, and one HTTP exchange after another. Blocking.

requests and urllib3 are not used: they follow redirects, read proxies and .netrc from the environment, connect
anew by themselves and read answers without a limit, each of which would have to be taken away again. Nor is
http.client, which reads on where a chunk's size makes no sense. HTTP is h11's; here is one socket and the bound on
what is read from it, whatever the framing says. When the socket is gone, an exchange broke off in the middle or the
listener said that it closes, nothing more is said on it: each answer may be a connection's last.
Sources: RFC 9110, RFC 9112, MS-WSMV 2.1 (transport).
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h11

from pusher.transports.winrm.tls import Certificate, Trust

MAX_ANSWER = 1024 * 1024
"""The largest answer that is read: twice Windows' default MaxEnvelopeSizekb."""

PATH = "/wsman"
_MAX_HEAD = 64 * 1024
"""The most that a status line with its headers, a chunk's header or a trailer may take."""
_MAX_FRAMING = 256 * 1024
"""What an answer may come to beyond its body: headers, interim answers, and the headers of many small chunks."""
_HTTP = b"HTTP/"
_PIECE = 16 * 1024


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
        self._http: h11.Connection | None = None
        self._given_up = False

    @property
    def url(self) -> str:
        return f"{'https' if self._trust else 'http'}://{self._authority}{PATH}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether another exchange may be tried."""
        return self._http is not None and self._http.our_state is h11.IDLE and not self._given_up

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
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)

    def post(self, body: bytes, headers: Mapping[str, str], most: int = MAX_ANSWER) -> Answer:
        """One exchange; the answer's body may have ``most`` bytes.

        Whatever goes wrong in it ends the connection: the next answer could be the last one's. A connection that the
        answer itself ends is not ``alive`` afterwards.
        """
        http, connection = self._http, self._socket
        if http is None or connection is None or not self.alive:
            raise ConnectionError("the connection is closed")
        try:
            self._say(http, connection, body, headers)
            answer = _Reading(http, connection, most).answer()
            more, ended = http.trailing_data
            if more:
                raise ImplausibleError("an answer that nobody asked for")
        except BaseException:
            self.abort()
            raise
        if http.our_state is h11.DONE and http.their_state is h11.DONE and not ended:
            http.start_next_cycle()
        else:
            self.abort()  # it has closed, or says that it will
        return answer

    def _say(self, http: h11.Connection, connection: socket.socket, body: bytes, headers: Mapping[str, str]) -> None:
        fields = {"Host": self._authority, **_HEADERS, "Content-Length": str(len(body)), **headers}
        head = h11.Request(method="POST", target=PATH, headers=list(fields.items()))
        parts = [http.send(head), http.send(h11.Data(data=body)) if body else b"", http.send(h11.EndOfMessage())]
        connection.sendall(b"".join(part or b"" for part in parts))

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


class _Reading:
    """One answer, as it comes: every byte is counted, those of the framing too."""

    def __init__(self, http: h11.Connection, connection: socket.socket, most: int) -> None:
        self._http, self._connection, self._most = http, connection, most
        self._left = most + _MAX_FRAMING
        self._first = b""
        self._ended = False

    def answer(self) -> Answer:
        head, body = self._head(), bytearray()
        announced = next((value for name, value in head.headers if name == b"content-length"), b"0")
        if int(announced) > self._most:  # h11 has seen that these are digits, not more than 20
            raise ImplausibleError(f"an answer of {int(announced)} bytes was announced")
        while isinstance(event := self._next(), h11.Data):
            body += event.data
            if len(body) > self._most:
                raise ImplausibleError("an answer without end")
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionAbortedError("it hung up in the middle of an answer")
        return Answer(
            status=head.status_code,
            content_type=_text(head, b"content-type"),
            challenges=tuple(value.decode("latin-1") for name, value in head.headers if name == b"www-authenticate"),
            body=bytes(body),
        )

    def _head(self) -> h11.Response:
        while isinstance(event := self._next(), h11.InformationalResponse):
            pass  # however many there are, they are counted by their bytes
        if not isinstance(event, h11.Response):
            raise ConnectionAbortedError("it hung up instead of an answer")
        return event

    def _next(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._event()) is h11.NEED_DATA:
            if self._ended:
                raise ConnectionAbortedError("it hung up in the middle of an answer")
            piece = self._connection.recv(_PIECE)
            self._ended = not piece
            self._left -= len(piece)
            if self._left < 0:
                raise ImplausibleError("an answer without end")
            # What greets first, such as SSH, would be waited on for its headers.
            self._first += piece[: len(_HTTP) - len(self._first)]
            if not _HTTP.startswith(self._first):
                raise ImplausibleError("no HTTP")
            self._http.receive_data(piece)
        return event  # type: ignore[return-value]  # NEED_DATA is a class too

    def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            if self._ended:  # what h11 finds fault with is then that it ended
                raise ConnectionAbortedError("it hung up in the middle of an answer") from error
            raise


def _text(head: h11.Response, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in head.headers if name == wanted), "")


class HandshakeError(Exception):
    """TLS could not be agreed on, for a reason other than the certificate."""


_HEADERS = {"User-Agent": "pusher", "Accept-Encoding": "identity", "Connection": "Keep-Alive"}
