"""An installer that is run as an account of the accounts file: its password, its right, and what is left of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pusher.clock import utc_now
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.ledger import MemoryLedger
from pusher.models import LOGON_RIGHT, InstallerKind, Outcome, Package, Secret, Status, Verb
from pusher.problems import Code
from pusher.push.context import Stop
from pusher.store import Store
from pusher.transports import by_service
from pusher.transports.memory import Fault, How, Moment, Ran
from pusher.transports.memory.wire import Killed
from tests.unit.install.test_installing import UNINSTALL, Windows, left_behind, make_package, verdict, windows
from tests.unit.install.test_installing import push as push_any
from tests.unit.push.flying import fly
from tests.unit.push.harness import SERVICE_ACCOUNT, know_service_account, make_account

PASSWORD = "Kx7-never-to-be-seen"
RUNNER = make_account(SERVICE_ACCOUNT, "installs")
SEEN = frozenset({"SeBatchLogonRight"})
"""What the account has of its own, and keeps."""


class Watched(Windows):
    """A machine that keeps who ran its commands, and who might log on as a service meanwhile."""

    def execute(self, command: str) -> Ran:
        config, _ = self.host.services.snapshot(self.host.now())[by_service.NAME.lower()]
        self.ran_as.append((config.account, LOGON_RIGHT in self.host.rights[SERVICE_ACCOUNT]))
        return super().execute(command)

    ran_as: list[tuple[str, bool]]


def machine(*rights: str, **changes: Any) -> Watched:
    made = Watched(windows().host, **changes)
    made.ran_as, made.host.execute = [], made.execute
    know_service_account(made.host, *SEEN, *rights)
    made.host.passwords[SERVICE_ACCOUNT] = PASSWORD
    return made


def package(kind: InstallerKind = InstallerKind.MSI, **changes: Any) -> Package:
    return make_package(kind, run_as="installs", **changes)


async def push(
    on: Windows, store: Store, *faults: Fault, password: str = PASSWORD, **changes: Any
) -> tuple[Outcome, list[str], dict[str, list[str]]]:
    changes.setdefault("package", package())
    secrets = {"admin": Secret("right"), "installs": Secret(password)}
    return await push_any(on, store, *faults, **{"run_account": RUNNER, "secrets": secrets, **changes})


def own_rights(on: Windows) -> frozenset[str]:
    return on.host.rights[SERVICE_ACCOUNT]


@pytest.mark.parametrize("kind", list(InstallerKind))
def test_the_right_lasts_as_long_as_the_run(kind: InstallerKind, store: Store) -> None:
    async def story() -> None:
        on = machine()
        outcome, _, events = await push(on, store, package=package(kind))
        assert verdict(outcome) == (Status.INSTALLED, None), outcome.message
        assert events["right-granted"] == [f"{LOGON_RIGHT} to {SERVICE_ACCOUNT}"]
        assert events["right-revoked"] == [f"{LOGON_RIGHT} of {SERVICE_ACCOUNT}"]
        assert own_rights(on) == SEEN
        again, calls, _ = await push(on, store, package=package(kind))
        assert verdict(again) == (Status.UNCHANGED, None) and "grant_right" not in calls
        removed, _, _ = await push(on, store, package=package(kind), verb=Verb.REMOVE)
        assert verdict(removed) == (Status.REMOVED, None), removed.message
        assert own_rights(on) == SEEN and left_behind(on) == []
        assert on.ran_as == [(SERVICE_ACCOUNT, True)] * 2
        # An ordinary user cannot write where Windows Installer's log would be.
        assert not [command for command in on.commands if "/L*V" in command]
        assert not store.open_journals(on.host.name, package().key)

    fly(story())


@pytest.mark.parametrize("by_group", [False, True])
def test_a_right_that_was_there_stays(by_group: bool, store: Store) -> None:
    async def story() -> None:
        on = machine(*([] if by_group else [LOGON_RIGHT]))
        if by_group:
            on.host.group_rights["Agents"] = frozenset({LOGON_RIGHT})
        had = own_rights(on)
        outcome, calls, _ = await push(on, store)
        assert verdict(outcome) == (Status.INSTALLED, None), outcome.message
        removed, more, _ = await push(on, store, verb=Verb.REMOVE)
        assert removed.status is Status.REMOVED and own_rights(on) == had
        assert not {"grant_right", "revoke_right"} & {*calls, *more}

    fly(story())


@pytest.mark.parametrize("code", [1603, 1618])
def test_an_installer_that_fails_leaves_no_right(code: int, store: Store) -> None:
    async def story() -> None:
        on = machine(code=code)
        outcome, _, _ = await push(on, store)
        assert outcome.status is Status.FAILED and on.ran_as == [(SERVICE_ACCOUNT, True)]
        assert own_rights(on) == SEEN and left_behind(on) == []
        on.install()
        outcome, _, _ = await push(on, store, verb=Verb.REMOVE)
        assert outcome.status is Status.FAILED and own_rights(on) == SEEN and left_behind(on) == []
        assert not store.open_journals(on.host.name, package().key)

    fly(story())


def test_a_cancelled_push_leaves_no_right(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        on, stop = machine(), Stop()
        given = on.host.change_right

        def change(right: str, account: str, gives: bool) -> None:
            given(right, account, gives)
            stop.cancel()

        monkeypatch.setattr(on.host, "change_right", change)
        outcome, calls, _ = await push(on, store, stop=stop)
        assert verdict(outcome) == (Status.CANCELLED, "cancelled") and "grant_right" in calls
        assert on.commands == [] and own_rights(on) == SEEN and left_behind(on) == []

    fly(story())


def test_a_wrong_password_is_told_and_tried_no_oftener_than_the_budget_allows(store: Store) -> None:
    async def story() -> None:
        ledger = MemoryLedger()
        guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), ledger)
        first, second = machine(), machine()
        outcome, calls, _ = await push(first, store, password="mistyped", guard=guard)
        assert (*verdict(outcome), outcome.stage) == (Status.FAILED, "service-account-invalid", "start")
        assert calls.count("start_service") == 1
        assert guard.budget(account_key(RUNNER, "")).failures == 1
        # In this run the account is stopped; in the next one, which may have another password, its budget is spent.
        next_run = LockoutGuard(guard.policy, ledger, run="next")
        for of, code in ((guard, "account-stopped"), (next_run, "lockout-budget-spent")):
            outcome, calls, _ = await push(second, store, password="mistyped", guard=of)
            assert verdict(outcome) == (Status.FAILED, code) and calls == [], "no machine is touched"
            assert f"of {SERVICE_ACCOUNT}, which the installer is to run as: " in (outcome.message or "")
        for on in (first, second):
            assert on.commands == [] and own_rights(on) == SEEN and left_behind(on) == []

    fly(story())


def test_an_account_that_its_domain_controller_can_prove(store: Store) -> None:
    async def story() -> None:
        guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
        kerberos = MemoryKerberos(utc_now, {"svc-agent@CORP.EXAMPLE": PASSWORD})
        changes: dict[str, Any] = {
            "guard": guard,
            "kerberos": kerberos,
            "run_account": make_account(SERVICE_ACCOUNT, "installs", realm="CORP.EXAMPLE"),
        }
        on = machine()
        # A machine that refuses what its domain has just accepted has a reason of its own: a policy, for one.
        on.host.passwords[SERVICE_ACCOUNT] = "another"
        outcome, _, _ = await push(on, store, **changes)
        assert verdict(outcome) == (Status.FAILED, "service-account-invalid") and own_rights(on) == SEEN
        assert guard.budget(account_key(changes["run_account"], "")).failures == 0
        outcome, _, _ = await push(machine(), store, **changes)
        assert verdict(outcome) == (Status.INSTALLED, None), outcome.message
        # A wrong one costs one failure there, and no machine is asked.
        outcome, calls, _ = await push(machine(), store, password="mistyped", **changes)
        assert verdict(outcome) == (Status.FAILED, "wrong-password") and calls == []
        assert guard.budget(account_key(changes["run_account"], "")).failures == 1

    fly(story())


def test_an_account_that_works_costs_the_budget_nothing(store: Store) -> None:
    async def story() -> None:
        guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
        for code in (0, 1603, 0):
            await push(machine(code=code), store, guard=guard)
        assert guard.budget(account_key(RUNNER, "")).failures == 0

    fly(story())


def test_a_password_is_sent_to_no_session_that_does_not_encrypt(store: Store) -> None:
    async def story() -> None:
        on = machine()
        on.host.encrypts = False
        outcome, calls, _ = await push(on, store)
        assert verdict(outcome) == (Status.FAILED, "session-not-encrypted") and "start_service" not in calls
        assert own_rights(on) == SEEN and left_behind(on) == []

    fly(story())


@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.REMOVE])
def test_where_rights_cannot_be_read_nothing_is_copied_or_run(verb: Verb, store: Store) -> None:
    async def story() -> None:
        on = machine()
        if verb is Verb.REMOVE:
            on.install()
        unreadable = [Fault(how=How.FAIL, call="holders_of", number=n, code=Code.RIGHTS_UNREADABLE) for n in (1, 2)]
        outcome, calls, _ = await push(on, store, *unreadable, verb=verb)
        assert verdict(outcome) == (Status.FAILED, "rights-unreadable")
        assert not {"put", "grant_right", "create_service"} & set(calls) and on.commands == []

    fly(story())


def test_where_the_account_never_goes_nothing_is_contacted(store: Store) -> None:
    async def story() -> None:
        for account in (
            make_account(SERVICE_ACCOUNT, "installs", never=("ws*",)),
            make_account(SERVICE_ACCOUNT, "installs", scope=("site:elsewhere",)),
        ):
            for verb in (Verb.PUSH, Verb.CHECK):
                outcome, calls, _ = await push(machine(), store, run_account=account, verb=verb)
                assert verdict(outcome) == (Status.FAILED, "no-account") and calls == []
                assert "the installer is to run as installs" in (outcome.message or "")

    fly(story())


def test_on_a_domain_controller_nothing_is_run_as_anybody(store: Store) -> None:
    async def story() -> None:
        on = machine()
        on.host.is_domain_controller = True
        outcome, calls, _ = await push(on, store, accounts=(make_account(domain_controllers=True),))
        assert outcome.code == "domain-controller-refused"
        assert "put" not in calls and own_rights(on) == SEEN

    fly(story())


def test_the_check_tells_of_the_right(store: Store) -> None:
    async def evidence(on: Watched) -> str:
        outcome, _, _ = await push(on, store, verb=Verb.CHECK, secrets={"admin": Secret("right")})
        assert outcome.status is Status.READY, outcome.message
        (check,) = (c for c in outcome.checks if c.check == "log-on-as-service")
        return check.evidence

    async def story() -> None:
        assert await evidence(machine()) == (
            f"{SERVICE_ACCOUNT} lacks {LOGON_RIGHT}, and is given it while the installer runs"
        )
        assert await evidence(machine(LOGON_RIGHT)) == f"{SERVICE_ACCOUNT} holds {LOGON_RIGHT} by itself"

    fly(story())


def test_the_password_is_in_no_record(store: Store) -> None:
    async def story() -> None:
        on = machine()
        outcome, _, events = await push(on, store)
        assert outcome.status is Status.INSTALLED
        journals = store.closed_journals(on.host.name, package().key, "committed")
        assert [journal.before["granted"] for journal in journals] == [SERVICE_ACCOUNT]
        said = json.dumps([dict(journal.before) for journal in journals]) + repr(outcome) + repr(events)
        assert PASSWORD not in said + "".join(on.commands)
        assert store.path is not None
        for file in Path(store.path).parent.iterdir():
            assert PASSWORD.encode() not in file.read_bytes()

    fly(story())


def test_the_right_goes_while_a_killed_pushs_installer_is_still_at_work(store: Store) -> None:
    async def story() -> None:
        on = machine(seconds=1e6)
        with pytest.raises(Killed):
            await push(on, store, Fault(how=How.DIE, call="service_status", number=4), package=package(timeout=1e7))
        assert own_rights(on) == SEEN | {LOGON_RIGHT}
        outcome, _, _ = await push(on, store, package=package(timeout=60.0))
        assert verdict(outcome) == (Status.FAILED, "installer-busy") and own_rights(on) == SEEN
        # Given by an administrator since: that is not this pusher's to take.
        know_service_account(on.host, *SEEN, LOGON_RIGHT)
        await push(on, store, package=package(timeout=60.0))
        assert own_rights(on) == SEEN | {LOGON_RIGHT} and len(on.commands) == 1

    fly(story())


def _faults(calls: list[str], how: How) -> Iterator[Fault]:
    """At each call from the lock on, before and after its effect."""
    for number in range(calls.index("hold") + 2, len(calls) + 1):
        for moment in [Moment.AFTER] if how is How.DIE else [Moment.BEFORE, Moment.AFTER]:
            if how is How.DIE or not calls[number - 1].startswith("store:"):
                yield Fault(how=how, number=number, moment=moment)


@pytest.mark.thorough
@pytest.mark.parametrize("verb", [Verb.PUSH, Verb.REMOVE])
@pytest.mark.parametrize("how", [How.FAIL, How.DROP, How.DIE])
def test_whatever_goes_wrong_the_next_push_leaves_no_right_behind(how: How, verb: Verb, store: Store) -> None:
    def before() -> Watched:
        on = machine()
        if verb is Verb.REMOVE:
            on.install()
        return on

    async def story() -> list[str]:
        _, calls, _ = await push(before(), store, verb=verb)
        assert "grant_right" in calls and "revoke_right" in calls
        wrong = []
        for fault in _faults(calls, how):
            on, said = before(), "killed"
            try:
                outcome, _, _ = await push(on, store, fault, verb=verb)
                said = f"{verdict(outcome)}"
                left_open = store.open_journals(on.host.name, package().key)
                if own_rights(on) != SEEN and not left_open:
                    wrong.append(f"{fault}: {said}, the right is there and no journal tells")
                if how is How.FAIL and fault.moment is Moment.BEFORE and own_rights(on) != SEEN:
                    wrong.append(f"{fault}: {said}, the right is there")
            except Killed:
                pass
            again, _, _ = await push(on, store, verb=verb)
            at = f"{fault.moment.name} call {fault.number} ({calls[fault.number - 1]}), {said}, then {verdict(again)}"
            installed = (UNINSTALL, "displayversion") in on.host.values
            if not again.status.is_success or installed != (verb is Verb.PUSH) or left_behind(on):
                wrong.append(f"{at}: {again.message}, {left_behind(on)}")
            if own_rights(on) != SEEN or store.open_journals(on.host.name, package().key):
                wrong.append(f"{at}: {sorted(own_rights(on))}, or a journal is open")
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)
