"""A port probe: one TCP connect that says whether anything listens, and nothing more. No byte is sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable


async def answering(address: str, ports: Iterable[int], seconds: float) -> frozenset[int]:
    """Those of ``ports`` at ``address`` that accept a connection within ``seconds``; asked all at once."""
    asked = tuple(dict.fromkeys(ports))
    found = await asyncio.gather(*(_accepts(address, port, seconds) for port in asked))
    return frozenset(port for port, accepts in zip(asked, found, strict=True) if accepts)


async def _accepts(address: str, port: int, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
