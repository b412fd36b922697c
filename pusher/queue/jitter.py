"""Spreading: hosts that failed at one moment do not come back at one moment. Pure, and the same for a host each time.

A host's share of the spread is made from its name. So a wait that is reckoned twice (a commit whose answer was lost)
is the same wait, and no host is always in the way of the same others by chance alone. What must not live here: chance.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

JITTER = 0.1
"""A wait is up to this part of it shorter or longer."""


def share(*names: str) -> float:
    """From 0.0 to less than 1.0, evenly over all names; the same for the same names."""
    # A name from an inventory may hold a lone surrogate.
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53  # what a float holds exactly: 1.0 cannot come of rounding


def around(wait: timedelta, host: str) -> timedelta:
    """``wait``, up to a tenth shorter or longer."""
    return wait * (1 + JITTER * (2 * share(host) - 1))


def after(span: timedelta, host: str) -> timedelta:
    """A part of ``span``: for what may come late, but never early."""
    return span * share(host)
