"""One target's story on a machine in memory: what is asked, in which order, and what it comes to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pusher.checks import CHECKS
from pusher.credentials.budget import LockoutPolicy, Result, account_key
from pusher.credentials.guard import LockoutGuard
from pusher.credentials.ladder import OWN_IDENTITY
from pusher.models import (
    Account,
    AccountTried,
    CheckResult,
    Credential,
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
from pusher.problems import ProblemError
from pusher.scheduler.attempt import attempt, resolve
from pusher.scheduler.job import Claims, Stop
from pusher.store import Mark, Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, StartFault, User
from pusher.transports.memory.disk import key_of
from pusher.transports.port import Limits
from tests.unit.scheduler.flying import fly
from tests.unit.scheduler.harness import (
    ADMIN,
    EXE,
    LOCAL,
    SERVICE,
    Names,
    Watching,
    install_by_hand,
    make_account,
    make_host,
    make_job,
    make_package,
    program,
    push,
)

ADDRESS = "10.0.0.1"
MUTATING = {
    "put", "rename", "remove", "make_folder", "create_service", "configure_service", "start_service", "stop_service",
    "delete_service", "hold",
}  # fmt: skip


def push_once(host: MemoryHost, store: Store, *faults: Fault, **changes: Any) -> Outcome:
    return push_and_see(host, store, *faults, **changes)[0]


def push_and_see(host: MemoryHost, store: Store, *faults: Fault, **changes: Any) -> tuple[Outcome, MemoryTransport]:
    async def story() -> tuple[Outcome, MemoryTransport]:
        return await push(host, store, *faults, **changes)

    return fly(story())


def ended(outcome: Outcome) -> tuple[Status, str | None]:
    return outcome.status, outcome.code


# What an outcome holds


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
    assert [event.kind for event in store.events(outcome.run, host.name)] == ["identity", "signed-in"]
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
    assert planted not in repr(store.events(outcome.run, host.name))


# Reaching, and who answers


def test_where_a_name_leads(store: Store) -> None:
    async def story() -> None:
        job = make_job(store, MemoryTransport({}), resolver=Names({"ws01": "10.0.0.7"}))
        assert await resolve(job, Target(name="ws01")) == "10.0.0.7"
        assert await resolve(job, Target(name="ws01", address="10.0.0.8")) == "10.0.0.8"
        assert await resolve(job, Target(name="10.0.0.9")) == "10.0.0.9"
        assert await resolve(job, Target(name="2001:db8::1")) == "2001:db8::1"
        with pytest.raises(ProblemError) as caught:
            await resolve(job, Target(name="ws02"))
        assert caught.value.problem.code == "name-not-found"

    fly(story())


@pytest.mark.parametrize("code", ["port-closed", "timed-out", "dialect-unsupported"])
def test_a_machine_that_is_not_reached_is_asked_for_nothing(code: str, store: Store) -> None:
    host = make_host(refuses=code)
    outcome, transport = push_and_see(host, store)
    assert outcome.code == code
    assert outcome.stage is Stage.REACH
    assert (transport.calls, host.sign_ins, outcome.accounts_tried) == (["open"], [], ())


@pytest.mark.parametrize("code", ["connection-lost", "too-busy", "host-unreachable"])
def test_only_connecting_is_repeated(code: str, store: Store) -> None:
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
        job = make_job(store, MemoryTransport({}), **changes)
        return await attempt(job, Target(name="ws01", **target), ADDRESS, 1)

    assert fly(story()).code == "no-transport"


def test_the_wrong_machine_is_sent_nothing(store: Store) -> None:
    """Not a secret, not a user's name; and it is not kept out under its own name."""
    host = make_host()

    async def story() -> tuple[Outcome, Outcome, list[str]]:
        transport = MemoryTransport({ADDRESS: host})
        job = make_job(store, transport)
        wrong = await attempt(job, Target(name="meant.corp.example"), ADDRESS, 1)
        calls = list(transport.calls)
        return wrong, await attempt(job, Target(name=host.name), ADDRESS, 1), calls

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
        job = make_job(store, MemoryTransport({ADDRESS: host}))
        own = make_job(store, MemoryTransport({ADDRESS: host}), fallback=OWN_IDENTITY)
        return await attempt(job, Target(name="ws"), ADDRESS, 1), await attempt(own, Target(name="ws"), ADDRESS, 1)

    without, with_kerberos = fly(story())
    assert ended(without) == (Status.FAILED, "identity-unproven")
    assert ended(with_kerberos) == (Status.INSTALLED, None)
    assert with_kerberos.account == "own-identity"
    assert host.sign_ins == [""]


