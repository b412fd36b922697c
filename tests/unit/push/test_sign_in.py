"""Signing in over a whole run: what each protocol costs an account, and what it tells about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pusher.clock import utc_now
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import Account, NextMove, Outcome, Protocol, Secret, Target
from pusher.problems import Code, ProblemError, problem
from pusher.push.attempt import attempt
from pusher.scheduler.admission import Caps
from pusher.store import Store
from pusher.transports.memory import MemoryHost, MemoryTransport, User
from tests.unit.push.flying import fly
from tests.unit.push.harness import make_account, make_context, make_host
from tests.unit.push.test_dispatcher import Estate, run

USER, PRINCIPAL = "svc@corp.example", "svc@CORP.EXAMPLE"
KERBEROS = make_account(USER, name="svc", protocol=Protocol.KERBEROS)
NTLM = make_account("corp.example\\svc", name="svc-ntlm")
LAPS = Account(name="laps", user=".\\Administrator", secret="laps:", protocol=Protocol.NTLM)
ADDRESS = "10.0.0.1"


def hosts(count: int, **changes: Any) -> list[MemoryHost]:
    users = {USER: "right", "corp.example\\svc": "right"}
    return [make_host(users={n: User(password=p) for n, p in users.items()}, **changes) for _ in range(count)]


def guard() -> LockoutGuard:
    return LockoutGuard(LockoutPolicy(threshold=3, reserve=2))


@pytest.mark.parametrize("account", [KERBEROS, NTLM])
def test_fifty_hosts_and_a_wrong_password_are_one_as_req(account: Account, store: Store) -> None:
    kerberos, held = MemoryKerberos(utc_now, {PRINCIPAL: "another"}, latency=0.5), guard()
    codes, estate = run(
        lambda: Estate(
            store, hosts(50), accounts=(account,), kerberos=kerberos, guard=held, caps=Caps(total=20, subnet=0)
        )
    )
    assert codes == {"wrong-password": 1, "account-stopped": 49}
    assert kerberos.asked == [PRINCIPAL]
    assert all(host.sign_ins == [] for host in estate.hosts), "no host was asked"
    assert all(outcome.remedy for outcome in estate.reported)
    budget = held.budget(account_key(account, ""))
    assert (budget.failures, budget.stopped_by) == (1, "wrong-password")


@pytest.mark.thorough
def test_fifty_hosts_and_a_right_password_are_one_as_req(store: Store) -> None:
    """The budget leaves one password on its way at a time; a ticket needs no lease."""
    kerberos = MemoryKerberos(utc_now, {PRINCIPAL: "right"}, latency=0.5)
    codes, estate = run(
        lambda: Estate(
            store, hosts(50), accounts=(KERBEROS,), kerberos=kerberos, guard=guard(), caps=Caps(total=20, subnet=0)
        )
    )
    assert codes == {"ok": 50}
    assert kerberos.asked == [PRINCIPAL]
    assert all(host.sign_ins == [USER] for host in estate.hosts)


def test_the_next_account_takes_over_from_one_that_is_not_replicated_yet(store: Store) -> None:
    """Rotation: the new account stands first, and the directory does not know it yet."""
    new = make_account("svc2@corp.example", name="new", protocol=Protocol.KERBEROS)
    kerberos = MemoryKerberos(utc_now, {PRINCIPAL: "right"})
    codes, estate = run(lambda: Estate(store, hosts(10), accounts=(new, KERBEROS), kerberos=kerberos))
    assert codes == {"ok": 10}
    assert {outcome.account for outcome in estate.reported} == {"svc"}
    tried = Counter(outcome.accounts_tried[0].code for outcome in estate.reported)
    assert tried == {"no-such-account": 1, "account-stopped": 9}


def test_where_no_domain_controller_answers_ntlm_goes_on_within_the_budget(store: Store) -> None:
    kerberos, held = MemoryKerberos(utc_now, {PRINCIPAL: "right"}), guard()
    kerberos.unreachable = True
    codes, _ = run(lambda: Estate(store, hosts(5), accounts=(NTLM,), kerberos=kerberos, guard=held))
    assert codes == {"ok": 5}
    codes, estate = run(lambda: Estate(store, hosts(5), accounts=(KERBEROS,), kerberos=kerberos, guard=held))
    assert codes == {"no-logon-servers": 5}
    assert all(host.sign_ins == [] for host in estate.hosts)
    assert held.budget(account_key(KERBEROS, "")).failures == 0


def test_a_host_with_an_old_key_stops_nobody_else(store: Store) -> None:
    estate_hosts = [*hosts(1, old_key=True), *hosts(5)]
    codes, estate = run(lambda: Estate(store, estate_hosts, accounts=(KERBEROS,)))
    assert codes == {"ticket-refused": 1, "ok": 5}
    (refused,) = (outcome for outcome in estate.reported if outcome.code)
    assert refused.next_move is NextMove.NEXT_ACCOUNT
    assert "NTSTATUS 0xC000006D" in (refused.message or "")


# LAPS


class Passwords:
    """Secrets of each machine's own."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known
        self.asked: list[str] = []

    async def secret_for(self, account: Account, target: Target) -> Secret:
        self.asked.append(target.name)
        if target.name not in self.known:
            raise ProblemError(problem(Code.LAPS_NO_RIGHT, detail=target.name))
        return Secret(self.known[target.name])


def with_laps(count: int) -> list[MemoryHost]:
    return [make_host(users={"administrator": User(password=f"own-{n}")}) for n in range(count)]


def test_each_machine_gets_its_own_password(store: Store) -> None:
    machines = with_laps(5)
    known = {host.name: f"own-{n}" for n, host in enumerate(machines[:4])}
    codes, estate = run(
        lambda: Estate(store, machines, accounts=(LAPS,), secrets={}, per_host=Passwords(known), guard=guard())
    )
    assert codes == {"ok": 4, "laps-no-right": 1}
    assert machines[4].sign_ins == []
    assert {outcome.account for outcome in estate.reported} == {"laps"}


def test_a_laps_password_is_tried_once_on_its_machine(store: Store) -> None:
    """Also by the attempts that come after, and with budget left."""
    (host, other) = with_laps(2)
    held = LockoutGuard(LockoutPolicy(threshold=100, reserve=2))

    async def story() -> list[Outcome]:
        provider = Passwords({host.name: "wrong", other.name: "own-1"})
        context = make_context(store, MemoryTransport({ADDRESS: host, "10.0.0.2": other}), accounts=(LAPS,), secrets={},
                       per_host=provider, guard=held)  # fmt: skip
        attempts = [(host, ADDRESS, 1), (host, ADDRESS, 2), (other, "10.0.0.2", 1)]
        return [await attempt(context, Target(name=one.name), address, number) for one, address, number in attempts]

    first, again, elsewhere = fly(story())
    assert [first.code, again.code, elsewhere.code] == ["wrong-password", "account-stopped", None]
    assert first.next_move is NextMove.NEXT_ACCOUNT
    assert host.sign_ins == ["administrator"]


def test_without_a_directory_there_is_no_laps(store: Store) -> None:
    codes, estate = run(lambda: Estate(store, with_laps(1), accounts=(LAPS,), secrets={}))
    assert codes == {"laps-unavailable": 1}
    assert estate.hosts[0].sign_ins == []
