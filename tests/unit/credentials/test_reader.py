"""The account that reads the directory is not locked out either: its sign-in takes a leave of the lockout budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pusher.credentials.budget import AccountKey, LockoutPolicy
from pusher.credentials.guard import LockoutGuard
from pusher.credentials.ledger import MemoryLedger
from pusher.credentials.reader import GuardedDirectory, key_of
from pusher.directory.memory import MemoryDirectory
from pusher.directory.port import Directory, DirectoryAccount, Scope
from pusher.problems import ProblemError
from tests.contract.directory_contract import all_of
from tests.unit.credentials.domain_in_memory import BASE, directory

KEY = AccountKey(entry="reader", domain="corp")


class Bench:
    """Runs one after the other over one ledger, with a threshold of 3 of which 2 are reserved."""

    def __init__(self, found: MemoryDirectory | None = None, ledger: MemoryLedger | None = None) -> None:
        self.found, self.ledger = found or directory(), ledger or MemoryLedger()
        self.guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), self.ledger, run=str(id(self)))
        self.guarded = GuardedDirectory(self.found, self.guard, KEY)

    async def ask(self, directory: Directory | None = None) -> str | None:
        """What a search ends with."""
        try:
            await all_of((directory or self.guarded).search(BASE, "(objectClass=*)", ["badPwdCount"]))
        except ProblemError as error:
            return error.problem.code
        return None

    @property
    def failures(self) -> int:
        return self.guard.budget(KEY).failures


async def test_a_good_sign_in_costs_nothing_and_is_made_once() -> None:
    bench = Bench()
    assert await asyncio.gather(*(bench.ask() for _ in range(5))) == [None] * 5
    assert (bench.failures, len(bench.found.searches)) == (0, 6)
    await bench.guarded.close()
    assert bench.found.closed


@pytest.mark.parametrize("code", ["directory-sign-in-failed", "directory-timed-out"])
async def test_a_sign_in_that_failed_is_never_repeated_in_no_run(code: str) -> None:
    bench = Bench(directory(fails={"": code}))
    assert [await bench.ask() for _ in range(3)] == [code] * 3
    assert (bench.failures, len(bench.found.searches)) == (1, 1)
    again = Bench(ledger=bench.ledger)
    with pytest.raises(ProblemError) as caught:
        await all_of(again.guarded.search(BASE, "(objectClass=*)", ["badPwdCount"]))
    assert caught.value.problem.code == "directory-sign-in-failed"
    assert "not tried" in caught.value.problem.message and "free again" in caught.value.problem.message
    assert again.found.searches == []


@pytest.mark.parametrize("code", ["directory-unreachable", "directory-unavailable", "clock-skew"])
async def test_what_was_never_judged_costs_nothing_and_may_be_asked_again(code: str) -> None:
    bench = Bench(directory(fails={"": code}))
    assert [await bench.ask() for _ in range(2)] == [code] * 2
    assert (bench.failures, len(bench.found.searches)) == (0, 2)


async def test_a_search_that_fails_is_no_sign_in_that_failed() -> None:
    bench = Bench(directory(fails={BASE: "directory-denied"}))
    assert await bench.ask() == "directory-denied"
    assert bench.failures == 0


async def test_a_sign_in_without_a_verdict_counts() -> None:
    class Silent(MemoryDirectory):
        async def search(self, base: str, filter: str, attributes: Sequence[str], scope: Scope = Scope.SUBTREE) -> Any:
            await asyncio.Event().wait()
            yield

    bench = Bench(Silent())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bench.ask()
    assert await bench.ask() == "directory-sign-in-failed"
    assert bench.failures == 1


async def test_another_server_of_it_is_another_sign_in() -> None:
    bench = Bench(directory(servers={"dc2.corp.example": None}))
    other = bench.guarded.at("DC2.corp.example")
    assert bench.guarded.at("dc2.corp.example") is other
    assert bench.guarded.at("dc1.corp.example") is bench.guarded
    assert (await bench.ask(other), await bench.ask()) == ("directory-unreachable", None)


@pytest.mark.parametrize(("secret", "key"), [("env:X", KEY), ("keytab:/k", KEY), ("ccache:/c", None)])
def test_whose_count_it_is(secret: str, key: AccountKey | None) -> None:
    account = DirectoryAccount(domain="corp.example", user="reader@corp.example", secret=secret, ca=Path("/ca"))
    assert key_of(account) == key
