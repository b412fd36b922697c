"""Python's search for garbage while a run is at work, which stops the run for as long as it takes.

A long search looks at all there is: with 1,000 targets in work some 180,000 objects, and 0.15 s. An attempt leaves
nothing for it to find, but a library may. So it is made where memory has grown, and not each time that so many objects
were made; the short searches, of what is new, go on. What must not live here: what is done meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHORT = (2_000, 5)
"""New objects that a shortest search waits for, and how many of those a short one of what they left waits for."""
_NEVER = 2**31 - 1
_GROWN = 64 * 2**20
"""Bytes by which the process must have grown before all of it is searched."""
_LOOK = 1.0
"""Seconds between two looks at that."""


@contextmanager
def short_searches_only() -> Iterator[None]:
    """Within, what is there by now is never looked through again, and the rest by short searches only."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_SHORT, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def peak_memory() -> int:
    """Bytes that the process has had in memory at most; it grows only where what is free by now is not enough."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def search_as_memory_grows(peak: Callable[[], int] = peak_memory) -> None:
    """Until it is cancelled: one long search for each ``_GROWN`` bytes that ``peak`` has risen by."""
    before = peak()
    while True:
        await asyncio.sleep(_LOOK)
        if peak() - before >= _GROWN:
            gc.collect()
            before = peak()
