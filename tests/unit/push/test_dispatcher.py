"""A whole run: every target gets exactly one outcome, whatever happens to it, to the others or to the run."""

from __future__ import annotations

import asyncio
import errno
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from pusher.credentials.lockout.budget import LockoutPolicy
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import DOMAIN_CONTROLLERS, Event, Outcome, Stage, Status, Target, Verb
from pusher.problems import Code, Problem, problem
from pusher.push.context import RunContext, Stop
from pusher.push.dispatcher import Dispatcher
from pusher.push.recorder import failed
from pusher.push.supply import Listed
from pusher.scheduler.admission import Caps
from pusher.scheduler.retry import RetryPolicy
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, StartFault, User
from pusher.transports.port import Limits
from tests.unit.push.failing_store import FailingStore, Plan
from tests.unit.push.failing_store import How as Failing
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    ADMIN,
    EXE,
    LOCAL,
    SERVICE,
    Names,
    events_of,
    make_account,
    make_context,
    make_host,
    make_package,
)  # fmt: skip


class Estate:
    """Hosts, the run over them, and everything that was reported."""

    def __init__(self, store: Store, hosts: list[MemoryHost], *faults: Fault, **changes: Any) -> None:
        self.store, self.hosts = store, hosts
        self.addresses = {host.name: f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n, host in enumerate(hosts)}
        self.transport = MemoryTransport({self.addresses[host.name]: host for host in hosts}, *faults)
        self.targets = changes.pop("targets", [Target(name=host.name) for host in hosts])
        names = ("caps", "retry", "max_failures", "report", "place", "unstored", "spared", "cpu")
        runner = {name: changes.pop(name) for name in names if name in changes}
        self.stop = Stop()
        self.reported: list[Outcome] = []
        self.context = make_context(
            store, self.transport, resolver=Names(self.addresses), stop=self.stop,
            rows=[(target.name, None, None) for target in self.targets], **changes,
        )  # fmt: skip
        self.runner = Dispatcher(
            self.context,
            runner.get("caps", Caps(total=5, subnet=0)),
            runner.get("retry", RetryPolicy(attempts=1)),
            runner.get("report", self.reported.append),
            max_failures=runner.get("max_failures", 0),
            **{name: runner[name] for name in ("place", "unstored", "spared", "cpu") if name in runner},
        )

    async def run(self) -> Counter[str]:
        """Push to them all; how many ended with which code (``ok`` for none)."""
        await self.runner.run(Listed(iter(self.targets)))
        self.prove_one_outcome_each()
        return Counter(outcome.code or "ok" for outcome in self.reported)

    def prove_one_outcome_each(self) -> None:
        assert Counter(outcome.target for outcome in self.reported) == Counter(t.name for t in self.targets)
        recorded = sorted(self.store.outcomes(self.context.run), key=lambda outcome: outcome.target)
        assert recorded == sorted(self.reported, key=lambda outcome: outcome.target)
        assert self.store.unfinished(self.context.run) == []


def run(make: Callable[[], Estate]) -> tuple[Counter[str], Estate]:
    async def story() -> tuple[Counter[str], Estate]:
        estate = make()
        return await estate.run(), estate

    return fly(story())


def test_a_machine_that_is_known_for_a_domain_controller_sees_nobody(store: Store) -> None:
    """What is known of a target by its name and address is known before it is reached."""
    hosts = [make_host() for _ in range(3)]

    async def place(target: Target, _: str) -> Target:
        return replace(target, groups=(DOMAIN_CONTROLLERS,)) if target.name == hosts[1].name else target

    codes, _ = run(lambda: Estate(store, hosts, place=place))
    assert codes == {"ok": 2, "domain-controller-refused": 1}
    assert [bool(host.sign_ins) for host in hosts] == [True, False, True]


def test_who_is_spared_by_an_address_sees_nobody(store: Store) -> None:
    """What spares is asked again once the address and site are known, before anything is sent."""
    hosts = [make_host() for _ in range(4)]

    async def place(target: Target, address: str) -> Target:
        return replace(target, site="paris") if address == "10.0.0.3" else target

    def spared(target: Target) -> Problem | None:
        meant = target.address == "10.0.0.2" or target.site == "paris"
        return problem(Code.EXCLUDED, Stage.RESOLVE, "by its address") if meant else None

    codes, estate = run(lambda: Estate(store, hosts, place=place, spared=spared, max_failures=1))
    assert codes == {"ok": 2, "excluded": 2}
    assert [host.calls.total() > 0 for host in hosts] == [True, False, False, True]
    found = {outcome.address for outcome in estate.reported if outcome.status is Status.SKIPPED}
    assert found == {"10.0.0.2", "10.0.0.3"}


