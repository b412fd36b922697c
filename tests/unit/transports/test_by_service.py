"""Running by a service: how the runner's end is read, what is left behind, and what is found of an earlier one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from pusher.problems import Code, Problem, ProblemError
from pusher.transports import by_service
from pusher.transports.memory import Fault, How, MemoryHost, Moment, Ran
from pusher.transports.port import ServiceState, ServiceStatus, Session
from tests.unit.push.flying import fly
from tests.unit.push.harness import make_host, signed_in

T = TypeVar("T")
PROGRAM = b"MZ the runner"
COMMAND = '"%SystemRoot%\\pusher\\x\\setup.exe" /S A="b c"'


def host_that_runs(ran: Ran, commands: list[str]) -> MemoryHost:
    host = make_host(leaves={})

    def execute(command: str) -> Ran:
        commands.append(command)
        return ran

    host.execute = execute
    return host


def on(host: MemoryHost, story: Callable[[Session], Awaitable[T]], *faults: Fault) -> T:
    async def whole() -> T:
        return await story(await signed_in(host, *faults))

    return fly(whole())


def is_clean(host: MemoryHost) -> bool:
    return not host.services._known and not [path for path in host.disk.snapshot() if "pusher-run" in path]


def test_the_command_stands_as_it_is_in_the_image_path() -> None:
    image = by_service.image_path(COMMAND, 90.5)
    assert image == f'"%SystemRoot%\\pusher\\pusher-run.exe" 90500 {COMMAND}'


@pytest.mark.parametrize("code", [0, 1, 3010, 0xC0000005])
def test_an_exit_code_and_nothing_left(code: int) -> None:
    commands: list[str] = []
    host = host_that_runs(Ran(code=code, seconds=40), commands)
    assert on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 60)) == code
    assert commands == [COMMAND] and is_clean(host)


@pytest.mark.parametrize(
    ("win32", "service", "expected"),
    [
        (0, 0, 0), (1066, 1618, 1618), (1066, -1, 0xFFFFFFFF), (1460, 0, "installer-timed-out"),
        (1223, 0, "installer-failed"), (1077, 0, "runner-failed"), (1067, 0, "runner-failed"), (2, 0, "package-bad"),
        (193, 0, "package-bad"), (5, 0, "access-denied"), (1260, 0, "blocked-by-policy"),
        (225, 0, "blocked-by-antivirus"),
    ],
)  # fmt: skip
def test_what_a_runners_end_means(win32: int, service: int, expected: int | str) -> None:
    status = ServiceStatus(state=ServiceState.STOPPED, win32_exit=win32, service_exit=service)
    found = by_service.verdict(status)
    assert (found.code if isinstance(found, Problem) else found) == expected


def test_a_command_that_does_not_end() -> None:
    host = host_that_runs(Ran(seconds=1e6), [])
    with pytest.raises(ProblemError, match="installer-timed-out"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 60))
    assert is_clean(host)


def test_a_runner_that_is_there_is_not_added_to() -> None:
    commands: list[str] = []
    host = host_that_runs(Ran(seconds=100), commands)
    drop = Fault(how=How.DROP, call="start_service", moment=Moment.AFTER)
    with pytest.raises(ProblemError, match="connection-lost"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 600), drop)
    with pytest.raises(ProblemError, match="installer-busy"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 600))
    assert len(commands) == 1 and not is_clean(host)


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1603, 1603)])
def test_what_an_earlier_push_left_is_waited_for(code: int, expected: int) -> None:
    host = host_that_runs(Ran(seconds=300, code=code), [])
    drop = Fault(how=How.DROP, call="start_service", moment=Moment.AFTER)
    with pytest.raises(ProblemError, match="connection-lost"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 600), drop)
    assert on(host, lambda session: by_service.settle(session, 400)) == expected
    assert is_clean(host)
    assert on(host, lambda session: by_service.settle(session, 400)) is None


def test_patience_has_an_end() -> None:
    commands: list[str] = []
    host = host_that_runs(Ran(seconds=1e6), commands)
    drop = Fault(how=How.DROP, call="start_service", moment=Moment.AFTER)
    with pytest.raises(ProblemError, match="connection-lost"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 1e7), drop)
    with pytest.raises(ProblemError, match="installer-busy"):
        on(host, lambda session: by_service.settle(session, 30))
    assert not is_clean(host)


def test_a_runner_that_was_changed_on_its_way_is_not_started() -> None:
    commands: list[str] = []
    host = host_that_runs(Ran(), commands)
    real = host.disk.read
    host.disk.read = lambda key: b"MZ another" if key[-1] == "pusher-run.exe" else real(key)  # type: ignore[method-assign]
    with pytest.raises(ProblemError, match="copy-mismatch"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 60))
    assert not commands and is_clean(host)


@pytest.mark.parametrize("call", ["put", "create_service", "start_service", "service_status", "digest"])
def test_a_failure_leaves_nothing(call: str) -> None:
    host = host_that_runs(Ran(), [])
    fault = Fault(how=How.FAIL, call=call, code=Code.ACCESS_DENIED, number=2 if call == "service_status" else 1)
    with pytest.raises(ProblemError, match="access-denied"):
        on(host, lambda session: by_service.run(session, PROGRAM, COMMAND, 60), fault)
    assert is_clean(host)
