"""A service under an ordinary account: its password, its right to log on, and what is put back and taken back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pusher.clock import utc_now
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.lockout.budget import LockoutPolicy, Result, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import LOGON_RIGHT, Outcome, Package, Secret, Status, Verb
from pusher.store import Store
from pusher.transports.memory import MemoryHost
from pusher.transports.memory.services import StartFault
from pusher.transports.port import ServiceConfig, StartType
from tests.unit.push.harness import (
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_UPN,
    know_service_account,
    make_account,
    make_host,
    make_package,
    push,
)

PASSWORD = "agents"


def package(version: str = "1.4.2", **changes: Any) -> Package:
    defaults: dict[str, Any] = {
        "account": SERVICE_ACCOUNT,
        "secret": "env:X",
        "grant_logon_right": True,
        "stay_running": 0.0,
    }
    return make_package(version, **(defaults | changes))


async def pushed(host: MemoryHost, store: Store, what: Package, **changes: Any) -> Outcome:
    changes.setdefault("service_secret", Secret(PASSWORD))
    outcome, _ = await push(host, store, package=what, **changes)
    return outcome


def known(*rights: str) -> MemoryHost:
    host = make_host()
    know_service_account(host, *rights)
    return host


async def test_the_right_is_given_and_taken_back_by_the_removal(store: Store) -> None:
    host = known("SeBatchLogonRight")
    outcome = await pushed(host, store, package())
    assert outcome.status is Status.INSTALLED, outcome
    assert host.rights[SERVICE_ACCOUNT] == {LOGON_RIGHT, "SeBatchLogonRight"}
    assert (await pushed(host, store, package())).status is Status.UNCHANGED
    removed = await pushed(host, store, package(), verb=Verb.REMOVE, service_secret=None)
    assert removed.status is Status.REMOVED
    assert host.rights[SERVICE_ACCOUNT] == {"SeBatchLogonRight"}
    # Given by somebody else since: that is not this pusher's to take.
    know_service_account(host, LOGON_RIGHT)
    await pushed(host, store, package(), verb=Verb.REMOVE, service_secret=None)
    assert host.rights[SERVICE_ACCOUNT] == {LOGON_RIGHT}


async def test_a_right_that_was_there_stays(store: Store) -> None:
    host = known(LOGON_RIGHT)
    assert (await pushed(host, store, package())).status is Status.INSTALLED
    assert (await pushed(host, store, package(), verb=Verb.REMOVE)).status is Status.REMOVED
    assert host.rights[SERVICE_ACCOUNT] == {LOGON_RIGHT}


async def test_a_right_by_a_group_is_enough(store: Store) -> None:
    host = known()
    host.group_rights["Agents"] = frozenset({LOGON_RIGHT})
    outcome = await pushed(host, store, package())
    assert outcome.status is Status.INSTALLED and host.rights[SERVICE_ACCOUNT] == frozenset()
    (check,) = (c for c in outcome.checks if c.check == "log-on-as-service")
    assert check.evidence == f"{SERVICE_ACCOUNT} holds {LOGON_RIGHT} by the group Agents"


async def test_without_leave_nothing_is_given(store: Store) -> None:
    host = known()
    outcome = await pushed(host, store, package(grant_logon_right=False))
    assert (outcome.status, outcome.code) == (Status.FAILED, "service-account-invalid")
    assert host.rights[SERVICE_ACCOUNT] == frozenset() and host.services.snapshot(host.now()) == {}


async def test_a_failed_start_takes_the_right_back(store: Store) -> None:
    host = known()
    host.services.start_faults[SERVICE.lower()] = StartFault.EXIT
    outcome = await pushed(host, store, package())
    assert outcome.status is Status.FAILED
    assert host.rights[SERVICE_ACCOUNT] == frozenset() and host.services.snapshot(host.now()) == {}


def of_the_domain(version: str = "1.4.2", **changes: Any) -> Package:
    return package(version, account=SERVICE_UPN, **changes)


def domain(password: str) -> dict[str, Any]:
    """A domain that knows the service's account by this password, and the budget of all who ask it."""
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
    return {"guard": guard, "kerberos": MemoryKerberos(utc_now, {"svc-agent@CORP.EXAMPLE": password})}


async def test_an_upgrade_brings_the_password_that_holds_today(store: Store) -> None:
    host = make_host()
    know_service_account(host, account=SERVICE_UPN)
    assert (await pushed(host, store, of_the_domain("1.3.0"), **domain("agents"))).status is Status.INSTALLED
    host.passwords[SERVICE_UPN] = "rotated"
    rotated = {"service_secret": Secret("rotated"), **domain("rotated")}
    upgraded = await pushed(host, store, of_the_domain("1.4.2"), **rotated)
    assert upgraded.status is Status.UPGRADED, upgraded


