"""One target's story on a machine in memory: what is asked, in which order, and what it comes to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pusher.checks import CHECKS
from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.models import (
    AccountTried,
    CheckResult,
    NextMove,
    Outcome,
    Protocol,
    Secret,
    Stage,
    Status,
    Target,
    TransportKind,
    Verb,
)
from pusher.problems import Code, ProblemError
from pusher.push.attempt import attempt, resolve
from pusher.push.context import Claims
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, StartFault, User
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    ADMIN,
    EXE,
    SERVICE,
    Names,
    Watching,
    events_of,
    install_by_hand,
    make_account,
    make_context,
    make_host,
    make_package,
    push,
)
from tests.unit.push.stories import ADDRESS, MUTATING, ended, push_and_see, push_once, three_accounts, upgradable

# What an outcome holds


def test_what_an_upgrade_took_the_place_of_is_told(store: Store) -> None:
    async def story() -> list[Outcome]:
        host = upgradable()
        return [(await push(host, store))[0] for _ in range(2)]

    first, again = fly(story())
    assert (first.status, first.agent_version, first.previous_version) == (Status.UPGRADED, "1.4.2", "1.3")
    assert (again.status, again.previous_version) == (Status.UNCHANGED, None)


def test_a_push_that_goes_well_is_told_in_full(store: Store) -> None:
    host, watching = make_host(), Watching()
    outcome = push_once(host, store, watcher=watching)
    assert ended(outcome) == (Status.INSTALLED, None)
    assert (outcome.target, outcome.address, outcome.machine) == (host.name, ADDRESS, host.name)
    assert (outcome.account, outcome.protocol, outcome.transport) == ("admin", Protocol.NTLM, TransportKind.SMB)
    assert (outcome.stage, outcome.message, outcome.remedy, outcome.next_move) == (Stage.RECORD, None, None, None)
    assert outcome.accounts_tried == (AccountTried(account="admin", code=None),)
    assert [check.check for check in outcome.checks] == [row.name for row in CHECKS]
    assert {check.result for check in outcome.checks} == {CheckResult.PASS, CheckResult.NOT_NEEDED}
    assert all(check.evidence for check in outcome.checks)
    assert (outcome.bytes_copied, outcome.agent_version) == (make_package().size, "1.4.2")
    steps = [step.step for step in outcome.steps]
    assert steps[:5] == ["connect", "identify", "sign-in", "checks", "lock"]
    assert steps[5:] == ["observe", "stage", "place", "register", "start", "verify", "commit"]
    stages = [stage for _, stage in watching.stages]
    assert sorted(stages, key=list(Stage).index) == stages, "the stages come in their order"
    assert [event.kind for event in watching.events] == ["identity", "signed-in", "copied-by"]
    # The last one may still be on its way to the store.
    assert [event.kind for event in events_of(store, outcome.run, host.name)][:2] == ["identity", "signed-in"]
    assert host.sign_ins == [ADMIN]


def test_a_failure_is_told_in_full(store: Store) -> None:
    host = make_host()
    host.services.start_faults[SERVICE.lower()] = StartFault.FAIL
    outcome = push_once(host, store)
    assert ended(outcome) == (Status.FAILED, "service-failed")
    assert outcome.stage is Stage.START
    assert outcome.message is not None
    assert "42" in outcome.message
    assert outcome.remedy
    assert outcome.next_move is NextMove.GIVE_UP
    assert outcome.accounts_tried == (AccountTried(account="admin", code=None),), "the account is not to blame"
    assert [step.step for step in outcome.steps][-2:] == ["start", "undo"]
    assert host.read(f"Windows\\{EXE}") is None


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.CHECK, Verb.REMOVE])
def test_no_secret_is_in_what_is_recorded(verb: Verb, store: Store) -> None:
    planted = "correct-horse-battery"
    host = make_host(users={ADMIN: User(password=planted), "corp\\wrong": User(password="other")})
    accounts = (make_account("corp\\wrong", "wrong"), make_account())
    secrets = {account.name: Secret(planted) for account in accounts}
    outcome = push_once(host, store, accounts=accounts, secrets=secrets, verb=verb)
    assert outcome.status.is_success
    assert planted not in repr(outcome)
    assert planted not in repr(events_of(store, outcome.run, host.name))


# Reaching, and who answers


def test_where_a_name_leads(store: Store) -> None:
    async def story() -> None:
        context = make_context(store, MemoryTransport({}), resolver=Names({"ws01": "10.0.0.7"}))
        assert await resolve(context, Target(name="ws01")) == "10.0.0.7"
        assert await resolve(context, Target(name="ws01", address="10.0.0.8")) == "10.0.0.8"
        assert await resolve(context, Target(name="10.0.0.9")) == "10.0.0.9"
        assert await resolve(context, Target(name="2001:db8::1")) == "2001:db8::1"
        with pytest.raises(ProblemError) as caught:
            await resolve(context, Target(name="ws02"))
        assert caught.value.problem.code == "name-not-found"

    fly(story())


@pytest.mark.parametrize("code", ["port-closed", "timed-out", "dialect-unsupported"])
def test_a_machine_that_is_not_reached_is_asked_for_nothing(code: Code, store: Store) -> None:
    host = make_host(refuses=code)
    outcome, transport = push_and_see(host, store)
    assert outcome.code == code
    assert outcome.stage is Stage.REACH
    # Only what accepts a connection can tell of its dialect.
    calls = ["open"] if code == "dialect-unsupported" else []
    assert (transport.calls, host.sign_ins, outcome.accounts_tried) == (calls, [], ())
    assert [step.step for step in outcome.steps] == ["connect"]


@pytest.mark.parametrize("code", ["connection-lost", "too-busy", "host-unreachable"])
def test_only_connecting_is_repeated(code: Code, store: Store) -> None:
    once = Fault(how=How.FAIL, call="open", code=code)
    assert ended(push_once(make_host(), store, once)) == (Status.INSTALLED, None)
    outcome, transport = push_and_see(make_host(), store, once, replace(once, number=2))
    assert outcome.code == code
    assert transport.calls == ["open", "open"]


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"only": TransportKind.WINRM}, {}),
        ({}, {"transports": (TransportKind.WINRM,)}),
        ({}, {"transports": ()}),
    ],
)
def test_no_transport(changes: dict[str, Any], target: dict[str, Any], store: Store) -> None:
    async def story() -> Outcome:
        context = make_context(store, MemoryTransport({}), **changes)
        return await attempt(context, Target(name="ws01", **target), ADDRESS, 1)

    assert fly(story()).code == "no-transport"


def test_the_wrong_machine_is_sent_nothing(store: Store) -> None:
    """Not a secret, not a user's name; and it is not kept out under its own name."""
    host = make_host()

    async def story() -> tuple[Outcome, Outcome, list[str]]:
        transport = MemoryTransport({ADDRESS: host})
        context = make_context(store, transport)
        wrong = await attempt(context, Target(name="meant.corp.example"), ADDRESS, 1)
        calls = list(transport.calls)
        return wrong, await attempt(context, Target(name=host.name), ADDRESS, 1), calls

    wrong, right, calls = fly(story())
    assert ended(wrong) == (Status.FAILED, "wrong-host")
    assert calls == ["open", "identify"]
    assert (wrong.account, wrong.accounts_tried, wrong.machine) == (None, (), None)
    assert wrong.message is not None
    assert host.name in wrong.message
    assert ended(right) == (Status.INSTALLED, None)
    assert host.sign_ins == [ADMIN]


