"""The guard: the budget holds whatever the interleaving, and nobody waits for what will never come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy, Result
from pusher.credentials.lockout.guard import Lease, LockoutGuard
from pusher.credentials.lockout.ledger import Decide, Found, MemoryLedger
from pusher.problems import ProblemError

KEYS = [AccountKey(entry="svc", domain="corp"), AccountKey(entry="other", domain="corp")]


T = TypeVar("T")


class SlowLedger(MemoryLedger):
    """As a store's: handed over at once and in order, done some turns of the loop later."""

    def change(self, account: str, decide: Decide[T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            done = super(SlowLedger, self).change(account, decide)
            if not told.done():
                told.set_result(done.result())

        loop.call_soon(loop.call_soon, loop.call_soon, work)
        return told

    async def look(self, account: str) -> Found:
        await asyncio.sleep(0)
        return self.read(account)


class Worker:
    """One task that asks for leave and signs in when the test says so."""

    def __init__(self, guard: LockoutGuard, key: AccountKey) -> None:
        self.key = key
        self.lease: Lease | None = None
        self.refused: str | None = None
        self._finish = asyncio.Event()
        self._raises: BaseException | None = None
        self.task = asyncio.create_task(self._work(guard))

    async def _work(self, guard: LockoutGuard) -> None:
        try:
            async with guard.lease(self.key) as lease:
                self.lease = lease
                await self._finish.wait()
                if self._raises is not None:
                    raise self._raises
        except ProblemError as error:
            self.refused = error.problem.code

    @property
    def holds(self) -> bool:
        return self.lease is not None and not self.task.done()

    def end(self, raises: BaseException | None = None) -> None:
        self._raises = raises
        self._finish.set()


class GuardMachine(RuleBasedStateMachine):
    """Any interleaving of workers that ask, are granted, settle in every way, or are cancelled at any point."""

    @initialize(threshold=st.integers(1, 6), reserve=st.integers(0, 3), slow=st.booleans())
    def begin(self, threshold: int, reserve: int, slow: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.policy = LockoutPolicy(threshold=threshold, reserve=reserve)
        self.guard = LockoutGuard(self.policy, SlowLedger() if slow else MemoryLedger())
        self.workers: list[Worker] = []
        self.failures = dict.fromkeys(KEYS, 0)
        self.stopped: dict[AccountKey, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for worker in self.workers:
                worker.task.cancel()
            self._run()
            self.loop.close()

    def _run(self) -> None:
        """Until nobody can go on by himself."""

        async def rest() -> None:
            for _ in range(60):
                await asyncio.sleep(0)

        self.loop.run_until_complete(rest())

    def _holders(self, key: AccountKey) -> list[Worker]:
        return [worker for worker in self.workers if worker.key == key and worker.holds]

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 4))
    def ask(self, key: AccountKey, count: int) -> None:
        async def begun() -> list[Worker]:
            return [Worker(self.guard, key) for _ in range(count)]

        self.workers += self.loop.run_until_complete(begun())
        self._run()

    @precondition(lambda self: any(worker.holds for worker in self.workers))
    @rule(
        pick=st.randoms(use_true_random=False),
        result=st.sampled_from(Result),
        stops=st.sampled_from([None, None, "wrong-password", "account-locked"]),
        fails=st.booleans(),
    )
    def settle(self, pick: random.Random, result: Result, stops: str | None, fails: bool) -> None:
        worker = pick.choice([worker for worker in self.workers if worker.holds])
        assert worker.lease is not None
        worker.lease.settle(result, stops)
        self._count(worker.key, result)
        if stops is not None:
            self.stopped.setdefault(worker.key, stops)
        worker.end(RuntimeError("the sign-in's own error") if fails else None)
        self._run()
        with suppress(RuntimeError):
            worker.task.result()

    @precondition(lambda self: any(not worker.task.done() for worker in self.workers))
    @rule(pick=st.randoms(use_true_random=False), at_once=st.booleans())
    def cancel(self, pick: random.Random, at_once: bool) -> None:
        """Waiting or holding: an untold sign-in counts as unknown. Two in one turn of the loop, too."""
        open_ones = [worker for worker in self.workers if not worker.task.done()]
        for worker in pick.sample(open_ones, 2 if at_once and len(open_ones) > 1 else 1):
            if worker.holds:
                self._count(worker.key, Result.UNKNOWN)
            worker.task.cancel()
        self._run()

    def _count(self, key: AccountKey, result: Result) -> None:
        self.failures[key] += result in (Result.FAILED, Result.UNKNOWN)

    @invariant()
    def the_budget_holds(self) -> None:
        for key in KEYS:
            budget = self.guard.budget(key)
            assert budget.failures + budget.in_flight <= self.policy.limit
            assert budget.failures == self.failures[key]
            assert budget.in_flight == len(self._holders(key))
            assert budget.stopped_by == self.stopped.get(key)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        for key in KEYS:
            waiting = [w for w in self.workers if w.key == key and w.lease is None and not w.task.done()]
            if waiting:
                assert self._holders(key), "somebody must be on his way whose end is waited for"
                assert key not in self.stopped, "a stop is told at once"

    @invariant()
    def refusals_say_why(self) -> None:
        for worker in self.workers:
            if worker.refused == "account-stopped":
                assert worker.key in self.stopped
            elif worker.refused is not None:
                assert worker.refused == "lockout-budget-spent"
                assert self.failures[worker.key] >= self.policy.limit


TestGuardMachine = pytest.mark.thorough(GuardMachine.TestCase)
TestGuardMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@settings(max_examples=40, deadline=None)
@given(
    threshold=st.integers(0, 8),
    reserve=st.integers(0, 3),
    workers=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(Result), st.booleans(), st.booleans()), min_size=1, max_size=40
    ),
    seed=st.integers(),
)
def test_real_tasks_under_random_schedules(
    threshold: int, reserve: int, workers: list[tuple[int, Result, bool, bool]], seed: int
) -> None:
    """Every task ends by itself, and at no moment are more on their way than the budget bears."""
    chance, policy = random.Random(seed), LockoutPolicy(threshold=threshold, reserve=reserve)
    in_flight = failures = 0

    async def work(guard: LockoutGuard, turns: int, result: Result, stops: bool) -> None:
        nonlocal in_flight, failures
        for _ in range(turns):
            await asyncio.sleep(0)
        async with guard.lease(KEYS[0]) as lease:
            in_flight += 1
            assert failures + in_flight <= policy.limit
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
                lease.settle(result, "wrong-password" if stops else None)
            finally:
                in_flight -= 1
                failures += lease.result in (Result.FAILED, Result.UNKNOWN)

    async def story() -> None:
        guard = LockoutGuard(policy)
        tasks = [asyncio.create_task(work(guard, turns, result, stops)) for turns, result, stops, _ in workers]
        for task, (*_, cancelled) in zip(tasks, workers, strict=True):
            if cancelled:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
        async with asyncio.timeout(30):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            assert end is None or isinstance(end, ProblemError | asyncio.CancelledError)
        assert guard.budget(KEYS[0]).failures == failures
        assert guard.budget(KEYS[0]).in_flight == 0

    asyncio.run(story())


