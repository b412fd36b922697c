"""What goes wrong on a worker's own side: its store, the opening of a run, a claim that is not its own any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import structlog
from sqlalchemy import text as sql

from pusher.models import Claim, Outcome, Status, WorkState
from pusher.problems import BadInput, Code, ProblemError, problem
from pusher.scheduler.admission import Caps
from pusher.store import Store, StoreError
from pusher.transports.memory import MemoryHost
from pusher.worker.own_thread import in_own_thread
from pusher.worker.pauses import MOST, Pauses
from pusher.worker.worker import Worker
from tests.unit.store.store_contract import an_attempt, an_outcome
from tests.unit.worker.stories import Site, now, some_hosts
from tests.unit.worker.test_worker import is_done, told, until


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Failing(Store):
    """A store whose next ``failures`` outcomes are not taken."""

    def __init__(self, store: Store, failures: int) -> None:
        self.__dict__.update(store.__dict__)
        self.failures = failures

    async def finish(self, claim: Claim, outcome: Outcome, *, unless_there: bool = False) -> bool:
        if self.failures:
            self.failures -= 1
            raise StoreError(problem(Code.STORE_UNAVAILABLE, detail="as the test wants it"))
        return await super().finish(claim, outcome, unless_there=unless_there)


async def lapsed(worker: Worker) -> None:
    """Its lease is over by the store's clock, and it has noticed."""
    before = worker._id
    late = sql("UPDATE workers SET lease_until = '2000-01-01T00:00:00.000000+00:00'")
    worker._store._database.writer.write_now(lambda connection: connection.execute(late))
    await until(lambda: worker._id != before, 100)


async def left(worker: Worker, serving: asyncio.Task[None]) -> None:
    worker.leave()
    async with asyncio.timeout(600):
        await serving


@pytest.mark.parametrize("failures", [1, 5, 12])
def test_a_store_that_takes_no_outcome_for_a_while_costs_no_host_one(store: Store, failures: int) -> None:
    """Neither is a run ended by it, nor the worker kept from other runs."""

    async def story() -> tuple[Site, str]:
        site = Site(store, some_hosts(8))
        second = site.submit()
        worker = site.worker("w", store=Failing(store, failures))
        serving = asyncio.create_task(worker.serve())
        await until(lambda: is_done(site) and set(store.work_states(second)) == {WorkState.DONE}, 3600)
        await left(worker, serving)
        return site, second

    site, second = told(story)
    assert set(site.statuses().values()) <= {"installed", "unchanged"} and len(site.statuses()) == 8
    assert set(site.statuses(second).values()) <= {"installed", "unchanged"}
    assert [store.open_journals(host.name, "LabAgent") for host in site.hosts] == [[]] * 8


def test_what_was_claimed_by_a_run_that_fails_at_its_start_is_freed(store: Store) -> None:
    async def story() -> Site:
        site, broken = Site(store, some_hosts(6)), [True]
        work = site.work

        async def failing(*arguments: Any) -> None:
            if broken.pop() if broken else False:
                await asyncio.sleep(0.5)  # by then some are claimed
                raise RuntimeError("as the test wants it")
            await work(*arguments)

        with mock.patch.object(site, "work", failing):
            notes = list[str]()
            worker = site.worker("w", note=notes.append)
            serving = asyncio.create_task(worker.serve())
            await until(lambda: is_done(site))
            await left(worker, serving)
        assert notes[0] == (
            f"Run {site.run} is left to other workers: a fault of pusher's own (RuntimeError), which is in the log"
        )
        return site

    assert set(told(story).statuses().values()) == {"installed"}


def test_a_worker_that_leaves_while_a_run_is_being_opened_begins_nothing(store: Store) -> None:
    async def story() -> Site:
        site, opening = Site(store, some_hosts(4)), list[str]()

        async def slowly(run: str) -> None:
            opening.append(run)
            await asyncio.sleep(30)

        worker = site.worker("w", opening=slowly)
        serving = asyncio.create_task(worker.serve())
        await until(lambda: bool(opening))
        await left(worker, serving)
        return site

    site = told(story)
    assert store.work_states(site.run) == {WorkState.READY: 4} and site.starts() == [0] * 4


def test_a_run_that_hangs_while_it_is_opened_keeps_no_other_from_being_done(store: Store) -> None:
    async def story() -> list[str]:
        site, notes = Site(store, some_hosts(3)), list[str]()
        other = site.submit()

        async def hanging(run: str) -> None:
            if run == site.run:
                await asyncio.get_running_loop().create_future()

        worker = site.worker("w", opening=hanging, note=notes.append)
        serving = asyncio.create_task(worker.serve())
        await until(lambda: set(store.work_states(other)) == {WorkState.DONE}, 60)
        await until(lambda: len(notes) > 1)
        await left(worker, serving)
        return [note for note in notes if site.run in note]

    (note,) = told(story)
    assert "could not be opened within 120 s" in note