def test_a_run_that_goes_well(store: Store) -> None:
    codes, estate = run(lambda: Estate(store, [make_host() for _ in range(30)]))
    assert codes == {"ok": 30}
    assert all(outcome.status is Status.INSTALLED and outcome.attempts == 1 for outcome in estate.reported)
    assert all(host.calls["create_service"] == 1 for host in estate.hosts)


def test_one_that_is_silent_takes_no_place(store: Store) -> None:
    """There is one place; who answers has it meanwhile. Of the silent all is told that was told of them before."""
    silent = [make_host(mute=True) for _ in range(3)]
    ok = make_host()
    codes, estate = run(lambda: Estate(store, [*silent, ok], caps=Caps(total=1, subnet=0)))
    assert codes == {"ok": 1, "timed-out": 3}
    assert estate.reported[0].target == ok.name
    assert all(host.calls.total() == 0 for host in silent)
    told = estate.reported[1]
    assert (told.status, told.stage, told.attempts, told.transport) == (Status.UNREACHABLE, Stage.REACH, 1, "smb")
    assert told.seconds == pytest.approx(5.0)
    assert [step.step for step in told.steps] == ["connect"]
    assert told.message == "no answer within the time limit: connecting: nothing for 5 s"
    events = [(event.kind, event.stage, event.detail) for event in events_of(store, told.run, told.target)]
    assert events == [("transport-failed", Stage.REACH, "smb: timed-out")]
    assert [attempt.code for attempt in store.attempts(told.run, told.target)] == ["timed-out"]


def test_one_that_does_not_want_to_be_touched_is_not_asked_whether_it_answers(store: Store) -> None:
    host = make_host(mute=True, is_domain_controller=True)
    began = 0.0

    async def story() -> tuple[Counter[str], float]:
        began = asyncio.get_running_loop().time()
        estate = Estate(store, [host], targets=[Target(name=host.name, groups=(DOMAIN_CONTROLLERS,))])
        return await estate.run(), asyncio.get_running_loop().time() - began

    assert fly(story()) == ({"domain-controller-refused": 1}, began)


@pytest.mark.parametrize("caps", [Caps(total=4, subnet=1), Caps(total=4, subnet=0, site=1)])
def test_every_place_is_taken_whatever_the_order_of_addresses(store: Store, caps: Caps) -> None:
    """Those of one subnet, or site, come one after the other, and more of them than are looked ahead."""
    hosts = [make_host() for _ in range(120)]
    most = 0

    async def place(target: Target, address: str) -> Target:
        return replace(target, site=address.split(".")[2])

    async def story() -> Counter[str]:
        estate = Estate(store, hosts, caps=caps, place=place, verb=Verb.CHECK)
        estate.addresses |= {host.name: f"10.0.{n // 30}.{n % 30 + 1}" for n, host in enumerate(hosts)}
        estate.transport.hosts = {estate.addresses[host.name]: host for host in hosts}

        def count(target: str, stage: Stage) -> None:
            nonlocal most
            most = max(most, estate.runner._admission.running)

        estate.context.watcher.stage = count  # type: ignore[method-assign]
        return await estate.run()

    assert fly(story()) == {"ok": 120}
    assert most == 4


@pytest.mark.parametrize(("turn", "at_once"), [(0.001, 120), (0.5, 50)])
def test_no_more_are_let_in_than_the_thread_has_hands_for(store: Store, turn: float, at_once: int) -> None:
    """Where a turn takes long, more in work would only wait longer for theirs; some are let in all the same."""
    hosts = [make_host(latency=1.0) for _ in range(200)]
    most, worked = 0, 0.0

    def cpu() -> float:
        nonlocal worked
        worked += turn
        return worked

    async def story() -> Counter[str]:
        estate = Estate(store, hosts, caps=Caps(total=120, subnet=0), verb=Verb.CHECK, cpu=cpu)

        def count(target: str, stage: Stage) -> None:
            nonlocal most
            most = max(most, estate.runner._admission.running)

        estate.context.watcher.stage = count  # type: ignore[method-assign]
        return await estate.run()

    assert fly(story()) == {"ok": 200}
    assert most == at_once


