"""What the host's curl.exe cannot do in Wine: downloads over real TLS, their server known by its public key.

The stand-in (lab/c/curl.c) tells the options it was given and gets the body in pieces, then curl's exit code; and so
on for each URL that it has. As curl does, the connection to a server is kept for the next URL where the server keeps
it too. The way to the server is lab/egress_proxy.py's. Options mean what curl's manual says; `--insecure` is a must,
since the lab's hosts have no list of authorities.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit

import h11
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.winrm.config import Config
from lab.winrm.service import Service

_PIECE = 32768
_END_OF_BODY = 0
_HTTP_ERRORS = 400
_MOST_LINES = 64


class Exit(IntEnum):
    """curl's exit codes, as its manual numbers them."""

    OK = 0
    UNSUPPORTED_PROTOCOL = 1
    FAILED_INIT = 2
    MALFORMED_URL = 3
    NOT_RESOLVED = 6
    NOT_CONNECTED = 7
    PARTIAL = 18
    HTTP_ERROR = 22
    TIMED_OUT = 28
    TLS_FAILED = 35
    FILE_NOT_READ = 37  # of the stand-in alone
    NOTHING_RECEIVED = 52
    RECEIVE_FAILED = 56
    CERTIFICATE = 60
    TOO_LARGE = 63
    PIN_FAILED = 90


class _Failed(Exception):
    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


@dataclass(kw_only=True)
class _Wanted:
    """What the stand-in was asked for."""

    url: str = ""
    flags: set[str] = field(default_factory=set)
    options: dict[str, str] = field(default_factory=dict)

    def number(self, *names: str, otherwise: float) -> float:
        text = next((self.options[name] for name in names if name in self.options), None)
        try:
            return otherwise if text is None else float(text)
        except ValueError as exc:
            raise _Failed(Exit.FAILED_INIT) from exc


