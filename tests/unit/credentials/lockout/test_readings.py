"""The directory is asked before a sign-in that could cost something; what it says holds, nothing is spent in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pusher.credentials.lockout.budget import Result, account_key
from pusher.credentials.lockout.ledger import MemoryLedger
from pusher.directory.memory import MemoryDirectory
from pusher.directory.port import Scope
from pusher.models import Account, Protocol
from pusher.problems import Code, ProblemError
from tests.unit.credentials.domain_in_memory import (
    BASE,
    DOMAIN,
    NETBIOS,
    NOW,
    REALM,
    STATES,
    Ground,
    directory,
    kerberos_account,
    ntlm_account,
)

SVC = kerberos_account()


async def code_of(asking: Awaitable[object]) -> str | None:
    try:
        await asking
    except ProblemError as error:
        return error.problem.code
    return None


# What stops an account


@pytest.mark.parametrize("code", STATES)
@pytest.mark.parametrize("protocol", Protocol)
async def test_an_account_that_cannot_sign_in_is_not_tried(code: str, protocol: Protocol) -> None:
    ground = Ground()
    account = kerberos_account(code)
    if protocol is Protocol.NTLM:
        account = replace(account, user=f"{DOMAIN}\\{code}", protocol=protocol)
    proving = ground.tickets.prove if protocol is Protocol.NTLM else ground.tickets.ticket
    assert await code_of(proving(account)) == code
    assert await code_of(proving(account)) == "account-stopped"
    assert (ground.asked, ground.failures(account), ground.states_read) == ([], 0, 1)
    budget = ground.guard.budget(account_key(account, ""))
    assert (budget.stopped_by, budget.in_flight) == (code, 0)


@pytest.mark.parametrize("code", STATES)
async def test_so_it_is_where_no_domain_controller_proves_it(code: str) -> None:
    """NTLM with a NetBIOS name has no realm: what the directory says is all there is."""
    ground = Ground()
    account = ntlm_account(code)
    assert await code_of(ground.tickets.prove(account)) == code
    async with asyncio.timeout(1):
        with pytest.raises(ProblemError) as caught:
            async with ground.guard.lease(account_key(account, "")):
                pass
    assert caught.value.problem.code == "account-stopped"


async def test_a_stop_holds_for_the_run_in_all_its_processes() -> None:
    ledger, account = MemoryLedger(), kerberos_account("account-locked")
    first, second, other = (Ground(ledger=ledger, run=run) for run in ("one", "one", "two"))
    assert await code_of(first.tickets.ticket(account)) == "account-locked"
    assert second.guard.budget(account_key(account, "")).stopped_by == "account-locked"
    assert other.guard.budget(account_key(account, "")).stopped_by is None


# How often it is asked


async def test_it_is_asked_once_a_run_and_account_and_again_before_a_renewal() -> None:
    ground = Ground()
    await asyncio.gather(*(ground.tickets.ticket(SVC) for _ in range(20)))
    assert (len(ground.asked), ground.states_read) == (1, 1)
    ground.at += timedelta(hours=9, minutes=55)
    await asyncio.gather(*(ground.tickets.ticket(SVC) for _ in range(20)))
    assert (len(ground.asked), ground.states_read) == (2, 2)


async def test_an_account_that_was_locked_meanwhile_gets_no_renewal() -> None:
    ground = Ground()
    await ground.tickets.ticket(SVC)
    ground.directory._entries.update(directory()._entries | {
        name: replace(one, attributes={**one.attributes, "msds-user-account-control-computed": (b"16",)})
        for name, one in directory()._entries.items()
    })  # fmt: skip
    ground.at += timedelta(hours=9, minutes=55)
    assert await code_of(ground.tickets.ticket(SVC)) == "account-locked"
    assert len(ground.asked) == 1


# What its answer is worth


async def test_the_directorys_threshold_and_count_make_the_budget() -> None:
    ground = Ground(directory(threshold=6, window=600, bad=3))
    await ground.tickets.ticket(SVC)
    answer = ground.guard.look(account_key(SVC, ""))
    assert (answer.policy.threshold, answer.policy.window, answer.policy.assumed) == (6, timedelta(minutes=10), False)
    assert (answer.budget.failures, answer.policy.limit) == (3, 4)


@pytest.mark.parametrize(("bad", "code", "asked"), [(2, "wrong-password", 1), (3, "lockout-budget-spent", 0)])
async def test_its_people_s_own_failures_are_in_the_budget(bad: int, code: str, asked: int) -> None:
    ground = Ground(directory(threshold=5, bad=bad), password="wrong")
    assert await code_of(ground.tickets.ticket(SVC)) == code
    assert len(ground.asked) == asked


async def test_a_failure_that_the_directory_counts_is_not_counted_twice() -> None:
    ledger = MemoryLedger()
    assert await code_of(Ground(ledger=ledger, password="wrong").tickets.ticket(SVC)) == "wrong-password"
    later = Ground(directory(bad=1), ledger=ledger)
    await later.readings.before(SVC)
    assert later.failures(SVC) == 1


async def test_another_domain_controllers_count_does_not_stand_for_ours() -> None:
    ledger = MemoryLedger()
    assert await code_of(Ground(ledger=ledger, password="wrong").tickets.ticket(SVC)) == "wrong-password"
    later = Ground(directory(servers={"dc1.corp.example": None}), ledger=ledger)
    await later.readings.read(SVC)
    assert later.failures(SVC) == 1, "the PDC emulator is away, and another may not know of it"


async def test_a_failure_that_is_settled_while_it_is_asked_counts_beside_it() -> None:
    """The mark is taken before: whether it is in the directory's count cannot be told."""
    ground = Ground(directory(bad=1))
    searching = ground.directory.search

    async def search(*given: Any, **more: Any) -> Any:
        if "sAMAccountName" in given[1] and not ground.failures(SVC):
            await code_of(wrong.tickets.ticket(SVC))
        async for one in searching(*given, **more):
            yield one

    wrong = Ground(directory(), ledger=ground.ledger, password="wrong")
    wrong.readings._directory = directory(fails={BASE: "directory-denied"})
    ground.directory.search = search  # type: ignore[method-assign]
    await ground.readings.read(SVC)
    assert ground.failures(SVC) == 2