def test_who_was_not_let_in_comes_when_turns_are_short_again(store: Store) -> None:
    """Also where nobody leaves meanwhile who would have it looked again."""
    hosts = [make_host(latency=1000.0) for _ in range(120)]
    worked, calls = 0.0, 0

    def cpu() -> float:
        nonlocal worked, calls
        calls += 1
        worked += 0.5 if calls < 40 else 0.0
        return worked

    async def story() -> int:
        estate = Estate(store, hosts, caps=Caps(total=120, subnet=0), verb=Verb.CHECK, cpu=cpu)
        running = asyncio.create_task(estate.run())
        await asyncio.sleep(10)
        found = estate.runner._admission.running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return found

    assert fly(story()) == 120


def test_no_further_is_looked_ahead_than_is_wanted(store: Store) -> None:
    hosts = [make_host() for _ in range(40)]
    reached: list[int] = []

    async def story() -> None:
        estate = Estate(store, hosts, caps=Caps(total=2, subnet=0))

        def ahead(outcome: Outcome) -> None:
            reached.append(estate.runner._admission.waiting + estate.runner._reaching)

        estate.runner._report = ahead
        await estate.runner.run(Listed(iter(estate.targets)))

    fly(story())
    assert len(reached) == 40
    assert max(reached) <= 8


def test_one_that_is_only_watched_gives_its_place_to_another(store: Store) -> None:
    """And no more are watched than are worked on."""
    hosts = [make_host() for _ in range(9)]
    in_work: set[str] = set()
    most: list[int] = []
    ended: list[str] = []

    def end(outcome: Outcome) -> None:
        in_work.discard(outcome.target)
        ended.append(outcome.target)

    async def story() -> None:
        package = make_package(stay_running=60.0)
        estate = Estate(store, hosts, caps=Caps(total=2, subnet=0), package=package, report=end)

        def begin(target: str, _: Stage) -> None:
            in_work.add(target)
            if not ended:
                most.append(len(in_work))

        estate.context.watcher.stage = begin  # type: ignore[assignment, method-assign]
        await estate.runner.run(Listed(iter(estate.targets)))

    fly(story())
    assert len(ended) == 9
    assert max(most) == 4


def test_no_targets_are_no_trouble(store: Store) -> None:
    assert run(lambda: Estate(store, []))[0] == {}


KINDS: dict[str, Callable[[], MemoryHost]] = {
    "ok": make_host,
    "port-closed": lambda: make_host(refuses="port-closed"),
    "host-unreachable": lambda: make_host(refuses="host-unreachable"),
    "timed-out": lambda: make_host(mute=True),
    "wrong-password": lambda: make_host(users={"pushadm": User(password="other")}),
    "not-administrator": lambda: make_host(users={"pushadm": User(password="right", administrator=False)}),
    "admin-share-missing": lambda: make_host(missing_shares={"ADMIN$"}),
    "service-failed": lambda: _failing(StartFault.FAIL),
    "service-start-timeout": lambda: _failing(StartFault.PENDING),
    "service-exited": lambda: _failing(StartFault.CRASH),
    "domain-controller-refused": lambda: make_host(is_domain_controller=True),
    "disk-full": lambda: make_host(room=10),
}


def _failing(fault: StartFault) -> MemoryHost:
    host = make_host()
    host.services.start_faults[SERVICE.lower()] = fault
    return host


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_host_ends_as_it_should(kind: str, store: Store) -> None:
    codes, _ = run(lambda: Estate(store, [KINDS[kind]()], accounts=(make_account(LOCAL),)))
    assert codes == {kind: 1}