def test_a_machine_that_does_not_say_who_it_is_gets_no_ntlm(store: Store) -> None:
    host = make_host()
    host.name = ""
    host.users[""] = User(password=None)

    async def story() -> tuple[Outcome, Outcome]:
        context = make_context(store, MemoryTransport({ADDRESS: host}))
        own = make_context(store, MemoryTransport({ADDRESS: host}), fallback=OWN_IDENTITY)
        return await attempt(context, Target(name="ws"), ADDRESS, 1), await attempt(own, Target(name="ws"), ADDRESS, 1)

    without, with_kerberos = fly(story())
    assert ended(without) == (Status.FAILED, "identity-unproven")
    assert ended(with_kerberos) == (Status.INSTALLED, None)
    assert with_kerberos.account == "own-identity"
    assert host.sign_ins == [""]


def test_two_names_of_one_machine_are_one_push(store: Store) -> None:
    host = make_host()
    label = host.name.partition(".")[0]

    async def story() -> list[Outcome]:
        context = make_context(store, MemoryTransport({ADDRESS: host, "10.0.0.2": host}))
        pushes = [attempt(context, Target(name=name), address, 1)
                  for name, address in [(host.name, ADDRESS), (label, "10.0.0.2")]]  # fmt: skip
        return await asyncio.gather(*pushes)

    first, second = fly(story())
    assert ended(first) == (Status.INSTALLED, None)
    assert ended(second) == (Status.SKIPPED, "duplicate")
    assert second.message is not None
    assert host.name in second.message
    assert second.accounts_tried == (AccountTried(account="admin", code=None),), "its sign-in was no failure"
    assert host.sign_ins == [ADMIN, ADMIN], "each has shown who it is before that decided anything"
    assert host.calls["put"] == len(make_package().files)