async def test_a_domain_that_locks_nobody_leaves_the_assumed_limit() -> None:
    ground = Ground(directory(threshold=0), threshold=3)
    await ground.tickets.ticket(SVC)
    assert ground.guard.look(account_key(SVC, "")).policy.threshold == 3


async def test_a_window_that_no_calendar_holds_is_kept_within_one() -> None:
    ground = Ground(directory(window=2**40, bad=1), threshold=999, reserve=998)
    await ground.readings.read(SVC)
    assert ground.guard.look(account_key(SVC, "")).policy.window == timedelta(days=365)


async def test_a_count_that_may_not_be_read_does_not_stand_for_ours() -> None:
    ledger = MemoryLedger()
    assert await code_of(Ground(ledger=ledger, password="wrong").tickets.ticket(SVC)) == "wrong-password"
    hidden = directory()
    hidden._entries.update({name: replace(one, attributes={
        attribute: values for attribute, values in one.attributes.items() if attribute != "badpwdcount"
    }) for name, one in hidden._entries.items()})  # fmt: skip
    later = Ground(hidden, ledger=ledger)
    await later.readings.read(SVC)
    assert later.failures(SVC) == 1


# A directory that cannot be asked


async def test_a_name_that_the_directory_placed_counts_where_it_cannot_be_asked_any_more() -> None:
    """NETBIOS\\svc and svc@domain: in one run their domain is known to be one, in the next it may be."""
    account = ntlm_account()
    first = Ground(threshold=4)
    await first.readings.read(account)
    async with first.guard.lease(account_key(account, "")) as lease:
        lease.settle(Result.FAILED)
    assert first.guard.look(account_key(SVC, "")).budget.failures == 1
    later = Ground(directory(fails={"": "directory-unreachable"}), ledger=first.ledger, threshold=4)
    await later.readings.read(account)
    answer = later.guard.look(account_key(account, ""))
    assert (answer.budget.failures, answer.beside) == (1, 1)