@pytest.mark.thorough
@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=25),
    unknown=st.integers(0, 3),
    twice=st.booleans(),
    total=st.integers(1, 8),
    subnet=st.integers(0, 3),
    attempts=st.integers(1, 3),
    drops=st.lists(st.integers(1, 300), max_size=5),
)
def test_every_target_gets_exactly_one_outcome(
    kinds: list[str], unknown: int, twice: bool, total: int, subnet: int, attempts: int, drops: list[int], store: Store
) -> None:
    async def story() -> None:
        hosts = [KINDS[kind]() for kind in kinds]
        names = [host.name for host in hosts] + [f"unknown{number}.corp.example" for number in range(unknown)]
        aliases = [hosts[0].name.partition(".")[0]] if twice and hosts else []
        faults = [Fault(how=How.DROP, number=number) for number in drops]
        estate = Estate(
            store, hosts, *faults, accounts=(make_account(LOCAL),), caps=Caps(total=total, subnet=subnet),
            retry=RetryPolicy(attempts=attempts), targets=[Target(name=name) for name in names + aliases],
        )  # fmt: skip
        if aliases:
            estate.addresses[aliases[0]] = estate.addresses[hosts[0].name]
        await estate.run()
        ended = {outcome.target: outcome for outcome in estate.reported}
        for name in names[len(hosts) :]:
            assert ended[name].code == "name-not-found"
        if not drops:
            for host, kind in zip(hosts, kinds, strict=True):
                if not aliases or host is not hosts[0]:
                    assert ended[host.name].code == (None if kind == "ok" else kind)
                    expected = attempts if kind == "host-unreachable" else 1
                    assert ended[host.name].attempts == expected

    fly(story())


@pytest.mark.thorough
def test_a_wrong_password_costs_no_more_than_the_budget_over_all_hosts(store: Store) -> None:
    """The promise to whoever owns the account: 500 hosts, 200 at once, and it is not locked."""
    limit = 1
    account = User(password="what it was changed to", threshold=3)

    def make() -> Estate:
        hosts = [make_host(users={ADMIN: account}, latency=0.01) for _ in range(500)]
        guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=3 - limit))
        return Estate(store, hosts, caps=Caps(total=200, subnet=0), guard=guard, retry=RetryPolicy(attempts=3))

    codes, estate = run(make)
    assert sum(len(host.sign_ins) for host in estate.hosts) == limit
    assert codes == {"wrong-password": limit, "account-stopped": 500 - limit}
    assert not account.locked


@pytest.mark.parametrize("limit", [1, 3])
def test_silence_costs_no_more_than_the_budget_either(limit: int, store: Store) -> None:
    """Every sign-in is cut off after the secret has left: nobody knows whether the password is right."""

    class Cutting(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            super().due(call)
            return Fault(how=How.DROP, moment=Moment.AFTER) if call == "sign_in" else None

    async def story() -> tuple[Counter[str], Estate]:
        guard = LockoutGuard(LockoutPolicy(threshold=limit + 2, reserve=2))
        hosts = [make_host(latency=0.01) for _ in range(100)]
        estate = Estate(store, hosts, caps=Caps(total=50, subnet=0), guard=guard, retry=RetryPolicy(attempts=3))
        cutting = Cutting(estate.transport.hosts)
        estate.context.transports[cutting.kind] = cutting  # type: ignore[index]
        return await estate.run(), estate

    codes, estate = fly(story())
    assert sum(len(host.sign_ins) for host in estate.hosts) == limit
    assert codes == {"sign-in-unknown": limit, "lockout-budget-spent": 100 - limit}


@pytest.mark.thorough
def test_a_good_account_is_not_slowed_to_a_halt_by_its_budget(store: Store) -> None:
    def make() -> Estate:
        guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))
        return Estate(store, [make_host() for _ in range(100)], caps=Caps(total=50, subnet=0), guard=guard)

    assert run(make)[0] == {"ok": 100}


def test_local_accounts_are_judged_per_machine(store: Store) -> None:
    def make() -> Estate:
        hosts = [make_host(users={"pushadm": User(password=password)}) for password in ["right", "other"] * 20]
        return Estate(store, hosts, accounts=(make_account(LOCAL),))

    codes, estate = run(make)
    assert codes == {"ok": 20, "wrong-password": 20}
    assert all(len(host.sign_ins) == 1 for host in estate.hosts)


def test_a_host_that_hangs_holds_its_own_place_only(store: Store) -> None:
    def make() -> Estate:
        hosts = [make_host(mute=number < 3, latency=0.01) for number in range(40)]
        return Estate(store, hosts, caps=Caps(total=4, subnet=0), limits=Limits(connect=600))

    codes, estate = run(make)
    assert codes == {"ok": 37, "timed-out": 3}
    assert [outcome.code for outcome in estate.reported[-3:]] == ["timed-out"] * 3, "all others were done before them"