def test_two_names_of_one_machine_are_one_push(store: Store) -> None:
    host = make_host()
    label = host.name.partition(".")[0]

    async def story() -> list[Outcome]:
        job = make_job(store, MemoryTransport({ADDRESS: host, "10.0.0.2": host}))
        pushes = [attempt(job, Target(name=name), address, 1)
                  for name, address in [(host.name, ADDRESS), (label, "10.0.0.2")]]  # fmt: skip
        return await asyncio.gather(*pushes)

    first, second = fly(story())
    assert ended(first) == (Status.INSTALLED, None)
    assert ended(second) == (Status.SKIPPED, "duplicate")
    assert second.message is not None
    assert host.name in second.message
    assert host.sign_ins == [ADMIN]


def test_a_retry_is_no_duplicate_of_itself() -> None:
    claims = Claims()
    assert claims.claim("Machine guid", "ws01") is None
    assert claims.claim("machine GUID", "ws01") is None
    assert claims.claim("machine guid", "ws02") == "ws01"


# The ladder


def _three_accounts() -> tuple[MemoryHost, dict[str, Any]]:
    users = {
        "corp\\mistyped": User(password="other"),
        "corp\\clerk": User(password="right", administrator=False),
        ADMIN: User(password="right"),
    }
    names = ("mistyped", "clerk", "pushadm")
    return make_host(users=users), {"accounts": tuple(make_account(f"corp\\{name}", name) for name in names)}


def test_the_ladder_is_climbed_in_the_operators_order(store: Store) -> None:
    host, changes = _three_accounts()
    outcome, transport = push_and_see(host, store, **changes)
    assert ended(outcome) == (Status.INSTALLED, None)
    assert host.sign_ins == ["corp\\mistyped", "corp\\clerk", ADMIN]
    assert outcome.accounts_tried == (
        AccountTried(account="mistyped", code="wrong-password"),
        AccountTried(account="clerk", code="not-administrator"),
        AccountTried(account="pushadm", code=None),
    )
    assert outcome.account == "pushadm"
    assert transport.calls.count("open") == 3, "a fresh connection for each account"
    assert transport.calls.count("identify") == 3, "and who answers is asked on each"


def test_of_several_failures_the_one_that_came_furthest_is_told(store: Store) -> None:
    host, changes = _three_accounts()
    for accounts in (changes["accounts"][:2], tuple(reversed(changes["accounts"][:2]))):
        outcome = push_once(host, store, accounts=accounts)
        assert ended(outcome) == (Status.FAILED, "not-administrator")
        assert outcome.stage is Stage.RIGHTS


