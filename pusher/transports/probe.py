"""A port probe: one TCP connect that says whether anything listens, and nothing more. No byte is sent.

ProblemError where this machine is short of what a connection takes: that says nothing about the port.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from pusher.problems import ProblemError, Stage, problem
from pusher.problems.shortage import CODE, shortage


async def answering(address: str, ports: Iterable[int], seconds: float) -> frozenset[int]:
    """Those of ``ports`` at ``address`` that accept a connection within ``seconds``; asked all at once."""
    asked = tuple(dict.fromkeys(ports))
    found = await asyncio.gather(*(_accepts(address, port, seconds) for port in asked))
    return frozenset(port for port, accepts in zip(asked, found, strict=True) if accepts)


async def _accepts(address: str, port: int, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except OSError as error:  # TimeoutError is one
        if (short := shortage(error)) is not None:
            raise ProblemError(problem(CODE, Stage.REACH, f"{address}:{port} ({short})")) from error
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
