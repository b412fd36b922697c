"""How a worker's places are shared among the runs that have work: by ``queue.priority``, asked anew each second. Pure.

What a worker has in hand already counts as if it were chosen again: so a run that was first and is first no more claims
nothing until others have what is theirs, and what it has begun comes to its end. What must not live here: claiming.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from pusher.models import ReadyWork
from pusher.queue.priority import Ready, choose

Share = Mapping[int, int]
"""How many of a run's targets may be in hand, by their priority."""


def shares(
    work: Sequence[ReadyWork], held: Mapping[str, Mapping[int, int]], room: int, now: datetime
) -> dict[str, Share | None]:
    """What each run may have in hand; a run that is not among them, nothing. None: as much as it likes, for there is
    room for all or nobody to share it with.

    ``work``: what is ready, the most urgent first. ``held``: how much of which run is in hand, by priority. ``room``:
    the worker's places.
    """
    groups = dict.fromkeys((run, priority) for run, counts in held.items() for priority in counts if counts[priority])
    groups |= dict.fromkeys((one.run, one.priority) for one in work)
    if len(groups) <= 1:
        return dict.fromkeys((run for run, _ in groups), None)
    in_hand = [Ready(key=(run, priority), priority=priority, since=now)
               for run, counts in held.items() for priority, count in counts.items() for _ in range(count)]  # fmt: skip
    ready = [Ready(key=(one.run, one.priority), priority=one.priority, since=one.since)
             for one in work for _ in range(min(one.count, room))]  # fmt: skip
    if len(in_hand) + len(ready) <= room:
        return dict.fromkeys((run for run, _ in groups), None)
    chosen = Counter(one.key for one in choose([*in_hand, *ready], room, room, {}, now))
    return {run: {priority: chosen[name, priority] for name, priority in groups if name == run}
            for run in dict.fromkeys(run for run, _ in groups)}  # fmt: skip