def test_the_machine_behind_the_name_may_change_between_two_accounts(store: Store) -> None:
    """Each account's connection proves anew who answers: the second one leads elsewhere, and gets nothing."""
    host, other = make_host(users={ADMIN: User(password="other")}), make_host()

    class Moving(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            if call == "sign_in":
                self.hosts = {ADDRESS: other}
            return super().due(call)

    async def story() -> Outcome:
        accounts = (make_account(), make_account("corp\\second", "second"))
        job = make_job(store, Moving({ADDRESS: host}), accounts=accounts)
        return await attempt(job, Target(name=host.name), ADDRESS, 1)

    assert fly(story()).code == "wrong-host"
    assert (host.sign_ins, other.sign_ins) == ([ADMIN], [])


def test_out_of_scope_is_not_tried(store: Store) -> None:
    host = make_host()
    accounts = (make_account(name="elsewhere", scope=("site:berlin",)), make_account())
    assert push_once(host, store, accounts=accounts).accounts_tried == (AccountTried(account="admin", code=None),)
    nobody = push_once(make_host(), store, accounts=accounts[:1])
    assert ended(nobody) == (Status.FAILED, "no-account")


@pytest.mark.parametrize(
    ("user", "code"),
    [
        (User(password="right", locked=True), "account-locked"),
        (User(password="right", disabled=True), "account-disabled"),
        (User(password="right", expired=True), "account-expired"),
        (User(password="right", must_change=True), "password-must-change"),
        (User(password="other"), "wrong-password"),
    ],
)
def test_what_is_wrong_with_a_domain_account_stops_it_everywhere(user: User, code: str, store: Store) -> None:
    hosts = [make_host(users={ADMIN: user}) for _ in range(2)]

    async def story() -> list[Outcome]:
        transport = MemoryTransport({f"10.0.0.{n}": host for n, host in enumerate(hosts)})
        job = make_job(store, transport)
        return [await attempt(job, Target(name=host.name), f"10.0.0.{n}", 1) for n, host in enumerate(hosts)]

    first, second = fly(story())
    assert ended(first) == (Status.FAILED, code)
    assert ended(second) == (Status.FAILED, "account-stopped")
    assert (len(hosts[0].sign_ins), len(hosts[1].sign_ins)) == (1, 0)


def test_a_local_account_is_judged_on_each_machine(store: Store) -> None:
    hosts = [make_host(users={"pushadm": User(password=password)}) for password in ("other", "right", "other")]

    async def story() -> list[Outcome]:
        transport = MemoryTransport({f"10.0.0.{n}": host for n, host in enumerate(hosts)})
        job = make_job(store, transport, accounts=(make_account(LOCAL),))
        return [await attempt(job, Target(name=host.name), f"10.0.0.{n}", 1) for n, host in enumerate(hosts)]

    outcomes = fly(story())
    assert [outcome.code for outcome in outcomes] == ["wrong-password", None, "wrong-password"]
    assert outcomes[0].next_move is NextMove.NEXT_ACCOUNT, "it is stopped nowhere else"
    assert [host.sign_ins for host in hosts] == [["pushadm"]] * 3


@pytest.mark.parametrize(
    ("moment", "code", "failures"), [(Moment.BEFORE, "connection-lost", 0), (Moment.AFTER, "sign-in-unknown", 1)]
)
def test_a_sign_in_without_a_verdict(moment: Moment, code: str, failures: int, store: Store) -> None:
    """Before the secret has left it costs nothing; after that it counts as a failure, and is not repeated."""
    host, guard = make_host(), LockoutGuard(LockoutPolicy(threshold=10, reserve=2))
    fault = Fault(how=How.DROP, call="sign_in", moment=moment)
    outcome, transport = push_and_see(host, store, fault, guard=guard)
    assert outcome.code == code
    assert transport.calls.count("sign_in") == 1
    budget = guard.budget(account_key(make_account(), host.name))
    assert (budget.failures, budget.in_flight) == (failures, 0)


@pytest.mark.parametrize("code", ["kerberos-failed", "wrong-password", "timed-out", "account-disabled"])
@pytest.mark.parametrize("own", [False, True])
def test_a_ticket_that_is_refused_costs_nothing(own: bool, code: str, store: Store) -> None:
    """The host saw no password, and what it says of the account holds there only."""
    host, guard = make_host(), LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
    host.users = {"": User(password=None), "svc@corp.example": User(password="right")}
    account = make_account("svc@corp.example", protocol=Protocol.KERBEROS)
    changes: dict[str, Any] = {"accounts": (), "fallback": OWN_IDENTITY} if own else {"accounts": (account,)}
    fault = Fault(how=How.FAIL, call="sign_in", moment=Moment.AFTER, code=code)
    outcome = push_once(host, store, fault, guard=guard, **changes)
    assert outcome.code == ("ticket-refused" if code == "wrong-password" else code)
    assert outcome.next_move is not NextMove.STOP_ACCOUNT
    budget = guard.budget(account_key(OWN_IDENTITY if own else account, host.name))
    assert (budget.failures, budget.in_flight, budget.stopped_by) == (0, 0, None)


def test_a_host_gets_a_ticket_and_never_the_password(store: Store) -> None:
    class Host(MemoryHost):
        def admit(self, credential: Credential) -> User:
            seen.append(credential)
            return super().admit(credential)

    seen: list[Credential] = []
    host = Host(users={"svc@corp.example": User(password="right")})
    account = make_account("svc@corp.example", protocol=Protocol.KERBEROS)
    assert ended(push_once(host, store, accounts=(account,))) == (Status.INSTALLED, None)
    (credential,) = seen
    assert credential.secret is None
    assert (credential.ccache or "").startswith("MEMORY:")


def test_a_host_that_refuses_a_ticket_stops_no_account(store: Store) -> None:
    """It never sees a password: its key is old, or it is not the machine that was meant."""
    hosts = [make_host(users={"": User(password=None)}) for _ in range(2)]
    hosts[0].old_key = True

    async def story() -> list[Outcome]:
        transport = MemoryTransport({f"10.0.0.{n}": host for n, host in enumerate(hosts)})
        job = make_job(store, transport, accounts=(), fallback=OWN_IDENTITY)
        return [await attempt(job, Target(name=host.name), f"10.0.0.{n}", 1) for n, host in enumerate(hosts)]

    assert [outcome.code for outcome in fly(story())] == ["ticket-refused", None]


def test_the_budget_is_asked_before_the_secret_leaves(store: Store) -> None:
    host = make_host()
    outcome = push_once(host, store, guard=LockoutGuard(LockoutPolicy(threshold=2, reserve=2)))
    assert ended(outcome) == (Status.FAILED, "lockout-budget-spent")
    assert host.sign_ins == []


# Rights


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.CHECK, Verb.REMOVE])
def test_a_domain_controller_is_asked_no_further(verb: Verb, store: Store) -> None:
    host = make_host(is_domain_controller=True)
    outcome, transport = push_and_see(host, store, verb=verb)
    assert ended(outcome) == (Status.SKIPPED, "domain-controller-refused")
    assert transport.calls[-1] == "is_domain_controller"
    assert [check.result for check in outcome.checks] == [CheckResult.FAIL]

    async def allowed(account: Account) -> Outcome:
        job = make_job(store, MemoryTransport({ADDRESS: host}), accounts=(account,))
        return await attempt(job, Target(name=host.name, domain_controller_allowed=True), ADDRESS, 1)

    assert ended(fly(allowed(make_account()))) == (Status.SKIPPED, "domain-controller-account")
    assert ended(fly(allowed(make_account(domain_controllers=True)))) == (Status.INSTALLED, None)


