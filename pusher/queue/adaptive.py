"""How many hosts of a site a worker has in hand at once, learned from how they answer. Pure; kept in memory.

Additive increase, multiplicative decrease, as TCP's congestion control (RFC 5681): one more after as many answers as
are in hand, unless connecting or copying has become slow; a third less after trouble. Those that were begun before a
decrease say nothing about it, and are not counted. A host that does not answer at all is no sign: it is switched off.
What must not live here: the caps that an operator sets, and what counts as trouble.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

FIRST = 8
_LESS = 0.7
_SLOW_CONNECT, _SLOW_COPY = 1.5, 0.7
_FADES = 1.02
"""A best is forgotten by this factor a round: what the network could do at night is no measure by day."""


class Trouble(StrEnum):
    STALLED = "stalled"
    """A copy stopped moving."""
    LOST = "lost"
    """A connection was dropped."""
    LAGGING = "lagging"
    """This process itself is late: its event loop, by more than 100 ms. Told at any time, not as a host's end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A host that was worked on: seconds to connect, and bytes a second of its copy; None where nothing was copied."""

    connect: float
    rate: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """``size``: how many at once. The rest is what was seen since ``size`` changed last, and at best."""

    size: int = FIRST
    connects: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    best_connect: float | None = None
    best_rate: float | None = None
    settling: int = 0
    """How many ends are still to come of those that were begun before a decrease."""


def adapt(limit: Limit, seen: Answered | Trouble, cap: int) -> Limit:
    """The limit after one more host has ended, or trouble was seen: 1 to ``cap``, at most one more than before."""
    limit = replace(limit, size=max(1, min(limit.size, cap)))
    if limit.settling:
        return limit if seen is Trouble.LAGGING else replace(limit, settling=limit.settling - 1)
    if isinstance(seen, Trouble):
        fewer = max(1, int(limit.size * _LESS))
        return replace(limit, size=fewer, settling=limit.size, connects=(), rates=())
    rates = limit.rates if seen.rate is None else (*limit.rates, seen.rate)
    limit = replace(limit, connects=(*limit.connects, seen.connect), rates=rates)
    return limit if len(limit.connects) < limit.size else _after_a_round(limit, cap)


def _after_a_round(limit: Limit, cap: int) -> Limit:
    connect, rate = median(limit.connects), median(limit.rates) if limit.rates else None
    slow = limit.best_connect is not None and connect >= _SLOW_CONNECT * limit.best_connect
    slow |= rate is not None and limit.best_rate is not None and rate <= _SLOW_COPY * limit.best_rate
    faded = None if limit.best_rate is None else limit.best_rate / _FADES
    return Limit(
        size=limit.size if slow else min(limit.size + 1, cap),
        best_connect=connect if limit.best_connect is None else min(connect, limit.best_connect * _FADES),
        best_rate=max((one for one in (rate, faded) if one is not None), default=None),
    )
