"""The event loop's own threads, started before anything is contacted."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from pusher.problems import BadInput

_START = 30.0
"""Seconds in which the threads must have started."""


def started_threads() -> ThreadPoolExecutor:
    """The event loop's own threads, as many as it would start, but all of them now.

    A thread that is started when memory is short may die before it says that it runs, and Python waits for that word
    for ever: in the middle of a run, with hosts in work.
    """
    count = min(32, (os.cpu_count() or 1) + 4)
    pool, all_run = ThreadPoolExecutor(count, thread_name_prefix="loop"), threading.Barrier(count)
    try:
        for running in [pool.submit(all_run.wait, _START) for _ in range(count)]:
            running.result()
    except (RuntimeError, MemoryError) as error:  # a barrier that breaks is one
        all_run.abort()
        found = "this process cannot start its threads"
        raise BadInput(None, found, "more memory, or higher limits (ulimit -v, -u)") from error
    return pool