def test_a_run_whose_hosts_are_busy_elsewhere_is_not_opened_over_and_over(store: Store) -> None:
    async def story() -> list[str]:
        site, opened = Site(store, some_hosts(1)), list[str]()
        other = site.submit()
        holder = await store.register("holder", {}, site.worker("x")._settings.lease, lambda _: False)
        assert holder is not None and len(await store.claim(site.run, holder, 1)) == 1

        async def counted(run: str) -> None:
            opened.append(run)

        worker = site.worker("w", opening=counted)
        serving = asyncio.create_task(worker.serve())
        await asyncio.sleep(60)
        assert opened == []
        await store.leave(holder)
        await until(lambda: set(store.work_states(other)) == {WorkState.DONE} and is_done(site))
        await left(worker, serving)
        return opened

    assert len(told(story)) == 2


def test_however_many_runs_there_are_few_more_hosts_are_worked_on_at_once_than_asked(store: Store) -> None:
    """Those that a run still has when the next one is taken up, and that one's."""

    async def story() -> int:
        site, runs, hosts, most = Site(store, []), list[str](), list[MemoryHost](), 0
        for _ in range(6):
            site.hosts = some_hosts(4)
            hosts += site.hosts
            runs.append(site.submit())
        site.hosts = hosts
        for host in hosts:
            host.latency = 1.0
        worker = site.worker("w", most=2)
        serving = asyncio.create_task(worker.serve())
        while any(set(store.work_states(run)) != {WorkState.DONE} for run in runs):
            most = max(most, sum(store.work_states(run).get(WorkState.RUNNING, 0) for run in runs))
            await asyncio.sleep(1)
        await left(worker, serving)
        return most

    assert 4 <= told(story) <= 1 + 4


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BadInput(None, "no accounts file", "one"), "no accounts file; expected one"),
        (ProblemError(problem(Code.DIRECTORY_UNREACHABLE, detail="dc1")), "directory-unreachable: "),
        (StoreError(problem(Code.STORE_DAMAGED, detail="page 7")), "page 7"),
    ],
)
def test_why_a_run_cannot_be_opened_is_said_once_and_tried_less_and_less(
    store: Store, error: Exception, words: str
) -> None:
    async def story() -> tuple[list[str], int]:
        site, notes, tries = Site(store, some_hosts(1)), list[str](), list[float]()

        async def refused(_: str) -> None:
            tries.append(asyncio.get_running_loop().time())
            raise error

        worker = site.worker("w", opening=refused, note=notes.append)
        serving = asyncio.create_task(worker.serve())
        await asyncio.sleep(3600)
        await left(worker, serving)
        assert list(worker.left) == [site.run]
        return notes, len(tries)

    notes, tries = told(story)
    assert len(notes) == 1 and words in notes[0]
    assert 3 < tries < 9


def test_who_has_lost_a_target_signs_in_nowhere_for_it(store: Store) -> None:
    """Though its own lease goes on: a clock was set, a server failed over."""

    async def story() -> Site:
        site = Site(store, some_hosts(1))
        transport = site.transport()
        probe = transport.probe

        async def robbed(*arguments: Any) -> Any:
            worker = await store.register("thief", {}, site.worker("x")._settings.lease, lambda _: False)
            await store.release_run(site.run, first._id)
            assert worker is not None and len(await store.claim(site.run, worker, 1)) == 1
            return await probe(*arguments)

        with mock.patch.object(transport, "probe", robbed):
            first = site.worker("w", transport)
            serving = asyncio.create_task(first.serve())
            await asyncio.sleep(30)
            await left(first, serving)
        return site

    site = told(story)
    (host,) = site.hosts
    assert host.calls["sign_in"] == 0 and site.statuses() == {}
    assert "signed-in" not in {event.kind for event in store.events(site.run, host.name)}


def test_a_slow_host_keeps_none_of_those_that_were_claimed_with_it(store: Store) -> None:
    """Nothing more is there to claim by the time that the last of them are begun on."""

    async def story() -> dict[str, str]:
        site = Site(store, some_hosts(20))
        slow = site.hosts[0]
        slow.latency = 50.0
        worker = site.worker("w", most=10)
        with mock.patch("tests.unit.worker.stories.Caps", lambda **_: Caps(total=2, subnet=0)):
            serving = asyncio.create_task(worker.serve())
            await until(lambda: len(site.statuses()) == 19, 300)
            found = site.statuses()
            assert slow.name not in found, "it is worked on still"
            worker.leave()
            worker.hurry()
            await serving
        return found

    assert set(told(story).values()) == {"installed"}