@pytest.mark.parametrize("code", ["directory-unreachable", "directory-sign-in-failed", "directory-timed-out"])
async def test_a_directory_that_cannot_be_asked_takes_nothing_away(code: str) -> None:
    ground = Ground(directory(fails={"": code}), password="wrong")
    assert await code_of(ground.tickets.ticket(SVC)) == "wrong-password"
    assert ground.notes == [("svc", code)]
    answer = ground.guard.look(account_key(SVC, ""))
    assert (answer.policy.assumed, answer.policy.limit, answer.budget.failures) == (True, 1, 1)
    again = Ground(directory(fails={"": code}), ledger=ground.ledger, password="wrong")
    assert await code_of(again.tickets.ticket(SVC)) == "lockout-budget-spent", "and gives nothing"
    assert again.asked == []


async def test_nor_does_one_that_never_answers() -> None:
    class Silent(MemoryDirectory):
        async def search(self, base: str, filter: str, attributes: Sequence[str], scope: Scope = Scope.SUBTREE) -> Any:
            await asyncio.Event().wait()
            yield

    ground = Ground(Silent(), seconds=0.01)
    await ground.tickets.ticket(SVC)
    assert ground.notes == [("svc", "directory-timed-out")]


async def test_an_account_that_it_does_not_show_goes_on() -> None:
    """It may be hidden from the reader, or not be replicated yet: the domain controller tells, at no cost."""
    ground = Ground()
    await ground.tickets.ticket(kerberos_account("old"))
    assert ground.notes == [("old", "no-such-account")]


async def test_a_ledger_that_cannot_be_kept_ends_the_sign_in() -> None:
    class Broken(MemoryLedger):
        def change(self, account: str, decide: Any) -> Any:
            from pusher.problems import problem

            done = asyncio.get_running_loop().create_future()
            done.set_exception(ProblemError(problem(Code.BUDGET_UNAVAILABLE)))
            return done

    ground = Ground(ledger=Broken())
    assert await code_of(ground.tickets.ticket(SVC)) == "budget-unavailable"
    assert (ground.asked, ground.notes) == ([], [])


# Whose account it is


@pytest.mark.parametrize(
    ("user", "realm", "ours"),
    [
        (f"svc@{DOMAIN}", None, True),
        ("svc@CORP.Example", None, True),
        ("svc@brand.example", None, False),
        ("svc@brand.example", REALM, True),
        (f"svc@{DOMAIN}", "OTHER.EXAMPLE", False),
        (f"{DOMAIN}\\svc", None, True),
        (f"{NETBIOS}\\svc", None, True),
        (f"{NETBIOS.lower()}\\svc", None, True),
        ("CORP\\svc", None, False),
        ("CORP\\svc", REALM, True),
        (".\\svc", None, False),
        ("", None, False),
    ],
)
async def test_whose_accounts_it_is_asked_about(user: str, realm: str | None, ours: bool) -> None:
    ground = Ground()
    account = Account(name="svc", user=user, secret="env:X", protocol=Protocol.NTLM, realm=realm)
    assert await ground.readings.is_of_the_domain(account) is ours
    seen = await ground.readings.read(account)
    assert (seen.state is not None, seen.why_not) == (ours, None)
    assert ground.states_read == ours


async def test_a_netbios_name_that_nobody_tells_is_nobodys() -> None:
    for found in (MemoryDirectory(), directory(fails={f"CN=Configuration,{BASE}": "directory-denied"})):
        ground = Ground(found)
        seen = await ground.readings.read(ntlm_account())
        assert seen.state is None
        assert ground.at == NOW