def test_an_account_of_another_tier_is_sent_nowhere_near(store: Store) -> None:
    host = make_host()

    async def story(target: Target, *accounts: Account) -> tuple[Outcome, list[str]]:
        transport = MemoryTransport({ADDRESS: host})
        return await attempt(make_job(store, transport, accounts=accounts), target, ADDRESS, 1), transport.calls

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
    changes: dict[str, Any], package: dict[str, Any], code: str, store: Store
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
    outcome = push_once(make_host(), store, Fault(how=How.FAIL, call="hold", code="path-not-found"))
    assert ended(outcome) == (Status.INSTALLED, None)


def test_two_pushers_on_one_host_are_one_install(store: Store) -> None:
    host = make_host(latency=0.01)

    async def story() -> list[Outcome]:
        jobs = [make_job(store, MemoryTransport({ADDRESS: host})) for _ in range(2)]
        return await asyncio.gather(*(attempt(job, Target(name=host.name), ADDRESS, 1) for job in jobs))

    outcomes = fly(story())
    assert sorted(str(outcome.code) for outcome in outcomes) == ["None", "push-in-progress"]
    assert host.calls["create_service"] == 1


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
    return [Fault(how=How.FAIL, call="open", number=number, code="host-unreachable") for number in (2, 3)]


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
        return await attempt(make_job(store, Damaging({ADDRESS: host})), Target(name=host.name), ADDRESS, 1)

    assert ended(fly(story())) == (Status.FAILED, "copy-mismatch")
    assert host.disk.snapshot() == make_host().disk.snapshot()