def test_whose_claims_are_all_lost_at_once_goes_on_with_others(store: Store) -> None:
    """A server failed over to one that lacks the last commits, the worker's own row not among them."""

    async def story() -> Site:
        site = Site(store, some_hosts(6))
        other = site.submit()
        worker = site.worker("w", most=1)
        serving = asyncio.create_task(worker.serve())
        await until(lambda: any(site.starts()))
        await store.release_run(site.run, worker._id)
        await until(lambda: is_done(site) and set(store.work_states(other)) == {WorkState.DONE}, 3600)
        await left(worker, serving)
        return site

    assert set(told(story).statuses().values()) <= {"installed", "unchanged"}


def test_a_worker_whose_lease_is_over_begins_anew_and_ends_its_runs(store: Store) -> None:
    async def story() -> tuple[Site, str]:
        site, notes = Site(store, some_hosts(6)), list[str]()
        second = site.submit()
        worker = site.worker("w", note=notes.append)
        serving = asyncio.create_task(worker.serve())
        for _ in range(3):
            await until(lambda: WorkState.RUNNING in store.work_states(site.run) | store.work_states(second))
            await lapsed(worker)
        await until(lambda: is_done(site) and set(store.work_states(second)) == {WorkState.DONE}, 3600)
        await left(worker, serving)
        assert len([note for note in notes if "The lease is over" in note]) == 3
        return site, second

    site, second = told(story)
    assert set(site.statuses().values()) | set(site.statuses(second).values()) <= {"installed", "unchanged"}
    assert [store.open_journals(host.name, "LabAgent") for host in site.hosts] == [[]] * 6


def test_a_worker_that_leaves_while_a_run_is_being_freed_ends(store: Store) -> None:
    async def story() -> None:
        site, freeing = Site(store, some_hosts(1)), list[str]()

        class Slow(Store):
            def __init__(self) -> None:
                self.__dict__.update(store.__dict__)

            async def release_run(self, run: str, worker: str) -> int:
                freeing.append(run)
                await asyncio.sleep(5)
                return await super().release_run(run, worker)

        async def refused(_: str) -> None:
            raise BadInput(None, "no accounts file", "one")

        worker = site.worker("w", store=Slow(), opening=refused)
        serving = asyncio.create_task(worker.serve())
        await until(lambda: bool(freeing))
        await left(worker, serving)

    told(story)


def test_what_a_host_has_come_to_stays_when_its_run_is_cancelled_before_its_next_try(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(2))
        slow, other = site.hosts
        slow.latency = 30.0
        holder = await store.register("holder", {}, site.worker("x")._settings.lease, lambda _: False)
        claims = await store.claim(site.run, holder or "", 2)
        (claim,) = (one for one in claims if one.target == other.name)
        came = an_outcome(other.name, run=site.run, status=Status.FAILED, code="undo-failed", attempts=1)
        await asyncio.wrap_future(store.attempt(an_attempt(run=site.run, target=other.name)))
        await store.put_off(claim, came, now(), {})
        await store.leave(holder or "")
        worker = site.worker("w", most=1)
        with mock.patch("tests.unit.worker.stories.Caps", lambda **_: Caps(total=1, subnet=0)):
            serving = asyncio.create_task(worker.serve())
            await until(lambda: store.work_states(site.run) == {WorkState.RUNNING: 2})
            store.ask_cancel(site.run, now())
            await until(lambda: is_done(site))
            await left(worker, serving)
        return site

    site = told(story)
    assert {outcome.code for outcome in store.outcomes(site.run)} == {"undo-failed", "cancelled"}


def test_until_idle_waits_for_a_store_that_was_away_for_a_moment(store: Store) -> None:
    async def story() -> Site:
        site = Site(store, some_hosts(8))
        await site.worker("w", store=Failing(store, 1), until_idle=True).serve()
        return site

    assert len(told(story).statuses()) == 8


# -- the parts ---------------------------------------------------------------------------------------------------


def test_pauses_double_up_to_an_hour_and_say_a_reason_once() -> None:
    at = [0.0]
    pauses = Pauses(lambda: at[0])
    assert pauses.begin("r", 60, "why") and pauses.goes_on("r")
    lasted = list[float]()
    for _ in range(9):
        began = at[0]
        while pauses.goes_on("r"):
            at[0] += 1
        lasted.append(at[0] - began)
        assert not pauses.begin("r", 60, "why")
    assert lasted[:4] == [60, 120, 240, 480] and max(lasted) == MOST
    assert pauses.begin("r", 60, "another") and pauses.reasons == {"r": "another"}
    pauses.end("r")
    assert not pauses.goes_on("r") and pauses.reasons == {}


async def test_a_thread_that_hangs_is_waited_for_by_nobody() -> None:
    hangs = threading.Event()
    waiting = asyncio.ensure_future(in_own_thread(hangs.wait))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hangs.set()
    assert await in_own_thread(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)
