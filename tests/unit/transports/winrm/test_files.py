"""Files over WinRM, in Windows' manners and in Wine's. The contract suite does it all again against the lab."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.port import FileInfo, Limits
from pusher.transports.winrm.cim_files import RETURNED
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.files import PROBE, Files
from tests.unit.transports.winrm.machine import FakeMachine, Killed, KilledAfter, Running, answer, fault

TEMP = RemotePath(share="ADMIN$", path="Temp")
PLACE = "c:\\windows\\temp\\"
DATA = memoryview(b"payload" * 1000)


def ignore(count: int = 0) -> None:
    """For calls whose progress nobody follows."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake machine loses no command, however soon it comes."""
    monkeypatch.setattr("pusher.transports.winrm.files._SECOND_LOOK", (0.0, 0.01, 0.01))


@pytest.fixture(params=[False, True], ids=["windows", "wine"])
def machine(request: pytest.FixtureRequest) -> FakeMachine:
    return FakeMachine(wine=request.param)


@pytest.fixture(scope="module")
def content() -> Iterator[ContentServer]:
    with ContentServer() as server:
        yield server


@pytest.fixture
def files(machine: FakeMachine, content: ContentServer) -> Files:
    return on(machine, content)


def on(machine: FakeMachine, content: ContentServer | None = None) -> Files:
    return Files(cast(Client, machine), Folders(windows="C:\\Windows", drive="C:"), content, Limits())


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.problem.code


# What is there


def test_stat(machine: FakeMachine, files: Files) -> None:
    machine.files[PLACE + "x"] = b"12345"
    assert files.stat(TEMP.child("x")) == FileInfo(size=5, is_folder=False)
    assert files.stat(TEMP) == FileInfo(size=0, is_folder=True)
    assert files.stat(TEMP.child("y")) is None
    assert files.stat(RemotePath(share="C$", path="")) == FileInfo(size=0, is_folder=True)
    assert machine.lines == [], "CIM says it all"


def test_a_service_that_wants_names_as_wmi_escapes_them(content: ContentServer) -> None:
    machine = FakeMachine(escaped=True)
    machine.files[PLACE + "x"] = b"12345"
    files = on(machine, content)
    assert files.stat(TEMP.child("x")) == FileInfo(size=5, is_folder=False)
    assert files.remove(TEMP.child("x")) is True


def test_a_wmi_that_knows_no_files_is_told() -> None:
    machine = FakeMachine(folders=set())
    assert code_of(lambda: on(machine).stat(TEMP)) == "protocol-error"


@pytest.mark.parametrize("content", [b"x", b"x" * 70_000, b""])
def test_digest(machine: FakeMachine, files: Files, content: bytes) -> None:
    machine.files[PLACE + "x"] = content
    machine.versions[PLACE + "x"] = "3.1.4.5"
    digest = files.digest(TEMP.child("x"), len(content), ignore)
    assert digest is not None
    assert (digest.size, digest.sha256, digest.version) == (
        len(content),
        hashlib.sha256(content).hexdigest(),
        "3.1.4.5",
    )


def test_a_longer_file_is_not_hashed(machine: FakeMachine, files: Files) -> None:
    machine.files[PLACE + "x"] = b"12345"
    digest = files.digest(TEMP.child("x"), 4, ignore)
    assert digest is not None
    assert (digest.size, digest.sha256) == (5, "")
    assert machine.lines == []


@pytest.mark.parametrize("version", ["", "1.2", "1.2.3.4.5", "1.2.3.x", "10.0.19041.1 (WinBuild.160101.0800)"])
def test_a_version_that_is_none(machine: FakeMachine, files: Files, version: str) -> None:
    machine.files[PLACE + "x"] = b"1"
    machine.versions[PLACE + "x"] = version
    digest = files.digest(TEMP.child("x"), 4, ignore)
    assert digest is not None and digest.version is None


def test_what_cannot_be_hashed(machine: FakeMachine, files: Files) -> None:
    machine.files[PLACE + "x"] = b"1"
    machine.busy.add(PLACE + "x")
    assert code_of(lambda: files.digest(TEMP.child("x"), 4, ignore)) == "file-in-use"
    assert files.digest(TEMP.child("y"), 4, ignore) is None
    assert code_of(lambda: files.digest(TEMP, 4, ignore)) == "path-not-found"