class _Kept:
    """The connection that curl keeps for its next URL."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection

    def __init__(self) -> None:
        self._server = ""

    def keep(self, server: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self.reader, self.writer, self.http = server, reader, writer, h11.Connection(h11.CLIENT)

    def may_be_asked(self, server: str) -> bool:
        if self._server != server or self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        return True

    def drop(self) -> None:
        if self._server:
            self.writer.transport.abort()
        self._server = ""


class Downloads:
    """Serves the stand-in's connections."""

    def __init__(self, config: Config, service: Service) -> None:
        self._config = config
        self._service = service

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = _Kept()
        with suppress(OSError):  # the stand-in has gone
            while await self._serve_one(kept, reader, writer):
                pass
        kept.drop()
        writer.close()

    async def _serve_one(self, kept: _Kept, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One URL; False where none is asked for any more."""
        wanted = _Wanted()
        sent = 0
        code = Exit.OK
        try:
            if not await _read(reader, wanted):
                return False
            limit = wanted.number("--max-time", "-m", otherwise=0) or None
            async with asyncio.timeout(limit):
                sent = await self._fetch(wanted, kept, writer)
        except _Failed as failed:
            code = failed.code
        except TimeoutError:
            code = Exit.TIMED_OUT
        if code is not Exit.OK:
            kept.drop()
        writer.write(struct.pack("<II", _END_OF_BODY, code))
        await writer.drain()
        if wanted.url:
            self._service.journal.note("download", url=wanted.url, code=int(code), bytes=sent)
        return True

    async def _fetch(self, wanted: _Wanted, kept: _Kept, target: asyncio.StreamWriter) -> int:
        parts = urlsplit(wanted.url)
        if "https" not in wanted.options.get("--proto", "=https").lstrip("=").split(",") or parts.scheme != "https":
            raise _Failed(Exit.UNSUPPORTED_PROTOCOL)
        if not wanted.flags & {"-k", "--insecure"}:
            raise _Failed(Exit.CERTIFICATE)
        if not parts.hostname:
            raise _Failed(Exit.MALFORMED_URL)
        if not kept.may_be_asked(parts.netloc):
            kept.drop()
            kept.keep(parts.netloc, *await self._connect(wanted, parts.hostname, parts.port or 443))
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            headers = [("Host", parts.netloc), ("User-Agent", "curl/8.9.1"), ("Accept", "*/*")]
            head = h11.Request(method="GET", target=path or "/", headers=headers)
            kept.writer.write((kept.http.send(head) or b"") + (kept.http.send(h11.EndOfMessage()) or b""))
            return await _receive(kept.http, kept.reader, target, wanted, self._service.behaviour.download_stall)
        except OSError as exc:
            raise _Failed(Exit.RECEIVE_FAILED) from exc

    async def _connect(
        self, wanted: _Wanted, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._service.behaviour.downloads:
            raise _Failed(Exit.NOT_CONNECTED)
        try:
            async with asyncio.timeout(wanted.number("--connect-timeout", otherwise=300)):
                return await self._through_the_proxy(wanted, host, port)
        except OSError as exc:  # the proxy itself has gone
            raise _Failed(Exit.TIMED_OUT if isinstance(exc, TimeoutError) else Exit.NOT_CONNECTED) from exc

    async def _through_the_proxy(
        self, wanted: _Wanted, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._config.egress)
        asked = {"from": self._config.address, "to": host, "port": port}
        writer.write(json.dumps(asked).encode() + b"\n")
        answer = (await reader.readline()).decode().strip()
        if answer != "ok":
            writer.close()
            raise _Failed(Exit.TIMED_OUT if answer == "timeout" else Exit.NOT_CONNECTED)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        try:
            await writer.start_tls(tls, server_hostname=None)
        except (OSError, ssl.SSLError) as exc:
            raise _Failed(Exit.TLS_FAILED) from exc
        pin = wanted.options.get("--pinnedpubkey")
        if pin is not None and not _is_pinned(writer, pin):
            writer.transport.abort()
            raise _Failed(Exit.PIN_FAILED)
        return reader, writer


def _is_pinned(writer: asyncio.StreamWriter, pins: str) -> bool:
    """curl's --pinnedpubkey: sha256//BASE64 of the key's SubjectPublicKeyInfo, several of them joined by ';'."""
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"sha256//{base64.b64encode(digest).decode()}" in pins.split(";")


async def _read(reader: asyncio.StreamReader, wanted: _Wanted) -> bool:
    """False where the stand-in has no more to ask for."""
    for _ in range(_MOST_LINES):
        name, _, value = (await reader.readline()).decode().rstrip("\r\n").partition(" ")
        match name:
            case "":
                return bool(wanted.url)
            case "url":
                wanted.url = value
            case "flag":
                wanted.flags.add(value)
            case _:
                wanted.options[name] = value
    raise _Failed(Exit.FAILED_INIT)


async def _receive(
    http: h11.Connection, reader: asyncio.StreamReader, target: asyncio.StreamWriter, wanted: _Wanted, stall: int
) -> int:
    """Pass the body on; how many bytes it had. After `stall` of them, where it is not 0, nothing more is read."""
    largest = wanted.number("--max-filesize", otherwise=float("inf"))
    patience = wanted.number("--speed-time", otherwise=0) or None
    sent, announced = 0, None
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as exc:
            if announced is not None and sent < announced:
                raise _Failed(Exit.PARTIAL) from exc
            raise _Failed(Exit.NOTHING_RECEIVED if sent == 0 else Exit.RECEIVE_FAILED) from exc
        if event is h11.NEED_DATA:
            if 0 < stall <= sent:
                await asyncio.sleep(float("inf") if patience is None else patience)
                raise _Failed(Exit.TIMED_OUT)
            try:
                data = await asyncio.wait_for(reader.read(_PIECE), patience)
            except TimeoutError as exc:  # less than a byte a second for so long
                raise _Failed(Exit.TIMED_OUT) from exc
            http.receive_data(data)
        elif isinstance(event, h11.Response):
            if event.status_code >= _HTTP_ERRORS and wanted.flags & {"-f", "--fail"}:
                raise _Failed(Exit.HTTP_ERROR)
            length = dict(event.headers).get(b"content-length")
            announced = None if length is None else int(length)
            if announced is not None and announced > largest:
                raise _Failed(Exit.TOO_LARGE)
        elif isinstance(event, h11.Data):
            sent += len(event.data)
            if sent > largest:
                raise _Failed(Exit.TOO_LARGE)
            for at in range(0, len(event.data), _PIECE):
                piece = bytes(event.data[at : at + _PIECE])
                target.write(struct.pack("<I", len(piece)) + piece)
            await target.drain()
        elif isinstance(event, h11.EndOfMessage):
            return sent
        else:
            raise _Failed(Exit.NOTHING_RECEIVED)