def test_what_is_worth_it_is_tried_again(store: Store) -> None:
    def make() -> Estate:
        faults = [Fault(how=How.DROP, call="put")]
        return Estate(store, [make_host()], *faults, retry=RetryPolicy(attempts=3))

    codes, estate = run(make)
    assert codes == {"ok": 1}
    assert estate.reported[0].attempts == 2
    kinds = [event.kind for event in events_of(store, estate.context.run, estate.hosts[0].name)]
    assert "undo" in kinds
    assert kinds.index("undo") < len(kinds) - 1 - kinds[::-1].index("signed-in"), "signed in once more after it"


@pytest.mark.parametrize(("verb", "connections"), [(Verb.CHECK, 7), (Verb.PUSH, 2 * 7)])
def test_no_more_work_at_once_than_the_caps_allow(verb: Verb, connections: int, store: Store) -> None:
    """Of pushes there are as many again that are only watched."""
    most = 0

    class Counting(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            nonlocal most
            most = max(most, sum(wire.up for wire in self._wires))
            return super().due(call)

    async def story() -> None:
        estate = Estate(store, [make_host(latency=0.01) for _ in range(40)], caps=Caps(total=7, subnet=0), verb=verb)
        counting = Counting(estate.transport.hosts)
        estate.context.transports[counting.kind] = counting  # type: ignore[index]
        assert await estate.run() == {"ok": 40}

    fly(story())
    assert most == connections


def test_the_inventory_is_read_as_it_is_worked_through(store: Store) -> None:
    """Of a long inventory only so many targets are in memory."""
    read = 0

    def reading(targets: list[Target], estate: Estate) -> Iterator[Target]:
        nonlocal read
        for target in targets:
            read += 1
            assert read <= len(estate.reported) + 2 + 2 + 2 * 4 + 1  # worked on, watched, ahead, and this one
            yield target

    async def story() -> None:
        estate = Estate(store, [make_host() for _ in range(60)], caps=Caps(total=2, subnet=0))
        await estate.runner.run(Listed(reading(estate.targets, estate)))
        estate.prove_one_outcome_each()

    fly(story())
    assert read == 60


# Being stopped


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_cancelled_run_ends_the_rest(after: int, store: Store) -> None:
    async def story() -> tuple[Counter[str], Estate]:
        estate = Estate(store, [make_host(latency=0.01) for _ in range(60)], caps=Caps(total=3, subnet=0))

        def report(outcome: Outcome) -> None:
            estate.reported.append(outcome)
            if len(estate.reported) == after:
                estate.stop.cancel()

        estate.runner._report = report
        if after == 0:
            estate.stop.cancel()
        return await estate.run(), estate

    codes, estate = fly(story())
    assert set(codes) <= {"ok", "cancelled"}
    assert codes["cancelled"] >= 60 - after - 2 * 3
    assert all(outcome.status is Status.CANCELLED for outcome in estate.reported if outcome.code)
    untouched = [host for host in estate.hosts if not host.calls]
    assert len(untouched) >= 40, "nothing was begun on them"


def test_too_many_failures_end_the_rest(store: Store) -> None:
    def make() -> Estate:
        hosts = [make_host(refuses="port-closed") for _ in range(100)]
        return Estate(store, hosts, caps=Caps(total=4, subnet=0), max_failures=5)

    codes, _ = run(make)
    assert codes.keys() == {"port-closed", "failure-limit"}
    assert 5 <= codes["port-closed"] <= 5 + 4 * 4 - 1, "those that are asked already may come to their own end"


def test_what_is_no_failure_does_not_count(store: Store) -> None:
    def make() -> Estate:
        hosts = [make_host(is_domain_controller=True) for _ in range(20)] + [make_host() for _ in range(20)]
        return Estate(store, hosts, caps=Caps(total=1, subnet=0), max_failures=1)

    assert run(make)[0] == {"domain-controller-refused": 20, "ok": 20}


@pytest.mark.thorough
@settings(max_examples=30, deadline=None)
@given(calls=st.integers(1, 250), seed=st.integers(0, 1000))
def test_a_run_stopped_at_once_tells_the_truth_about_each_target(calls: int, seed: int, store: Store) -> None:
    """The second interrupt: whatever is under way ends now; what had ended keeps the outcome it had."""
    chance = random.Random(seed)

    class Cutting(MemoryTransport):
        task: asyncio.Task[None]

        def due(self, call: str) -> Fault | None:
            if len(self.calls) + 1 == calls:
                self.task.cancel()
            return super().due(call)

    async def story() -> None:
        hosts = [make_host(latency=chance.random() / 10) for _ in range(12)]
        estate = Estate(store, hosts, caps=Caps(total=chance.randint(1, 6), subnet=0))
        cutting = Cutting(estate.transport.hosts)
        estate.context.transports[cutting.kind] = cutting  # type: ignore[index]
        cutting.task = asyncio.create_task(estate.runner.run(Listed(iter(estate.targets))))
        async with asyncio.timeout(3600):
            await asyncio.wait({cutting.task})
        assert cutting.task.cancelled()
        recorded = {outcome.target: outcome for outcome in store.outcomes(estate.context.run)}
        assert Counter(outcome.target for outcome in estate.reported) == Counter(list(recorded))
        assert {outcome.target: outcome for outcome in estate.reported} == recorded
        for host in hosts:
            status = recorded[host.name].status if host.name in recorded else None
            # The last step of an install is its journal's end.
            done = bool(host.calls["create_service"]) and not store.open_journals(host.name, SERVICE)
            if status is Status.INSTALLED:
                assert done
            elif status is not None:
                assert recorded[host.name].code == "interrupted"
            if host.calls:
                assert status is not None, "a target that was begun has an outcome"

    fly(story())


def test_an_outcome_that_is_being_written_is_not_replaced(store: Store) -> None:
    """Stopped at once in the very moment in which the store commits it."""

    async def story() -> list[Outcome]:
        estate = Estate(store, [make_host()])
        real, begun = store.outcome, asyncio.Event()

        async def slow(outcome: Outcome) -> None:
            begun.set()
            await asyncio.sleep(0)
            await real(outcome)

        estate.context.store.__dict__["outcome"] = slow
        try:
            task = asyncio.create_task(estate.runner.run(Listed(iter(estate.targets))))
            await begun.wait()
            task.cancel()
            await asyncio.wait({task})
        finally:
            del estate.context.store.__dict__["outcome"]
        assert estate.reported == list(store.outcomes(estate.context.run))
        return estate.reported

    (outcome,) = fly(story())
    assert outcome.status is Status.INSTALLED


def test_a_failure_inside_pusher_costs_one_target(store: Store) -> None:
    class Broken(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            if self.calls.count("put") == 3 and call == "put":
                self.calls.append(call)
                raise ZeroDivisionError("a mistake of ours")
            return super().due(call)

    async def story() -> tuple[Counter[str], Estate]:
        estate = Estate(store, [make_host() for _ in range(10)])
        broken = Broken(estate.transport.hosts)
        estate.context.transports[broken.kind] = broken  # type: ignore[index]
        return await estate.run(), estate

    with structlog.testing.capture_logs() as logs:
        codes, estate = fly(story())
    assert codes == {"ok": 9, "internal-error": 1}
    assert [entry["event"] for entry in logs] == ["internal-error"]
    (failed,) = [outcome for outcome in estate.reported if outcome.code]
    assert failed.stage is Stage.STAGE
    assert failed.message is not None
    assert "ZeroDivisionError" in failed.message
    assert "a mistake of ours" not in failed.message, "an error's text may hold anything"


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, ""), MemoryError()])
def test_what_is_short_here_is_told_as_that(store: Store, error: Exception) -> None:
    class Short(MemoryTransport):
        def due(self, call: str) -> Fault | None:
            raise error

    async def story() -> list[Outcome]:
        estate = Estate(store, [make_host()], retry=RetryPolicy(attempts=1))
        short = Short(estate.transport.hosts)
        estate.context.transports[short.kind] = short  # type: ignore[index]
        await estate.run()
        return estate.reported

    (outcome,) = fly(story())
    assert outcome.code == "out-of-resources"
    assert outcome.remedy is not None and "this machine" in outcome.remedy


