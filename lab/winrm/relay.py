"""Somebody in between: ends the client's TLS with a certificate of his own and speaks TLS with the host himself.

His certificate is one that pusher trusts, for the host's own name, so nothing but the channel binding of the sign-in
gives him away. RFC 5929.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

_PIECE = 1 << 16


async def start(certificate: str, port: int, target: int) -> None:
    """Listen from now on."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            ends = await asyncio.open_connection("127.0.0.1", target, ssl=theirs)
            await asyncio.gather(_pass(reader, ends[1]), _pass(ends[0], writer))

    await asyncio.start_server(connected, "127.0.0.1", port, ssl=ours)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
    writer.close()