def attempted_at_once(store: Store, hosts: dict[str, MemoryHost], kind: TransportKind, **changes: Any) -> list[Outcome]:
    """One attempt in one run on each address, which is also the target's name."""

    async def story() -> list[Outcome]:
        transport = MemoryTransport(hosts, kind=kind)
        context = make_context(store, transport, transports={kind: transport}, **changes)
        return await asyncio.gather(
            *(attempt(context, Target(name=where, transports=(kind,)), where, 1) for where in hosts)
        )

    return fly(story())


def test_machines_of_a_workgroup_that_share_a_name_are_no_duplicates(store: Store) -> None:
    """Cloned tills, all called POS; over WinRM there is no GUID to tell them apart by."""
    tills = {f"10.9.0.{number}": make_host("pos", port=5986) for number in (10, 11)}
    outcomes = attempted_at_once(store, tills, TransportKind.WINRM)
    assert [ended(outcome) for outcome in outcomes] == [(Status.INSTALLED, None)] * 2


def test_one_machine_without_a_guid_is_told_by_its_address(store: Store) -> None:
    host = make_host(port=5986)

    async def story() -> list[Outcome]:
        transport = MemoryTransport({ADDRESS: host}, kind=TransportKind.WINRM)
        context = make_context(store, transport, transports={TransportKind.WINRM: transport})
        names = (host.name, ADDRESS)
        targets = [Target(name=name, transports=(TransportKind.WINRM,)) for name in names]
        return await asyncio.gather(*(attempt(context, target, ADDRESS, 1) for target in targets))

    assert sorted(ended(outcome) for outcome in fly(story())) == [
        (Status.INSTALLED, None),
        (Status.SKIPPED, "duplicate"),
    ]


def test_who_only_calls_itself_the_machine_does_not_keep_it_out(store: Store) -> None:
    """Somebody in a range says srv7's name and GUID and is met first; he cannot take the sign-in."""
    srv7 = make_host()
    rogue = make_host(srv7.name, users={ADMIN: User(password="unknown to him")})
    assert rogue.identity.server_guid == srv7.identity.server_guid
    faked, real = attempted_at_once(store, {"10.0.0.66": rogue, ADDRESS: srv7}, TransportKind.SMB)
    assert faked.status is Status.FAILED
    assert ended(real) == (Status.INSTALLED, None)


