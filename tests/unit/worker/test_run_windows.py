"""Outside its windows no machine of a run is touched; what has begun by their end is put back, and done in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from pusher.models import Status, WorkState
from pusher.problems import Code
from pusher.queue.windows import Window, Windows
from pusher.store import Store
from tests.unit.push.harness import make_package
from tests.unit.worker import stories
from tests.unit.worker.stories import Heard, Site, now, some_hosts
from tests.unit.worker.test_worker import is_done, look, told, until

EVERY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
BEGAN = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
"""A Sunday; a story begins at 00:16:40."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def daily(start: str, end: str, days: list[str] = EVERY) -> Windows:
    return Windows(sets=((Window.from_json({"days": days, "from": start, "to": end, "zone": "UTC"}),),))


def touched(transport: Heard, windows: Windows, undoing: float = 0.0) -> tuple[int, list[str]]:
    """How many calls there were, and those outside of the windows, but for so many seconds of ``undoing``."""
    times = [(BEGAN + timedelta(seconds=at), call) for at, call in transport.heard]
    late = timedelta(seconds=undoing)
    wrong = [f"{call} at {at:%a %H:%M:%S}" for at, call in times
             if not (windows.is_open(at) or windows.is_open(at - late))]  # fmt: skip
    return len(times), wrong


SLOW: dict[str, Any] = {"lease": timedelta(hours=4), "beat": 1800.0, "round": 15.0, "idle": 120.0}
"""A worker that looks so rarely that days go by in seconds."""


async def done(site: Site, transport: Heard, hours: float, **changes: Any) -> None:
    serving = asyncio.create_task(site.worker("w", transport, **changes).serve())
    await until(lambda: is_done(site), hours * 3600, 20)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def test_nobody_is_touched_before_it_opens(store: Store) -> None:
    windows = daily("02:00", "03:00")

    async def story() -> tuple[Site, Heard, dict[WorkState, int]]:
        site = Site(store, some_hosts(12), windows=windows)
        transport = site.transport()
        serving = asyncio.create_task(site.worker("w", transport).serve())
        await asyncio.sleep(60)
        waiting = store.work_states(site.run)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await done(site, transport, 3)
        return site, transport, waiting

    site, transport, waiting = told(story)
    assert waiting == {WorkState.WAITING: 12} and set(site.statuses().values()) == {"installed"}
    count, wrong = touched(transport, windows)
    assert count and not wrong


def test_what_has_not_ended_when_it_closes_is_put_back_and_done_in_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes 150 s: until that is known, some are begun that cannot be ended."""
    package = make_package(stay_running=150)
    quarters = [(f"{n // 4:02}:{n % 4 * 15:02}", f"{n // 4:02}:{n % 4 * 15 + 4:02}") for n in range(96)]
    windows = Windows(sets=(tuple(one for start, end in quarters for one in daily(start, end).sets[0]),))
    monkeypatch.setattr(stories, "PACKAGE", package)

    async def story() -> tuple[Site, Heard, list[str]]:
        site = Site(store, some_hosts(12), windows=windows)
        transport, broken = site.transport(), list[str]()
        before = [look(host) for host in site.hosts]
        serving = asyncio.create_task(site.worker("w", transport, most=4, round=5.0).serve())
        for quarter in range(2, 20):
            # When the window has been shut for some minutes.
            await asyncio.sleep((BEGAN + timedelta(minutes=15 * quarter + 14) - now()).total_seconds())
            ends = site.statuses()
            for host, earlier in zip(site.hosts, before, strict=True):
                if ends.get(host.name) != "installed" and look(host) != earlier:
                    broken.append(f"{host.name} at {now():%H:%M}: {ends.get(host.name)}")
            if is_done(site):
                break
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site, transport, broken

    site, transport, broken = told(story)
    assert set(site.statuses().values()) == {"installed"} and len(site.statuses()) == 12
    assert not broken
    assert not touched(transport, windows, undoing=30)[1]
    codes = [one.code for host in site.hosts for one in store.attempts(site.run, host.name)]
    assert set(codes) == {None, Code.WINDOW_CLOSED} and codes.count(None) == 12
    assert max(site.starts()) <= 3


def test_a_laptop_that_is_off_is_looked_for_in_its_windows_alone(store: Store) -> None:
    windows = daily("20:00", "06:00")

    async def story() -> tuple[Site, Heard]:
        site = Site(store, some_hosts(2), windows=windows)
        transport = site.transport()
        address = site.addresses[site.hosts[1].name]
        off = transport.hosts.pop(address)  # type: ignore[attr-defined]
        serving = asyncio.create_task(site.worker("w", transport, **SLOW).serve())
        await asyncio.sleep(40 * 3600)
        assert store.work_states(site.run) == {WorkState.DONE: 1, WorkState.WAITING: 1}
        transport.hosts[address] = off  # type: ignore[index]
        await until(lambda: is_done(site), 24 * 3600, 60)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site, transport

    site, transport = told(story)
    assert set(site.statuses().values()) == {"installed"}
    assert not touched(transport, windows)[1]
    tries = len(store.attempts(site.run, site.hosts[1].name))
    assert 10 <= tries <= 25, "hourly, of 40 hours in 18 of which it was open"


def test_what_opens_again_only_after_the_week_has_ended(store: Store) -> None:
    """Two minutes of a Sunday: the next one is a week away."""
    windows = daily("00:18", "00:20", ["sun"])

    async def story() -> Site:
        site = Site(store, some_hosts(2), windows=windows)
        transport = site.transport()
        transport.hosts.pop(site.addresses[site.hosts[1].name])  # type: ignore[attr-defined]
        await done(site, transport, 1)
        return site

    def ends(site: Site) -> dict[str, str | None]:
        return {outcome.target: outcome.code for outcome in store.outcomes(site.run)}

    site = told(story)
    assert ends(site) == {site.hosts[0].name: None, site.hosts[1].name: Code.TIMED_OUT}

    async def nobody_comes_in_time() -> Site:
        site = Site(store, some_hosts(2), windows=windows)
        await asyncio.sleep(600)
        await site.worker("late", until_idle=True).serve()
        return site

    late = told(nobody_comes_in_time)
    assert set(ends(late).values()) == {Code.OUTSIDE_WINDOW} and late.starts() == [0, 0]
    assert late.statuses() == dict.fromkeys((host.name for host in late.hosts), "skipped")


def test_a_cancelled_run_ends_at_once_though_its_window_is_shut(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(3), windows=daily("02:00", "03:00"))
        serving = asyncio.create_task(site.worker("w").serve())
        await asyncio.sleep(30)
        store.ask_cancel(site.run, now())
        await until(lambda: is_done(site), 60)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site

    assert set(told(story).statuses().values()) == {Status.CANCELLED}


def test_windows_that_make_no_sense_here_keep_the_run_from_this_worker(store: Store) -> None:
    async def story() -> tuple[Site, list[str]]:
        nowhere = Window(days=frozenset(), start=0, end=1, zone="Mars/Olympus")
        site, notes = Site(store, some_hosts(2), windows=Windows(sets=((nowhere,),))), list[str]()
        await site.worker("w", note=notes.append, until_idle=True).serve()
        return site, notes

    site, notes = told(story)
    assert site.statuses() == {} and site.starts() == [0, 0]
    assert len(notes) == 1 and "its maintenance windows make no sense here" in notes[0]