async def test_those_who_wait_go_on_when_one_is_done() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=1, reserve=0))
    order = []

    async def work(name: str) -> None:
        async with guard.lease(KEYS[0]) as lease:
            order.append(name)
            await asyncio.sleep(0)
            lease.settle(Result.OK)

    await asyncio.gather(*(work(name) for name in "abc"))
    assert order == ["a", "b", "c"]


async def test_a_stop_reaches_those_who_wait() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=9, reserve=8))
    codes = []

    async def work() -> None:
        try:
            async with guard.lease(KEYS[0]) as lease:
                await asyncio.sleep(0)
                lease.settle(Result.HARMLESS, "account-disabled")
        except ProblemError as error:
            codes.append((error.problem.code, "account-disabled" in error.problem.message))

    await asyncio.gather(*(work() for _ in range(50)))
    assert codes == [("account-stopped", True)] * 49


async def test_an_untold_sign_in_counts() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=1))
    with pytest.raises(RuntimeError):
        async with guard.lease(KEYS[0]):
            raise RuntimeError("before anything was known")
    assert guard.budget(KEYS[0]).failures == 1


async def test_accounts_do_not_share_a_budget() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=1, reserve=0))
    async with asyncio.timeout(30), guard.lease(KEYS[0]) as one, guard.lease(KEYS[1]) as other:
        one.settle(Result.FAILED)
        other.settle(Result.OK)
    assert [guard.budget(key).failures for key in KEYS] == [1, 0]


