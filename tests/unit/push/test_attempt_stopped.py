"""One target's story cut short: cancelled, past its deadline, stopped at once; the host is as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pusher.credentials.lockout.budget import LockoutPolicy, Result, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.install.names import NEW
from pusher.models import Outcome, Stage, Status, Target
from pusher.push.attempt import attempt
from pusher.push.context import Stop
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport
from pusher.transports.port import Limits
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import EXE, SERVICE, Watching, make_account, make_context, make_host, push
from tests.unit.push.stories import ADDRESS, MUTATING, ended, push_once, tidy, upgradable


class Acting(MemoryTransport):
    """Does something when the n-th call is made."""

    def __init__(self, host: MemoryHost, number: int, act: Callable[[], object], *faults: Fault) -> None:
        super().__init__({ADDRESS: host}, *faults)
        self._number, self._act = number, act

    def due(self, call: str) -> Fault | None:
        if len(self.calls) + 1 == self._number:
            self._act()
        return super().due(call)


@pytest.mark.thorough
@pytest.mark.parametrize("lost", [False, True], ids=["cancelled", "cancelled-and-cut-off"])
@pytest.mark.parametrize("code", ["cancelled", "failure-limit"])
def test_a_cancelled_push_ends_at_its_next_step_and_leaves_the_host_as_it_was(
    code: str, lost: bool, store: Store
) -> None:
    async def story() -> set[Status]:
        _, transport = await push(upgradable(), store)
        ends = set()
        for number in range(1, len(transport.calls) + 1):
            host, stop = upgradable(), Stop()
            before = tidy(host)
            faults = [Fault(how=How.DROP, number=number + 1)] if lost else []
            cancelling = Acting(host, number, lambda stop=stop: stop.cancel(code), *faults)  # type: ignore[misc]
            outcome = await attempt(make_context(store, cancelling, stop=stop), Target(name=host.name), ADDRESS, 1)
            ends.add(outcome.status)
            if outcome.status.is_success:
                assert host.read(f"Windows\\{EXE}") == program("1.4.2"), number
            else:
                assert tidy(host) == before, (number, cancelling.calls[number - 1], outcome.message)
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
        context = make_context(store, transport, accounts=(account,), stop=stop, guard=one_at_a_time, watcher=watching)
        key = account_key(account, host.name)
        async with context.guard.lease(key) as other:
            waiting = asyncio.create_task(attempt(context, Target(name=host.name), ADDRESS, 1))
            while (host.name, Stage.SIGN_IN) not in watching.stages:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            stop.cancel()
            other.settle(Result.OK)
        outcome = await waiting
        assert host.sign_ins == []
        return outcome, context.guard.budget(key).failures

    outcome, failures = fly(story())
    assert ended(outcome) == (Status.CANCELLED, "cancelled")
    assert failures == 0, "nothing was sent"


def test_a_push_that_is_as_good_as_done_is_not_cancelled(store: Store) -> None:
    """The last look at the new service was a good one: what is left is to remove the old files."""

    async def story() -> Outcome:
        _, transport = await push(upgradable(), store)
        calls = [call for call in transport.calls if not call.startswith("store:")]
        last = max(number for number, call in enumerate(calls, start=1) if call == "service_status")
        host, stop = upgradable(), Stop()
        cancelling = Acting(host, last, stop.cancel)
        return await attempt(make_context(store, cancelling, stop=stop), Target(name=host.name), ADDRESS, 1)

    assert ended(fly(story())) == (Status.UPGRADED, None)


def test_a_push_past_its_deadline_leaves_the_host_as_it_was(store: Store) -> None:
    async def story() -> list[str | None]:
        codes = []
        for deadline in range(0, 60, 4):
            host = upgradable()
            host.latency = 1.0
            before = tidy(host)
            outcome, _ = await push(host, store, deadline=float(deadline))
            codes.append(outcome.code)
            if not outcome.status.is_success:
                assert outcome.code == "deadline"
                assert tidy(host) == before, deadline
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
        host = make_host() if call == "create_service" else upgradable()
        if call == "remove":
            host.write(f"Windows\\{EXE}{NEW}", b"half of one")  # past the point of no return nothing is cut short
        cutting = Cutting({ADDRESS: host})
        task = asyncio.create_task(attempt(make_context(store, cutting), Target(name=host.name), ADDRESS, 1))
        cutting.task = task
        with pytest.raises(asyncio.CancelledError):
            await task
        assert host.read("Windows\\pusher\\LabAgent.lock") is None
        again, _ = await push(host, store)
        assert again.status in (Status.UPGRADED, Status.INSTALLED)
        assert host.read(f"Windows\\{EXE}") == program("1.4.2")
        assert not [path for path in host.disk.snapshot() if "pusher" in path]

    fly(story())
