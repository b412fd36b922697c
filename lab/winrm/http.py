"""HTTP/1.1 on one connection, by h11: whole requests in, whole responses out.

Not here: what a request means (connection.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import h11

_PIECE = 1 << 18
_LARGEST_BODY = 4 << 20
_SERVER = ("Server", "Microsoft-HTTPAPI/2.0")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


class Cut(Exception):
    """The connection is to be reset instead of an answer."""


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[Request], Awaitable[Response]]
) -> None:
    """Answer requests until the client goes."""
    http = h11.Connection(h11.SERVER)
    try:
        while (request := await _next(http, reader)) is not None:
            _send(http, writer, await answer(request))
            await writer.drain()
            if http.our_state is h11.MUST_CLOSE:
                return
            http.start_next_cycle()
    except Cut:
        writer.transport.abort()
    except h11.RemoteProtocolError:
        if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            _send(http, writer, Response(status=400, headers=[("Connection", "close")]))
    except OSError:
        pass
    finally:
        with suppress(OSError):
            writer.close()


async def _next(http: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next whole request; None where the client has closed."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_PIECE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _LARGEST_BODY:
                raise h11.RemoteProtocolError("a body of more than 4 MiB", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Request(
                method=head.method.decode(),
                target=head.target.decode(),
                headers={name.decode().lower(): value.decode("latin-1") for name, value in head.headers},
                body=bytes(body),
            )
        else:  # closed
            return None


def _send(http: h11.Connection, writer: asyncio.StreamWriter, response: Response) -> None:
    headers = [*response.headers, _SERVER, ("Content-Length", str(len(response.body)))]
    writer.write(http.send(h11.Response(status_code=response.status, headers=headers)) or b"")
    writer.write(http.send(h11.Data(data=response.body)) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
