"""Bytes from one asyncio stream into another. Not here: who asks the egress proxy for what (egress_proxy.py)."""

from __future__ import annotations

import asyncio

PIECE = 1 << 18


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of one direction; what was cut on one side is closed on the other."""
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()
