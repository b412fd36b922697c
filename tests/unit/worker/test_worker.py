"""Workers share a run, take over from those that are gone, and touch nothing once their lease is over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from unittest import mock

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

from pusher.models import Target, WorkState
from pusher.problems import BadInput, Code
from pusher.push.context import Stop
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, Moment
from pusher.worker.claimed_run import ClaimedRun, Selection
from pusher.worker.lease import Lease
from pusher.worker.worker import NameTakenError, Worker
from tests.unit.push.flying import fly
from tests.unit.push.harness import make_host
from tests.unit.worker.stories import Heard, Site, flying_store_time, now, some_hosts

T = TypeVar("T")
SHORT = timedelta(seconds=20)


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with structlog.testing.capture_logs():
        yield


def told(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def timed() -> T:
        with flying_store_time():
            return await story()

    return fly(timed())


async def until(what: Callable[[], bool], seconds: float = 900, pause: float = 0.25) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(pause)


def look(host: MemoryHost) -> dict[str, Any]:
    """All but empty folders of ours."""
    seen = host.snapshot()
    disk = {path: data for path, data in seen["disk"].items() if not path.startswith("windows\\pusher")}
    services = {name: (repr(config), up) for name, (config, up) in seen["services"].items()}
    return {"disk": disk, "services": services}


def is_done(site: Site) -> bool:
    return set(site.store.work_states(site.run)) == {WorkState.DONE}


def test_a_worker_does_what_is_in_the_queue_and_leaves_when_it_is_idle(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(12))
        await site.worker("w", until_idle=True).serve()
        return site

    site = told(story)
    assert set(site.statuses().values()) == {"installed"} and len(site.statuses()) == 12
    assert site.starts() == [1] * 12
    run = store.run(site.run)
    assert run is not None and run.ended_at is not None


def test_two_workers_share_a_run_and_no_host_is_worked_on_twice(store: Store) -> None:
    async def story() -> tuple[Site, list[int]]:
        site = Site(store, some_hosts(30))
        used = [site.transport(), site.transport()]
        await asyncio.gather(*(site.worker(f"w{n}", one, until_idle=True).serve() for n, one in enumerate(used)))
        return site, [len(one.heard) for one in used]

    site, shares = told(story)
    assert site.starts() == [1] * 30 and set(site.statuses().values()) == {"installed"}
    assert min(shares) > 0


def test_two_runs_that_want_one_host_come_one_after_the_other(store: Store) -> None:
    async def story() -> tuple[Site, str]:
        site = Site(store, some_hosts(3))
        second = site.submit(priority=10)
        workers = (site.worker(name, until_idle=True) for name in ("a", "b"))
        await asyncio.gather(*(worker.serve() for worker in workers))
        await until(lambda: is_done(site))
        return site, second

    site, second = told(story)
    both = (site.statuses(), site.statuses(second))
    assert sorted({status for one in both for status in one.values()}) == ["installed", "unchanged"]
    assert site.starts() == [1] * 3


def order_of(site: Site, runs: Collection[str]) -> list[str]:
    """The runs of the outcomes, in the order in which they were reported."""
    return [outcome.run for outcome in site.reported if outcome.run in runs]


def test_who_is_urgent_is_not_behind_a_campaign_that_has_begun(store: Store) -> None:
    async def story() -> tuple[Site, str, int]:
        site = Site(store, some_hosts(60))
        site.hosts += some_hosts(30)
        serving = asyncio.create_task(site.worker("w", most=5).serve())
        await until(lambda: len(site.reported) >= 5)
        button = site.submit(priority=10, targets=[host.name for host in site.hosts[60:]])
        before = len(site.reported)
        await until(lambda: set(store.work_states(button)) == {WorkState.DONE})
        between = len(site.reported) - before
        await until(lambda: is_done(site))
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site, button, between

    site, button, between = told(story)
    assert len(site.statuses()) == 60 and len(site.statuses(button)) == 30
    assert between <= 30 + 16, "the campaign ended what it had in hand, and a few that were claimed before it was seen"
    assert order_of(site, [site.run, button])[-10:] == [site.run] * 10


def test_a_campaign_that_has_waited_for_an_hour_has_a_tenth_of_the_places(store: Store) -> None:
    async def story() -> tuple[Site, str]:
        site = Site(store, some_hosts(100))
        late, others = site.run, some_hosts(200)
        await asyncio.sleep(3700)
        site.hosts += others
        urgent = site.submit(priority=10, targets=[host.name for host in others])
        serving = asyncio.create_task(site.worker("w", most=20).serve())
        await until(lambda: len(site.statuses(urgent)) == 200)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site, late

    site, late = told(story)
    done = len([one for one in site.reported if one.run == late])
    assert 10 <= done <= 50, "two of twenty places, as long as it took"


def test_a_machine_of_two_names_is_worked_on_once_whichever_workers_have_them(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, [])
        site.hosts = some_hosts(1)
        (name,), (address,) = site.addresses.keys(), site.addresses.values()
        site.run = site.submit(targets=[name, address])
        targets = {name: Target(name=name), address: Target(name=address)}
        with mock.patch.object(site, "selection", lambda: Selection(targets=targets, spared={})):
            workers = [site.worker(each, most=1) for each in ("a", "b")]
            serving = [asyncio.create_task(worker.serve()) for worker in workers]
            await until(lambda: is_done(site))
            for worker in workers:
                worker.leave()
            await asyncio.gather(*serving)
        return site

    site = told(story)
    assert sorted(site.statuses().values()) == ["installed", "skipped"] and site.starts() == [1]


def test_a_second_worker_of_a_name_is_refused(store: Store) -> None:
    async def story() -> None:
        site = Site(store, [])
        first = site.worker("w")
        serving = asyncio.create_task(first.serve())
        await asyncio.sleep(2)
        with pytest.raises(NameTakenError):
            await site.worker("w").serve()
        first.leave()
        await serving
        await site.worker("w", until_idle=True).serve()

    told(story)


def test_a_worker_that_is_asked_to_leave_ends_what_it_has_begun_and_gives_back_the_rest(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(20))
        worker = site.worker("w", most=8)
        serving = asyncio.create_task(worker.serve())
        await until(lambda: any(site.starts()))
        worker.leave()
        await serving
        return site

    site = told(story)
    states, done = store.work_states(site.run), site.statuses()
    assert set(done.values()) == {"installed"} and 0 < len(done) < 20
    assert states == {WorkState.DONE: len(done), WorkState.READY: 20 - len(done)}
    assert sum(site.starts()) == len(done)


def test_in_a_hurry_it_is_put_back_and_another_worker_does_it(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(4))
        before = [look(host) for host in site.hosts]
        worker = site.worker("w")
        serving = asyncio.create_task(worker.serve())
        await until(lambda: all(site.starts()))
        worker.leave()
        worker.hurry()
        await serving
        assert [look(host) for host in site.hosts] == before
        assert store.work_states(site.run) == {WorkState.READY: 4} and site.statuses() == {}
        await site.worker("next", until_idle=True).serve()
        return site

    assert set(told(story).statuses().values()) == {"installed"}


def test_a_worker_that_is_killed_leaves_its_hosts_to_the_next_which_undoes_first(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(4))
        killed = site.running("killed", lease=SHORT, beat=5)
        await until(lambda: all(site.starts()))
        await killed.kill()
        assert store.work_states(site.run) == {WorkState.RUNNING: 4}
        serving = asyncio.create_task(site.worker("next").serve())
        await until(lambda: is_done(site))
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site

    site = told(story)
    assert set(site.statuses().values()) == {"installed"} and site.starts() == [2] * 4
    assert [store.open_journals(host.name, "LabAgent") for host in site.hosts] == [[]] * 4


class _Frozen:
    """A worker that claims, and whose process then stands still at one call for longer than its lease."""

    def __init__(self, site: Site, number: int, moment: Moment) -> None:
        self.site = site
        self.worker = ""
        self.transport: Heard = site.transport(Fault(how=How.HANG, number=number, moment=moment))

    def lapse(self) -> None:
        """As late as it is, nobody has heard of it."""
        late = sql("UPDATE workers SET lease_until = '2000-01-01T00:00:00.000000+00:00' WHERE id = :id")
        self.site.store._database.writer.write_now(lambda connection: connection.execute(late, {"id": self.worker}))

    async def begin(self) -> asyncio.Task[None]:
        store = self.site.store
        self.worker = await store.register(f"frozen-{self.site.run}", {}, SHORT, lambda _: False) or ""
        lease, stop = Lease(timedelta(days=1)), Stop()
        claimed = ClaimedRun(store, self.site.run, self.worker, 5, self.site.selection(), lease, stop, now)
        filling = asyncio.create_task(claimed.fill())

        async def working() -> None:
            await self.site.work(claimed, self.site.run, self.transport, stop)
            await filling

        return asyncio.create_task(working())


@pytest.mark.thorough
@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_frozen_at_whatever_call_and_woken_it_touches_nothing_more(store: Store, moment: Moment) -> None:
    """Another worker has done its work meanwhile, or waits until the host lets go of the first one's lock."""

    async def story(number: int) -> tuple[bool, list[str]]:
        site = Site(store, [make_host()])
        frozen = _Frozen(site, number, moment)
        working = await frozen.begin()
        await until(lambda: bool(frozen.transport.struck) or working.done())
        if not frozen.transport.struck:
            await working
            return False, []
        frozen.lapse()
        over = asyncio.get_running_loop().time()
        serving = asyncio.create_task(site.worker(f"other-{number}-{moment.name}").serve())
        await until(lambda: is_done(site))
        await working
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        wrong = [f"call {number}: {call} at {at - over:+.1f} s" for at, call in frozen.transport.heard if at > over]
        if site.statuses() not in ({site.hosts[0].name: "installed"}, {site.hosts[0].name: "unchanged"}):
            wrong.append(f"call {number}: {site.statuses()}")
        if look(site.hosts[0])["disk"] != whole["disk"] or store.open_journals(site.hosts[0].name, "LabAgent"):
            wrong.append(f"call {number}: the host is not as it should be")
        return True, wrong

    async def undisturbed() -> dict[str, Any]:
        site = Site(store, [make_host()])
        await site.worker("w", until_idle=True).serve()
        return look(site.hosts[0])

    whole = told(undisturbed)
    wrong, number, goes_on = list[str](), 0, True
    while goes_on:
        number += 1
        goes_on, found = told(lambda number=number: story(number))  # type: ignore[misc]
        wrong += found
    assert number > 20, "every call was met"
    assert not wrong, "\n".join(wrong)


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(kills=st.lists(st.tuples(st.floats(0.1, 12), st.integers(0, 2)), max_size=6))
def test_whatever_workers_are_killed_when_each_host_is_made_right_once(
    store: Store, kills: list[tuple[float, int]]
) -> None:
    """Three at a time; for each that is killed another one comes."""

    async def story() -> tuple[Site, list[dict[str, tuple[str, bool]]]]:
        site = Site(store, some_hosts(8))
        names = (f"{site.run}-{number}" for number in itertools.count())
        workers = [site.running(next(names), lease=SHORT, beat=5, most=3) for _ in range(3)]
        for pause, which in kills:
            await asyncio.sleep(pause)
            await workers[which].kill()
            workers[which] = site.running(next(names), lease=SHORT, beat=5, most=3)
        await until(lambda: is_done(site), 3600)
        for worker in workers:
            await worker.kill()
        await store.tidy(lambda _: True)
        return site, [look(host)["services"] for host in site.hosts]

    site, services = told(story)
    assert [[is_up for _, is_up in found.values()] for found in services] == [[True]] * 8
    assert set(site.statuses().values()) <= {"installed", "unchanged"} and len(site.statuses()) == 8
    assert [store.open_journals(host.name, "LabAgent") for host in site.hosts] == [[]] * 8
    assert max(site.starts()) <= 1 + len(kills)


