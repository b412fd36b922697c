"""A journal that was left open on a host that can never be what it was before: it is closed, and the work goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from pusher.models import LOGON_RIGHT, Outcome, Package, Secret, Status, Verb
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, StartFault
from pusher.transports.memory.wire import Killed
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    EXE,
    SERVICE,
    SERVICE_ACCOUNT,
    Watching,
    know_service_account,
    make_host,
    make_package,
    push,
)
from tests.unit.push.stories import ended

MENDED = "1.5.0"


def flown(story: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test whose pushes, one after another, share a clock that flies."""

    @wraps(story)
    def test(**given: Any) -> None:
        fly(story(**given))

    return test


def re_imaged(host: MemoryHost) -> MemoryHost:
    return make_host(host.name)


def deleted_by_hand(host: MemoryHost) -> MemoryHost:
    host.services._known.clear()
    return host


async def stranded(store: Store) -> MemoryHost:
    """An upgrade failed on it, and the old agent did not start again: the journal is open."""
    host = make_host()
    await push(host, store, package=make_package("1.3.0"))
    host.services.start_faults[SERVICE.lower()] = StartFault.FAIL
    outcome, _ = await push(host, store, package=make_package("1.4.2"))
    assert ended(outcome) == (Status.FAILED, "service-failed")
    assert outcome.message is not None and "the next push undoes it first" in outcome.message
    assert len(store.open_journals(host.name, SERVICE)) == 1
    return host


async def cut_off(pushing: Awaitable[object]) -> None:
    with pytest.raises(Killed):
        await pushing


async def next_push(host: MemoryHost, store: Store, start: str = "auto", **changes: Any) -> tuple[Outcome, list[str]]:
    """A mended version's push or removal; and what its recovery gave up, with the reasons."""
    watching = Watching()
    outcome, _ = await push(host, store, package=make_package(MENDED, start=start), watcher=watching, **changes)
    return outcome, [event.detail for event in watching.events if event.kind == "recovery-incomplete"]


@pytest.mark.parametrize("since", [re_imaged, deleted_by_hand])
@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.REMOVE])
@flown
async def test_a_service_that_is_not_there_any_more_is_not_restarted(
    store: Store, since: Callable[[MemoryHost], MemoryHost], verb: Verb
) -> None:
    host = since(await stranded(store))
    host.services.start_faults.clear()
    outcome, incomplete = await next_push(host, store, verb=verb)
    assert outcome.code is None, outcome.message
    assert incomplete == []
    assert store.open_journals(host.name, SERVICE) == []
    assert (SERVICE.lower() in host.services.snapshot(host.now())) is (verb is Verb.PUSH)


@flown
async def test_an_old_agent_that_does_not_start_gives_way_to_one_that_does(store: Store) -> None:
    host = await stranded(store)
    outcome, (why,) = await next_push(host, store)
    assert ended(outcome) == (Status.FAILED, "service-failed"), "the new one does not start either"
    assert why.startswith("stop: ") and "42" in why
    host.services.start_faults.clear()
    outcome, _ = await next_push(host, store)
    assert ended(outcome) == (Status.UPGRADED, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"verb": Verb.REMOVE}, Status.REMOVED), ({"start": "disabled"}, Status.UPGRADED)],
    ids=["removed", "disabled"],
)
@flown
async def test_an_old_agent_that_does_not_start_can_be_taken_away(
    store: Store, changes: dict[str, Any], expected: Status
) -> None:
    host = await stranded(store)
    outcome, incomplete = await next_push(host, store, **changes)
    assert ended(outcome) == (expected, None), outcome.message
    assert len(incomplete) == 1
    assert store.open_journals(host.name, SERVICE) == []
    if expected is Status.REMOVED:
        assert host.services.snapshot(host.now()) == {}
        assert host.read(f"Windows\\{EXE}") is None


@flown
async def test_a_connection_lost_while_restarting_leaves_the_journal_open(store: Store) -> None:
    """Nothing is known then of whether it can start."""
    host = await stranded(store)
    host.services.start_faults.clear()
    outcome, _ = await push(host, store, Fault(how=How.DROP, call="start_service", number=1), package=make_package())
    assert ended(outcome) == (Status.FAILED, "connection-lost")
    assert len(store.open_journals(host.name, SERVICE)) == 1
    outcome, incomplete = await next_push(host, store)
    assert (ended(outcome), incomplete) == ((Status.UPGRADED, None), [])


@flown
async def test_an_agent_whose_password_holds_no_more_can_be_removed(store: Store) -> None:
    """The service keeps the password that it has, by which neither the new agent nor the old one starts."""
    host = make_host()
    know_service_account(host, LOGON_RIGHT)

    async def pushed(version: str, **changes: Any) -> Outcome:
        package = make_package(version, account=SERVICE_ACCOUNT, secret="env:X")
        return (await push(host, store, package=package, service_secret=Secret("agents"), **changes))[0]

    assert ended(await pushed("1.3.0")) == (Status.INSTALLED, None)
    host.passwords[SERVICE_ACCOUNT] = "rotated"
    assert ended(await pushed("1.4.2")) == (Status.FAILED, "service-account-invalid")
    assert len(store.open_journals(host.name, SERVICE)) == 1
    assert ended(await pushed("1.4.2", verb=Verb.REMOVE)) == (Status.REMOVED, None)
    assert store.open_journals(host.name, SERVICE) == []


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.REMOVE])
@flown
async def test_an_account_that_is_no_more_has_no_right_to_be_taken_back(store: Store, verb: Verb) -> None:
    """A fresh Windows does not know the account that a push which was cut off gave the right to."""
    host = make_host()
    know_service_account(host)
    granting = make_package(account=SERVICE_ACCOUNT, secret="env:X", grant_logon_right=True)
    dying = Fault(how=How.DIE, call="create_service", number=1)
    await cut_off(push(host, store, dying, package=granting, service_secret=Secret("agents")))
    outcome, (why,) = await next_push(re_imaged(host), store, verb=verb)
    assert outcome.code is None, outcome.message
    assert why.startswith("grant: ")
    assert store.open_journals(host.name, SERVICE) == []


@flown
async def test_settings_of_an_account_that_is_no_more_are_not_put_back(store: Store) -> None:
    host = make_host()
    know_service_account(host, LOGON_RIGHT)

    def package(version: str) -> Package:
        return make_package(version, account=SERVICE_ACCOUNT, secret="env:X", display_name=f"Lab Agent {version}")

    await push(host, store, package=package("1.3.0"), service_secret=Secret("agents"))
    dying = Fault(how=How.DIE, call="start_service", number=1)
    await cut_off(push(host, store, dying, package=package("1.4.2"), service_secret=Secret("agents")))
    del host.rights[SERVICE_ACCOUNT]
    outcome, incomplete = await next_push(host, store, verb=Verb.REMOVE)
    assert ended(outcome) == (Status.REMOVED, None), outcome.message
    assert any(why.startswith("register: ") for why in incomplete)
    assert store.open_journals(host.name, SERVICE) == []
