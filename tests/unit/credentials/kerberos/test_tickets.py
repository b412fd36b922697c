"""Tickets: one AS-REQ a run and account, whatever the interleaving; what its end means for everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.kerberos.memory import Cached, MemoryKerberos
from pusher.credentials.kerberos.tickets import Ticket, Tickets, principal_of
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import Account, Protocol, Secret
from pusher.problems import Code, ProblemError, problem
from tests.unit.push.flying import fly

PUSH = Account(name="push", user="push@corp.example", secret="env:X", protocol=Protocol.KERBEROS)
NTLM = Account(name="ntlm", user="corp.example\\push", secret="env:X", protocol=Protocol.NTLM)
WHO = "push@CORP.EXAMPLE"


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **time: float) -> None:
        self.at += timedelta(**time)


class Realm:
    """A realm in which ``push`` has the password ``right``, with the tickets of one run."""

    def __init__(self, *, given: str = "right", threshold: int = 10, **changes: Any) -> None:
        self.clock = Clock()
        self.kerberos = MemoryKerberos(self.clock, {WHO: "right"}, **changes)
        self.guard = LockoutGuard(LockoutPolicy(threshold=threshold, reserve=2))
        self.looked: list[str] = []
        secrets = {account.name: Secret(given) for account in (PUSH, NTLM)}
        self.tickets = Tickets(self.kerberos, self.guard, secrets, self.clock, self._look)

    async def _look(self, account: Account) -> None:
        self.looked.append(account.name)

    @property
    def failures(self) -> int:
        return self.guard.budget(account_key(PUSH, "")).failures

    @property
    def stopped_by(self) -> str | None:
        return self.guard.budget(account_key(PUSH, "")).stopped_by


async def code_of(asking: Awaitable[object]) -> str | None:
    try:
        await asking
    except ProblemError as error:
        return error.problem.code
    return None


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    fly(story())


# Whose ticket


@pytest.mark.parametrize(
    ("user", "realm", "principal"),
    [
        ("svc@corp.example", None, "svc@CORP.EXAMPLE"),
        ("Svc.Push@Corp.Example", None, "Svc.Push@CORP.EXAMPLE"),
        ("svc@corp.example", "CORP.EXAMPLE", "svc@CORP.EXAMPLE"),
        ("svc@brand.example", "CORP.EXAMPLE", "svc\\@brand.example@CORP.EXAMPLE"),
        ("corp.example\\svc", None, "svc@CORP.EXAMPLE"),
        ("CORP\\svc", "CORP.EXAMPLE", "svc@CORP.EXAMPLE"),
        ("CORP\\svc", None, None),
        (".\\svc", None, None),
        (".\\svc", "CORP.EXAMPLE", None),
        ("", None, None),
    ],
)
def test_the_principal_of_an_account(user: str, realm: str | None, principal: str | None) -> None:
    account = Account(name="a", user=user, secret="env:X", protocol=Protocol.KERBEROS, realm=realm)
    assert principal_of(account) == principal


# One pre-authentication check


@pytest.mark.thorough
@settings(deadline=None)
@given(
    waits=st.lists(st.floats(0, 3), min_size=2, max_size=40),
    cancelled=st.sets(st.integers(0, 39)),
    right=st.booleans(),
)
def test_any_interleaving_of_tasks_is_one_as_req(waits: list[float], cancelled: set[int], right: bool) -> None:
    """Tasks come while it is on its way and after; some are cancelled, whoever began it among them."""

    async def story() -> None:
        realm = Realm(given="right" if right else "wrong", latency=1.0)

        async def task(wait: float) -> Ticket:
            await asyncio.sleep(wait)
            return await realm.tickets.ticket(PUSH)

        tasks = [asyncio.create_task(task(wait)) for wait in waits]
        for number in cancelled & set(range(len(tasks))):
            asyncio.get_running_loop().call_later(waits[number] + 0.5, tasks[number].cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(5)  # where all were cancelled it is still on its way
        assert len(realm.kerberos.asked) == len(realm.looked) == 1
        codes = [end.problem.code for end in ends if isinstance(end, ProblemError)]
        if right:
            assert codes == []
            assert len({end.ccache for end in ends if isinstance(end, Ticket)}) <= 1
        else:
            assert not any(isinstance(end, Ticket) for end in ends)
            assert codes.count(Code.WRONG_PASSWORD) <= 1
            assert set(codes) <= {"wrong-password", "account-stopped"}
        assert (realm.failures, realm.guard.budget(account_key(PUSH, "")).in_flight) == (0 if right else 1, 0)
        await realm.tickets.close()

    run(story)


def test_two_hundred_tasks_share_it() -> None:
    async def story() -> None:
        realm = Realm(latency=0.2)
        tickets = await asyncio.gather(*(realm.tickets.ticket(PUSH) for _ in range(200)))
        assert realm.kerberos.asked == [WHO]
        assert len({ticket.ccache for ticket in tickets}) == 1

    run(story)


def test_a_wrong_password_stops_the_account_everywhere() -> None:
    """The first hears why, the others that it was stopped; and whoever would send the password gets no lease."""

    async def story() -> None:
        realm = Realm(given="wrong")
        assert [await code_of(realm.tickets.ticket(PUSH)) for _ in range(3)] == [
            "wrong-password", "account-stopped", "account-stopped",
        ]  # fmt: skip
        assert (realm.failures, realm.stopped_by) == (1, "wrong-password")

        async def lease() -> None:
            async with realm.guard.lease(account_key(PUSH, "")):
                raise AssertionError("nobody gets a lease")

        assert await code_of(lease()) == "account-stopped"

    run(story)


@pytest.mark.parametrize("code", ["account-locked", "password-expired", "account-expired"])
def test_a_verdict_on_the_account_stops_it_and_costs_nothing(code: str) -> None:
    async def story() -> None:
        realm = Realm(refuses={WHO: code})
        assert await code_of(realm.tickets.ticket(PUSH)) == code
        assert await code_of(realm.tickets.ticket(PUSH)) == "account-stopped"
        assert (realm.failures, realm.stopped_by, len(realm.kerberos.asked)) == (0, code, 1)

    run(story)


@pytest.mark.parametrize("code", ["clock-skew", "account-restricted"])
def test_what_is_no_verdict_is_told_to_everybody(code: str) -> None:
    async def story() -> None:
        realm = Realm(refuses={WHO: code})
        assert [await code_of(realm.tickets.ticket(PUSH)) for _ in range(3)] == [code] * 3
        assert (realm.failures, realm.stopped_by, len(realm.kerberos.asked)) == (0, None, 1)

    run(story)


def test_no_domain_controller_costs_nothing_and_is_asked_again_later() -> None:
    async def story() -> None:
        realm = Realm()
        realm.kerberos.unreachable = True
        assert [await code_of(realm.tickets.ticket(PUSH)) for _ in range(3)] == ["no-logon-servers"] * 3
        assert realm.looked == ["push"], "it is left alone for a while"
        realm.kerberos.unreachable = False
        assert await code_of(realm.tickets.ticket(PUSH)) == "no-logon-servers"
        realm.clock.pass_by(seconds=16)
        assert await code_of(realm.tickets.ticket(PUSH)) is None
        assert (realm.failures, realm.stopped_by) == (0, None)

    run(story)


def test_silence_counts_as_a_failure_and_is_not_repeated() -> None:
    async def story() -> None:
        realm = Realm()
        realm.kerberos.silent = True
        assert await code_of(realm.tickets.ticket(PUSH)) == "sign-in-unknown"
        realm.clock.pass_by(hours=1)
        assert await code_of(realm.tickets.ticket(PUSH)) == "sign-in-unknown"
        assert (realm.failures, len(realm.kerberos.asked)) == (1, 1)

    run(story)


def test_a_run_that_ends_in_the_middle_of_it_has_counted_it() -> None:
    async def story() -> None:
        realm = Realm(latency=60)
        asking = asyncio.create_task(realm.tickets.ticket(PUSH))
        await asyncio.sleep(1)
        await realm.tickets.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert realm.failures == 1

    run(story)


def test_without_leave_no_as_req() -> None:
    async def story() -> None:
        realm = Realm(threshold=2)
        assert await code_of(realm.tickets.ticket(PUSH)) == "lockout-budget-spent"
        assert realm.kerberos.asked == []

    run(story)


# Renewal


def test_a_ticket_near_its_end_is_renewed_once() -> None:
    async def story() -> None:
        realm = Realm()
        first = await realm.tickets.ticket(PUSH)
        realm.clock.pass_by(hours=9, minutes=49)
        assert await realm.tickets.ticket(PUSH) == first
        realm.clock.pass_by(minutes=2)
        renewed = await asyncio.gather(*(realm.tickets.ticket(PUSH) for _ in range(50)))
        assert {ticket.ccache for ticket in renewed} != {first.ccache}
        assert len({ticket.ccache for ticket in renewed}) == 1
        assert realm.kerberos.asked == [WHO] * 2

    run(story)


def test_a_ticket_that_cannot_be_renewed_now_is_good_until_its_end() -> None:
    async def story() -> None:
        realm = Realm()
        first = await realm.tickets.ticket(PUSH)
        realm.kerberos.unreachable = True
        realm.clock.pass_by(hours=9, minutes=55)
        assert await realm.tickets.ticket(PUSH) == first
        realm.clock.pass_by(minutes=6)
        assert await code_of(realm.tickets.ticket(PUSH)) == "no-logon-servers"

    run(story)


def test_a_password_that_was_changed_stops_the_account_at_its_renewal() -> None:
    async def story() -> None:
        realm = Realm()
        await realm.tickets.ticket(PUSH)
        realm.kerberos.passwords[WHO] = "new"
        realm.clock.pass_by(hours=9, minutes=55)
        assert await code_of(realm.tickets.ticket(PUSH)) == "wrong-password"
        assert await code_of(realm.tickets.ticket(PUSH)) == "account-stopped"
        assert (len(realm.kerberos.asked), realm.failures) == (2, 1)

    run(story)


def test_a_short_life_is_not_renewed_all_the_time() -> None:
    async def story() -> None:
        realm = Realm(life=timedelta(minutes=8))
        for _ in range(5):
            await realm.tickets.ticket(PUSH)
            realm.clock.pass_by(minutes=1)
        assert len(realm.kerberos.asked) == 1
        realm.clock.pass_by(minutes=2)
        await realm.tickets.ticket(PUSH)
        assert len(realm.kerberos.asked) == 2

    run(story)


# Keytabs and caches


def with_secret(secret: str) -> Account:
    return Account(name="push", user=PUSH.user, secret=secret, protocol=Protocol.KERBEROS)


def test_a_keytab_asks_once_and_a_wrong_key_costs_once() -> None:
    async def story() -> None:
        realm, path = Realm(), Path("/k/push.keytab")
        realm.kerberos.keytabs[path] = {WHO: "old"}
        account = with_secret(f"keytab:{path}")
        assert [await code_of(realm.tickets.ticket(account)) for _ in range(3)] == [
            "wrong-password", "account-stopped", "account-stopped",
        ]  # fmt: skip
        assert (realm.kerberos.asked, realm.failures) == ([WHO], 1)

    run(story)


@pytest.mark.parametrize(
    ("held", "code"),
    [({}, "keytab-no-principal"), ({"push@OTHER.EXAMPLE": "right"}, "keytab-wrong-realm"), (None, "keytab-unreadable"),
     ({"other@CORP.EXAMPLE": "right"}, "keytab-no-principal")],
)  # fmt: skip
def test_a_keytab_that_is_no_use_spends_nothing(held: dict[str, str] | None, code: str) -> None:
    async def story() -> None:
        realm, path = Realm(), Path("/k/push.keytab")
        if held is not None:
            realm.kerberos.keytabs[path] = held
        assert await code_of(realm.tickets.ticket(with_secret(f"keytab:{path}"))) == code
        assert (realm.kerberos.asked, realm.failures) == ([], 0)

    run(story)


def test_a_cache_that_somebody_keeps_fresh_is_read_again() -> None:
    async def story() -> None:
        realm, path = Realm(threshold=2), Path("/c/push")
        realm.kerberos.caches[path] = Cached(principal=WHO, ends=realm.clock() + timedelta(hours=1))
        account = with_secret(f"ccache:{path}")
        first = await realm.tickets.ticket(account)
        realm.clock.pass_by(minutes=51)
        realm.kerberos.caches[path] = Cached(principal=WHO, ends=realm.clock() + timedelta(hours=1))
        assert await realm.tickets.ticket(account) != first
        del realm.kerberos.caches[path]  # while it is written anew
        realm.clock.pass_by(minutes=51)
        assert await code_of(realm.tickets.ticket(account)) is None
        realm.clock.pass_by(minutes=10)
        assert await code_of(realm.tickets.ticket(account)) == "ticket-missing"
        assert (realm.kerberos.asked, realm.looked) == ([], []), "no budget was needed"

    run(story)


def test_a_cache_that_has_expired_or_is_another_accounts() -> None:
    async def story() -> None:
        for principal, ends, code in [
            (WHO, -1, "ticket-expired"),
            ("other@CORP.EXAMPLE", 60, "ticket-wrong-principal"),
        ]:
            realm, path = Realm(), Path("/c/push")
            realm.kerberos.caches[path] = Cached(principal=principal, ends=realm.clock() + timedelta(minutes=ends))
            assert await code_of(realm.tickets.ticket(with_secret(f"ccache:{path}"))) == code
            assert await code_of(realm.tickets.ticket(with_secret(f"ccache:{path}"))) == "account-stopped"

    run(story)


def test_the_processs_own_identity() -> None:
    async def story() -> None:
        realm = Realm(own="HOST$@CORP.EXAMPLE", threshold=2)
        assert (await realm.tickets.ticket(OWN_IDENTITY)).principal == "HOST$@CORP.EXAMPLE"
        assert await code_of(Realm().tickets.ticket(OWN_IDENTITY)) == "ticket-missing"

    run(story)


def test_its_own_keytab_is_within_the_budget_of_whose_key_it_holds() -> None:
    """Run after run with an old key would lock that account as any other."""

    async def story() -> None:
        realm = Realm()
        realm.kerberos.own_keytab = {WHO: "right"}
        assert (await realm.tickets.ticket(OWN_IDENTITY)).principal == WHO
        assert (realm.kerberos.asked, realm.looked, realm.failures) == ([WHO], ["own-identity"], 0)
        stale = Realm(threshold=4)
        stale.kerberos.own_keytab = {WHO: "an old one"}
        assert [await code_of(stale.tickets.ticket(OWN_IDENTITY)) for _ in range(2)] == [
            "wrong-password", "account-stopped",
        ]  # fmt: skip
        assert (stale.kerberos.asked, stale.failures, stale.stopped_by) == ([WHO], 1, "wrong-password")
        silent = Realm()
        silent.kerberos.own_keytab, silent.kerberos.silent = {WHO: "right"}, True
        assert await code_of(silent.tickets.ticket(OWN_IDENTITY)) == "sign-in-unknown"
        assert silent.failures == 1

    run(story)


def test_its_own_ticket_is_good_to_its_end_though_its_key_is_not() -> None:
    async def story() -> None:
        realm = Realm(own=WHO, life=timedelta(hours=1))
        first = await realm.tickets.ticket(OWN_IDENTITY)
        realm.kerberos.cached, realm.kerberos.own_keytab = None, {WHO: "an old one"}
        for minutes in (52, 1, 1):
            realm.clock.pass_by(minutes=minutes)
            assert await realm.tickets.ticket(OWN_IDENTITY) == first
        assert (realm.kerberos.asked, realm.failures) == ([WHO], 1), "and it is tried once"

    run(story)


# NTLM


def test_the_password_of_an_ntlm_account_is_proven_before_it_is_sent() -> None:
    async def story() -> None:
        realm = Realm(given="wrong")
        assert [await code_of(realm.tickets.prove(NTLM)) for _ in range(3)] == [
            "wrong-password", "account-stopped", "account-stopped",
        ]  # fmt: skip
        assert (realm.kerberos.asked, realm.failures) == ([WHO], 1)
        right = Realm()
        assert [await code_of(right.tickets.prove(NTLM)) for _ in range(3)] == [None] * 3
        assert right.kerberos.asked == [WHO]

    run(story)


def test_where_nobody_can_prove_it_the_budget_alone_holds() -> None:
    async def story() -> None:
        realm = Realm()
        realm.kerberos.unreachable = True
        assert await code_of(realm.tickets.prove(NTLM)) is None
        realm.clock.pass_by(minutes=5)
        assert await code_of(realm.tickets.prove(NTLM)) is None
        assert realm.looked == ["ntlm"], "it does not wait for a domain controller again and again"
        restricted = Realm(refuses={WHO: "account-restricted"})
        assert await code_of(restricted.tickets.prove(NTLM)) is None
        for user, looked in ((".\\push", []), ("CORP\\push", ["x"])):
            bare, account = Realm(), Account(name="x", user=user, secret="env:X", protocol=Protocol.NTLM)
            assert [await code_of(bare.tickets.prove(account)) for _ in range(3)] == [None] * 3
            assert (bare.looked, bare.kerberos.asked) == (looked, [])
        assert realm.kerberos.asked == []

    run(story)


def test_what_is_seen_before_may_stop_the_account() -> None:
    async def story() -> None:
        async def locked(_: Account) -> None:
            raise ProblemError(problem(Code.ACCOUNT_LOCKED, detail="says the directory"))

        for account, asking in ((PUSH, "ticket"), (NTLM, "prove")):
            realm = Realm()
            tickets = Tickets(realm.kerberos, realm.guard, {account.name: Secret("right")}, realm.clock, locked)
            assert [await code_of(getattr(tickets, asking)(account)) for _ in range(2)] == [
                "account-locked", "account-stopped",
            ]  # fmt: skip
            assert realm.kerberos.asked == []

    run(story)
