"""How many machines this process can work on at once, by the number of files and sockets that it may have open.

What must not live here: what is said of one that ran short all the same (``problems.shortage``).
"""

from __future__ import annotations

import resource

OWN = 48
"""For the store, the log, look-ups of names, the event loop, modules that are loaded late."""
A_MACHINE = 4
"""A connection, one more that carries files or puts back, and those of ports that are asked whether they answer."""


def fitted(wanted: int, allowed: int) -> int:
    """How many machines at once, ``wanted`` at most, fit into ``allowed`` descriptors; one always does."""
    return max(1, min(wanted, (allowed - OWN) // A_MACHINE))


def raised_for(machines: int) -> int:
    """Ask for the descriptors that so many machines may take, as far as the hard limit lets us; how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OWN + A_MACHINE * machines
    if _is_less(soft, needed):
        soft = needed if _is_less(needed, hard) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return needed if soft == resource.RLIM_INFINITY else soft


def _is_less(one: int, other: int) -> bool:
    if resource.RLIM_INFINITY in (one, other):
        return one != resource.RLIM_INFINITY
    return one < other
