"""The helpers that the steps are made of: starting, stopping, deleting, waiting for what passes."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from pusher.install import steps
from pusher.install.driver import observe, remove_files
from pusher.install.names import NEW, OLD, STAGING, is_own_folder, lock_path
from pusher.install.payload import Payload, load_payload
from pusher.problems import BadInput, Code, NextMove, ProblemError, problem
from pusher.remote.paths import RemotePath, remote_path
from pusher.transports.memory import Fault, How, MemoryHost, StartFault
from pusher.transports.memory.disk import key_of
from pusher.transports.port import NewFile, ServiceConfig, ServiceState, ServiceStatus, Session, StartType
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import CONF, EXE, LOG, SERVICE, make_host, make_package, signed_in

T = TypeVar("T")
PROGRAM = f"Windows\\{EXE}"
CONFIG = ServiceConfig(image_path=f'"%SystemRoot%\\{EXE}"', display_name="Lab Agent", start_type=StartType.AUTO)


def on(host: MemoryHost, work: Callable[[Session], Awaitable[T]], *faults: Fault) -> T:
    async def story() -> T:
        return await work(await signed_in(host, *faults))

    return fly(story())


def with_service(running: bool = True, fault: StartFault | None = None) -> Callable[[MemoryHost], None]:
    def prepare(host: MemoryHost) -> None:
        host.write(PROGRAM, program("1.4.2"))
        host.services.create(SERVICE, CONFIG, host.now())
        if running:
            host.start(SERVICE)
        if fault is not None:
            host.services.start_faults[SERVICE.lower()] = fault

    return prepare


def raised(
    host: MemoryHost, prepare: Callable[[MemoryHost], None], work: Callable[[Session], Awaitable[object]]
) -> str:
    async def story(session: Session) -> str:
        prepare(host)
        with pytest.raises(ProblemError) as caught:
            await work(session)
        return caught.value.problem.code

    return on(host, story)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (StartFault.EXIT, "service-exited"),  # 1053 at once: it ended
        (StartFault.HANG, "service-start-timeout"),  # 1053 after a while: it never came
        (StartFault.PENDING, "service-start-timeout"),
        (StartFault.FAIL, "service-failed"),
        (StartFault.FAIL_AT_ONCE, "service-failed"),  # 1053 at once, and its status tells why
    ],
)
def test_how_a_start_fails(fault: StartFault, code: Code) -> None:
    assert raised(make_host(), with_service(False, fault), lambda s: steps.start_service(s, SERVICE, 60)) == code


@pytest.mark.parametrize("fault", [None, StartFault.SLOW])
def test_a_start_waits_until_the_service_runs(fault: StartFault | None) -> None:
    host = make_host()

    async def story(session: Session) -> None:
        with_service(False, fault)(host)
        await steps.start_service(session, SERVICE, 60)
        status = await session.service_status(SERVICE)
        assert status is not None
        assert status.state is ServiceState.RUNNING

    on(host, story)


def test_starting_what_is_not_there() -> None:
    assert raised(make_host(), lambda _: None, lambda s: steps.start_service(s, SERVICE, 60)) == "service-missing"


@pytest.mark.parametrize("running", [True, False])
def test_stopping_waits_until_it_is_down(running: bool) -> None:
    host = make_host()

    async def story(session: Session) -> list[int]:
        with_service(running)(host)
        host.services.stop_takes = 2.0
        await steps.stop_service(session, SERVICE, 30)
        status = await session.service_status(SERVICE)
        assert status is not None
        assert status.state is ServiceState.STOPPED
        return [host.calls["stop_service"]]

    assert on(host, story) == [1 if running else 0]


def test_stopping_what_is_not_there_is_nothing() -> None:
    host = make_host()
    on(host, lambda session: steps.stop_service(session, SERVICE, 30))
    assert host.calls["stop_service"] == 0


def test_a_service_that_will_not_stop() -> None:
    host = make_host()
    host.services.stubborn.add(SERVICE.lower())
    assert raised(host, with_service(), lambda s: steps.stop_service(s, SERVICE, 5)) == "service-stop-timeout"
    assert host.calls["stop_service"] == 1, "it is asked once"


def test_a_service_that_is_still_starting_is_asked_to_stop_until_it_can() -> None:
    host = make_host()

    async def story(session: Session) -> None:
        with_service(False, StartFault.SLOW)(host)
        host.start(SERVICE)
        await steps.stop_service(session, SERVICE, 30)

    on(host, story)
    assert host.calls["stop_service"] > 1


def test_another_refusal_to_stop_is_told() -> None:
    host = make_host()

    async def story(session: Session) -> None:
        with_service()(host)
        with pytest.raises(ProblemError) as caught:
            await steps.stop_service(session, SERVICE, 30)
        assert caught.value.problem.code == "access-denied"

    on(host, story, Fault(how=How.FAIL, call="stop_service", code=Code.ACCESS_DENIED))


def test_deleting_waits_until_the_entry_is_gone() -> None:
    host = make_host()

    async def story(session: Session) -> None:
        with_service()(host)
        host.services.stop_takes = 2.0
        await session.stop_service(SERVICE)
        await steps.delete_service(session, SERVICE)
        assert await session.service_config(SERVICE) is None

    on(host, story)


def test_deleting_one_that_keeps_running_is_told() -> None:
    host = make_host()
    code = raised(host, with_service(), lambda session: steps.delete_service(session, SERVICE))
    assert code == "service-marked-for-delete"


@pytest.mark.parametrize(
    ("code", "tries"), [("file-in-use", 6), ("service-marked-for-delete", 6), ("access-denied", 1)]
)
def test_only_what_passes_by_itself_is_waited_for(code: Code, tries: int) -> None:
    made = 0

    async def call() -> None:
        nonlocal made
        made += 1
        raise ProblemError(problem(code))

    async def story() -> None:
        with pytest.raises(ProblemError) as caught:
            await steps.retry_while_locked(call)
        assert caught.value.problem.code == code

    fly(story())
    assert made == tries


def test_what_has_passed_is_no_failure() -> None:
    answers = iter([ProblemError(problem(Code.FILE_IN_USE)), ProblemError(problem(Code.FILE_IN_USE)), None])

    async def call() -> str:
        answer = next(answers)
        if answer is not None:
            raise answer
        return "done"

    assert fly(steps.retry_while_locked(call)) == "done"


def _many(count: int) -> list[NewFile]:
    data = [f"file {number}".encode() for number in range(count)]
    return [
        NewFile(path=remote_path(f"m{number}"), data=memoryview(one), sha256=hashlib.sha256(one).hexdigest())
        for number, one in enumerate(data)
    ]


@pytest.mark.parametrize("code", ["cancelled", "deadline"])
def test_a_copy_of_many_files_ends_between_two_of_them(code: Code) -> None:
    host, last = make_host(), steps.TOGETHER + 7
    asked = iter([*[None] * last, code])

    async def story(session: Session) -> str:
        with pytest.raises(ProblemError) as caught:
            await steps.copy(session, _many(3 * steps.TOGETHER), lambda _: None, lambda: next(asked))
        return caught.value.problem.code

    assert on(host, story) == code
    assert host.read(f"Windows\\m{last - 1}") == f"file {last - 1}".encode()
    assert host.read(f"Windows\\m{last}") is None


@pytest.mark.parametrize(("call", "code"), [("put", "file-in-use"), ("digest", "file-in-use")])
def test_a_file_that_is_in_use_for_a_moment_is_waited_for(call: str, code: Code) -> None:
    host, moved = make_host(), list[int]()
    fault = Fault(how=How.FAIL, call=call, number=2, code=code)
    on(host, lambda session: steps.copy(session, _many(3), moved.append, lambda: None), fault)
    assert [host.read(f"Windows\\m{number}") for number in range(3)] == [b"file 0", b"file 1", b"file 2"]
    assert sum(moved) == 3 * len(b"file 0"), "each file counts once"


def test_many_files_are_seen_as_few_are() -> None:
    """Of some an old one is beside them, of some it is all that there is."""
    host, count = make_host(), steps.TOGETHER + 5
    contents = {f"labagent\\m{number}": f"file {number}".encode() for number in range(count)}
    for number, (dest, data) in enumerate(contents.items()):
        match number % 4:
            case 0:
                host.write(f"Windows\\{dest}", data)
            case 1:
                host.write(f"Windows\\{dest}{OLD}", data)
            case 2:
                host.write(f"Windows\\{dest}{NEW}", b"half")
                host.write(f"Windows\\{dest}", data)
    seen = on(host, lambda session: observe(session, make_package("1.4.2", contents)))
    assert {dest: digest.sha256 for dest, digest in seen.files.items() if digest is not None} == {
        dest: hashlib.sha256(data).hexdigest()
        for number, (dest, data) in enumerate(contents.items())
        if number % 4 != 3
    }
    assert not [path for path in host.disk.snapshot() if ".pusher-" in path]


def test_missing_folders_come_topmost_first_and_once() -> None:
    host = make_host()
    host.write("Windows\\here\\file", b"")
    dests = [
        remote_path(dest) for dest in ("a\\b\\c.exe", "a\\b\\d.exe", "here\\x.exe", "here\\new\\x.exe", "plain.exe")
    ]
    missing = on(host, lambda session: steps.missing_folders(session, dests))
    assert [str(folder) for folder in missing] == ["ADMIN$\\a", "ADMIN$\\a\\b", "ADMIN$\\here\\new"]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({}, {}),
        ({NEW: b"new"}, {}),
        ({"": b"old", NEW: b"new"}, {"": b"old"}),
        ({OLD: b"old", NEW: b"new"}, {"": b"old"}),  # cut short between the two renames
        ({"": b"new", OLD: b"old"}, {"": b"new"}),  # cut short before the old file was removed
    ],
    ids=["nothing", "staged", "staged-beside", "between", "placed"],
)
def test_half_a_swap_is_put_right_before_the_look(present: dict[str, bytes], expected: dict[str, bytes]) -> None:
    host = make_host()
    for suffix, data in present.items():
        host.write(PROGRAM + suffix, data)
    seen = on(host, lambda session: observe(session, make_package()))
    left = {suffix: host.read(PROGRAM + suffix) for suffix in ("", NEW, OLD)}
    assert left == {"": None, NEW: None, OLD: None} | expected
    digest = seen.files[EXE]
    assert (digest.size if digest else None) == (len(expected[""]) if expected else None)


def test_what_is_missing_is_seen() -> None:
    seen = on(make_host(), lambda session: observe(session, make_package()))
    assert seen.missing_folders == ("labagent", "labagent\\conf")
    assert seen.missing_leftovers == (LOG,)
    assert (seen.service, seen.status, seen.files) == (None, None, {EXE: None, CONF: None})


def test_removal_takes_empty_folders_and_nothing_of_others() -> None:
    host, package = make_host(), make_package()
    for path in (PROGRAM, f"Windows\\{CONF}", f"Windows\\{LOG}", PROGRAM + OLD, "Windows\\labagent\\conf\\theirs"):
        host.write(path, b"x")
    assert on(host, lambda session: remove_files(session, package)) == (4, [])
    assert [path for path in host.disk.snapshot() if "labagent" in path] == [
        "windows\\labagent", "windows\\labagent\\conf", "windows\\labagent\\conf\\theirs",
    ]  # fmt: skip
    assert on(host, lambda session: remove_files(session, package)) == (0, [])


def test_removal_takes_what_it_can_and_says_what_it_could_not() -> None:
    host, package = make_host(), make_package()
    for path in (PROGRAM, f"Windows\\{CONF}", PROGRAM + OLD):
        host.write(path, b"x")
    held = host.disk.find(key_of(PROGRAM))
    assert held is not None
    held.held = True
    removed, kept = on(host, lambda session: remove_files(session, package))
    assert (removed, [(str(path), error.problem.code) for path, error in kept]) == (
        2,
        [(f"ADMIN$\\{EXE}", "file-in-use")],
    )


def test_a_stop_that_never_ends_is_told_with_its_process() -> None:
    said = problem(Code.SERVICE_STOP_TIMEOUT)
    assert (said.next_move, "taskkill" in said.remedy) == (NextMove.GIVE_UP, True)
    status = ServiceStatus(state=ServiceState.STOP_PENDING, process=4711)

    class Stuck:
        async def service_status(self, name: str) -> ServiceStatus:
            return status

    async def story() -> str:
        with pytest.raises(ProblemError) as caught:
            await steps.stop_service(Stuck(), SERVICE, 5)  # type: ignore[arg-type]
        return caught.value.problem.message

    message = fly(story())
    assert "STOP_PENDING after 5 s" in message
    assert "process is 4711" in message


def test_removal_takes_the_folders_of_leftovers_too() -> None:
    host, package = make_host(), make_package(leftovers=("labagent\\logs\\today.log",))
    host.write(PROGRAM, b"x")
    host.write("Windows\\labagent\\logs\\today.log", b"x")
    assert on(host, lambda session: remove_files(session, package))
    assert host.disk.snapshot() == make_host().disk.snapshot()


@pytest.mark.parametrize(
    ("folder", "own"),
    [
        ("labagent", True), ("labagent\\conf", True), ("", False), ("Temp", False), ("System32", False),
        ("Program Files", False), ("PROGRAM FILES (X86)", False), ("ProgramData", False), ("Program Files\\Lab", True),
    ],
)  # fmt: skip
def test_windows_own_folders_are_never_removed(folder: str, own: bool) -> None:
    assert is_own_folder(RemotePath(share="ADMIN$", path=folder)) == own


def test_the_lock_is_one_file_for_a_service() -> None:
    assert str(lock_path("LabAgent")) == "ADMIN$\\pusher\\LabAgent.lock"
    assert lock_path("LabAgent").parent == STAGING


def test_a_payload_is_lent_out_and_not_to_be_changed() -> None:
    payload = Payload({EXE: b"bytes"})
    assert bytes(payload[EXE]) == b"bytes"
    with pytest.raises(TypeError):
        payload[EXE][0] = 0


def test_a_payload_that_is_not_what_the_package_says(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("package")
    package = make_package()
    files = [f.__class__(source=folder / f"{n}", dest=f.dest, sha256=f.sha256, size=f.size)
             for n, f in enumerate(package.files)]  # fmt: skip
    package = make_package(files={EXE: program("1.4.2")})
    package = type(package)(**{**{name: getattr(package, name) for name in package.__slots__}, "files": (files[0],)})
    with pytest.raises(BadInput, match="cannot be read"):
        load_payload(package)
    files[0].source.write_bytes(b"something else")
    with pytest.raises(BadInput, match="package-hash-mismatch"):
        load_payload(package)
    files[0].source.write_bytes(program("1.4.2"))
    assert bytes(load_payload(package)[EXE]) == program("1.4.2")
