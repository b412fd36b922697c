"""What every ledger does. Subclasses give ``ledger``; each test has one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pusher.credentials.lockout.broker import Pace
from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy, Result
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.ledger import Document, Ledger
from pusher.credentials.lockout.process import Process
from pusher.problems import ProblemError

NAME, OTHER = "svc", "other"
KEY = AccountKey(entry=NAME, domain="corp")


def put(document: Document | None) -> Any:
    return lambda _: (document, None)


def add(document: Document | None) -> tuple[Document, int]:
    """One more than there was."""
    count = (document or {}).get("count", 0) + 1
    return {"count": count}, count


class LedgerContract:
    @pytest.fixture
    def ledger(self) -> Iterator[Ledger]:
        raise NotImplementedError

    async def test_an_account_that_is_not_there(self, ledger: Ledger) -> None:
        assert await ledger.look(NAME) is None
        assert ledger.read(NAME) is None
        assert dict(ledger.accounts()) == {}
        assert await ledger.change(NAME, lambda document: (None, document)) is None

    async def test_a_document_comes_back_as_it_went(self, ledger: Ledger) -> None:
        document = {"a": [1, 2.5, None, True, "ä\\\"'%"], "b": {"c": {}}, "": ""}
        await ledger.change(NAME, put(document))
        assert await ledger.look(NAME) == ledger.read(NAME) == document
        assert await ledger.change(NAME, lambda found: (found, found)) == document
        assert await ledger.look(OTHER) is None
        assert dict(ledger.accounts()) == {NAME: document}

    async def test_none_takes_it_away(self, ledger: Ledger) -> None:
        await ledger.change(NAME, put({"a": 1}))
        await ledger.change(OTHER, put({"b": 1}))
        await ledger.change(NAME, put(None))
        assert dict(ledger.accounts()) == {OTHER: {"b": 1}}
        assert await ledger.change(NAME, lambda document: (None, document)) is None

    async def test_names_are_any_text(self, ledger: Ledger) -> None:
        for number, name in enumerate(["", "a", "A", "ä", "x'; DROP TABLE lockout", "%", "h" * 600]):
            await ledger.change(name, put({"n": number}))
        assert [document["n"] for document in map(ledger.read, ["a", "A", "ä", "%"]) if document] == [1, 2, 3, 5]

    async def test_changes_come_in_the_order_of_their_calls(self, ledger: Ledger) -> None:
        counts = [ledger.change(NAME, add) for _ in range(300)]
        assert [await count for count in counts] == list(range(1, 301))

    async def test_what_was_handed_over_is_done_though_nobody_waits(self, ledger: Ledger) -> None:
        async def cancelled() -> None:
            await ledger.change(NAME, add)

        tasks = [asyncio.create_task(cancelled()) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await ledger.change(NAME, add) == 21

    async def test_a_change_that_fails_changes_nothing_and_costs_nobody_else(self, ledger: Ledger) -> None:
        def fail(document: Document | None) -> tuple[Document | None, None]:
            raise ArithmeticError(document)

        before, failing, after = ledger.change(NAME, add), ledger.change(NAME, fail), ledger.change(NAME, add)
        assert await before == 1
        with pytest.raises(ArithmeticError):
            await failing
        assert await after == 2

    async def test_what_decide_is_given_is_its_own(self, ledger: Ledger) -> None:
        await ledger.change(NAME, put({"list": [1]}))

        def spoil(document: Any) -> tuple[Document | None, None]:
            document["list"].append(2)
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            await ledger.change(NAME, spoil)
        assert await ledger.look(NAME) == {"list": [1]}

    # What it is for

    async def test_a_wrong_password_of_one_run_counts_in_the_next(self, ledger: Ledger) -> None:
        policy = LockoutPolicy(threshold=4, reserve=2)
        for run, used in (("a", 1), ("b", 2)):
            guard = LockoutGuard(policy, ledger, run=run)
            async with guard.lease(KEY) as lease:
                lease.settle(Result.FAILED, "wrong-password")
            with pytest.raises(ProblemError) as stopped:
                async with guard.lease(KEY):
                    raise AssertionError("it is stopped for the rest of the run")
            assert stopped.value.problem.code == "account-stopped"
            assert f"{used} of 2 failed" in stopped.value.problem.message
        with pytest.raises(ProblemError) as spent:
            async with LockoutGuard(policy, ledger, run="c").lease(KEY):
                raise AssertionError("its budget is spent")
        assert spent.value.problem.code == "lockout-budget-spent"
        assert "2 of 2 failed sign-ins" in spent.value.problem.message
        assert "free again at 20" in spent.value.problem.message

    async def test_a_name_that_may_be_the_same_account_counts_as_if_it_were(self, ledger: Ledger) -> None:
        """CORP\\svc may be svc@ad.example, or svc@dmz.example, of which neither is the other."""
        policy, unknown = LockoutPolicy(threshold=4, reserve=2), AccountKey(entry=NAME, domain="corp", is_certain=False)
        ad, dmz = AccountKey(entry=NAME, domain="ad"), AccountKey(entry=NAME, domain="dmz")
        for run, key in (("a", ad), ("b", unknown)):
            async with LockoutGuard(policy, ledger, run=run).lease(key) as lease:
                lease.settle(Result.FAILED, "wrong-password")
        guard = LockoutGuard(policy, ledger, run="c")
        await ledger.change(NAME, lambda document: (document, None))  # what was told before it is in the ledger
        assert [guard.budget(key).failures for key in (ad, unknown, dmz)] == [2, 2, 1]
        assert [guard.look(key).beside for key in (ad, unknown, dmz)] == [1, 1, 1]
        for key in (ad, unknown):
            with pytest.raises(ProblemError, match=r"1 under another name of this user.*realm") as spent:
                async with guard.lease(key):
                    raise AssertionError("both may be one account, and its budget is spent")
            assert spent.value.problem.code == "lockout-budget-spent"
        async with guard.lease(dmz) as lease:
            assert guard.budget(ad).in_flight == 0, "that it is another one is certain"
            assert guard.budget(unknown).in_flight == 1
            lease.settle(Result.OK)
        assert guard.budget(unknown).stopped_by is None, "a stop is of the name that met it"

    async def test_two_runs_at_once_share_one_budget(self, ledger: Ledger) -> None:
        """Two processes, limit 2, many tasks each, no verdict ever: two sign-ins in all."""
        policy, tried = LockoutPolicy(threshold=4, reserve=2), 0

        async def task(guard: LockoutGuard) -> str:
            nonlocal tried
            try:
                async with guard.lease(KEY):
                    tried += 1
                    await asyncio.sleep(0.01)
            except ProblemError as error:
                return error.problem.code
            return "tried"

        def guard(number: int) -> LockoutGuard:
            process = Process(host="h", place="p", pid=number, started=1)
            return LockoutGuard(policy, ledger, run=f"r{number}", process=process, is_gone=lambda _: False)

        guards = [guard(1), guard(2)]
        ends = await asyncio.gather(*(task(guards[n % 2]) for n in range(60)))
        assert tried == ends.count("tried") == 2
        assert ends.count("lockout-budget-spent") == 58

    @pytest.mark.parametrize("processes", [(1, 2), (1, 1)], ids=["two processes", "one process"])
    async def test_two_runs_at_once_take_turns(self, ledger: Ledger, processes: tuple[int, int]) -> None:
        """A good account, one sign-in at a time: nobody waits until the other has done all of his."""
        policy, order = LockoutPolicy(threshold=3, reserve=2), []

        async def task(guard: LockoutGuard, name: str) -> None:
            async with guard.lease(KEY) as lease:
                order.append(name)
                await asyncio.sleep(0.005)
                lease.settle(Result.OK)

        def tasks(name: str, pid: int) -> list[asyncio.Task[None]]:
            process = Process(host="h", place="p", pid=pid, started=1)
            pace = Pace(first=0.003, most=0.006, turn=0.03)
            guard = LockoutGuard(policy, ledger, run=name, process=process, is_gone=lambda _: False, pace=pace)
            return [asyncio.create_task(task(guard, name)) for _ in range(40)]

        await asyncio.gather(*tasks("a", processes[0]), *tasks("b", processes[1]))
        assert sorted(order) == ["a"] * 40 + ["b"] * 40
        assert len(set(order[:40])) == 2, "the other one had a turn before the first had done"

    async def test_a_process_that_died_has_failed(self, ledger: Ledger) -> None:
        policy, gone = LockoutPolicy(threshold=3, reserve=2), set[Process]()
        dying = Process(host="h", place="p", pid=7, started=1)
        # It is granted, and then the process is killed: nothing is ever told.
        killed = LockoutGuard(policy, ledger, run="a", process=dying).lease(KEY)
        await killed.__aenter__()
        guard = LockoutGuard(policy, ledger, run="b", is_gone=gone.__contains__)
        lease = guard.lease(KEY)
        waiting = asyncio.create_task(lease.__aenter__())
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done, "it may yet end well"
        gone.add(dying)
        with pytest.raises(ProblemError) as spent:
            await waiting
        assert spent.value.problem.code == "lockout-budget-spent"
        assert guard.budget(KEY).failures == 1
