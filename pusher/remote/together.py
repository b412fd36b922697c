"""Asking a machine several things that do not hang on each other: at the same time, or one after the other.

At the same time over a transport that sends them all before the first answer comes. What must not live here: what is
asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


async def together(*calls: Coroutine[Any, Any, T], at_once: bool) -> list[T]:
    """The results in order; the first one's exception is raised.

    ``at_once``: all have ended when this returns or raises. Else each waits for the one before it, and what comes after
    one that raises is not asked.
    """
    if at_once:
        asked = [asyncio.ensure_future(call) for call in calls]
        try:
            # What it collects has lost its kind where that is a kind of CancelledError: each is asked itself.
            await asyncio.gather(*asked, return_exceptions=True)
            return [each.result() for each in asked]
        finally:
            del asked  # an exception would hold the frame that holds it
    try:
        return [await call for call in calls]
    finally:
        for call in calls:
            call.close()


async def both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B], *, at_once: bool) -> tuple[A, B]:
    """As ``together``, of two that answer differently."""
    calls: tuple[Coroutine[Any, Any, Any], ...] = (first, second)
    one, other = await together(*calls, at_once=at_once)
    return one, other
