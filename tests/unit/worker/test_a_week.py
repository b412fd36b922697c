"""A week of a run, worked by a worker on machines in memory: its window, its waves and hourly retries together.

What is checked is read off the record by the rules as docs/waiting.md has them, with no help of the code that decides.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog

from pusher.models import Attempt
from pusher.queue.waves import Rollout
from pusher.queue.windows import Window, Windows
from pusher.store import Store
from tests.unit.worker.stories import Site, now, some_hosts
from tests.unit.worker.test_worker import told, until

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = Windows(sets=((Window.from_json(
    {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "20:00", "to": "06:00", "zone": "Europe/Berlin"}
),),))  # fmt: skip
SOAK = timedelta(hours=2)
LOOKS: dict[str, Any] = {"lease": timedelta(hours=4), "beat": 1800.0, "round": 10.0, "idle": 90.0}
SIZES = (4, 16, 20)
"""10, 50 and 100 percent of forty."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def is_night(at: datetime) -> bool:
    """By the clock on the wall."""
    return not 6 <= at.astimezone(BERLIN).hour < 20


def answers(number: int, at: datetime) -> bool:
    """Every fifth is a laptop that is on by day, and for two hours of each night; one is gone for good."""
    hour = at.astimezone(BERLIN).hour
    if number == 3:
        return False
    return number % 5 != 0 or 8 <= hour < 18 or hour in (20 + number % 4, (21 + number % 4) % 24)


@pytest.mark.thorough
def test_a_week(store: Store) -> None:
    async def story() -> tuple[Site, list[datetime], datetime]:
        site = Site(store, some_hosts(40), windows=NIGHTS, rollout=Rollout(percents=(10, 50, 100), soak=SOAK))
        transport, began = site.transport(), now()
        there: dict[str, Any] = transport.hosts  # type: ignore[assignment]
        known = dict(there)

        async def switching() -> None:
            while True:
                for number, (address, host) in enumerate(known.items()):
                    if answers(number, now()):
                        there[address] = host
                    else:
                        there.pop(address, None)
                await asyncio.sleep(600)

        tasks = [asyncio.create_task(switching()), asyncio.create_task(site.worker("w", transport, **LOOKS).serve())]
        await until(lambda: (run := store.run(site.run)) is not None and run.ended_at is not None, 9 * 86400, 600)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return site, [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=at) for at, _ in transport.heard], began

    site, touched, began = told(story)
    ends = site.statuses()
    gone = site.hosts[3].name
    assert ends.pop(gone) == "unreachable" and set(ends.values()) == {"installed"} and len(ends) == 39
    assert site.starts() == [number != 3 for number in range(40)]

    assert touched and all(map(is_night, touched))
    assert max(touched) <= began + timedelta(days=7)

    tries = {host.name: store.attempts(site.run, host.name) for host in site.hosts}
    assert all(map(_hourly, tries.values()))
    assert 7 * 8 <= len(tries[gone]) <= 7 * 13, "seven nights of ten hours"
    _in_waves(sorted(tries.values(), key=lambda attempts: attempts[0].started_at))


def _hourly(attempts: list[Attempt]) -> bool:
    """After the first, which two seconds follow (a look is each ten), an hour but for a tenth; more over a day."""
    pauses = [later.started_at - one.ended_at for one, later in itertools.pairwise(attempts)]
    return pauses[:1] <= [timedelta(minutes=2)] and all(pause >= timedelta(minutes=54) for pause in pauses[1:])


def _in_waves(by_first_try: list[list[Attempt]]) -> None:
    """Nobody of a wave is touched before all of the one before are done or have not answered, and it has soaked."""
    wave, rest = by_first_try[: SIZES[0]], by_first_try[SIZES[0] :]
    for size in SIZES[1:]:
        following, rest = rest[:size], rest[size:]
        first = min(attempts[0].started_at for attempts in following)
        for attempts in wave:
            known = [one for one in attempts if one.ended_at <= first - SOAK]
            assert known, "it was tried before the wave soaked"
        wave = following
    assert not rest
