"""What every engine under the queue does. Subclasses give ``url``; each test has an empty store of its own there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

from pusher.clock import utc_now
from pusher.models import Claim, Mark, Outcome, Stage, Status, Wave, WaveCounts, WavePlan, WaveState, WorkState
from pusher.store import Store, open_store
from pusher.store.claims import ClaimLostError
from pusher.store.waves import Decide
from tests.unit.store.store_contract import NOON, a_run, an_attempt, an_outcome

LEASE = timedelta(seconds=90)
PROCESS = {"host": "h", "place": "p", "pid": 1, "started": 1}
RUNS = {"r1": ("a", "b", "c"), "r2": ("A", "d")}
"""``a`` is wanted by both."""
_names = itertools.count(1)


def nobody_is_gone(_: Mapping[str, Any]) -> bool:
    return False


def submit(store: Store, runs: Mapping[str, tuple[str, ...]] = RUNS, priority: int = 100) -> None:
    for run, targets in runs.items():
        store.begin_run(a_run(run), {}, [(target, None, None) for target in targets], priority=priority)


async def begin(store: Store, name: str = "") -> str:
    worker = await store.register(name or f"w{next(_names)}", PROCESS, LEASE, nobody_is_gone)
    assert worker is not None
    return worker


def lapse(store: Store, worker: str) -> None:
    """As after a night of sleep."""
    with store._database.engine.begin() as connection:
        late = (utc_now() - LEASE).isoformat(timespec="microseconds")
        connection.execute(sql("UPDATE workers SET lease_until = :late WHERE id = :id"), {"late": late, "id": worker})


def in_waves(store: Store, run: str, wave_of: Mapping[str, int]) -> None:
    plan = WavePlan(rollout={"percents": [100]}, wave_of=wave_of, count=max(wave_of.values()))
    store.begin_run(a_run(run), {}, [(target, None, None) for target in wave_of], priority=100, waves=plan)


def setting(states: Mapping[int, WaveState]) -> Decide:
    """Who decides that some waves are in these states."""

    def decide(
        waves: Sequence[Wave], _: Mapping[int, WaveCounts], __: Mapping[str, Any], ___: datetime
    ) -> Sequence[Wave]:
        return [replace(wave, state=states.get(wave.number, wave.state)) for wave in waves]

    return decide


def states_of(waves: Sequence[Wave]) -> dict[int, WaveState]:
    return {wave.number: wave.state for wave in waves}


def outcome_of(claim: Claim, **changes: Any) -> Outcome:
    return an_outcome(claim.target, run=claim.run, **changes)


class WorkContract:
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        made = open_store(url)
        yield made
        made.close()

    async def test_work_is_claimed_once_in_its_order_and_ends_with_its_outcome(self, store: Store) -> None:
        submit(store, {"r1": ("c", "a", "b")})
        first, second = await begin(store), await begin(store)
        mine, others = await store.claim("r1", first, 2), await store.claim("r1", second, 2)
        assert [claim.target for claim in mine] == ["c", "a"] and [claim.target for claim in others] == ["b"]
        assert store.work_states("r1") == {WorkState.RUNNING: 3}
        assert await store.finish(mine[0], outcome_of(mine[0]))
        assert [outcome.target for outcome in store.outcomes("r1")] == ["c"]
        assert store.work_states("r1") == {WorkState.RUNNING: 2, WorkState.DONE: 1}

    async def test_a_run_that_is_not_queued_is_nobodys_work(self, store: Store) -> None:
        store.begin_run(a_run("r1"), {}, [("a", None, None)])
        assert (await store.look()).ready == [] and store.work_states("r1") == {}
        assert store.end_runs() == []

    async def test_the_most_urgent_run_comes_first(self, store: Store) -> None:
        submit(store, {"r1": ("a",), "r2": ("b",)}, priority=100)
        submit(store, {"r3": ("c",)}, priority=10)
        assert (await store.look()).ready == ["r3", "r1", "r2"]

    async def test_what_is_ready_is_told_by_run_and_priority(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c")}, priority=100)
        submit(store, {"r2": ("d",)}, priority=10)
        worker = await begin(store)
        (claim,) = await store.claim("r1", worker, 1)
        assert (claim.target, claim.priority) == ("a", 100)
        due = utc_now() - timedelta(hours=2)
        assert await store.put_off(claim, outcome_of(claim), due, {}, priority=200)
        before = utc_now()
        await store.tidy(nobody_is_gone)
        found = {(one.run, one.priority): one for one in (await store.look()).work}
        assert list(found) == [("r2", 10), ("r1", 100), ("r1", 200)]
        assert [one.count for one in found.values()] == [1, 2, 1]
        assert found["r1", 100].since == NOON, "since it was submitted"
        assert found["r1", 200].since >= before - timedelta(seconds=30), "not since it was due: nobody looked before"

    async def test_work_of_one_priority_can_be_claimed_alone(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c")}, priority=100)
        worker = await begin(store)
        (claim,) = await store.claim("r1", worker, 1)
        await store.put_off(claim, outcome_of(claim), utc_now() - timedelta(hours=2), {}, priority=200)
        await store.tidy(nobody_is_gone)
        assert await store.claim("r1", worker, 9, 150) == []
        assert [one.target for one in await store.claim("r1", worker, 9, 200)] == ["a"]
        assert [one.target for one in await store.claim("r1", worker, 9)] == ["b", "c"]

    async def test_the_most_urgent_of_a_run_comes_first_and_what_is_put_off_keeps_its_place(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c")}, priority=100)
        worker = await begin(store)
        first, second, _ = await store.claim("r1", worker, 3)
        early = utc_now() - timedelta(hours=2)
        await store.put_off(first, outcome_of(first), early, {}, priority=200)
        await store.put_off(second, outcome_of(second), early, {})
        await store.tidy(nobody_is_gone)
        assert [(one.target, one.priority) for one in await store.claim("r1", worker, 9)] == [("b", 100), ("a", 200)]

    async def test_what_is_ready_is_put_off_without_a_claim_and_keeps_what_it_came_to(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c", "d"), "r2": ("e",)})
        worker = await begin(store)
        first, mine, _ = await store.claim("r1", worker, 3)
        came = outcome_of(first, status=Status.UNREACHABLE, code="timed-out")
        await store.put_off(first, came, utc_now() - timedelta(hours=2), {"tries": 3})
        await store.tidy(nobody_is_gone)
        await store.give_back(mine)
        asked, late = list[str](), utc_now() + timedelta(hours=1)

        def due_of(target: str) -> datetime:
            asked.append(target)
            return late if target != "d" else late - timedelta(minutes=30)

        counts = [await asyncio.to_thread(store.put_off_ready, "r1", due_of, 2) for _ in range(3)]
        assert counts == [2, 1, 0] and sorted(asked) == ["a", "b", "d"]
        assert store.work_states("r1") == {WorkState.WAITING: 3, WorkState.RUNNING: 1}
        assert store.next_due("r1") == late - timedelta(minutes=30)
        assert store.outcome_of("r1", "a") == came and (await store.look()).ready == ["r2"]

    async def test_how_long_a_target_of_a_run_takes(self, store: Store) -> None:
        submit(store, {"r1": tuple(f"h{n}" for n in range(100))})
        assert store.usual_seconds("r1") is None
        for n in range(100):
            code = "timed-out" if n >= 40 else None
            await store.outcome(an_outcome(f"h{n}", run="r1", seconds=float(n + 1), code=code))
        assert store.usual_seconds("r1") == 38.0, "of the forty that did well, all but two"

    async def test_the_windows_of_a_run_are_kept(self, store: Store) -> None:
        store.begin_run(a_run("r1"), {}, [("a", None, None)], priority=1, windows=[{"days": ["mon"], "zone": "UTC"}])
        store.begin_run(a_run("r2"), {}, [("a", None, None)])
        assert (store.windows("r1"), store.windows("r2")) == ([{"days": ["mon"], "zone": "UTC"}], [])

    async def test_what_is_held_for_a_wave_is_claimed_when_it_opens(self, store: Store) -> None:
        in_waves(store, "r1", {"a": 1, "b": 2, "c": 2})
        worker = await begin(store)
        assert store.work_states("r1") == {WorkState.HELD: 3} and await store.claim("r1", worker, 9) == []
        assert await store.rolling_out() == ["r1"]
        changed = await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.OPEN}))
        assert states_of(changed) == {1: WaveState.OPEN}
        assert await asyncio.to_thread(store.open_work, "r1") == 1
        assert await asyncio.to_thread(store.open_work, "r1") == 0
        assert store.work_states("r1") == {WorkState.HELD: 2, WorkState.READY: 1}
        (claim,) = await store.claim("r1", worker, 9)
        assert claim.target == "a"
        assert await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.OPEN})) == []
        await asyncio.to_thread(store.advance_waves, "r1", setting({2: WaveState.OPEN}))
        await asyncio.to_thread(store.open_work, "r1")
        assert [one.target for one in await store.claim("r1", worker, 9)] == ["b", "c"]

    async def test_nothing_of_a_run_that_is_stopped_is_claimed_until_it_goes_on(self, store: Store) -> None:
        in_waves(store, "r1", {"a": 1, "b": 1})
        worker = await begin(store)
        await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.OPEN}))
        await asyncio.to_thread(store.open_work, "r1")
        (claim,) = await store.claim("r1", worker, 1)
        await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.STOPPED}))
        run = store.run("r1")
        assert run is not None and run.stopped_at is not None and store.is_stopped("r1")
        assert (await store.look()).ready == [] and await store.claim("r1", worker, 9) == []
        assert await store.rolling_out() == []
        assert await store.finish(claim, outcome_of(claim)), "what is in work comes to its end"
        await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.OPEN}))
        await asyncio.to_thread(store.open_work, "r1")
        assert not store.is_stopped("r1")
        assert [one.target for one in await store.claim("r1", worker, 9)] == ["b"]

    async def test_how_the_hosts_of_a_wave_stand(self, store: Store) -> None:
        names = ("well", "failed", "off", "off-for-good", "parked", "left-out", "again", "working", "ready", "later")
        in_waves(store, "r1", {name: 2 if name == "later" else 1 for name in names})
        worker = await begin(store)
        await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.OPEN}))
        await asyncio.to_thread(store.open_work, "r1")
        claims = {claim.target: claim for claim in await store.claim("r1", worker, 8)}
        late = utc_now() + timedelta(hours=1)
        off = {"status": Status.UNREACHABLE, "code": "timed-out", "stage": Stage.REACH}
        await store.finish(claims["well"], outcome_of(claims["well"]))
        await store.finish(claims["failed"], outcome_of(claims["failed"], status=Status.FAILED, code="disk-full"))
        await store.put_off(claims["off"], outcome_of(claims["off"], **off), late, {})
        await store.finish(claims["off-for-good"], outcome_of(claims["off-for-good"], **off))
        wrong = outcome_of(claims["parked"], status=Status.FAILED, code="wrong-password", stage=Stage.SIGN_IN)
        await store.put_off(claims["parked"], wrong, late, {}, "push")
        left_out = outcome_of(claims["left-out"], status=Status.SKIPPED, code="excluded")
        await store.finish(claims["left-out"], left_out)
        busy = outcome_of(claims["again"], status=Status.FAILED, code="connection-lost", stage=Stage.STAGE)
        await store.put_off(claims["again"], busy, late, {})
        seen = dict[int, WaveCounts]()

        def decide(
            waves: Sequence[Wave], counts: Mapping[int, WaveCounts], _: Mapping[str, Any], __: datetime
        ) -> Sequence[Wave]:
            seen.update(counts)
            return waves

        store.advance_waves("r1", decide)
        first = WaveCounts(size=9, succeeded=1, failed=1, unreachable=2, parked=1, left_out=1)
        assert seen == {1: first, 2: WaveCounts(size=1)}
        assert [counts for _, counts in store.waves("r1")] == [first, WaveCounts(size=1)]

    async def test_a_straggler_counts_in_the_wave_that_is_at_work_when_it_ends(self, store: Store) -> None:
        in_waves(store, "r1", {"a": 1, "b": 2, "c": 3})
        worker = await begin(store)
        await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.OPEN}))
        await asyncio.to_thread(store.open_work, "r1")
        (late,) = await store.claim("r1", worker, 1)
        await asyncio.to_thread(store.advance_waves, "r1", setting({1: WaveState.PASSED, 2: WaveState.OPEN}))
        await asyncio.to_thread(store.open_work, "r1")
        await store.finish(late, outcome_of(late))
        sizes = {wave.number: (counts.size, counts.succeeded) for wave, counts in store.waves("r1")}
        assert sizes == {1: (0, 0), 2: (2, 1), 3: (1, 0)}
        (claim,) = await store.claim("r1", worker, 1)
        await store.finish(claim, outcome_of(claim))
        assert [counts.size for _, counts in store.waves("r1")] == [0, 2, 1], "who is in time counts in its own"

    async def test_a_cancelled_run_ends_what_is_held_too_and_goes_out_no_further(self, store: Store) -> None:
        in_waves(store, "r1", {"a": 1, "b": 2})
        await asyncio.to_thread(store.ask_cancel, "r1", NOON)
        assert await store.rolling_out() == [] and (await store.look()).cancelled == ["r1"]
        ended = await asyncio.to_thread(store.end_unclaimed, "r1", lambda target, _: an_outcome(target, run="r1"))
        assert ended == 2

    async def test_a_run_knows_its_priority(self, store: Store) -> None:
        submit(store, {"r1": ("a",)}, priority=7)
        store.begin_run(a_run("r2"), {}, [("b", None, None)])
        found = {run.id: run.priority for run in store.runs()}
        assert found == {"r1": 7, "r2": None}

    async def test_a_run_whose_hosts_are_worked_on_elsewhere_has_nothing_to_claim(self, store: Store) -> None:
        submit(store, {"r1": ("a",), "r2": ("A",)})
        worker = await begin(store)
        await store.claim("r1", worker, 1)
        assert (await store.look()).ready == []
        assert await store.release_run("r2", worker) == 0 and await store.release_run("r1", "other") == 0
        assert await store.release_run("r1", worker) == 1
        assert (await store.look()).ready == ["r1", "r2"]

    async def test_a_cancelled_run_is_not_worked_on_and_what_was_come_to_stays(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c", "d")})
        worker = await begin(store)
        off, begun, _ = await store.claim("r1", worker, 3)
        came = outcome_of(off, status=Status.UNREACHABLE, code="timed-out")
        await store.put_off(off, came, utc_now() + timedelta(hours=1), {})
        await store.open_journal(host="b", service="s", run="r1", target="b", before={}, at=NOON, claim=begun)
        await store.give_back(begun)
        await asyncio.to_thread(store.ask_cancel, "r1", NOON)
        assert (await store.look()).ready == [] and (await store.look()).cancelled == ["r1"]

        def ended(target: str, is_begun: bool) -> Outcome:
            return an_outcome(
                target, run="r1", status=Status.CANCELLED, code="interrupted" if is_begun else "cancelled"
            )

        assert await asyncio.to_thread(store.end_unclaimed, "r1", ended) == 3
        found = {outcome.target: outcome.code for outcome in store.outcomes("r1")}
        assert found == {"a": "timed-out", "b": "interrupted", "d": "cancelled"}
        assert (await store.look()).cancelled == []

    async def test_two_runs_never_work_on_one_host_at_once(self, store: Store) -> None:
        submit(store)
        worker = await begin(store)
        (claim, *_) = await store.claim("r1", worker, 9)
        assert [one.target for one in await store.claim("r2", worker, 9)] == ["d"], "a is worked on as A"
        assert await store.finish(claim, outcome_of(claim))
        assert [one.target for one in await store.claim("r2", worker, 9)] == ["A"]

    async def test_what_a_lapsed_worker_had_is_anothers_and_it_writes_nothing_any_more(self, store: Store) -> None:
        submit(store, {"r1": ("a",)})
        frozen, other = await begin(store), await begin(store)
        (old,) = await store.claim("r1", frozen, 1)
        journal = await store.open_journal(
            host="a", service="s", run="r1", target="a", before={}, at=NOON, claim=old
        )  # fmt: skip
        await store.mark(journal.id, "stop", Mark.INTENT, NOON, old)
        lapse(store, frozen)
        assert (await store.tidy(nobody_is_gone)).freed == 1
        (new,) = await store.claim("r1", other, 1)
        assert new.epoch > old.epoch
        for late in (
            store.mark(journal.id, "stop", Mark.DONE, NOON, old),
            store.close_journal(journal.id, "undone", old),
            store.open_journal(host="a", service="s", run="r1", target="a", before={}, at=NOON, claim=old),
        ):
            with pytest.raises(ClaimLostError):
                await late
        assert isinstance(store.mark_done(journal.id, "stop", NOON, old).exception(30), ClaimLostError)
        assert not await store.finish(old, outcome_of(old, status=Status.FAILED))
        assert not await store.give_back(old) and not await store.put_off(old, outcome_of(old), NOON, {})
        (left,) = store.open_journals("a", "s")
        assert [step.mark for step in left.steps] == [Mark.INTENT], "for whoever has it now"
        assert store.mark_done(journal.id, "stop", NOON, new).exception(30) is None
        assert list(store.outcomes("r1")) == []
        assert await store.finish(new, outcome_of(new)), "nothing of the old one was in its way"
        assert [outcome.status for outcome in store.outcomes("r1")] == [Status.INSTALLED]

    async def test_a_lease_that_has_lapsed_never_begins_anew(self, store: Store) -> None:
        submit(store)
        worker = await begin(store)
        assert await store.beat(worker, LEASE)
        lapse(store, worker)
        assert not await store.beat(worker, LEASE), "though nobody has noticed yet"
        assert await store.claim("r1", worker, 1) == []

    async def test_whose_process_is_gone_is_not_waited_for(self, store: Store) -> None:
        submit(store, {"r1": ("a",)})
        worker = await begin(store)
        await store.claim("r1", worker, 1)
        assert (await store.tidy(nobody_is_gone)).freed == 0
        assert (await store.tidy(lambda process: process == PROCESS)).freed == 1
        assert store.work_states("r1") == {WorkState.READY: 1}

    async def test_a_name_is_one_workers_until_it_is_gone(self, store: Store) -> None:
        worker = await begin(store, "site-server")
        assert await store.register("site-server", PROCESS, LEASE, nobody_is_gone) is None
        await store.leave(worker)
        again = await begin(store, "site-server")
        lapse(store, again)
        assert await store.register("site-server", PROCESS, LEASE, nobody_is_gone) is not None

    async def test_who_leaves_leaves_its_work_to_others(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b")})
        leaving, other = await begin(store), await begin(store)
        (claim, _) = await store.claim("r1", leaving, 2)
        await store.leave(leaving)
        assert not await store.finish(claim, outcome_of(claim))
        assert len(await store.claim("r1", other, 9)) == 2

    async def test_what_is_put_off_is_ready_when_it_is_due(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b")})
        worker = await begin(store)
        first, second = await store.claim("r1", worker, 2)
        off = outcome_of(first, status=Status.UNREACHABLE, code="timed-out")
        early = utc_now() - timedelta(seconds=1)
        assert await store.put_off(first, off, early, {"tries": 1})
        assert await store.put_off(second, outcome_of(second), utc_now() + timedelta(hours=1), {})
        assert store.outcome_of("r1", "a") == off, "what it came to so far"
        assert store.work_states("r1") == {WorkState.WAITING: 2} and store.next_due("r1") == early
        assert (await store.tidy(nobody_is_gone)).promoted == 1
        (again,) = await store.claim("r1", worker, 9)
        assert again.target == "a" and again.epoch > first.epoch
        assert (first.waiting, again.waiting) == (None, {"tries": 1})
        assert again.queued_at == NOON

    async def test_what_is_parked_on_an_account_waits_for_its_release_or_its_time(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c"), "r2": ("d",)})
        worker = await begin(store)
        claims = [*await store.claim("r1", worker, 9), *await store.claim("r2", worker, 9)]
        late, early = utc_now() + timedelta(days=7), utc_now() - timedelta(seconds=1)
        for claim, account, due in zip(
            claims, ["push", "push", "other", "push"], [late, early, late, late], strict=True
        ):
            assert await store.put_off(claim, outcome_of(claim), due, {}, account)
        assert store.parked("r1") == {"push": 2, "other": 1} and store.next_due("r1") is None
        assert (await store.tidy(nobody_is_gone)).promoted == 1
        assert store.release("nobody") == 0 and store.release("push") == 2
        assert store.parked("r1") == {"other": 1}
        assert [one.target for one in await store.claim("r1", worker, 9)] == ["a", "b"]
        assert [one.target for one in await store.claim("r2", worker, 9)] == ["d"]

    async def test_a_machine_of_two_names_is_worked_on_under_one_in_a_run(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b"), "r2": ("c",)})
        first, second = await begin(store), await begin(store)
        (one,), (other,) = await store.claim("r1", first, 1), await store.claim("r1", second, 1)
        assert await store.claim_machine(one, "ws01 guid") is None
        assert await store.claim_machine(one, "ws01 guid") is None, "it is its own still"
        assert await store.claim_machine(other, "ws01 guid") == "a"
        assert await store.claim_machine(other, "ws02 guid") is None
        (third,) = await store.claim("r2", first, 1)
        assert await store.claim_machine(third, "ws01 guid") is None, "of another run"
        await store.finish(one, outcome_of(one))
        assert await store.claim_machine(other, "ws01 guid") == "a", "after its end, too"
        await store.give_back(other)
        with pytest.raises(ClaimLostError):
            await store.claim_machine(other, "ws03 guid")

    async def test_a_claim_knows_how_often_its_target_was_tried(self, store: Store) -> None:
        submit(store, {"r1": ("a",)})
        worker = await begin(store)
        (claim,) = await store.claim("r1", worker, 1)
        assert claim.tries == 0
        await asyncio.wrap_future(store.attempt(an_attempt(run="r1", target="a", number=2)))
        await store.give_back(claim)
        (claim,) = await store.claim("r1", worker, 1)
        assert claim.tries == 2

    async def test_a_queued_run_ends_when_all_its_work_is_done(self, store: Store) -> None:
        submit(store, {"r1": ("a",), "r2": ("b",)})
        worker = await begin(store)
        (claim,) = await store.claim("r1", worker, 1)
        assert store.end_runs() == []
        await store.finish(claim, outcome_of(claim))
        assert (await store.tidy(nobody_is_gone)).ended == ["r1"]
        assert (await store.tidy(nobody_is_gone)).ended == [] and store.end_runs() == []
        ended, other = store.run("r1"), store.run("r2")
        assert ended is not None and ended.ended_at is not None and other is not None and other.ended_at is None

    async def test_work_that_nobody_has_is_ended_by_whoever_cancels_it(self, store: Store) -> None:
        submit(store, {"r1": ("a", "b", "c", "d")})
        worker = await begin(store)
        (claim, waiting) = await store.claim("r1", worker, 2)
        await store.put_off(waiting, outcome_of(waiting), utc_now() + timedelta(hours=1), {})

        def cancelled(target: str, is_begun: bool) -> Outcome:
            return an_outcome(target, run="r1", status=Status.FAILED, code="interrupted" if is_begun else "cancelled")

        assert await asyncio.to_thread(store.end_unclaimed, "r1", cancelled, 2) == 2
        assert await asyncio.to_thread(store.end_unclaimed, "r1", cancelled, 2) == 1
        assert await asyncio.to_thread(store.end_unclaimed, "r1", cancelled, 2) == 0
        assert [outcome.target for outcome in store.outcomes("r1")] == ["b", "c", "d"]
        assert await store.finish(claim, outcome_of(claim)), "what somebody has is theirs to end"

    async def test_several_who_claim_at_once_have_each_host_once(self, store: Store, url: str) -> None:
        """Over connections of their own: as processes do."""
        hosts = tuple(f"h{number:02}" for number in range(40))
        submit(store, {"r1": hosts, "r2": tuple(reversed(hosts))})

        def take(run: str) -> list[Claim]:
            async def taking() -> list[Claim]:
                worker, found = await begin(mine), list[Claim]()
                for _ in range(12):
                    found += await mine.claim(run, worker, 5)
                return found

            mine = open_store(url)
            try:
                return asyncio.run(taking())
            finally:
                mine.close()

        with ThreadPoolExecutor(4) as pool:
            found = [claim for claims in pool.map(take, ["r1", "r2"] * 2) for claim in claims]
        assert sorted(claim.target for claim in found) == sorted(hosts)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(st.tuples(st.sampled_from(["claim", "finish", "return", "lapse", "reap", "mark", "beat"]),
                                    st.integers(0, 2), st.integers(0, 3)), max_size=25))  # fmt: skip
    def test_whoever_does_what_when_each_target_is_one_workers_and_ends_once(
        self, store: Store, steps: list[tuple[str, int, int]]
    ) -> None:
        number = next(_names)
        runs = {f"{run}-{number}": tuple(f"{host}{number}" for host in hosts) for run, hosts in RUNS.items()}
        submit(store, runs)
        asyncio.run(_Story(store, list(runs)).told(steps))


class _Story:
    """Some workers, whose claims are kept for as long as they may be tried; and who has which host, by the rules."""

    def __init__(self, store: Store, runs: list[str]) -> None:
        self.store, self.runs = store, runs
        self.workers, self.is_up = list[str](), [True] * 3
        self.claims: list[list[Claim]] = [[], [], []]
        self.holders = dict[int, tuple[int, int]]()
        self.ended = list[tuple[str, str]]()

    async def told(self, steps: list[tuple[str, int, int]]) -> None:
        self.workers = [await begin(self.store) for _ in range(3)]
        for step, who, which in steps:
            await getattr(self, f"_{step}")(who, which)
            held = [self._host(who, work) for work, (who, _) in self.holders.items()]
            assert len(held) == len(set(held)), "a host is worked on by two"
        stored = [(run, outcome.target) for run in self.runs for outcome in self.store.outcomes(run)]
        assert sorted(stored) == sorted(self.ended)
        running = sum(self.store.work_states(run).get(WorkState.RUNNING, 0) for run in self.runs)
        assert running == len(self.holders)
        for worker in self.workers:
            await self.store.leave(worker)

    def _host(self, who: int, work: int) -> str:
        return next(claim.target.lower() for claim in self.claims[who] if claim.work == work)

    def _is_good(self, who: int, claim: Claim) -> bool:
        return self.holders.get(claim.work) == (who, claim.epoch)

    def _one(self, who: int, which: int) -> Claim | None:
        return self.claims[who][which % len(self.claims[who])] if self.claims[who] else None

    async def _claim(self, who: int, which: int) -> None:
        found = await self.store.claim(self.runs[which % 2], self.workers[who], 1 + which)
        assert self.is_up[who] or not found
        for claim in found:
            assert claim.work not in self.holders
            self.claims[who].append(claim)
            self.holders[claim.work] = (who, claim.epoch)

    async def _finish(self, who: int, which: int) -> None:
        if (claim := self._one(who, which)) is not None:
            is_good = self._is_good(who, claim)
            assert await self.store.finish(claim, outcome_of(claim)) == is_good
            if is_good:
                del self.holders[claim.work]
                self.ended.append((claim.run, claim.target))

    async def _return(self, who: int, which: int) -> None:
        if (claim := self._one(who, which)) is not None:
            is_good = self._is_good(who, claim)
            assert await self.store.give_back(claim) == is_good
            if is_good:
                del self.holders[claim.work]

    async def _mark(self, who: int, which: int) -> None:
        if (claim := self._one(who, which)) is not None:
            writing = self.store.open_journal(
                host=claim.target, service="s", run=claim.run, target=claim.target, before={}, at=NOON, claim=claim
            )
            try:
                await writing
            except ClaimLostError:
                assert not self._is_good(who, claim)
            else:
                assert self._is_good(who, claim)

    async def _lapse(self, who: int, _: int) -> None:
        lapse(self.store, self.workers[who])
        self.is_up[who] = False

    async def _beat(self, who: int, _: int) -> None:
        assert await self.store.beat(self.workers[who], LEASE) == self.is_up[who]

    async def _reap(self, _: int, __: int) -> None:
        lost = [work for work, (who, _) in self.holders.items() if not self.is_up[who]]
        assert (await self.store.tidy(nobody_is_gone)).freed == len(lost)
        for work in lost:
            del self.holders[work]