@pytest.mark.parametrize("name", ["setup.log", "set up.log"])
def test_the_end_of_a_log(machine: FakeMachine, files: Files, name: str) -> None:
    """By curl, or by ``type`` where the name would need escapes in a URL."""
    machine.files[PLACE + name] = b"0123456789"
    assert files.tail(TEMP.child(name), 4) == b"6789"
    assert files.tail(TEMP.child(name), 40) == b"0123456789"
    assert files.tail(TEMP.child("none"), 4) is None
    assert machine.lines[0].startswith("type") is (" " in name)


def test_the_end_of_a_log_without_curl(machine: FakeMachine, files: Files) -> None:
    del machine.files["c:\\windows\\system32\\curl.exe"]
    machine.files[PLACE + "x"] = b"0123456789"
    assert files.tail(TEMP.child("x"), 4) == b"6789"


# Folders


def test_folders(machine: FakeMachine, files: Files) -> None:
    folder = TEMP.child("new")
    assert files.make_folder(folder) is True
    assert files.make_folder(folder) is False
    machine.files[PLACE + "new\\file"] = b""
    assert files.remove_folder(folder) is False
    del machine.files[PLACE + "new\\file"]
    assert files.remove_folder(folder) is True
    assert files.remove_folder(folder) is False


def test_a_folder_that_a_scanner_has_open_for_a_moment_is_removed(machine: FakeMachine, files: Files) -> None:
    machine.folders.add(PLACE + "new")
    machine.open_folders = [PLACE + "new"] * 2
    assert files.remove_folder(TEMP.child("new")) is True
    assert PLACE + "new" not in machine.folders


def test_only_one_folder_is_made(machine: FakeMachine, files: Files) -> None:
    before = set(machine.folders)
    assert code_of(lambda: files.make_folder(TEMP.child("a").child("b"))) == "path-not-found"
    assert machine.folders == before


def test_folders_that_cannot_be(machine: FakeMachine, files: Files) -> None:
    machine.files[PLACE + "file"] = b""
    assert code_of(lambda: files.remove_folder(TEMP.child("file"))) == "path-not-found"
    machine.folders.add(PLACE + "old")
    machine.denied.add("c:\\windows\\temp")
    assert code_of(lambda: files.make_folder(TEMP.child("new"))) == "folder-denied"
    assert code_of(lambda: files.remove_folder(TEMP.child("old"))) == "folder-denied"


# Files


def test_what_is_fetched_is_there(machine: FakeMachine, files: Files) -> None:
    moved = list[int]()
    files.put(TEMP.child("x"), DATA, moved.append)
    assert machine.files[PLACE + "x"] == DATA
    assert sum(moved) == len(DATA)
    files.put(TEMP.child("x"), memoryview(b""), ignore)
    assert machine.files[PLACE + "x"] == b""


def test_no_secret_and_nothing_foreign_is_in_the_line(machine: FakeMachine, files: Files) -> None:
    files.put(TEMP.child("x y"), DATA, ignore)
    (line,) = machine.lines
    assert line.endswith('>"C:\\Windows\\Temp\\x y"')
    assert line.isascii()


def test_where_it_cannot_be_written(machine: FakeMachine, files: Files) -> None:
    machine.files[PLACE + "busy"] = b"x"
    machine.busy.add(PLACE + "busy")
    assert code_of(lambda: files.put(TEMP.child("busy"), DATA, ignore)) == "file-in-use"
    assert code_of(lambda: files.put(TEMP, DATA, ignore)) == "path-not-found"
    assert code_of(lambda: files.put(TEMP.child("none").child("x"), DATA, ignore)) == "path-not-found"
    assert machine.files[PLACE + "busy"] == b"x"
    assert [name for name in machine.files if "pusher-" in name] == [], "the probes are gone"
    machine.denied.add("c:\\windows\\temp")
    assert code_of(lambda: files.put(TEMP.child("x"), DATA, ignore)) == "access-denied"
    machine.busy.clear()
    assert code_of(lambda: files.put(TEMP.child("busy"), DATA, ignore)) == "access-denied"


def test_a_full_disk(machine: FakeMachine, files: Files) -> None:
    machine.free, machine.curl_code = 100, lambda: 23
    assert code_of(lambda: files.put(TEMP.child("x"), DATA, ignore)) == "disk-full"


def test_less_than_was_sent_is_told(machine: FakeMachine, files: Files) -> None:
    machine.free = 100
    assert code_of(lambda: files.put(TEMP.child("x"), DATA, ignore)) == "copy-mismatch"


