"""The account that reads the directory is not locked out either: its sign-in takes a lease of the lockout budget."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pusher.credentials.accounts.reader import key_of, within_budget
from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.ledger import MemoryLedger
from pusher.directory.memory import MemoryDirectory
from pusher.directory.port import Directory, DirectoryAccount, NotSentError
from pusher.problems import Code, ProblemError, problem
from tests.contract.directory_contract import all_of
from tests.unit.credentials.domain_in_memory import BASE, directory

KEY = AccountKey(entry="reader", domain="corp")


class Bench:
    """Runs one after the other over one ledger, with a threshold of 3 of which 2 are reserved."""

    def __init__(self, found: MemoryDirectory | None = None, ledger: MemoryLedger | None = None) -> None:
        self.ledger = ledger or MemoryLedger()
        self.guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), self.ledger, run=str(id(self)))
        self.found = (found or directory()).within(within_budget(self.guard, KEY))

    async def ask(self, directory: Directory | None = None) -> str | None:
        """What a search ends with."""
        try:
            await all_of((directory or self.found).search(BASE, "(objectClass=*)", ["badPwdCount"]))
        except ProblemError as error:
            return error.problem.code
        return None

    @property
    def failures(self) -> int:
        return self.guard.budget(KEY).failures


async def test_a_good_sign_in_costs_nothing_and_is_made_once() -> None:
    bench = Bench()
    assert await asyncio.gather(*(bench.ask() for _ in range(5))) == [None] * 5
    assert (bench.failures, bench.found.signed_in) == (0, 1)


@pytest.mark.parametrize("code", ["directory-sign-in-failed", "directory-timed-out", "directory-failed"])
async def test_a_sign_in_that_failed_is_never_repeated_in_no_run(code: Code) -> None:
    bench = Bench(directory(fails={"": code}))
    assert [await bench.ask() for _ in range(3)] == [code] * 3
    assert (bench.failures, bench.found.signed_in) == (1, 1)
    again = Bench(ledger=bench.ledger)
    with pytest.raises(ProblemError) as caught:
        await all_of(again.found.search(BASE, "(objectClass=*)", ["badPwdCount"]))
    assert caught.value.problem.code == "directory-sign-in-failed"
    assert "not tried" in caught.value.problem.message and "free again" in caught.value.problem.message
    assert again.found.signed_in == 0


async def test_a_connection_that_is_made_again_takes_another_leave() -> None:
    """Its password was changed meanwhile: that costs as much as at first."""
    bench = Bench()
    assert await bench.ask() is None
    bench.found.drop()
    bench.found._fails[""] = Code.DIRECTORY_SIGN_IN_FAILED
    assert await bench.ask() == "directory-sign-in-failed"
    assert (bench.failures, bench.found.signed_in) == (1, 2)
    other = Bench(directory(), bench.ledger)
    assert await other.ask() == "directory-sign-in-failed"
    assert other.found.signed_in == 0


async def test_what_was_never_sent_costs_nothing_and_may_be_asked_again() -> None:
    bench = Bench(directory(fails={"": "directory-unreachable"}))
    assert [await bench.ask() for _ in range(2)] == ["directory-unreachable"] * 2
    assert (bench.failures, bench.found.signed_in) == (0, 2)


@pytest.mark.parametrize(
    ("code", "sent", "failures"),
    [
        ("directory-sign-in-failed", True, 1), ("directory-sign-in-failed", False, 0),
        ("directory-unreachable", True, 1), ("directory-unreachable", False, 0), ("directory-answer", True, 1),
        ("clock-skew", True, 0), ("directory-tls-failed", True, 0), ("directory-unprotected", True, 0),
    ],
)  # fmt: skip
async def test_what_an_end_has_cost(code: Code, sent: bool, failures: int) -> None:
    """A connection that breaks after the secret was sent is no verdict."""
    bench = Bench()
    with pytest.raises(ProblemError, match=code):
        async with within_budget(bench.guard, KEY)():
            raise (ProblemError if sent else NotSentError)(problem(code))
    assert bench.failures == failures


async def test_a_search_that_fails_is_no_sign_in_that_failed() -> None:
    bench = Bench(directory(fails={BASE: "directory-denied"}))
    assert await bench.ask() == "directory-denied"
    assert bench.failures == 0


async def test_a_sign_in_without_a_verdict_counts() -> None:
    bench, begun = Bench(), asyncio.Event()

    async def silent() -> None:
        async with within_budget(bench.guard, KEY)():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(silent())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.failures == 1


async def test_another_server_of_it_is_another_sign_in() -> None:
    bench = Bench(directory(servers={"dc2.corp.example": []}))
    assert [await bench.ask(bench.found.at("DC2.corp.example")), await bench.ask()] == [None, None]
    refused = Bench(directory(servers={"dc2.corp.example": []}), bench.ledger)
    async with refused.guard.lease(KEY):
        pass  # without a word
    assert await refused.ask(refused.found.at("dc2.corp.example")) == "directory-sign-in-failed"


@pytest.mark.parametrize(("secret", "key"), [("env:X", KEY), ("keytab:/k", KEY), ("ccache:/c", None)])
def test_whose_count_it_is(secret: str, key: AccountKey | None) -> None:
    account = DirectoryAccount(domain="corp.example", user="reader@corp.example", secret=secret, ca=Path("/ca"))
    assert key_of(account) == key