def test_a_report_that_fails_costs_no_outcome(store: Store) -> None:
    """What is durable stays as it is; it is not overwritten by the news that nobody could be told."""

    async def story() -> list[Outcome]:
        def report(_: Outcome) -> None:
            raise OSError("the terminal is gone")

        estate = Estate(store, [make_host() for _ in range(5)], report=report)
        await estate.runner.run(Listed(iter(estate.targets)))
        return list(store.outcomes(estate.context.run))

    with structlog.testing.capture_logs() as logs:
        assert [outcome.status for outcome in fly(story())] == [Status.INSTALLED] * 5
    assert [entry["event"] for entry in logs] == ["internal-error"] * 5


def test_a_check_and_a_removal_are_runs_too(store: Store) -> None:
    hosts = [make_host() for _ in range(5)]
    assert run(lambda: Estate(store, hosts, verb=Verb.CHECK, package=None, payload=None))[0] == {"ok": 5}
    assert run(lambda: Estate(store, hosts, verb=Verb.REMOVE))[0] == {"ok": 5}


# What is written down


@pytest.mark.thorough
def test_who_is_left_out_is_recorded_many_at_a_time(store: Store) -> None:
    """Each alone would wait for the disk: a minute for 10,000, before the first push."""

    async def story() -> tuple[Counter[str], int]:
        estate = Estate(store, [make_host()])
        spared = [Target(name=f"spared{number}.corp.example") for number in range(1000)]
        commits = 0

        def count(_: object) -> None:
            nonlocal commits
            commits += 1

        event.listen(store._database.engine, "commit", count)
        try:
            await estate.runner.run(
                Listed(iter(estate.targets)), [(target, problem(Code.EXCLUDED)) for target in spared]
            )
        finally:
            event.remove(store._database.engine, "commit", count)
        return Counter(outcome.code or "ok" for outcome in store.outcomes(estate.context.run)), commits

    codes, commits = fly(story())
    assert codes == {"excluded": 1000, "ok": 1}
    assert commits < 150


