"""One target's story: the account selection of accounts, what a failed sign-in costs, and tickets."""

from __future__ import annotations

from typing import Any

import pytest

from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import AccountTried, Credential, NextMove, Outcome, Protocol, Stage, Status, Target
from pusher.problems import Code
from pusher.push.attempt import attempt
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, User
from tests.unit.push.flying import fly
from tests.unit.push.harness import ADMIN, LOCAL, make_account, make_context, make_host
from tests.unit.push.stories import ADDRESS, ended, push_and_see, push_once, three_accounts


def test_the_ladder_is_climbed_in_the_operators_order(store: Store) -> None:
    host, changes = three_accounts()
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
    host, changes = three_accounts()
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
        context = make_context(store, Moving({ADDRESS: host}), accounts=accounts)
        return await attempt(context, Target(name=host.name), ADDRESS, 1)

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
def test_what_is_wrong_with_a_domain_account_stops_it_everywhere(user: User, code: Code, store: Store) -> None:
    hosts = [make_host(users={ADMIN: user}) for _ in range(2)]

    async def story() -> list[Outcome]:
        transport = MemoryTransport({f"10.0.0.{n}": host for n, host in enumerate(hosts)})
        context = make_context(store, transport)
        return [await attempt(context, Target(name=host.name), f"10.0.0.{n}", 1) for n, host in enumerate(hosts)]

    first, second = fly(story())
    assert ended(first) == (Status.FAILED, code)
    assert ended(second) == (Status.FAILED, "account-stopped")
    assert (len(hosts[0].sign_ins), len(hosts[1].sign_ins)) == (1, 0)


def test_a_local_account_is_judged_on_each_machine(store: Store) -> None:
    hosts = [make_host(users={"pushadm": User(password=password)}) for password in ("other", "right", "other")]

    async def story() -> list[Outcome]:
        transport = MemoryTransport({f"10.0.0.{n}": host for n, host in enumerate(hosts)})
        context = make_context(store, transport, accounts=(make_account(LOCAL),))
        return [await attempt(context, Target(name=host.name), f"10.0.0.{n}", 1) for n, host in enumerate(hosts)]

    outcomes = fly(story())
    assert [outcome.code for outcome in outcomes] == ["wrong-password", None, "wrong-password"]
    assert outcomes[0].next_move is NextMove.NEXT_ACCOUNT, "it is stopped nowhere else"
    assert [host.sign_ins for host in hosts] == [["pushadm"]] * 3


@pytest.mark.parametrize(
    ("moment", "code", "failures"), [(Moment.BEFORE, "connection-lost", 0), (Moment.AFTER, "sign-in-unknown", 1)]
)
def test_a_sign_in_without_a_verdict(moment: Moment, code: Code, failures: int, store: Store) -> None:
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
def test_a_ticket_that_is_refused_costs_nothing(own: bool, code: Code, store: Store) -> None:
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
        context = make_context(store, transport, accounts=(), fallback=OWN_IDENTITY)
        return [await attempt(context, Target(name=host.name), f"10.0.0.{n}", 1) for n, host in enumerate(hosts)]

    assert [outcome.code for outcome in fly(story())] == ["ticket-refused", None]


def test_the_budget_is_asked_before_the_secret_leaves(store: Store) -> None:
    host = make_host()
    outcome = push_once(host, store, guard=LockoutGuard(LockoutPolicy(threshold=2, reserve=2)))
    assert ended(outcome) == (Status.FAILED, "lockout-budget-spent")
    assert host.sign_ins == []