def test_rename(machine: FakeMachine, files: Files) -> None:
    machine.files |= {PLACE + "a": b"1", PLACE + "b": b"2", PLACE + "busy": b"3"}
    machine.busy.add(PLACE + "busy")
    assert code_of(lambda: files.rename(TEMP.child("a"), TEMP.child("b"))) == "file-in-use"
    assert code_of(lambda: files.rename(TEMP.child("none"), TEMP.child("c"))) == "path-not-found"
    assert code_of(lambda: files.rename(TEMP.child("a"), TEMP.child("none").child("a"))) == "path-not-found"
    assert code_of(lambda: files.rename(TEMP.child("busy"), TEMP.child("c"))) == "file-in-use"
    files.rename(TEMP.child("a"), TEMP.child("c"))
    assert (machine.files[PLACE + "b"], machine.files[PLACE + "c"]) == (b"2", b"1")


def test_remove(machine: FakeMachine, files: Files) -> None:
    machine.files |= {PLACE + "a": b"1", PLACE + "busy": b"3"}
    machine.busy.add(PLACE + "busy")
    assert files.remove(TEMP.child("a")) is True
    assert files.remove(TEMP.child("a")) is False
    assert code_of(lambda: files.remove(TEMP)) == "path-not-found"
    assert code_of(lambda: files.remove(TEMP.child("busy"))) == "file-in-use"


def test_a_program_that_runs_is_in_use_and_not_denied(machine: FakeMachine, files: Files) -> None:
    """Windows refuses its removal with the number that it has for want of rights too."""
    machine.files[PLACE + "x.exe"] = b"MZ"
    machine.busy.add(PLACE + "x.exe")
    machine.delete_codes = [2]
    assert code_of(lambda: files.remove(TEMP.child("x.exe"))) == "file-in-use"


DOCUMENTED = {
    2: "access-denied",  # "Access denied"
    8: "access-denied",  # "Unspecified failure": what a refusal comes as on some versions
    9: "path-not-found",  # "Invalid object"
    10: "file-in-use",  # "Object already exists"
    11: "protocol-error",  # "File system not NTFS"
    12: "protocol-error",  # "Platform not Windows"
    13: "path-not-found",  # "Drive not the same"
    14: "file-in-use",  # "Directory not empty"
    15: "file-in-use",  # "Sharing violation"
    16: "path-not-found",  # "Invalid start file"
    17: "access-denied",  # "Privilege not held"
    21: "path-not-found",  # "Invalid parameter"
    99: "protocol-error",
}
"""The return codes in the documentation of CIM_DataFile's Delete and Rename, and one that is not there."""


@pytest.mark.parametrize("returned", DOCUMENTED)
def test_every_number_has_its_meaning(machine: FakeMachine, files: Files, returned: int) -> None:
    machine.files[PLACE + "x"] = b""
    machine.denied.add("c:\\windows\\temp")
    for call in (lambda: files.remove(TEMP.child("x")), lambda: files.rename(TEMP.child("x"), TEMP.child("y"))):
        machine.delete_codes = [returned]
        assert code_of(call) == DOCUMENTED[returned]


def test_no_number_is_left_out() -> None:
    assert {*RETURNED, 99} == set(DOCUMENTED)


def test_probe_write(machine: FakeMachine, files: Files) -> None:
    before = dict(machine.files)
    files.probe_write(TEMP.child("probe"))
    assert machine.files == before
    machine.denied.add("c:\\windows\\temp")
    assert code_of(lambda: files.probe_write(TEMP.child("probe"))) == "admin-share-read-only"


def test_a_probe_leaves_nothing_wherever_its_pusher_is_killed(machine: FakeMachine, files: Files) -> None:
    """Killed after so many requests, which the target has carried out: no other has to follow."""
    before, number = dict(machine.files), 0
    while True:
        number += 1
        killed = cast(FakeMachine, KilledAfter(machine, number))
        try:
            on(killed, None).probe_write(RemotePath(share="ADMIN$", path=PROBE))
        except Killed:
            assert machine.files == before, f"after request {number}"
        else:
            break
    assert number > 3
    assert machine.files == before


def test_what_a_power_cut_left_of_a_probe_is_gone_after_the_next(machine: FakeMachine, files: Files) -> None:
    machine.files["c:\\windows\\" + PROBE] = b"pusher"
    files.probe_write(RemotePath(share="ADMIN$", path=PROBE))
    assert "c:\\windows\\" + PROBE not in machine.files