def test_a_run_that_cannot_be_opened_here_is_left_to_others(store: Store) -> None:
    async def story() -> tuple[Site, list[str]]:
        site, notes = Site(store, some_hosts(2)), list[str]()

        def refused(_: str) -> Any:
            raise BadInput(None, "no accounts file", "one")

        settings = site.worker("poor")._settings
        poor = Worker(store, refused, settings, notes.append)
        serving = asyncio.create_task(poor.serve())
        await asyncio.sleep(5)
        assert store.work_states(site.run) == {WorkState.READY: 2}
        await site.worker("other", until_idle=True).serve()
        poor.leave()
        await serving
        return site, notes

    site, notes = told(story)
    assert set(site.statuses().values()) == {"installed"}
    assert notes[0] == f"Run {site.run} is left to other workers: no accounts file; expected one"


def test_a_run_that_is_cancelled_ends_and_what_was_begun_is_put_back(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(20))
        before = [look(host) for host in site.hosts]
        serving = asyncio.create_task(site.worker("w").serve())
        await until(lambda: any(site.starts()))
        store.ask_cancel(site.run, now())
        await until(lambda: is_done(site))
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        ends = site.statuses()
        for host, earlier in zip(site.hosts, before, strict=True):
            assert ends[host.name] == "installed" or look(host) == earlier
        return site

    site = told(story)
    assert len(site.statuses()) == 20 and "cancelled" in site.statuses().values()
    codes = {outcome.code for outcome in store.outcomes(site.run) if outcome.status.value != "installed"}
    assert codes == {Code.CANCELLED}


def test_who_is_off_waits_and_is_done_when_it_is_back(store: Store) -> None:
    async def story() -> tuple[Site, str]:
        site = Site(store, some_hosts(2))
        off = site.hosts[1]
        transport = site.transport()
        address = site.addresses[off.name]
        del transport.hosts[address]  # type: ignore[attr-defined]
        serving = asyncio.create_task(site.worker("w", transport).serve())
        await until(lambda: len(site.statuses()) == 2)
        await asyncio.sleep(1.3 * 3600)
        between = site.statuses()[off.name]
        assert store.work_states(site.run) == {WorkState.DONE: 1, WorkState.WAITING: 1}
        transport.hosts[address] = off  # type: ignore[index]
        await until(lambda: is_done(site), 7200)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return site, between

    site, between = told(story)
    assert between == "unreachable" and set(site.statuses().values()) == {"installed"}
    assert max(outcome.attempts for outcome in store.outcomes(site.run)) > 2