def test_a_lost_connection_is_undone_on_a_new_one_by_the_same_account(store: Store) -> None:
    host, changes = _three_accounts()
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
    faults = [Fault(how=How.FAIL, call=call, code="access-denied") for call in ("create_service", "delete_service")]
    outcome = push_once(host, store, *faults)
    assert outcome.code == "access-denied"
    assert outcome.message is not None
    assert "still on the host (access-denied)" in outcome.message
    assert host.disk.snapshot() == make_host().disk.snapshot(), "the files are gone all the same"
    (journal,) = store.open_journals(host.name, SERVICE)
    assert {step.step for step in journal.steps if step.mark is Mark.UNDONE} == {"stage", "place"}


@pytest.mark.parametrize("code", ["tampered", "protocol-error", "timed-out"])
def test_nothing_more_is_asked_on_a_connection_that_cannot_be_trusted(code: str, store: Store) -> None:
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
        return await attempt(make_job(store, transport, guard=guard), Target(name=host.name), ADDRESS, 1)

    outcome = fly(story())
    assert outcome.code == "connection-lost"
    assert outcome.message is not None
    assert "account-stopped" in outcome.message
    assert len(host.sign_ins) == 1


# Being stopped


class Acting(MemoryTransport):
    """Does something when the n-th call is made."""

    def __init__(self, host: MemoryHost, number: int, act: Callable[[], object], *faults: Fault) -> None:
        super().__init__({ADDRESS: host}, *faults)
        self._number, self._act = number, act

    def due(self, call: str) -> Fault | None:
        if len(self.calls) + 1 == self._number:
            self._act()
        return super().due(call)


def _upgradable() -> MemoryHost:
    host = make_host()
    files = {EXE: program("1.3.0")}
    install_by_hand(host, make_package("1.3.0", files), files)
    return host


def _tidy(host: MemoryHost) -> dict[str, Any]:
    """Without empty folders of our own, which stay where the connection was lost between two calls."""
    seen = host.snapshot()
    ours = re.compile(r"windows\\pusher(-check)?")
    return {**seen, "disk": {path: data for path, data in seen["disk"].items() if not ours.fullmatch(path)}}


@pytest.mark.parametrize("lost", [False, True], ids=["cancelled", "cancelled-and-cut-off"])
@pytest.mark.parametrize("code", ["cancelled", "failure-limit"])
def test_a_cancelled_push_ends_at_its_next_step_and_leaves_the_host_as_it_was(
    code: str, lost: bool, store: Store
) -> None:
    async def story() -> set[Status]:
        _, transport = await push(_upgradable(), store)
        ends = set()
        for number in range(1, len(transport.calls) + 1):
            host, stop = _upgradable(), Stop()
            before = _tidy(host)
            faults = [Fault(how=How.DROP, number=number + 1)] if lost else []
            cancelling = Acting(host, number, lambda stop=stop: stop.cancel(code), *faults)  # type: ignore[misc]
            outcome = await attempt(make_job(store, cancelling, stop=stop), Target(name=host.name), ADDRESS, 1)
            ends.add(outcome.status)
            if outcome.status.is_success:
                assert host.read(f"Windows\\{EXE}") == program("1.4.2"), number
            else:
                assert _tidy(host) == before, (number, cancelling.calls[number - 1], outcome.message)
                assert not store.open_journals(host.name, SERVICE), number
                assert outcome.code in (code, "connection-lost"), number
        return ends

    ends = fly(story())
    assert Status.UPGRADED in ends, "past the point of no return it is a success"
    assert Status.CANCELLED in ends


