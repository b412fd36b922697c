"""How many machines this process can work on at once, by the number of files and sockets that it may have open.

What must not live here: what is said of one that ran short all the same (``problems.shortage``).
"""

from __future__ import annotations

import resource

OWN = 48
"""For the store, the log, look-ups of names, the event loop, modules that are loaded late."""
A_MACHINE = 4
"""A connection, one more that carries files or puts back, that of one that is only watched, and one port's probe."""
_AHEAD = 4
"""Machines that are asked whether they answer, for each that is worked on, where there are descriptors for it."""


def fitted(wanted: int, allowed: int) -> int:
    """How many machines at once, ``wanted`` at most, fit into ``allowed`` descriptors; one always does."""
    return max(1, min(wanted, (allowed - OWN) // A_MACHINE))


def probes(machines: int, ports: int, allowed: int) -> int:
    """Of how many machines ``ports`` each may be asked at once, beside ``machines`` that are worked on; one always."""
    left = allowed - OWN - (A_MACHINE - 1) * machines
    return max(1, min(_AHEAD * machines, left // ports))


def raised_for(machines: int, ports: int) -> int:
    """Ask for the descriptors that so many machines may take, as far as the hard limit lets us; how many there are.

    ``ports``: how many of a machine are asked whether they answer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OWN + (A_MACHINE - 1 + _AHEAD * ports) * machines
    if _is_less(soft, needed):
        soft = needed if _is_less(needed, hard) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return needed if soft == resource.RLIM_INFINITY else soft


def _is_less(one: int, other: int) -> bool:
    if resource.RLIM_INFINITY in (one, other):
        return one != resource.RLIM_INFINITY
    return one < other
