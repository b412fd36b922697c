"""A port probe: one TCP connect that says whether anything listens, and nothing more. No byte is sent.

Thousands may be asked at once: each takes a descriptor while it waits. Whoever asks keeps to what there are.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

from pusher.problems import Problem
from pusher.problems.shortage import shortage
from pusher.transports.codes import Operation

Translate = Callable[[BaseException, Operation, str], Problem]


async def probe(address: str, ports: Iterable[int], seconds: float, translate: Translate) -> Problem | None:
    """None where one of ``ports`` at ``address`` accepts a connection within ``seconds``; they are asked all at once.

    Else what is wrong with the last of them, as the adapter's own ``translate`` has it of a connection that it opens;
    or that this machine is short of what a connection takes, which says nothing about the port.
    """
    asked = tuple(dict.fromkeys(ports))
    found = await asyncio.gather(*(_failure(address, port, seconds) for port in asked))
    failures = [failure for failure in found if failure is not None]
    if len(failures) < len(asked):
        return None
    told = next((failure for failure in failures if shortage(failure) is not None), failures[-1])
    return translate(told, Operation.REACH, " and ".join(f"{address}:{port}" for port in asked))


async def _failure(address: str, port: int, seconds: float) -> OSError | None:
    """What a blocking ``connect`` would raise."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(asking, (address, port))
    except TimeoutError as error:
        return error
    except OSError as error:
        # asyncio has words of its own in place of the system's.
        number = error.errno or 0
        return OSError(number, os.strerror(number)) if number > 0 else error
    return None
