"""Several transports to one machine: which is tried, when the next one is, and what an account is charged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.install.plan import Before
from pusher.models import AccountTried, Outcome, Secret, Stage, Status, Target, TransportKind, Verb, WinrmSettings
from pusher.problems import CATALOGUE, Code, NextMove, Problem, problem
from pusher.push.attempt import attempt
from pusher.push.host_journal import StoredHostJournal
from pusher.push.routes import most_advanced, routes_to, worth_another
from pusher.store import Store
from pusher.transports.memory import MemoryHost, MemoryTransport, User
from tests.unit.push.flying import fly
from tests.unit.push.harness import ADMIN, events_of, make_account, make_context, make_host

ADDRESS = "10.0.0.1"
SMB, WINRM = TransportKind.SMB, TransportKind.WINRM
BOTH = (SMB, WINRM)
NOTHING_BEFORE = Before(service_name="LabAgent", replaced=(), added=(), new_folders=(), service=None, was_running=False)
RIGHT = {"first": Secret("right"), "second": Secret("right")}


def machine(users: dict[str, User], **changes: Any) -> MemoryHost:
    return make_host("ws01.corp.example", users=users, **changes)


def attempted(
    store: Store, smb: MemoryHost, winrm: MemoryHost, transports: tuple[TransportKind, ...] = BOTH, **changes: Any
) -> Outcome:
    """One attempt on one machine, whose two sides are a host each."""
    ways = {SMB: MemoryTransport({ADDRESS: smb}), WINRM: MemoryTransport({ADDRESS: winrm}, kind=WINRM)}

    async def story() -> Outcome:
        context = make_context(store, ways[SMB], transports=ways, **changes)
        return await attempt(context, Target(name=smb.name, transports=transports), ADDRESS, 1)

    return fly(story())


def users(**changes: Any) -> dict[str, User]:
    return {ADMIN: User(password="right", **changes)}


def test_the_inventory_says_which_is_first(store: Store) -> None:
    for order in permutations(BOTH):
        shared = users()
        outcome = attempted(store, machine(shared), machine(shared, port=5986), tuple(order))
        assert (outcome.status, outcome.transport) == (Status.INSTALLED, order[0])


def test_an_option_leaves_only_one(store: Store) -> None:
    """Whatever the inventory says: who types it means it."""
    for allowed in (BOTH, (SMB,)):
        outcome = attempted(store, machine(users()), machine(users(), port=5986), allowed, only=WINRM)
        assert outcome.transport is WINRM


@pytest.mark.parametrize("refusal", ["port-closed", "timed-out", "host-unreachable"])
def test_a_machine_that_one_transport_cannot_reach(store: Store, refusal: str) -> None:
    closed = machine(users(), refuses=refusal)
    outcome = attempted(store, closed, machine(users(), port=5986))
    assert (outcome.status, outcome.transport) == (Status.INSTALLED, WINRM)
    assert closed.calls["open"] == 0, "its port was asked first"
    outcome = attempted(store, machine(users()), machine(users(), port=5986, refuses=refusal))
    assert (outcome.status, outcome.transport) == (Status.INSTALLED, SMB)


def test_a_machine_that_nothing_reaches_is_told_by_its_first_transport(store: Store) -> None:
    outcome = attempted(
        store, machine(users(), refuses="timed-out"), machine(users(), port=5986, refuses="port-closed")
    )
    assert (outcome.status, outcome.code, outcome.transport) == (Status.UNREACHABLE, "timed-out", SMB)


def test_what_is_wrong_with_a_transport_leads_to_the_next(store: Store) -> None:
    shared = users()
    smb, winrm = machine(shared, missing_shares={"ADMIN$"}), machine(shared, port=5986)
    outcome = attempted(store, smb, winrm)
    assert (outcome.status, outcome.transport) == (Status.INSTALLED, WINRM)
    assert outcome.accounts_tried == (AccountTried(account="admin", code=None),)
    assert [event.detail for event in events_of(store, outcome.run, smb.name) if event.kind == "transport-failed"] == [
        "smb: admin-share-missing"
    ]


def test_a_refused_account_is_not_charged_again_by_another_transport(store: Store) -> None:
    mistyped, good = User(password="other"), User(password="right")
    shared = {"corp\\first": mistyped, "corp\\second": good}
    accounts = (make_account("corp\\first", "first"), make_account("corp\\second", "second"))
    smb, winrm = machine(shared, missing_shares={"ADMIN$"}), machine(shared, port=5986)
    outcome = attempted(store, smb, winrm, accounts=accounts, secrets=RIGHT)
    assert (outcome.status, outcome.account, outcome.transport) == (Status.INSTALLED, "second", WINRM)
    assert (smb.sign_ins, winrm.sign_ins) == (["corp\\first", "corp\\second"], ["corp\\second"])
    assert mistyped.failures == 1
    assert outcome.accounts_tried == (
        AccountTried(account="first", code="wrong-password"),
        AccountTried(account="second", code=None),
    )


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.CHECK])
def test_an_account_that_is_refused_is_no_reason_for_another_transport(store: Store, verb: Verb) -> None:
    winrm = machine(users(), port=5986)
    outcome = attempted(store, machine({ADMIN: User(password="other")}), winrm, verb=verb)
    assert (outcome.code, outcome.transport, winrm.sign_ins) == ("wrong-password", SMB, [])


def test_another_machine_is_no_reason_for_another_transport(store: Store) -> None:
    winrm = machine(users(), port=5986)
    smb = replace_name(machine(users()), "ws99.corp.example")

    async def story() -> Outcome:
        ways = {SMB: MemoryTransport({ADDRESS: smb}), WINRM: MemoryTransport({ADDRESS: winrm}, kind=WINRM)}
        context = make_context(store, ways[SMB], transports=ways)
        return await attempt(context, Target(name="ws01.corp.example", transports=BOTH), ADDRESS, 1)

    outcome = fly(story())
    assert (outcome.code, winrm.calls["open"], winrm.sign_ins) == ("wrong-host", 0, [])


@pytest.mark.parametrize(
    ("kind", "journal", "freed", "code"),
    [
        (WINRM, False, 60, None),  # killed between the lock and the journal
        (WINRM, True, 60, None),
        (SMB, True, 60, None),  # killed over WinRM, pushed to over SMB
        (SMB, False, 60, "push-in-progress"),
        (WINRM, False, 600, "push-in-progress"),
    ],
)
def test_the_lock_of_a_push_that_was_cut_off_is_waited_for(
    store: Store, kind: TransportKind, journal: bool, freed: int, code: str | None
) -> None:
    """Over WinRM the target frees it only after a while, and nobody can see whether its holder lives."""
    host = make_host(port=5986 if kind is WINRM else 445)
    host.write("Windows\\pusher\\LabAgent.lock", b"")
    lock = host.disk.find(("windows", "pusher", "labagent.lock"))
    assert lock is not None
    lock.held = True
    target = Target(name=host.name, transports=BOTH)

    async def story() -> tuple[Outcome, list[str]]:
        transport = MemoryTransport({ADDRESS: host}, kind=kind)
        context = make_context(store, transport, transports={kind: transport})
        if journal:
            assert context.package is not None
            await StoredHostJournal(context, host.name, host.name, context.package.key).open(NOTHING_BEFORE.to_json())
        asyncio.get_running_loop().call_later(freed, lambda: setattr(lock, "held", False))
        outcome = await attempt(context, target, ADDRESS, 1)
        return outcome, [event.kind for event in events_of(store, context.run, host.name)]

    outcome, events = fly(story())
    assert outcome.code == code
    assert events.count("lock-held") == (kind is WINRM or journal)


def test_nobody_waits_for_a_lock_when_the_run_is_cancelled(store: Store) -> None:
    host = make_host(port=5986)
    host.write("Windows\\pusher\\LabAgent.lock", b"")
    lock = host.disk.find(("windows", "pusher", "labagent.lock"))
    assert lock is not None
    lock.held = True

    async def story() -> Outcome:
        transport = MemoryTransport({ADDRESS: host}, kind=WINRM)
        context = make_context(store, transport, transports={WINRM: transport})
        asyncio.get_running_loop().call_later(10, context.stop.cancel)
        return await attempt(context, Target(name=host.name, transports=BOTH), ADDRESS, 1)

    assert fly(story()).code == "cancelled"
    assert host.calls["hold"] < 10


def replace_name(host: MemoryHost, name: str) -> MemoryHost:
    host.name = name
    return host


def test_each_way_leads_where_the_inventory_says(store: Store) -> None:
    way = WinrmSettings(port=15986, scheme="https", fingerprint="ab" * 32)
    target = Target(name="ws01.corp.example", port=4450, transports=BOTH, winrm=way)

    async def story() -> None:
        both = {SMB: MemoryTransport({}), WINRM: MemoryTransport({}, kind=WINRM)}
        smb, winrm = (
            one.endpoint for one in routes_to(make_context(store, both[SMB], transports=both), target, ADDRESS)
        )
        assert (smb.host, smb.address, smb.port, smb.scheme, smb.fingerprint) == (
            target.name,
            ADDRESS,
            4450,
            None,
            None,
        )
        assert (winrm.host, winrm.port, winrm.scheme, winrm.fingerprint) == (target.name, 15986, "https", "ab" * 32)

    fly(story())


codes = st.sampled_from(sorted(CATALOGUE))
problems = st.builds(lambda code, stage: problem(code, stage), codes, st.sampled_from(Stage))


@given(problems)
def test_an_accounts_problem_never_leads_to_another_transport(found: Problem) -> None:
    if found.next_move in (NextMove.NEXT_ACCOUNT, NextMove.STOP_ACCOUNT):
        assert not worth_another(found)


@given(problems, problems)
def test_of_two_problems_the_further_one_is_told(one: Problem, other: Problem) -> None:
    order = list(Stage)
    assert order.index(most_advanced(one, other).stage) == max(order.index(one.stage), order.index(other.stage))
    assert most_advanced(None, one) == most_advanced(one, one) == one


def test_a_changed_problem_is_still_the_same_way(store: Store) -> None:
    """Whose connection broke in the middle is tried again by the same transport, not by another one."""
    lost = replace(problem(Code.CONNECTION_LOST, Stage.STAGE))
    assert not worth_another(lost)
