"""Faults of this side, above all what is short: file descriptors, memory, threads. They say nothing of the target.

Every adapter asks here before it reads anything else into an exception.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping
from types import MappingProxyType

from pusher.problems import Code, Problem, Stage, problem

CODE = Code.OUT_OF_RESOURCES

NUMBERS: Mapping[int, str] = MappingProxyType(
    {
        errno.EMFILE: "no file descriptor is left to this process",
        errno.ENFILE: "no file descriptor is left on this machine",
        errno.ENOMEM: "no memory is left",
        errno.ENOBUFS: "no buffer is left for the network",
    }
)


def own_fault(error: BaseException, stage: Stage) -> Problem:
    """The problem of a failure that is ours: something is short, or a mistake, whose text may hold anything."""
    short = shortage(error)
    return problem(CODE if short else Code.INTERNAL_ERROR, stage, short or type(error).__name__)


def shortage(error: BaseException) -> str | None:
    """What was short, in words, where that is what ``error`` comes from; None where it is not."""
    if isinstance(error, OSError):
        return NUMBERS.get(error.errno or 0)
    if isinstance(error, MemoryError):
        return "no memory is left"
    if isinstance(error, RuntimeError) and _comes_from_start(error):
        return "no thread can be started any more"
    return None


def _comes_from_start(error: BaseException) -> bool:
    """Python says it with a bare RuntimeError; where that came from tells it from all others."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is threading.Thread.start.__code__:
            return True
        trace = trace.tb_next
    return False