def test_who_waited_for_leave_signs_in_no_more_once_the_push_is_cancelled(store: Store) -> None:
    async def story() -> tuple[Outcome, int]:
        host, stop, account, watching = make_host(), Stop(), make_account(), Watching()
        one_at_a_time = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
        transport = MemoryTransport({ADDRESS: host})
        job = make_job(store, transport, accounts=(account,), stop=stop, guard=one_at_a_time, watcher=watching)
        key = account_key(account, host.name)
        async with job.guard.leave(key) as other:
            waiting = asyncio.create_task(attempt(job, Target(name=host.name), ADDRESS, 1))
            while (host.name, Stage.SIGN_IN) not in watching.stages:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            stop.cancel()
            other.settle(Result.OK)
        outcome = await waiting
        assert host.sign_ins == []
        return outcome, job.guard.budget(key).failures

    outcome, failures = fly(story())
    assert ended(outcome) == (Status.CANCELLED, "cancelled")
    assert failures == 0, "nothing was sent"


def test_a_push_that_is_as_good_as_done_is_not_cancelled(store: Store) -> None:
    """The last look at the new service was a good one: what is left is to remove the old files."""

    async def story() -> Outcome:
        _, transport = await push(_upgradable(), store)
        calls = [call for call in transport.calls if not call.startswith("store:")]
        last = max(number for number, call in enumerate(calls, start=1) if call == "service_status")
        host, stop = _upgradable(), Stop()
        cancelling = Acting(host, last, stop.cancel)
        return await attempt(make_job(store, cancelling, stop=stop), Target(name=host.name), ADDRESS, 1)

    assert ended(fly(story())) == (Status.UPGRADED, None)


def test_a_push_past_its_deadline_leaves_the_host_as_it_was(store: Store) -> None:
    async def story() -> list[str | None]:
        codes = []
        for deadline in range(0, 60, 4):
            host = _upgradable()
            host.latency = 1.0
            before = _tidy(host)
            outcome, _ = await push(host, store, deadline=float(deadline))
            codes.append(outcome.code)
            if not outcome.status.is_success:
                assert outcome.code == "deadline"
                assert _tidy(host) == before, deadline
        return codes

    codes = fly(story())
    assert codes[0] == "deadline"
    assert codes[-1] is None


def test_a_host_that_stalls_past_all_limits_is_given_up(store: Store) -> None:
    """A service whose checkpoint moves for ever is no failure to the watch; the deadline is the end of it."""
    host = make_host(latency=700.0)
    outcome = push_once(host, store, deadline=600.0, limits=Limits(call=10_000))
    assert outcome.code == "deadline"


@pytest.mark.parametrize("call", sorted(MUTATING - {"delete_service", "configure_service"}))
def test_a_push_stopped_at_once_is_undone_by_the_next(call: str, store: Store) -> None:
    """The second interrupt: the task is cancelled in the middle of a call."""

    class Cutting(MemoryTransport):
        task: asyncio.Task[Outcome]

        def due(self, name: str) -> Fault | None:
            if name == call:
                self.task.cancel()
            return super().due(name)

    async def story() -> None:
        host = make_host() if call == "create_service" else _upgradable()
        cutting = Cutting({ADDRESS: host})
        task = asyncio.create_task(attempt(make_job(store, cutting), Target(name=host.name), ADDRESS, 1))
        cutting.task = task
        with pytest.raises(asyncio.CancelledError):
            await task
        assert host.read("Windows\\pusher\\LabAgent.lock") is None
        again, _ = await push(host, store)
        assert again.status in (Status.UPGRADED, Status.INSTALLED)
        assert host.read(f"Windows\\{EXE}") == program("1.4.2")
        assert not [path for path in host.disk.snapshot() if "pusher" in path]

    fly(story())


# Check and remove


@pytest.mark.parametrize("with_package", [True, False])
def test_a_check_leaves_no_trace(with_package: bool, store: Store) -> None:
    async def story() -> Outcome:
        host = _upgradable()
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
        host = _upgradable()
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