async def test_a_machines_own_account_goes_by_the_machines_threshold() -> None:
    """For granting, for refusing, and for saying how it stands; a domain account does not."""
    local = LockoutPolicy(threshold=4, reserve=2)
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), local=local)
    for key, allowed in ((AccountKey(entry="ws01\\adm"), 2), (AccountKey(entry="adm", domain="corp"), 1)):
        assert key.is_local is (allowed == 2)
        for _ in range(allowed):
            async with guard.lease(key) as lease:
                lease.settle(Result.FAILED)
        with pytest.raises(ProblemError, match=f"{allowed} of {allowed} failed sign-ins"):
            async with guard.lease(key):
                raise AssertionError("its budget is spent")
        assert (guard.look(key).policy.limit, guard.budget(key).failures) == (allowed, allowed)


async def test_a_good_account_costs_no_write_a_host() -> None:
    """A lease is handed on from task to task: in the ledger nothing would change."""
    ledger, writes = MemoryLedger(), 0

    class Counting(MemoryLedger):
        def change(self, account: str, decide: Decide[T]) -> asyncio.Future[T]:
            nonlocal writes
            writes += 1
            return ledger.change(account, decide)

    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), Counting())

    async def work() -> None:
        async with guard.lease(KEYS[0]) as lease:
            await asyncio.sleep(0)
            lease.settle(Result.OK)

    await asyncio.gather(*(work() for _ in range(500)))
    assert writes <= 20
    assert ledger.read(KEYS[0].entry) is None, "nothing is left to be known of it"


async def test_two_names_of_one_domain_are_one_account() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
    guard.is_also("ADLAB", "ad.lab.test")
    async with guard.lease(AccountKey(entry="svc", domain="adlab", is_certain=False)) as lease:
        lease.settle(Result.FAILED)
    known = AccountKey(entry="svc", domain="ad")
    assert guard.budget(known) == guard.budget(replace(known, domain="adlab"))
    assert guard.look(known).beside == 0
    with pytest.raises(ProblemError, match="lockout-budget-spent"):
        async with guard.lease(known):
            raise AssertionError("it has failed under its other name")


async def test_a_stop_from_elsewhere_reaches_those_who_wait() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
    async with guard.lease(KEYS[0]) as lease:
        waiting = guard.lease(KEYS[0])
        entering = asyncio.create_task(waiting.__aenter__())
        await asyncio.sleep(0)
        await guard.stop(KEYS[0], "account-locked")
        with pytest.raises(ProblemError, match=r"account-stopped.*account-locked"):
            await entering
        lease.settle(Result.OK)


@pytest.mark.thorough
async def test_many_accounts_leave_nothing_behind() -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
    for number in range(2000):
        async with guard.lease(AccountKey(entry=f"ws{number}\\administrator")) as lease:
            lease.settle(Result.OK)
        await asyncio.sleep(0)
    assert len(guard._brokers) < 600


@pytest.fixture(autouse=True)
def _no_loop_left() -> Iterator[None]:
    yield
    asyncio.set_event_loop(None)