def test_a_strangers_write_that_fails_ends_nobody_elses_push(store: Store) -> None:
    """An event of one host cannot be written: that host is put back, and the others never hear of it."""

    async def story() -> tuple[dict[str, str], Estate]:
        estate = Estate(store, [make_host(latency=0.01) for _ in range(8)])
        unlucky = estate.hosts[3].name
        post = store.event

        def posting(happened: Event) -> Future[Any]:
            return post(replace(happened, run="no such run") if happened.target == unlucky else happened)

        store.__dict__["event"] = posting
        try:
            await estate.runner.run(Listed(iter(estate.targets)))
        finally:
            del store.__dict__["event"]
        return {outcome.target: outcome.code or "ok" for outcome in estate.reported}, estate

    codes, estate = fly(story())
    unlucky = estate.hosts[3]
    assert codes == {host.name: "store-refused" if host is unlucky else "ok" for host in estate.hosts}
    assert unlucky.read(f"Windows\\{EXE}") is None
    assert not store.open_journals(unlucky.name, SERVICE)
    assert estate.runner.losses.first.keys() == {unlucky.name}


def test_a_run_begins_nothing_more_once_an_outcome_cannot_be_stored(store: Store) -> None:
    async def story() -> tuple[list[Outcome], list[tuple[str, str]], Estate]:
        unstored = list[tuple[str, str]]()
        estate = Estate(
            FailingStore(store, Plan(40, Failing.FROM_THEN_ON)), [make_host() for _ in range(60)],
            caps=Caps(total=2, subnet=0), unstored=lambda outcome, why: unstored.append((outcome.target, why.code)),
        )  # fmt: skip
        with structlog.testing.capture_logs():
            await estate.runner.run(Listed(iter(estate.targets)))
        return list(store.outcomes(estate.context.run)), unstored, estate

    stored, unstored, estate = fly(story())
    assert {*(outcome.target for outcome in stored), *(target for target, _ in unstored)} == {
        target.name for target in estate.targets
    }
    assert {why for _, why in unstored} == {"store-full"}
    codes = Counter(outcome.code for outcome in estate.reported)
    assert codes["store-lost"] > 40
    assert sum(bool(host.calls) for host in estate.hosts) < 20


def test_who_waits_for_another_attempt_when_the_run_stops_keeps_what_the_last_one_came_to(store: Store) -> None:
    """The host was left half done: an outcome that nothing was begun there would hide it from everybody."""

    async def left_half_done(context: RunContext, target: Target, address: str, number: int, *_: Any) -> Outcome:
        context.stop.cancel()
        found = problem(Code.CONNECTION_LOST, Stage.SERVICE, "what was begun is still on the host")
        return replace(failed(context, target, address, found, context.now()), attempts=number, account="admin")

    async def story() -> Outcome:
        estate = Estate(store, [make_host()], retry=RetryPolicy(attempts=2))
        await estate.run()
        (outcome,) = estate.reported
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pusher.push.dispatcher.attempt", left_half_done)
        outcome = fly(story())
    assert (outcome.status, outcome.code, outcome.account) == (Status.FAILED, "connection-lost", "admin")
