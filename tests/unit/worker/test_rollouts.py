"""A run in waves goes out one wave after the other, and stops by itself where too many fail."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog
from sqlalchemy import text as sql

from pusher.models import WaveState, WorkState
from pusher.queue.waves import Rollout
from pusher.runs import RunRefusedError, resume
from pusher.store import Store
from pusher.transports.memory import User
from tests.unit.push.harness import ADMIN
from tests.unit.worker.stories import Site, some_hosts
from tests.unit.worker.test_worker import is_done, told, until

SLOW_START = Rollout(percents=(10, 50, 100), soak=timedelta(minutes=5), stop_above=0.1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def states(site: Site) -> list[WaveState]:
    return [wave.state for wave, _ in site.store.waves(site.run)]


async def ended(serving: asyncio.Task[None]) -> None:
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def test_each_wave_waits_for_those_before_it_and_soaks(store: Store) -> None:
    async def story() -> tuple[Site, list[float]]:
        site, times = Site(store, some_hosts(40), rollout=SLOW_START), list[float]()
        serving = asyncio.create_task(site.worker("w", most=20).serve())
        for size in (4, 20, 40):
            await until(lambda size=size: len(site.statuses()) >= size)  # type: ignore[misc]
            times.append(asyncio.get_running_loop().time())
            await asyncio.sleep(30)
            assert len(site.statuses()) == size, "the next wave is held while this one soaks"
        await until(lambda: states(site) == [WaveState.PASSED] * 3, 900, 5)
        await ended(serving)
        return site, times

    site, times = told(story)
    assert set(site.statuses().values()) == {"installed"} and site.starts() == [1] * 40
    assert all(after - before >= 300 for before, after in itertools.pairwise(times))
    run = store.run(site.run)
    assert run is not None and run.ended_at is not None


def test_it_stops_where_too_many_fail_and_goes_on_when_somebody_says_so(store: Store) -> None:
    async def story() -> tuple[Site, int, list[str]]:
        site, notes = Site(store, some_hosts(60), rollout=Rollout(percents=(50, 100), stop_above=0.1)), list[str]()
        for host in site.hosts:
            host.users = {ADMIN: User(password="right", administrator=False)}
        serving = asyncio.create_task(site.worker("w", most=3, note=notes.append).serve())
        await until(lambda: store.is_stopped(site.run))
        await asyncio.sleep(120)
        tried = len(site.statuses())
        assert states(site) == [WaveState.STOPPED, WaveState.HELD]
        assert (store.work_states(site.run).get(WorkState.RUNNING, 0), is_done(site)) == (0, False)
        for host in site.hosts:
            host.users = {ADMIN: User(password="right")}
        await asyncio.to_thread(resume, store, site.run)
        await until(lambda: is_done(site))
        await ended(serving)
        return site, tried, notes

    site, tried, notes = told(story)
    assert 10 <= tried <= 30, "ten verdicts at least, and what was in work by then"
    assert f"Run {site.run} is stopped: too many machines of its wave 1 failed." in notes
    assert len(site.statuses()) == 60
    assert list(site.statuses().values()).count("failed") == tried, "forgiven, and not tried again"


def test_who_does_not_answer_holds_up_no_wave(store: Store) -> None:
    async def story() -> tuple[Site, set[str], dict[str, str]]:
        site = Site(store, some_hosts(30), rollout=Rollout(percents=(50, 100), stop_above=0.0))
        transport, off = site.transport(), {host.name for host in site.hosts[::5]}
        hosts: dict[str, object] = transport.hosts  # type: ignore[assignment]
        gone = {site.addresses[name]: hosts.pop(site.addresses[name]) for name in off}
        serving = asyncio.create_task(site.worker("w", transport).serve())
        await until(lambda: states(site) == [WaveState.PASSED] * 2, 900, 5)
        between = site.statuses()
        hosts.update(gone)
        await until(lambda: is_done(site), 7200, 20)
        await ended(serving)
        return site, off, between

    site, off, between = told(story)
    assert {name for name, status in between.items() if status == "unreachable"} == off and len(between) == 30
    assert set(site.statuses().values()) == {"installed"}


def test_a_wave_may_be_opened_before_its_time(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(20), rollout=Rollout(percents=(10, 50, 100), soak=timedelta(days=2)))
        serving = asyncio.create_task(site.worker("w").serve())
        await until(lambda: len(site.statuses()) == 2)
        made = await asyncio.to_thread(resume, store, site.run, 2)
        assert [wave.number for wave in made.waves] == [2]
        await until(lambda: len(site.statuses()) == 10)
        await asyncio.sleep(60)
        assert len(site.statuses()) == 10
        for wrong in (None, 2, 7):
            with pytest.raises(RunRefusedError):
                await asyncio.to_thread(resume, store, site.run, wrong)
        await asyncio.to_thread(resume, store, site.run, 3)
        await until(lambda: is_done(site))
        await ended(serving)
        return site

    assert set(told(story).statuses().values()) == {"installed"}


def test_a_run_whose_waves_make_no_sense_here_keeps_no_other_from_going_out(store: Store) -> None:
    async def story() -> tuple[Site, str]:
        site = Site(store, some_hosts(4), rollout=Rollout(percents=(50, 100)))
        odd = sql("UPDATE runs SET rollout = '{\"later\": 1}' WHERE id = :run")
        store._database.writer.write_now(lambda connection: connection.execute(odd, {"run": site.run}))
        other = site.submit(rollout=Rollout(percents=(50, 100)))
        serving = asyncio.create_task(site.worker("w").serve())
        await until(lambda: set(store.work_states(other)) == {WorkState.DONE})
        await ended(serving)
        return site, other

    site, other = told(story)
    assert set(site.statuses(other).values()) == {"installed"}
    assert store.work_states(site.run) == {WorkState.HELD: 4}
