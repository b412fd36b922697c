"""The maintenance window of a run that is done at once: what it means that it is shut, and that it closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from pusher.clock import utc_now
from pusher.problems import Code, Problem, problem
from pusher.push.context import Stop
from pusher.queue.windows import Windows

_LOOK = 1.0


def shut_until(windows: Windows, now: datetime) -> Problem | None:
    """Why nothing is begun ``now``; None where it is open."""
    if windows.is_open(now):
        return None
    return problem(Code.OUTSIDE_WINDOW, detail=f"it opens on {windows.next_opening(now):%Y-%m-%d %H:%M} UTC")


async def stopped_when_it_closes(
    windows: Windows, stop: Stop, note: Callable[[str], None], now: Callable[[], datetime] = utc_now
) -> None:
    """Whatever has been begun by then is put back. It looks each second: a machine may sleep, and its clock be set."""
    closes = windows.closes_at(now())
    if closes is None or not windows.is_open(now()):
        return
    while now() < closes:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)
    note("The maintenance window closes: hosts in work are put back.")
    stop.cancel(Code.WINDOW_CLOSED)
