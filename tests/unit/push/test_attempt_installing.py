"""One target's story once somebody is signed in: rights, the lock, the install, and undoing it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import Account, CheckResult, Mark, Outcome, Status, Target, Verb
from pusher.problems import Code
from pusher.push.attempt import attempt
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryTransport, StartFault
from pusher.transports.memory.disk import key_of
from tests.unit.push.flying import fly
from tests.unit.push.harness import ADMIN, EXE, SERVICE, Watching, make_account, make_context, make_host, make_package
from tests.unit.push.stories import ADDRESS, ended, push_and_see, push_once, three_accounts

# Rights


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.CHECK, Verb.REMOVE])
def test_a_domain_controller_is_asked_no_further(verb: Verb, store: Store) -> None:
    host = make_host(is_domain_controller=True)
    outcome, transport = push_and_see(host, store, verb=verb)
    assert ended(outcome) == (Status.SKIPPED, "domain-controller-refused")
    assert transport.calls[-1] == "is_domain_controller"
    assert [check.result for check in outcome.checks] == [CheckResult.FAIL]

    async def allowed(account: Account) -> Outcome:
        context = make_context(store, MemoryTransport({ADDRESS: host}), accounts=(account,))
        return await attempt(context, Target(name=host.name, domain_controller_allowed=True), ADDRESS, 1)

    assert ended(fly(allowed(make_account()))) == (Status.SKIPPED, "domain-controller-account")
    assert ended(fly(allowed(make_account(domain_controllers=True)))) == (Status.INSTALLED, None)


def test_an_account_of_another_tier_is_sent_nowhere_near(store: Store) -> None:
    host = make_host()

    async def story(target: Target, *accounts: Account) -> tuple[Outcome, list[str]]:
        transport = MemoryTransport({ADDRESS: host})
        return await attempt(make_context(store, transport, accounts=accounts), target, ADDRESS, 1), transport.calls

    tier = make_account(name="push-2026", never=("group:domain-controllers", "tier0"))
    known = Target(name=host.name, groups=("Domain-Controllers",), domain_controller_allowed=True)
    for target, code, why in [
        (known, "no-account", "push-2026 never goes to group:domain-controllers"),
        (replace(known, groups=("tier0",)), "no-account", "push-2026 never goes to tier0"),
        (replace(known, domain_controller_allowed=False), "domain-controller-refused", ""),
    ]:
        outcome, calls = fly(story(target, tier))
        assert outcome.code == code
        assert outcome.message is not None
        assert why in outcome.message
        assert calls == [], "nothing was contacted"
    outcome, _ = fly(story(known, tier, make_account(name="tier0-push", domain_controllers=True)))
    assert ended(outcome) == (Status.INSTALLED, None)
    assert outcome.account == "tier0-push"


@pytest.mark.parametrize(
    ("changes", "package", "code"),
    [
        ({"missing_shares": {"ADMIN$"}}, {}, "admin-share-missing"),
        ({"read_only_shares": {"ADMIN$"}}, {}, "admin-share-read-only"),
        ({"room": 1000}, {}, "disk-full"),
        ({"architecture": "arm64"}, {"architectures": ("x64", "x86")}, "wrong-architecture"),
        ({"registry": None}, {"registry_keys": ("HKLM\\SOFTWARE\\LabAgent",)}, "registry-unavailable"),
        ({"registry_denied": True}, {"registry_keys": ("HKLM\\SOFTWARE\\LabAgent",)}, "registry-denied"),
        ({}, {"account": "corp\\gmsa$"}, "service-account-invalid"),
        (
            {"rights": {"corp\\gmsa$": frozenset()}},
            {"account": "corp\\gmsa$", "rights": ("SeServiceLogonRight",)},
            "right-missing",
        ),
    ],
)
def test_a_machine_that_is_not_ready_is_left_as_it_is(
    changes: dict[str, Any], package: dict[str, Any], code: Code, store: Store
) -> None:
    host = make_host(**changes)
    before = host.disk.snapshot()
    outcome, transport = push_and_see(host, store, package=make_package(**package))
    assert outcome.code == code
    assert "hold" not in transport.calls
    assert host.disk.snapshot() == before


# Under the lock


def test_a_host_that_another_pusher_holds(store: Store) -> None:
    host = make_host()
    host.write("Windows\\pusher\\LabAgent.lock", b"")
    entry = host.disk.find(("windows", "pusher", "labagent.lock"))
    assert entry is not None
    entry.held = True
    before = host.disk.snapshot()
    outcome, transport = push_and_see(host, store)
    assert ended(outcome) == (Status.FAILED, "push-in-progress")
    assert transport.calls.count("hold") == 1, "it is not waited for"
    assert host.disk.snapshot() == before


def test_the_folder_of_the_locks_may_go_between_two_calls(store: Store) -> None:
    """Another pusher that is done removes it."""
    outcome = push_once(make_host(), store, Fault(how=How.FAIL, call="hold", code=Code.PATH_NOT_FOUND))
    assert ended(outcome) == (Status.INSTALLED, None)


def test_two_pushers_on_one_host_are_one_install(store: Store) -> None:
    host = make_host(latency=0.01)

    async def story() -> list[Outcome]:
        jobs = [make_context(store, MemoryTransport({ADDRESS: host})) for _ in range(2)]
        return await asyncio.gather(*(attempt(context, Target(name=host.name), ADDRESS, 1) for context in jobs))

    outcomes = fly(story())
    assert sorted(str(outcome.code) for outcome in outcomes) == ["None", "push-in-progress"]
    assert host.calls["create_service"] == 1


@pytest.mark.parametrize(("verb", "said"), [(Verb.PUSH, ["memory"]), (Verb.REMOVE, [])])
def test_the_record_says_how_files_came_there(store: Store, verb: Verb, said: list[str]) -> None:
    async def story() -> list[str]:
        host, watching = make_host(), Watching()
        context = make_context(store, MemoryTransport({ADDRESS: host}), verb=verb, watcher=watching)
        await attempt(context, Target(name=host.name), ADDRESS, 1)
        return [event.detail for event in watching.events if event.kind == "copied-by"]

    assert fly(story()) == said


def test_an_undo_that_cannot_be_done_is_said_and_left_to_the_next_push(store: Store) -> None:
    host = make_host()
    faults = [Fault(how=How.DROP, call="start_service"), *_connects_fail()]
    outcome = push_once(host, store, *faults)
    assert outcome.code == "connection-lost"
    assert outcome.message is not None
    assert "still on the host" in outcome.message
    assert len(store.open_journals(host.name, SERVICE)) == 1
    assert ended(push_once(host, store)) == (Status.INSTALLED, None)
    assert not store.open_journals(host.name, SERVICE)


def _connects_fail() -> list[Fault]:
    return [Fault(how=How.FAIL, call="open", number=number, code=Code.HOST_UNREACHABLE) for number in (2, 3)]


@pytest.mark.parametrize("damage", [lambda data: data[:-1] + b"\0", lambda data: data[:-1], lambda data: None])
def test_what_arrives_is_read_back(damage: Callable[[bytes], bytes | None], store: Store) -> None:
    """A disk, a scanner or somebody on the machine changes the new file before it is put into its place."""
    host, there = make_host(), f"Windows\\{EXE}.pusher-new"

    class Damaging(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            if call == "digest" and self.calls[-1] == "put":
                data = damage(host.read(there) or b"")
                host.disk.remove(key_of(there))
                if data is not None:
                    host.write(there, data)
            return super().due(call)

    async def story() -> Outcome:
        return await attempt(make_context(store, Damaging({ADDRESS: host})), Target(name=host.name), ADDRESS, 1)

    assert ended(fly(story())) == (Status.FAILED, "copy-mismatch")
    assert host.disk.snapshot() == make_host().disk.snapshot()


def test_a_lost_connection_is_undone_on_a_new_one_by_the_same_account(store: Store) -> None:
    host, changes = three_accounts()
    outcome = push_once(host, store, Fault(how=How.DROP, call="rename"), **changes)
    assert outcome.code == "connection-lost"
    assert host.sign_ins[3:] == [ADMIN], "the account that had signed in, and no other"
    assert host.disk.snapshot().keys() == make_host().disk.snapshot().keys()


def test_a_service_that_hangs_while_it_starts_is_marked_and_the_rest_is_put_back(store: Store) -> None:
    """It takes no orders; its entry goes when its process does."""
    host = make_host()
    host.services.start_faults[SERVICE.lower()] = StartFault.PENDING
    outcome = push_once(host, store)
    assert outcome.code == "service-start-timeout"
    assert outcome.message is not None
    assert "still on the host (service-marked-for-delete)" in outcome.message
    (journal,) = store.open_journals(host.name, SERVICE)
    assert "start" in {step.step for step in journal.steps if step.mark is Mark.UNDONE}


def test_one_step_that_will_not_be_undone_does_not_keep_the_others(store: Store) -> None:
    host = make_host()
    faults = [Fault(how=How.FAIL, call=call, code=Code.ACCESS_DENIED) for call in ("create_service", "delete_service")]
    outcome = push_once(host, store, *faults)
    assert outcome.code == "access-denied"
    assert outcome.message is not None
    assert "still on the host (access-denied)" in outcome.message
    assert host.disk.snapshot() == make_host().disk.snapshot(), "the files are gone all the same"
    (journal,) = store.open_journals(host.name, SERVICE)
    assert {step.step for step in journal.steps if step.mark is Mark.UNDONE} == {"stage", "place"}


@pytest.mark.parametrize("code", ["tampered", "protocol-error", "timed-out"])
def test_nothing_more_is_asked_on_a_connection_that_cannot_be_trusted(code: Code, store: Store) -> None:
    host = make_host()
    outcome, transport = push_and_see(host, store, Fault(how=How.FAIL, call="rename", code=code))
    assert outcome.code == code
    undo = transport.calls[transport.calls.index("rename") + 1 :]
    assert undo[:3] == ["open", "identify", "sign_in"]
    assert host.disk.snapshot() == make_host().disk.snapshot()


def test_a_stopped_account_does_not_sign_in_to_undo(store: Store) -> None:
    """The budget's word counts for an undo too: a locked account would be worse than a half-done host."""
    host, guard = make_host(), LockoutGuard(LockoutPolicy(threshold=10, reserve=2))

    class Stopping(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            if call == "rename":
                key = account_key(make_account(), host.name)
                self.stopping = asyncio.ensure_future(guard.stop(key, "wrong-password"))
            return super().due(call)

    async def story() -> Outcome:
        transport = Stopping({ADDRESS: host}, Fault(how=How.DROP, call="rename"))
        return await attempt(make_context(store, transport, guard=guard), Target(name=host.name), ADDRESS, 1)

    outcome = fly(story())
    assert outcome.code == "connection-lost"
    assert outcome.message is not None
    assert "account-stopped" in outcome.message
    assert len(host.sign_ins) == 1


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.REMOVE])
def test_wherever_the_connection_is_lost_what_ends_well_leaves_nothing_of_ours(store: Store, verb: Verb) -> None:
    """Not even the empty folder that the lock lay in, where only letting go of that was cut off."""
    found, number, struck = set[Status](), 0, True
    while struck:
        number += 1
        host = make_host()
        if verb is Verb.REMOVE:
            push_once(host, store)
        fault = Fault(how=How.DROP, number=number)
        outcome, transport = push_and_see(host, store, fault, verb=verb)
        struck = bool(transport.struck)
        found.add(outcome.status)
        if outcome.status in (Status.INSTALLED, Status.REMOVED):
            assert host.read("Windows\\pusher") is None and "windows\\pusher" not in host.disk.snapshot(), number
    assert number > 20 and len(found) > 1, "some end well and some do not"


def test_a_folder_that_cannot_be_taken_away_is_told_and_costs_no_outcome(store: Store) -> None:
    host = make_host()
    removals = [call for call in calls_of_a_push(store) if call == "remove_folder"]
    watching = Watching()
    lost = Fault(how=How.DROP, call="remove_folder", number=len(removals))
    away = Fault(how=How.FAIL, call="sign_in", number=2, code=Code.TOO_BUSY)
    outcome, _ = push_and_see(host, store, lost, away, watcher=watching)
    assert ended(outcome) == (Status.INSTALLED, None)
    told = [event for event in watching.events if event.kind == "left-behind"]
    assert ["ADMIN$\\pusher, until the next push" in event.detail for event in told] == [True]


def calls_of_a_push(store: Store) -> list[str]:
    outcome, transport = push_and_see(make_host(), store)
    assert outcome.status is Status.INSTALLED
    return transport.calls
