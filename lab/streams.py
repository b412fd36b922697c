"""Bytes from one asyncio stream into another, for both ends of the way out. Not here: who asks for what (wayout.py)."""

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
