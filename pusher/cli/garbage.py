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
from pathlib import Path

_SHORT = (2_000, 5)
"""New objects that a shortest search waits for, and how many of those a short one of what they left waits for."""
_NEVER = 2**31 - 1
_GROWN = 128 * 2**20
"""Bytes by which the process must have grown before all of it is searched: 1,000 targets in work need less."""
_LOOK = 1.0
"""Seconds between two looks at that."""
_STATM = Path("/proc/self/statm")


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


def memory() -> int:
    """Bytes that the process has in memory. Where there is no /proc: has had at most.

    Not ``ru_maxrss`` alone: on Linux a process begins with its parent's, and one begun by a big one would never grow.
    """
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


async def search_as_memory_grows(memory: Callable[[], int] = memory) -> None:
    """Until it is cancelled: one long search for each ``_GROWN`` bytes that ``memory`` has risen by."""
    before = memory()
    while True:
        await asyncio.sleep(_LOOK)
        if memory() - before >= _GROWN:
            gc.collect()
            before = memory()
