"""The trial of an account: all that is known of it, and one sign-in where the lockout budget spares one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.accounts.trial import Examiner, Found, Trial
from pusher.credentials.kerberos.memory import Cached
from pusher.credentials.lockout.budget import Result, account_key
from pusher.models import Account, Protocol, Secret
from pusher.problems import BadInput
from tests.unit.credentials.domain_in_memory import (
    BASE,
    REALM,
    STATES,
    Ground,
    directory,
    kerberos_account,
    ntlm_account,
)

SVC = kerberos_account()
CACHE = Path("/nowhere/cache")


def examiner(ground: Ground, *, without_directory: bool = False, seconds: float = 120.0) -> Examiner:
    def secret_of(account: Account) -> Secret | None:
        if account.secret.startswith(("keytab:", "ccache:", "laps:")):
            return None
        if account.secret == "env:NONE":
            raise BadInput(None, "NONE is not set")
        assert account.secret != "prompt", "nobody is to be asked"
        return ground.secret

    readings, realm = (None, None) if without_directory else (ground.readings, REALM)
    return Examiner(ground.kerberos, ground.guard, secret_of, ground.now, readings, realm, seconds)


async def tried(ground: Ground, account: Account, *, without_directory: bool = False) -> Trial:
    return await examiner(ground, without_directory=without_directory).examine(account)


def verdict(trial: Trial) -> tuple[Found, str | None]:
    return trial.found, trial.problem.code if trial.problem else None


async def test_an_account_that_works() -> None:
    ground = Ground(directory(bad=1))
    trial = await tried(ground, SVC)
    assert verdict(trial) == (Found.WORKS, None)
    assert (trial.principal, trial.secret) == (f"svc@{REALM}", "env")
    assert "until 2026-03-04 22:00 UTC" in trial.words
    assert trial.seen is not None and trial.seen.state is not None and trial.seen.state.bad == 1
    assert trial.account_state is not None
    assert (trial.account_state.budget.failures, trial.account_state.budget.in_flight) == (1, 0), "the sign-in is over"
    assert (len(ground.asked), ground.states_read) == (1, 1)


async def test_a_wrong_password_is_spent_once() -> None:
    ground = Ground(directory(threshold=3), password="wrong")
    trial = await tried(ground, SVC)
    assert verdict(trial) == (Found.FAILS, "wrong-password")
    assert trial.account_state is not None and trial.account_state.budget.failures == 1
    again = Ground(directory(threshold=3, bad=1), ledger=ground.ledger, password="wrong")
    trial = await tried(again, SVC)
    assert verdict(trial) == (Found.FAILS, "lockout-budget-spent")
    assert trial.account_state is not None and trial.account_state.free_at is not None
    assert again.asked == []


@pytest.mark.parametrize("code", STATES)
async def test_an_account_that_cannot_sign_in_costs_nothing(code: str) -> None:
    ground = Ground()
    trial = await tried(ground, kerberos_account(code))
    assert verdict(trial) == (Found.FAILS, code)
    assert trial.seen is not None and trial.seen.state is not None
    assert ground.asked == []


async def test_without_a_directory_the_assumed_policy_holds() -> None:
    ground = Ground(password="wrong")
    trial = await tried(ground, SVC, without_directory=True)
    assert (verdict(trial), trial.seen) == ((Found.FAILS, "wrong-password"), None)
    assert trial.account_state is not None and trial.account_state.policy.assumed
    assert ground.directory.searches == []


async def test_a_keytab() -> None:
    ground = Ground()
    ground.kerberos.keytabs[Path("/k")] = {f"svc@{REALM}": "right"}
    assert verdict(await tried(ground, kerberos_account(secret="keytab:/k"))) == (Found.WORKS, None)
    trial = await tried(ground, kerberos_account("old", "keytab:/k"))
    assert verdict(trial) == (Found.FAILS, "keytab-no-principal")
    assert len(ground.asked) == 1


@pytest.mark.parametrize(("hours", "code"), [(1, None), (-1, "ticket-expired")])
async def test_a_ticket_cache_costs_nothing_and_its_account_is_read(hours: int, code: str | None) -> None:
    ground = Ground(directory(bad=2))
    ground.kerberos.caches[CACHE] = Cached(principal=f"svc@{REALM}", ends=ground.at + timedelta(hours=hours))
    trial = await tried(ground, kerberos_account(secret=f"ccache:{CACHE}"))
    assert verdict(trial) == (Found.FAILS if code else Found.WORKS, code)
    assert trial.seen is not None and trial.seen.state is not None
    assert (trial.secret, ground.asked) == ("ccache", [])


async def test_the_processs_own_identity() -> None:
    ground = Ground()
    assert verdict(await tried(ground, OWN_IDENTITY)) == (Found.FAILS, "ticket-missing")
    ground.kerberos.cached = f"HOST$@{REALM}"
    trial = await tried(ground, OWN_IDENTITY)
    assert (verdict(trial), trial.principal, trial.secret) == ((Found.WORKS, None), f"HOST$@{REALM}", "own identity")
    assert trial.account_state is None


async def test_a_netbios_name_is_tried_where_the_directory_knows_it() -> None:
    ground = Ground()
    trial = await tried(ground, ntlm_account())
    assert (verdict(trial), trial.principal) == ((Found.WORKS, None), f"svc@{REALM}")
    assert "NTLM" in trial.words
    stranger = await tried(ground, replace(ntlm_account(), user="OTHER\\svc", name="stranger"))
    assert (verdict(stranger), stranger.principal) == ((Found.NOT_TESTED, None), None)
    assert "realm" in stranger.words
    assert len(ground.asked) == 1


async def test_the_realm_is_unknown_where_the_directory_is_away() -> None:
    ground = Ground(directory(fails={"": "directory-unreachable"}))
    trial = await tried(ground, ntlm_account())
    assert verdict(trial) == (Found.NOT_TESTED, None)
    assert trial.seen is not None and trial.seen.why_not is not None
    assert trial.seen.why_not.code == "directory-unreachable"


@pytest.mark.parametrize("secret", ["env:X", "prompt"])
async def test_a_local_account_is_not_testable(secret: str) -> None:
    ground = Ground()
    local = Account(name="local", user=".\\adm", secret=secret, protocol=Protocol.NTLM)
    trial = await tried(ground, local)
    assert verdict(trial) == (Found.NOT_TESTED, None)
    assert "not testable without a host" in trial.words
    assert (trial.account_state, trial.seen, ground.directory.searches) == (None, None, [])


@pytest.mark.parametrize(
    ("fails", "without", "expected"),
    [
        ({}, False, (Found.NOT_TESTED, None)),
        ({"": "directory-sign-in-failed"}, False, (Found.FAILS, "directory-sign-in-failed")),
        ({}, True, (Found.FAILS, "laps-unavailable")),
    ],
)
async def test_laps_needs_a_directory_that_answers(
    fails: dict[str, str], without: bool, expected: tuple[Found, str | None]
) -> None:
    ground = Ground(directory(fails=fails))
    laps = Account(name="laps", user=".\\adm", secret="laps:", protocol=Protocol.NTLM)
    assert verdict(await tried(ground, laps, without_directory=without)) == expected


async def test_a_secret_that_cannot_be_read() -> None:
    ground = Ground(directory(bad=2))
    trial = await tried(ground, kerberos_account(secret="env:NONE"))
    assert verdict(trial) == (Found.FAILS, "secret-unreadable")
    assert trial.problem is not None and "NONE is not set" in trial.problem.message
    assert trial.seen is not None and trial.seen.state is not None, "the directory is asked all the same"
    local = Account(name="local", user=".\\adm", secret="env:NONE", protocol=Protocol.NTLM)
    assert verdict(await tried(ground, local)) == (Found.FAILS, "secret-unreadable")
    assert ground.asked == []


async def test_a_directory_that_is_away_refuses_nothing() -> None:
    ground = Ground(directory(fails={"": "directory-unreachable"}))
    trial = await tried(ground, SVC)
    assert verdict(trial) == (Found.WORKS, None)
    assert trial.seen is not None and trial.seen.why_not is not None


async def test_a_leave_that_others_have_is_not_waited_for_without_end() -> None:
    ground = Ground(directory(threshold=3))
    async with ground.guard.lease(account_key(SVC, "")) as lease:
        lease.settle(Result.OK)
        trial = await examiner(ground, seconds=0.05).examine(SVC)
        assert verdict(trial) == (Found.FAILS, "lockout-budget-spent")
        assert trial.account_state is not None and trial.account_state.budget.in_flight == 1
    assert ground.asked == []
    await asyncio.sleep(0.1)
    assert ground.asked == [], "nothing of it goes on"


async def test_one_user_listed_twice_is_not_tried_after_a_wrong_password() -> None:
    ground = Ground(directory(threshold=50), password="wrong")
    its = examiner(ground)
    assert verdict(await its.examine(SVC)) == (Found.FAILS, "wrong-password")
    assert verdict(await its.examine(replace(SVC, name="again"))) == (Found.FAILS, "account-stopped")
    assert len(ground.asked) == 1


async def test_an_unreadable_account_is_as_good_as_the_assumed_policy() -> None:
    ground = Ground(directory(fails={BASE: "directory-denied"}), password="wrong")
    trial = await tried(ground, SVC)
    assert verdict(trial) == (Found.FAILS, "wrong-password")
    assert trial.account_state is not None and trial.account_state.policy.assumed
