"""Who is next among those that are due: the lower number first, and some room for whoever has waited too long. Pure.

Strict, so that a person who presses a button is not behind a campaign. But a tenth of a worker's room is kept for the
least urgent of those that have waited for more than an hour: a campaign that never ends does not keep them out.
What must not live here: the caps of sites and subnets, and where what waits is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

BUTTON, RETRY_BY_HAND, CAMPAIGN, BACKGROUND_RETRY = 10, 50, 100, 200
"""Priorities go from 0 to 999; these are what a run has unless it says otherwise."""
TOO_LONG = timedelta(hours=1)

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready(Generic[K]):
    """Something that is due. ``since``: when it became due. What is named ``key`` is the caller's matter."""

    key: K
    priority: int
    since: datetime


def kept_room(room: int) -> int:
    """How many of a worker's places are kept for who has waited too long: a tenth, and one of a few; none of one."""
    return max(room // 10, 1) if room > 1 else 0


def choose(
    ready: Sequence[Ready[K]], free: int, room: int, running: Mapping[int, int], now: datetime
) -> Sequence[Ready[K]]:
    """Who is taken, ``free`` at most and the first first; in the order of ``ready`` within a priority.

    ``room``: the worker's places in all. ``running``: how many are worked on, by their priority.
    """
    order = sorted(ready, key=lambda one: one.priority)
    late = [one for one in order if now - one.since > TOO_LONG]
    if not late:
        return order[: max(free, 0)]
    lowest = late[-1].priority
    in_use = sum(number for priority, number in running.items() if priority >= lowest)
    kept = max(0, kept_room(room) - in_use)
    before = sorted((one for one in late if one.priority == lowest), key=lambda one: one.since)[:kept]
    taken = {id(one) for one in before}
    return [*before, *(one for one in order if id(one) not in taken)][: max(free, 0)]