def test_the_holder_of_a_claim_keeps_it_with_its_second_account_and_its_next_attempt(store: Store) -> None:
    host, accounts = three_accounts()
    label = host.name.partition(".")[0]

    async def story() -> list[Outcome]:
        context = make_context(store, MemoryTransport({ADDRESS: host, "10.0.0.2": host}), **accounts)
        first = await attempt(context, Target(name=host.name), ADDRESS, 1)
        return [first, await attempt(context, Target(name=label), "10.0.0.2", 1),
                await attempt(context, Target(name=host.name), ADDRESS, 2)]  # fmt: skip

    assert [ended(outcome) for outcome in fly(story())] == [
        (Status.INSTALLED, None),
        (Status.SKIPPED, "duplicate"),
        (Status.UNCHANGED, None),
    ]


async def test_a_retry_is_no_duplicate_of_itself() -> None:
    claims = Claims()
    assert await claims.claim("Machine guid", "ws01") is None
    assert await claims.claim("machine GUID", "ws01") is None
    assert await claims.claim("machine guid", "ws02") == "ws01"


# Check and remove


@pytest.mark.parametrize("with_package", [True, False])
def test_a_check_leaves_no_trace(with_package: bool, store: Store) -> None:
    async def story() -> Outcome:
        host = upgradable()
        before = host.snapshot()
        outcome, transport = await push(host, store, verb=Verb.CHECK, package=make_package() if with_package else None)
        assert host.snapshot() == before
        assert set(transport.calls) & MUTATING == {"make_folder"}, "the folder that it makes and removes"
        return outcome

    outcome = fly(story())
    assert ended(outcome) == (Status.READY, None)
    pending = {check.check: check for check in outcome.checks}["pending-version"]
    assert pending.result is (CheckResult.PASS if with_package else CheckResult.NOT_NEEDED)
    if with_package:
        assert pending.evidence == "1.3.0.0 is there, 1.4.2 would replace it"


def test_a_push_reads_what_is_there_once(store: Store) -> None:
    async def story() -> tuple[Outcome, list[str]]:
        host = make_host()
        await push(host, store)
        outcome, transport = await push(host, store)
        return outcome, transport.calls

    outcome, calls = fly(story())
    assert ended(outcome) == (Status.UNCHANGED, None)
    assert calls.count("digest") == len(make_package().files)


def test_a_check_closes_its_connection(store: Store) -> None:
    _, transport = push_and_see(make_host(), store, verb=Verb.CHECK)
    assert not [wire for wire in transport._wires if wire.up]


@pytest.mark.parametrize("how", [How.FAIL, How.DROP, How.HANG])
def test_no_connection_is_left_open_whatever_happens(how: How, store: Store) -> None:
    async def story() -> None:
        _, transport = await push(make_host(), store)
        for number in range(1, len([call for call in transport.calls if not call.startswith("store:")])):
            _, disturbed = await push(make_host(), store, Fault(how=how, number=number))
            assert not [wire for wire in disturbed._wires if wire.up], number

    fly(story())


def test_a_removal_is_not_held_up_by_what_only_an_install_needs(store: Store) -> None:
    async def story() -> tuple[Outcome, Outcome, MemoryHost]:
        host = upgradable()
        host.disk.room = 0
        removed, _ = await push(host, store, verb=Verb.REMOVE)
        again, _ = await push(host, store, verb=Verb.REMOVE)
        return removed, again, host

    removed, again, host = fly(story())
    assert ended(removed) == (Status.REMOVED, None)
    assert ended(again) == (Status.UNCHANGED, None)
    assert host.disk.snapshot().keys() == make_host().disk.snapshot().keys()


def test_a_foreign_service_is_neither_replaced_nor_removed(store: Store) -> None:
    async def story() -> None:
        host = make_host()
        host.write("Windows\\other\\theirs.exe", b"MZ")
        theirs = make_package(files={"other\\theirs.exe": b"MZ"}, command='"%SystemRoot%\\other\\theirs.exe"')
        install_by_hand(host, theirs, {})
        before = host.snapshot()
        for verb in (Verb.PUSH, Verb.REMOVE):
            outcome, _ = await push(host, store, verb=verb)
            assert ended(outcome) == (Status.FAILED, "service-exists-foreign")
            assert host.snapshot() == before

    fly(story())
