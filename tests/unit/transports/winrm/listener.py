"""A WinRM listener in threads of the test: real TCP, TLS, NTLM and message encryption; the answers are the test's.

``answer`` is asked for every SOAP message (its action and its envelope) and gives the body of the answer, or a
``Fault``. ``strange`` is asked for every request first, with its number on its connection: bytes that it gives are
sent in place of any answer, ``DROP`` hangs up, None lets the listener do its work.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import struct
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import spnego
from spnego.channel_bindings import GssChannelBindings

from pusher.transports.winrm.tls import Certificate
from tests.unit.transports.winrm.certificates import Issued

ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header><a:RelatesTo>{related}</a:RelatesTo>'
    "</s:Header><s:Body>{body}</s:Body></s:Envelope>"
)
FAULT = (
    "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Detail>"
    '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{number}"/>'
    "</s:Detail></s:Fault>"
)
A = "{http://schemas.xmlsoap.org/ws/2004/08/addressing}"
DROP = b"drop"
CLOSE = b"\r\nConnection: close\r\n"


@dataclass(frozen=True)
class Fault:
    number: int | str


@dataclass
class Seen:
    """One request; ``clear`` is its message, decrypted."""

    connection: int
    headers: dict[str, str]
    raw: bytes
    clear: bytes = b""


@dataclass
class Script:
    answer: Callable[[str, ET.Element], str | Fault] = lambda action, envelope: Fault(2150858752)
    strange: Callable[[int, Seen], bytes | None] = lambda number, seen: None
    clear_answers: bool = False
    garble: bool = False
    proves_itself: bool = True
    without_flags: int = 0
    hangs_up_after_challenge: bool = False
    schemes: tuple[str, ...] = ("Negotiate", "Kerberos")


@dataclass
class Listener:
    tls: Issued | None = None
    address: str = "127.0.0.1"
    script: Script = field(default_factory=Script)
    seen: list[Seen] = field(default_factory=list)
    authenticates: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_server((self.address, 0))
        self.port = int(self._socket.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a thread that waits for a connection does not see a mere close
        self._socket.close()
        self.cut()

    def cut(self) -> None:
        for found in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                made, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(made, self.connections), daemon=True).start()

    def _serve(self, made: socket.socket, connection: int) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self.tls is not None:
                made = self.tls.context().wrap_socket(made, server_side=True)
            self._open.append(made)
            _Conversation(self, made, connection).run()
        with contextlib.suppress(OSError):
            made.close()


class _Conversation:
    def __init__(self, listener: Listener, made: socket.socket, connection: int) -> None:
        self.listener, self.socket, self.connection = listener, made, connection
        self.file = made.makefile("rb")
        self.context: Any = None
        self.scheme = ""

    def run(self) -> None:
        number = 0
        while (seen := self._read()) is not None:
            self.listener.seen.append(seen)
            given = self.listener.script.strange(number, seen)
            number += 1
            if given == DROP:
                return
            answer = self._answer(seen) if given is None else given
            self.socket.sendall(answer)
            if CLOSE in answer:
                return

    def _read(self) -> Seen | None:
        if self.file.peek(1)[:1] == b"\x16":  # a ClientHello, where HTTP is spoken
            self.socket.sendall(http(400, b"", []))
            return None
        first = self.file.readline()
        if not first:
            return None
        assert first.startswith(b"POST /wsman HTTP/1.1"), first
        headers: dict[str, str] = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.file.read(int(headers.get("content-length", "0")))
        return Seen(self.connection, headers, body)

    def _answer(self, seen: Seen) -> bytes:
        given = seen.headers.get("authorization", "")
        if given:
            return self._authenticate(given, seen.headers.get("content-type"))
        if self.context is None or not self.context.complete:
            return self._unknown()
        encrypted = seen.headers["content-type"].startswith("multipart/encrypted")
        seen.clear = self._decrypt(seen.raw) if encrypted else seen.raw
        status, text = self._soap(seen.clear)
        if not encrypted or self.listener.script.clear_answers:
            return http(status, text, [("Content-Type", "application/soap+xml;charset=UTF-8")])
        return self._encrypt(status, text)

    def _unknown(self) -> bytes:
        """A 401 without a token ends the connection, as with Windows."""
        schemes = [("WWW-Authenticate", scheme) for scheme in self.listener.script.schemes]
        return http(401, b"", [*schemes, ("Connection", "close")])

    def _authenticate(self, given: str, content_type: str | None) -> bytes:
        scheme, _, token = given.partition(" ")
        if scheme not in self.listener.script.schemes:
            return self._unknown()
        raw, self.scheme = base64.b64decode(token), "SPNEGO" if scheme == "Negotiate" else scheme
        if raw[8:9] == b"\x03":
            self.listener.authenticates += 1
        if self.context is None or self.context.complete:
            binding = Certificate(self._certificate(), "").binding if self.listener.tls else None
            self.context = spnego.server(
                protocol="ntlm" if b"NTLMSSP" in raw else "kerberos",
                channel_bindings=GssChannelBindings(application_data=binding) if binding else None,
            )
        try:
            out = self.context.step(raw)
        except Exception:  # pyspnego's, or gssapi's own
            self.context = None
            return self._unknown()
        if out and raw[8:9] == b"\x01":
            (flags,) = struct.unpack_from("<I", out, 20)
            out = out[:20] + struct.pack("<I", flags & ~self.listener.script.without_flags) + out[24:]
        proof = [("WWW-Authenticate", f"{scheme} {base64.b64encode(out).decode()}")] if out else []
        if not self.context.complete:
            ending = [("Connection", "close")] if self.listener.script.hangs_up_after_challenge else []
            return http(401, b"", [*proof, *ending])
        if content_type is None:
            return http(415, b"", proof)
        return http(200, b"", proof if self.listener.script.proves_itself else [])

    def _certificate(self) -> bytes:
        assert self.listener.tls is not None
        text = self.listener.tls.pem.read_text()
        return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])

    def _soap(self, message: bytes) -> tuple[int, bytes]:
        envelope = ET.fromstring(message)
        related, action = envelope.findtext(f".//{A}MessageID", ""), envelope.findtext(f".//{A}Action", "")
        body = self.listener.script.answer(action, envelope)
        if isinstance(body, Fault):
            return 500, ENVELOPE.format(related=related, body=FAULT.format(number=body.number)).encode()
        return 200, ENVELOPE.format(related=related, body=body).encode()

    def _decrypt(self, raw: bytes) -> bytes:
        head = b"Content-Type: application/octet-stream\r\n"
        payload = raw[raw.index(head) + len(head) : raw.rindex(b"--Encrypted Boundary--")]
        (length,) = struct.unpack_from("<I", payload)
        clear: bytes = self.context.unwrap_winrm(payload[4 : 4 + length], payload[4 + length :])
        return clear

    def _encrypt(self, status: int, text: bytes) -> bytes:
        header, data, padding = self.context.wrap_winrm(text)
        if self.listener.script.garble:
            data = data[:-1] + bytes([data[-1] ^ 1])
        protocol = f"application/HTTP-{self.scheme}-session-encrypted"
        body = (
            f"--Encrypted Boundary\r\n\tContent-Type: {protocol}\r\n\tOriginalContent: "
            f"type=application/soap+xml;charset=UTF-8;Length={len(text) + padding}\r\n"
            "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
        ).encode() + struct.pack("<I", len(header)) + header + data + b"--Encrypted Boundary--\r\n"  # fmt: skip
        kind = f'multipart/encrypted;protocol="{protocol}";boundary="Encrypted Boundary"'
        return http(status, body, [("Content-Type", kind)])


def http(status: int, body: bytes, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def cim(name: str, **values: object) -> str:
    """An instance of a CIM class, or a method's output."""
    found = "".join(f"<p:{key}>{value}</p:{key}>" for key, value in values.items())
    return f'<p:{name} xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/{name}">{found}</p:{name}>'


def items(*found: str) -> str:
    """The answer to an optimized Enumerate."""
    inside = "".join(found)
    return (
        '<n:EnumerateResponse xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" '
        'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><n:EnumerationContext/>'
        f"<w:Items>{inside}</w:Items><w:EndOfSequence/></n:EnumerateResponse>"
    )


def argument(envelope: ET.Element, name: str) -> str:
    """A method's argument, or a selector, of a message."""
    for element in envelope.iter():
        if element.tag.endswith("}" + name):
            return element.text or ""
        if element.tag.endswith("}Selector") and element.get("Name") == name:
            return element.text or ""
    return ""


def secret_free(seen: list[Seen], secret: str) -> bool:
    """True where the words are in no request, in any usual encoding."""
    forms = (secret.encode(), secret.encode("utf-16-le"), base64.b64encode(secret.encode()))
    return not any(re.search(re.escape(form), one.raw) for form in forms for one in seen)


class Relay:
    """Somebody on the way to a listener: passes all on, and once told to changes what comes back."""

    def __init__(self, port: int) -> None:
        self.changing = threading.Event()
        self._to, self._socket = port, socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := bytearray(source.recv(65536)):
                if back and self.changing.is_set():
                    piece[-1] ^= 1
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