async def test_a_wrong_password_is_found_at_the_domain_controller_and_touches_no_machine(store: Store) -> None:
    hosts = [make_host() for _ in range(3)]
    for host in hosts:
        know_service_account(host, LOGON_RIGHT, account=SERVICE_UPN)
        assert (await pushed(host, store, of_the_domain("1.3.0"), **domain("agents"))).status is Status.INSTALLED
    before, there = [host.snapshot() for host in hosts], domain("agents")
    codes = [
        (await pushed(host, store, of_the_domain(), service_secret=Secret("mistyped"), **there)).code for host in hosts
    ]
    assert codes[0] == "wrong-password" and codes[1] in ("account-stopped", "lockout-budget-spent"), codes
    assert len(there["kerberos"].asked) == 1
    assert [host.snapshot() for host in hosts] == before


async def test_where_nobody_can_be_asked_one_machine_tells_for_all(store: Store) -> None:
    """A fresh install by a wrong password: one failed logon, and no machine after it is touched."""
    hosts = [known(LOGON_RIGHT) for _ in range(3)]
    before, there = [host.snapshot() for host in hosts], domain("agents")
    codes = [(await pushed(host, store, package(), service_secret=Secret("mistyped"), **there)).code for host in hosts]
    assert codes[0] == "service-account-invalid" and set(codes[1:]) == {"account-stopped"}, codes
    assert [host.snapshot() for host in hosts] == before


async def test_a_password_that_nobody_has_proven_takes_the_place_of_none(store: Store) -> None:
    host = known(LOGON_RIGHT)
    assert (await pushed(host, store, package("1.3.0"))).status is Status.INSTALLED
    upgraded = await pushed(host, store, package("1.4.2"), service_secret=Secret("mistyped"))
    assert upgraded.status is Status.UPGRADED, upgraded  # by the password that the machine has kept


async def test_a_start_that_the_budget_does_not_allow_is_none(store: Store) -> None:
    there = domain("agents")
    async with there["guard"].lease(account_key(make_account(SERVICE_ACCOUNT), "")) as lease:
        lease.settle(Result.FAILED)
    host = known(LOGON_RIGHT)
    before = host.snapshot()
    outcome = await pushed(host, store, package(), **there)
    assert (outcome.status, outcome.code) == (Status.FAILED, "lockout-budget-spent")
    assert SERVICE_ACCOUNT in (outcome.message or "") and host.snapshot() == before


async def test_a_failed_change_of_settings_leaves_the_old_account_its_password(store: Store) -> None:
    host = known(LOGON_RIGHT)
    assert (await pushed(host, store, package())).status is Status.INSTALLED
    host.services.start_faults[SERVICE.lower()] = StartFault.EXIT
    failed = await pushed(host, store, package(display_name="renamed", version="1.4.2"))
    assert failed.status in (Status.FAILED, Status.UPGRADED)
    host.services.start_faults.clear()
    config, _ = host.services.snapshot(host.now())[SERVICE.lower()]
    assert config.account == SERVICE_ACCOUNT
    assert (await pushed(host, store, package(display_name="renamed"))).status is not Status.FAILED


async def test_an_account_whose_password_nobody_knows_is_not_replaced(store: Store) -> None:
    host = known(LOGON_RIGHT)
    assert (await pushed(host, store, package())).status is Status.INSTALLED
    before = host.snapshot()
    outcome = await pushed(host, store, make_package(display_name="renamed"))
    assert (outcome.status, outcome.code) == (Status.FAILED, "service-account-kept")
    assert host.snapshot() == before


async def test_a_password_is_sent_to_no_session_that_does_not_encrypt(store: Store) -> None:
    host = known(LOGON_RIGHT)
    host.encrypts = False
    outcome = await pushed(host, store, package())
    assert (outcome.status, outcome.code) == (Status.FAILED, "session-not-encrypted")
    assert host.services.snapshot(host.now()) == {}


async def test_the_password_is_in_no_record(store: Store) -> None:
    host = known()
    secret = "Kx7-never-to-be-seen"
    host.passwords[SERVICE_ACCOUNT] = secret
    outcome = await pushed(host, store, package(), service_secret=Secret(secret))
    assert outcome.status is Status.INSTALLED
    journals = store.closed_journals(host.name, SERVICE, "committed")
    assert [journal.before["granted"] for journal in journals] == [SERVICE_ACCOUNT]
    assert secret not in json.dumps([dict(journal.before) for journal in journals]) + repr(outcome) + repr(package())


@pytest.mark.parametrize("account", ["corp\\other", "CORP\\SVC-AGENT2"])
async def test_an_account_that_nobody_knows(store: Store, account: str) -> None:
    host = known()
    outcome = await pushed(host, store, make_package(account=account, secret="env:X", grant_logon_right=True))
    assert (outcome.status, outcome.code) == (Status.FAILED, "service-account-invalid")
    assert host.services.snapshot(host.now()) == {}


def test_a_service_config_has_no_place_for_a_password() -> None:
    config = ServiceConfig(image_path="x", display_name="x", start_type=StartType.AUTO, account=SERVICE_ACCOUNT)
    assert not hasattr(config, "secret")