def test_two_probes_at_once_do_not_fail_each_other(
    machine: FakeMachine, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one removes the file, or writes its own sign, between our command's parts."""
    real, spoilt = machine._probe, [b"another's sign\r\n", b""]

    def probing(run: Running, sign: str, path: str) -> None:
        real(run, sign, path)
        if spoilt:
            run.stdout = spoilt.pop()

    monkeypatch.setattr(machine, "_probe", probing)
    files.probe_write(RemotePath(share="ADMIN$", path=PROBE))
    assert spoilt == []


def test_a_scanner_that_looks_at_the_probe_is_waited_for(machine: FakeMachine, files: Files) -> None:
    machine.delete_codes = [15, 15]
    files.probe_write(TEMP.child("probe"))
    assert PLACE + "probe" not in machine.files


# How a path is said


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize(
    "number",
    [2150858752, 0x80041002, 0x8004103A, 2150858845, 2150858813, 0x80041008, 0x80041001, 5],
    ids=hex,
)
def test_whatever_fault_the_wrong_way_to_say_a_path_meets(
    content: ContentServer, monkeypatch: pytest.MonkeyPatch, number: int, escaped: bool
) -> None:
    machine = FakeMachine(escaped=escaped)
    machine.files[PLACE + "x"] = b"12345"
    monkeypatch.setattr("tests.unit.transports.winrm.machine.NOT_FOUND", number)
    files = on(machine, content)
    assert files.stat(TEMP.child("x")) == FileInfo(size=5, is_folder=False)


@pytest.mark.parametrize(
    ("number", "code"), [(5, "not-administrator"), (2150859173, "winrm-quota"), (2150858752, "path-not-found")]
)
def test_a_machine_that_takes_no_way_to_say_its_path(
    machine: FakeMachine, files: Files, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    """What it said is told, and the question is open still."""

    def get(*_: object) -> None:
        raise fault(number)

    with monkeypatch.context() as patch:
        patch.setattr(machine, "get", get)
        assert code_of(lambda: files.stat(TEMP)) == code.replace("path-not-found", "protocol-error")
    assert files.stat(TEMP) == FileInfo(size=0, is_folder=True)


# The lock


def test_one_lock(machine: FakeMachine, files: Files, content: ContentServer) -> None:
    path, other = TEMP.child("x.lock"), on(machine, content)
    machine.files[PLACE + "x.lock"] = b"left by a power cut"
    lock = files.hold(path)
    assert code_of(lambda: other.hold(path)) == "push-in-progress"
    assert code_of(lambda: files.hold(path)) == "push-in-progress"
    assert code_of(lambda: other.remove(path)) == "file-in-use"
    lock.close()
    lock.close()
    assert PLACE + "x.lock" not in machine.files
    other.hold(path).close()
    files.close()
    other.close()
    assert machine.shells == set(), "nothing is left open there"


SLOW = [0, 1, 2, 3, 4, 5, 6, 7, 12, 20]


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("gap", [0, 1, 2, 3, 5, 8, 13])
def test_a_lock_is_not_believed_before_it_is_there(machine: FakeMachine, files: Files, slow: int, gap: int) -> None:
    machine.slow, machine.gap = slow, gap
    lock = files.hold(TEMP.child("x.lock"))
    assert [run.opened for run in machine.commands.values() if run.code is None] == [PLACE + "x.lock"]
    lock.close()


@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_start_takes_no_lock_from_another(
    machine: FakeMachine, files: Files, content: ContentServer, slow: int
) -> None:
    lock = files.hold(TEMP.child("x.lock"))
    machine.slow = slow
    assert code_of(lambda: on(machine, content).hold(TEMP.child("x.lock"))) == "push-in-progress"
    lock.close()


def test_where_no_lock_can_be(machine: FakeMachine, files: Files) -> None:
    assert code_of(lambda: files.hold(TEMP.child("none").child("x"))) == "path-not-found"
    assert code_of(lambda: files.hold(TEMP)) == "path-not-found"
    machine.denied.add("c:\\windows\\temp")
    assert code_of(lambda: files.hold(TEMP.child("x"))) == "access-denied"


def test_closing_the_session_frees_its_lock(machine: FakeMachine, files: Files) -> None:
    files.hold(TEMP.child("x"))
    files.close()
    files.close()
    assert machine.shells == set()
    assert PLACE + "x" not in machine.files


def test_a_session_closes_though_the_target_has_ended_its_shells(machine: FakeMachine, files: Files) -> None:
    files.hold(TEMP.child("x"))
    for shell in list(machine.shells):
        machine.end_shell(shell)
    files.close()


def test_a_lost_lock_stops_all_that_would_change_something(machine: FakeMachine, content: ContentServer) -> None:
    files = Files(cast(Client, machine), Folders(windows="C:\\Windows", drive="C:"), content, Limits(), idle=0)
    lock = files.hold(TEMP.child("x"))
    files.keep()
    assert not lock.lost
    machine.end_shell(lock._command._shell["ShellId"])
    machine.files[PLACE + "y"] = b""
    files.keep()
    assert lock.lost
    for call in (
        lambda: files.put(TEMP.child("y"), DATA, ignore),
        lambda: files.remove(TEMP.child("y")),
        lambda: files.rename(TEMP.child("y"), TEMP.child("z")),
        lambda: files.make_folder(TEMP.child("new")),
        lambda: files.run("x.exe", 1),
    ):
        assert code_of(call) == "connection-lost"
    assert files.stat(TEMP.child("y")) is not None


# Answers of a stranger


@pytest.mark.parametrize("size", ["", "-1", "x", "1e3", str(2**64), "9" * 100])
def test_a_size_that_is_none(machine: FakeMachine, files: Files, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files.stat(TEMP)
    monkeypatch.setattr(machine, "get", lambda uri, *_: answer(uri, FileSize=size))
    assert code_of(lambda: files.stat(TEMP.child("x"))) == "protocol-error"
    assert code_of(lambda: files.digest(TEMP.child("x"), 10, ignore)) == "protocol-error"


@pytest.mark.parametrize("number", ["", "-1", "x", str(2**32)])
def test_a_number_that_is_none(
    machine: FakeMachine, files: Files, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "invoke", lambda uri, *_: answer(uri, ReturnValue=number)[0])
    assert code_of(lambda: files.remove(TEMP.child("x"))) == "protocol-error"


@pytest.mark.parametrize(
    "said",
    [b"", b"CertUtil: ok", b"0" * 63, b"0" * 65, b"g" * 64, b"0" * 64 + b"\r\n" + b"1" * 64, b"a hash: " + b"0" * 64],
)
def test_a_hash_that_is_none(machine: FakeMachine, files: Files, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.files[PLACE + "x"] = b"1"

    def hashing(run: Running, program: str, path: str) -> None:
        run.stdout = said

    monkeypatch.setattr(machine, "_certutil", hashing)
    assert code_of(lambda: files.digest(TEMP.child("x"), 10, ignore)) == "protocol-error"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0x80070002, "path-not-found"),
        (-2147024891, "access-denied"),  # 0x80070005, with the sign that some write
        (0x80070020, "file-in-use"),
        (0x800700E1, "blocked-by-antivirus"),
        (1, "protocol-error"),
        (0x80090001, "protocol-error"),
    ],
)
def test_certutil_ends_with_numbers(
    machine: FakeMachine, files: Files, code: int, meaning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.files[PLACE + "x"] = b"1"

    def hashing(run: Running, program: str, path: str) -> None:
        run.code = code

    monkeypatch.setattr(machine, "_certutil", hashing)
    assert code_of(lambda: files.digest(TEMP.child("x"), 10, ignore)) == meaning


def test_a_name_that_alone_is_refused(machine: FakeMachine, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a virus scanner does; the folder is not at fault, and the message says so."""
    monkeypatch.setattr(machine, "_open_for_writing", lambda path: not path.endswith(".exe"))
    with pytest.raises(ProblemError) as caught:
        files.put(TEMP.child("x.exe"), DATA, ignore)
    assert caught.value.problem.code == "access-denied"
    assert "folder can be written" in caught.value.problem.message


def test_programs(machine: FakeMachine, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def running(run: Running) -> None:
        run.code = 3010

    monkeypatch.setattr(machine, "_act", running)
    assert files.run('"%SystemRoot%\\System32\\msiexec.exe" /i x', 5) == 3010
    assert machine.lines == ['@"%SystemRoot%\\System32\\msiexec.exe" /i x']
    assert machine.shells == set()


def test_a_program_without_end(machine: FakeMachine, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def running(run: Running) -> None:
        run.code = None

    monkeypatch.setattr(machine, "_act", running)
    assert code_of(lambda: files.run("x.exe", -1)) == "installer-timed-out"
    assert machine.shells == set(), "the target ends it with its shell"
