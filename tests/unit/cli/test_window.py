"""A run that is done at once, at the end of its window."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from pusher.cli.window import shut_until, stopped_when_it_closes
from pusher.problems import Code
from pusher.push.context import Stop
from pusher.queue.windows import ALWAYS, Window, Windows
from tests.unit.push.flying import fly

EVENING = Windows(sets=((Window.from_json(
    {"days": ["mon"], "from": "20:00", "to": "22:00", "zone": "UTC"}),),))  # fmt: skip
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def stopped(windows: Windows, began: datetime, seconds: float) -> tuple[Code | None, list[str]]:
    """After so many seconds."""
    notes = list[str]()

    async def story() -> Code | None:
        loop, stop = asyncio.get_running_loop(), Stop()
        start = loop.time()
        closing = stopped_when_it_closes(
            windows, stop, notes.append, lambda: began + timedelta(seconds=loop.time() - start)
        )
        task = asyncio.create_task(closing)
        await asyncio.sleep(seconds)
        task.cancel()
        return stop.code

    return fly(story()), notes


def test_what_goes_on_when_it_closes_is_stopped() -> None:
    ten_to = MONDAY + timedelta(hours=21, minutes=50)
    assert stopped(EVENING, ten_to, 590) == (None, [])
    assert stopped(EVENING, ten_to, 605) == (
        Code.WINDOW_CLOSED, ["The maintenance window closes: hosts in work are put back."]
    )  # fmt: skip


def test_where_there_is_none_nothing_is_stopped() -> None:
    assert stopped(ALWAYS, MONDAY, 3 * 86400) == (None, [])
    assert stopped(EVENING, MONDAY, 3600) == (None, []), "nothing was begun"


def test_why_nothing_is_begun() -> None:
    assert shut_until(EVENING, MONDAY + timedelta(hours=20)) is None
    found = shut_until(EVENING, MONDAY + timedelta(hours=22))
    assert found is not None and found.code == Code.OUTSIDE_WINDOW
    assert found.message.endswith(": it opens on 2026-03-09 20:00 UTC")
