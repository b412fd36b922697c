"""What the machine in memory adds to the contract: faults at every call, and a life of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from pusher.models import Credential, Protocol, Secret
from pusher.problems import Code, ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, StartFault, User
from pusher.transports.memory.wire import Killed
from pusher.transports.port import Endpoint, Limits, ServiceConfig, ServiceState, Session, StartType

FILE = RemotePath(share="ADMIN$", path="file.bin")
DATA = memoryview(b"0123456789")
CONFIG = ServiceConfig(image_path='"%SystemRoot%\\agent.exe"', display_name="Agent", start_type=StartType.AUTO)


def ignore(count: int) -> None: ...


async def opened(transport: MemoryTransport, password: str = "right") -> Session:
    link = await transport.open(Endpoint(host="ws01", address="a", port=445), Limits(call=0.01, stall=0.01))
    user = Credential(account="x", user="adm", domain="", secret=Secret(password), protocol=Protocol.NTLM)
    return await link.sign_in(user)


def machine() -> MemoryHost:
    host = MemoryHost(users={"adm": User(password="right")})
    host.write("Windows\\agent.exe", b"MZ")
    return host


async def code_of(call: Awaitable[object]) -> str:
    with pytest.raises(ProblemError) as caught:
        await call
    return caught.value.problem.code


@pytest.mark.parametrize(
    ("moment", "there"), [(Moment.BEFORE, None), (Moment.DURING, b"01234"), (Moment.AFTER, b"0123456789")]
)
@pytest.mark.parametrize(
    ("how", "code"), [(How.FAIL, "disk-full"), (How.DROP, "connection-lost"), (How.HANG, "transfer-stalled")]
)
async def test_a_fault_comes_before_during_or_after_the_effect(
    moment: Moment, there: bytes | None, how: How, code: str
) -> None:
    host = machine()
    transport = MemoryTransport({"a": host}, Fault(how=how, call="put", moment=moment, code=Code.DISK_FULL))
    session = await opened(transport)
    assert await code_of(session.put(FILE, DATA, ignore)) == code
    assert host.read("Windows\\file.bin") == there
    assert transport.struck == ["put"]
    if how is How.FAIL:
        await session.put(FILE, DATA, ignore)
        assert host.read("Windows\\file.bin") == bytes(DATA), "it goes off once"
    else:
        assert await code_of(session.put(FILE, DATA, ignore)) == "connection-lost"


async def test_a_fault_counts_all_calls_or_those_of_its_name() -> None:
    transport = MemoryTransport(
        {"a": machine()}, Fault(how=How.FAIL, number=4), Fault(how=How.FAIL, number=2, call="put")
    )
    session = await opened(transport)  # calls 1 and 2
    await session.stat(FILE)
    assert await code_of(session.stat(FILE)) == "too-busy"
    await session.put(FILE, DATA, ignore)
    assert await code_of(session.put(FILE, DATA, ignore)) == "too-busy"
    assert transport.calls == ["open", "sign_in", "stat", "stat", "put", "put"]


async def test_who_is_killed_does_nothing_more_on_any_connection() -> None:
    host = machine()
    transport = MemoryTransport({"a": host}, Fault(how=How.DIE, call="put"))
    one, other = await opened(transport), await opened(transport)
    lock = RemotePath(share="ADMIN$", path="x.lock")
    hold = await other.hold(lock)
    for call in (one.put(FILE, DATA, ignore), one.stat(FILE), other.make_folder(FILE)):
        with pytest.raises(Killed):
            await call
    await hold.close()
    await one.close()
    with pytest.raises(Killed):
        await opened(transport)
    assert host.read("Windows\\x.lock") is None, "the lock goes with the connection"
    assert host.read("Windows\\file.bin") is None
    assert not isinstance(Killed(), Exception), "nothing that cleans up after errors catches it"
    await (await (await opened(MemoryTransport({"a": host}))).hold(lock)).close()


async def test_a_cancelled_call_drops_its_connection_and_may_not_have_happened() -> None:
    host = machine()
    host.latency = 10.0
    link_task = asyncio.create_task(opened(MemoryTransport({"a": host})))
    await asyncio.sleep(0)
    link_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await link_task
    assert host.sign_ins == []


async def test_a_program_that_runs_can_be_renamed_but_neither_replaced_nor_removed() -> None:
    host = machine()
    session = await opened(MemoryTransport({"a": host}))
    await session.create_service("Agent", CONFIG)
    await session.start_service("Agent")
    program = RemotePath(share="ADMIN$", path="agent.exe")
    assert await code_of(session.remove(program)) == "file-in-use"
    assert await code_of(session.put(program, DATA, ignore)) == "file-in-use"
    assert await session.digest(program, 100) is not None
    aside = RemotePath(share="ADMIN$", path="aside.exe")
    await session.rename(program, aside)
    assert await code_of(session.remove(aside)) == "file-in-use", "it is the file that runs, not its name"
    await session.stop_service("Agent")
    assert await session.remove(aside)


@pytest.mark.parametrize(
    ("fault", "story"),
    [
        (None, [(0, ServiceState.RUNNING)]),
        (
            StartFault.SLOW,
            [(0, ServiceState.START_PENDING), (3.9, ServiceState.START_PENDING), (4, ServiceState.RUNNING)],
        ),
        (StartFault.PENDING, [(0, ServiceState.START_PENDING), (9999, ServiceState.START_PENDING)]),
        (StartFault.FAIL, [(0, ServiceState.START_PENDING), (1, ServiceState.STOPPED)]),
        (StartFault.CRASH, [(0, ServiceState.RUNNING), (0.9, ServiceState.RUNNING), (1, ServiceState.STOPPED)]),
    ],
)
async def test_how_a_service_lives(fault: StartFault | None, story: list[tuple[float, ServiceState]]) -> None:
    host = machine()
    if fault is not None:
        host.services.start_faults["agent"] = fault
    session = await opened(MemoryTransport({"a": host}))
    await session.create_service("Agent", CONFIG)
    await session.start_service("Agent")
    begun = host.now()
    for after, state in story:
        status = host.services.status("Agent", begun + after)
        assert status is not None
        assert status.state is state, after


async def test_a_stop_takes_as_long_as_it_takes() -> None:
    host = machine()
    host.services.stop_takes = 5.0
    session = await opened(MemoryTransport({"a": host}))
    await session.create_service("Agent", CONFIG)
    await session.start_service("Agent")
    assert await session.stop_service("Agent")
    assert await code_of(session.stop_service("Agent")) == "service-busy"
    host.skew += 5.0
    assert not await session.stop_service("Agent")


async def test_bad_passwords_lock_a_domain_account_on_every_host() -> None:
    account = User(password="right", threshold=3)
    hosts = {name: MemoryHost(users={"adm": account}) for name in "ab"}
    transport = MemoryTransport(hosts)
    for _ in range(3):
        assert await code_of(opened(transport, "wrong")) == "wrong-password", "the one that locks looks like any other"
    assert await code_of(opened(transport)) == "account-locked"
    account.locked, account.failures = False, 0
    assert await code_of(opened(transport, "wrong")) == "wrong-password"
    await opened(transport)
    assert account.failures == 0, "a good one counts anew"


@pytest.mark.parametrize("path", ["..\\x", "a\\..\\x", "a\\\\b", "a/b", "a*b", "a:b", "x" * 256, "a\x00"])
def test_names_that_windows_does_not_take(path: str) -> None:
    with pytest.raises(Exception, match="0xC0000033"):
        machine().write(path, b"")


def test_a_full_disk_takes_what_fits() -> None:
    host = MemoryHost(room=10)
    with pytest.raises(Exception, match="0xC000007F"):
        host.write("Windows\\big", bytes(11))
    assert host.read("Windows\\big") == bytes(10)
    assert host.disk.room == 0
    assert host.disk.remove(("windows", "big"))
    assert host.disk.room == 10
