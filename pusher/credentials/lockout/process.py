"""Which process holds a lease to sign in, and whether it is gone. It reads /proc; it decides nothing.

A process is told by its pid and start time, within one run of a kernel and one namespace of pids. Of a process of
another machine or namespace nothing is known: what it holds ends by its time alone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from pusher.clock import boot_id

_ENDED = frozenset({b"Z", b"X"})
"""States of a process that runs no more, though its parent has not asked for it yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """``place``: the kernel's run and the namespace in which ``pid`` means something; ``host`` is for people."""

    host: str
    place: str
    pid: int
    started: int


def this_process() -> Process:
    pid = os.getpid()
    return Process(host=socket.gethostname(), place=_place(), pid=pid, started=_started(pid) or 0)


def is_gone(process: Process) -> bool:
    """True only where it is certain."""
    if not process.place or process.place != _place():
        return False
    return _started(process.pid) != process.started


def is_gone_for_people(process: Process) -> bool:
    """True also where a machine of its name was started anew since. Not for the ledger: two may bear one name."""
    boot = boot_id()
    restarted = bool(boot and process.place) and not process.place.startswith(f"{boot}/")
    return is_gone(process) or (restarted and process.host == socket.gethostname())


def _place() -> str:
    """Empty where there is no /proc to ask."""
    try:
        return f"{boot_id()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """In ticks since the machine started; None where no such process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything; what follows it is numbers.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in _ENDED else int(fields[19])
