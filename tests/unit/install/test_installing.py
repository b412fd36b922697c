"""Installers on machines in memory: how they end, and a failure, a lost connection or a kill at every single call.

Whatever goes wrong, the installer is never run while an earlier one is at work, its staged files are taken away by
this push or the next, and the next push looks before it runs anything again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pusher.install.exit_codes import MSI
from pusher.install.installing import decide
from pusher.install.payload import Payload
from pusher.models import (
    Detect,
    DetectBy,
    Installer,
    InstallerKind,
    Outcome,
    Package,
    PackageFile,
    Status,
    Target,
    TransportKind,
    Verb,
)
from pusher.problems import CATALOGUE, Problem
from pusher.push.attempt import attempt
from pusher.remote.detection import Found
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, Ran
from pusher.transports.memory.disk import key_of
from pusher.transports.memory.wire import Killed
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import DyingStore, Watching, make_context, make_host, shared_run

CODE = "{6D3B3E0A-5C11-4A53-8E0B-000000000200}"
UNINSTALL = f"hklm\\software\\microsoft\\windows\\currentversion\\uninstall\\{CODE}".lower()
TOOL = "Program Files\\LabTool\\labtool.exe"
_numbers = itertools.count(1)


def make_package(kind: InstallerKind = InstallerKind.MSI, version: str = "2.0.0", **changes: Any) -> Package:
    name = f"labtool.{kind}"
    data = f"{kind} {version}".encode()
    file = PackageFile(
        source=Path(name),
        dest=f"pusher\\labtool\\{name}",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )
    msi = kind is InstallerKind.MSI
    defaults: dict[str, Any] = {
        "success": frozenset({0, 1641, 3010}) if msi else frozenset({0}),
        "product_code": CODE if msi else None,
        "arguments": "" if msi else "/S",
        "uninstall": None if msi else '"%ProgramFiles%\\LabTool\\uninst.exe" /S',
        "log": None if msi else "Temp\\labtool.log",
    }
    rule = changes.pop("detect", None) or (
        Detect(by=DetectBy.PRODUCT_CODE, what=CODE, version=version)
        if msi
        else Detect(by=DetectBy.FILE, what="%ProgramFiles%\\LabTool\\labtool.exe", version=version)
    )
    return Package(
        name="labtool",
        version=version,
        root=Path("/nowhere"),
        files=(file,),
        installer=Installer(kind=kind, file=file, **(defaults | changes)),
        detect=rule,
    )


@dataclass
class Windows:
    """What a machine does with the commands it is given. ``code``: what the next ones end with."""

    host: MemoryHost
    version: str = "2.0.0"
    code: int = 0
    seconds: float = 3.0
    log: bytes = b""
    nothing: bool = False
    commands: list[str] = field(default_factory=list)

    def execute(self, command: str) -> Ran:
        self.commands.append(command)
        if self.log:
            path = command.partition('/L*V "%SystemRoot%\\')[2].partition('"')[0] or "Temp\\labtool.log"
            self.host.write(f"Windows\\{path}", self.log)
        if " /x " in command or "uninst" in command:
            if not self.nothing:
                self.remove()
        elif not self.nothing and self.code in (0, 3010):
            staged = [path for path in self.host.disk.snapshot() if path.startswith("windows\\pusher\\labtool\\")]
            assert any(path.endswith((".msi", ".exe")) for path in staged), "it was run before it was staged"
            self.install()
        return Ran(code=self.code, seconds=self.seconds)

    def install(self) -> None:
        self.host.values[UNINSTALL, "displayversion"] = self.version
        self.host.write(TOOL, program(self.version))

    def remove(self) -> None:
        self.host.values.pop((UNINSTALL, "displayversion"), None)
        self.host.disk.remove(key_of(TOOL))


def windows(**changes: Any) -> Windows:
    host = make_host(leaves={})
    made = Windows(host, **changes)
    host.execute = made.execute
    return made


async def push(
    machine: Windows,
    store: Store,
    *faults: Fault,
    package: Package | None = None,
    verb: Verb = Verb.PUSH,
    kind: TransportKind = TransportKind.SMB,
    **changes: Any,
) -> tuple[Outcome, list[str], dict[str, list[str]]]:
    """One attempt by a process of its own: its outcome, its calls, and its events' details by kind."""
    package = package or make_package()
    (file,) = package.files
    payload = Payload({file.dest: f"{file.dest[-3:]} {package.version}".encode()})
    machine.host.port = 445 if kind is TransportKind.SMB else 5986
    transport = MemoryTransport({"10.0.0.1": machine.host}, *faults, kind=kind)
    watching = Watching()
    job = make_context(
        DyingStore(store, transport),
        transport,
        run=shared_run(store),
        package=package,
        payload=payload,
        verb=verb,
        watcher=watching,
        transports={kind: transport},
        **changes,
    )
    outcome = await attempt(job, Target(name=machine.host.name, transports=(kind,)), "10.0.0.1", next(_numbers))
    events: dict[str, list[str]] = {}
    for event in watching.events:
        events.setdefault(event.kind, []).append(event.detail)
    return outcome, transport.calls, events


def left_behind(machine: Windows) -> list[str]:
    """What pusher itself has left on the machine."""
    disk = [path for path in machine.host.disk.snapshot() if "pusher" in path]
    return disk + list(machine.host.services._known)


def verdict(outcome: Outcome) -> tuple[Status, str | None]:
    return outcome.status, outcome.code


KINDS = pytest.mark.parametrize("kind", list(InstallerKind))
WAYS = pytest.mark.parametrize("way", list(TransportKind))


@KINDS
@WAYS
def test_the_life_of_a_product(kind: InstallerKind, way: TransportKind, store: Store) -> None:
    async def story() -> None:
        machine = windows()
        outcome, _, events = await push(machine, store, package=make_package(kind), kind=way)
        assert verdict(outcome) == (Status.INSTALLED, None), outcome.message
        assert events["exit-code"] == ["0"] and events["runner"]
        assert events["detected"][0].endswith(("is absent", "is not installed")) and "2.0.0" in events["detected"][1]
        again, calls, _ = await push(machine, store, package=make_package(kind), kind=way)
        assert verdict(again) == (Status.UNCHANGED, None) and "put" not in calls
        machine.version = "2.1.0"
        newer, _, _ = await push(machine, store, package=make_package(kind, "2.1.0"), kind=way)
        assert verdict(newer) == (Status.UPGRADED, None), newer.message
        older, _, _ = await push(machine, store, package=make_package(kind), kind=way)
        assert verdict(older) == (Status.SKIPPED, "newer-version-present")
        assert len(machine.commands) == 2
        removed, _, _ = await push(machine, store, package=make_package(kind), verb=Verb.REMOVE, kind=way)
        assert verdict(removed) == (Status.REMOVED, None), removed.message
        nothing, _, _ = await push(machine, store, package=make_package(kind), verb=Verb.REMOVE, kind=way)
        assert verdict(nothing) == (Status.UNCHANGED, None)
        assert len(machine.commands) == 3 and left_behind(machine) == []

    fly(story())


def test_the_commands(store: Store) -> None:
    async def story() -> list[str]:
        machine = windows()
        for kind in InstallerKind:
            package = make_package(kind, **({"arguments": "ALLUSERS=1"} if kind is InstallerKind.MSI else {}))
            await push(machine, store, package=package)
            await push(machine, store, package=package, verb=Verb.REMOVE)
        return machine.commands

    log = '/qn /norestart /L*V "%SystemRoot%\\pusher\\labtool\\msiexec.log.pusher-new"'
    assert fly(story()) == [
        '"%SystemRoot%\\System32\\msiexec.exe" /i "%SystemRoot%\\pusher\\labtool\\labtool.msi" ' + log + " ALLUSERS=1",
        f'"%SystemRoot%\\System32\\msiexec.exe" /x {CODE} {log}',
        '"%SystemRoot%\\pusher\\labtool\\labtool.exe" /S',
        '"%ProgramFiles%\\LabTool\\uninst.exe" /S',
    ]  # fmt: skip


@pytest.mark.parametrize("code", sorted(MSI))
def test_an_msi_that_fails(code: int, store: Store) -> None:
    async def story() -> None:
        machine = windows(code=code, log="\ufeffone\r\nthe last line\r\n".encode("utf-16-le"))
        outcome, _, events = await push(machine, store)
        assert (outcome.status, outcome.code, outcome.stage) == (CATALOGUE[MSI[code]].status, MSI[code], "start")
        assert f"exit code {code}" in (outcome.message or "")
        assert events["installer-log"] == ["one | the last line"]
        assert left_behind(machine) == []

    fly(story())


def test_a_busy_installer_is_tried_again() -> None:
    assert CATALOGUE[MSI[1618]].next_move == "retry"


@pytest.mark.parametrize("code", [1641, 3010])
def test_a_reboot_is_a_success_that_is_told(code: int, store: Store) -> None:
    async def story() -> None:
        machine = windows(code=3010)
        outcome, _, events = await push(machine, store)
        assert verdict(outcome) == (Status.INSTALLED, None) and events["reboot-needed"]

    fly(story())


def test_an_exe_is_judged_by_its_own_list_alone(store: Store) -> None:
    async def story() -> None:
        machine = windows(code=3010)
        outcome, _, _ = await push(machine, store, package=make_package(InstallerKind.EXE))
        assert verdict(outcome) == (Status.FAILED, "installer-failed")
        machine.remove()
        fine = make_package(InstallerKind.EXE, success=frozenset({3010}))
        outcome, _, events = await push(machine, store, package=fine)
        assert verdict(outcome) == (Status.INSTALLED, None) and events["reboot-needed"]
        machine.code = 0
        machine.remove()
        outcome, _, _ = await push(machine, store, package=fine)
        assert verdict(outcome) == (Status.FAILED, "installer-failed")

    fly(story())


@WAYS
def test_an_installer_that_does_not_end(way: TransportKind, store: Store) -> None:
    async def story() -> None:
        machine = windows(seconds=1e6, log=b"waiting for a click", nothing=True)
        package = make_package(InstallerKind.EXE, timeout=60.0)
        outcome, _, events = await push(machine, store, package=package, kind=way)
        assert verdict(outcome) == (Status.FAILED, "installer-timed-out")
        assert events["installer-log"] == ["waiting for a click"] and left_behind(machine) == []

    fly(story())


def test_success_without_a_product(store: Store) -> None:
    async def story() -> None:
        machine = windows(nothing=True)
        outcome, _, _ = await push(machine, store)
        assert (*verdict(outcome), outcome.stage) == (Status.FAILED, "not-detected", "verify")
        machine.install()
        outcome, _, _ = await push(machine, store, verb=Verb.REMOVE)
        assert (*verdict(outcome), outcome.stage) == (Status.FAILED, "still-detected", "service")
        assert left_behind(machine) == []

    fly(story())


def test_an_earlier_pushs_runner_is_waited_for_and_its_end_told(store: Store, other_store: Store) -> None:
    async def story() -> None:
        for second in (store, other_store):
            machine = windows(seconds=300.0)
            # The first status that is asked of the running installer: the third of that call's.
            with pytest.raises(Killed):
                await push(machine, store, Fault(how=How.DIE, call="service_status", number=4))
            assert len(machine.commands) == 1 and left_behind(machine)
            outcome, _, events = await push(machine, second)
            assert verdict(outcome) == (Status.UNCHANGED, None), outcome.message
            assert any("exit code 0" in said for said in events["recovery"])
            assert len(machine.commands) == 1 and left_behind(machine) == []

    fly(story())


def test_an_earlier_runner_that_goes_on_is_no_reason_to_start_another(store: Store) -> None:
    async def story() -> None:
        machine = windows(seconds=1e6)
        long = make_package(timeout=1e7)
        with pytest.raises(Killed):
            await push(machine, store, Fault(how=How.DIE, call="service_status", number=4), package=long)
        outcome, _, _ = await push(machine, store, package=make_package(timeout=60.0))
        assert verdict(outcome) == (Status.FAILED, "installer-busy")
        assert len(machine.commands) == 1

    fly(story())


def _faults(calls: list[str], how: How) -> Iterator[Fault]:
    """At each call from the lock on, before and after its effect."""
    first = calls.index("hold") + 1
    for number in range(first + 1, len(calls) + 1):
        moments = [Moment.AFTER] if how is How.DIE else [Moment.BEFORE, Moment.AFTER]
        for moment in moments:
            if not (calls[number - 1].startswith("store:") and how is not How.DIE):
                yield Fault(how=how, number=number, moment=moment)


@WAYS
@pytest.mark.thorough
@pytest.mark.parametrize("how", [How.FAIL, How.DROP])
def test_a_failure_at_any_call(way: TransportKind, how: How, store: Store) -> None:
    async def story() -> list[str]:
        _, calls, _ = await push(windows(), store, kind=way)
        wrong = []
        for fault in _faults(calls, how):
            machine = windows()
            outcome, _, _ = await push(machine, store, fault, kind=way)
            at = f"{fault.moment.name} call {fault.number} ({calls[fault.number - 1]}): {verdict(outcome)}"
            runs = len(machine.commands)
            if runs > 1:
                wrong.append(f"{at}: run {runs} times")
            if outcome.status.is_success and UNINSTALL not in {key for key, _ in machine.host.values}:
                wrong.append(f"{at}: nothing is installed")
            # The folder of the locks, empty, stays where the connection went down and nothing called for a new one.
            if how is How.DROP and left_behind(machine) not in ([], ["windows\\pusher"]):
                wrong.append(f"{at}: left behind: {left_behind(machine)}")
            again, _, _ = await push(machine, store, kind=way)
            if not again.status.is_success or left_behind(machine) or len(machine.commands) != 1:
                wrong.append(f"{at}: then {verdict(again)}, run {len(machine.commands)} times, {left_behind(machine)}")
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)


@WAYS
@pytest.mark.thorough
@pytest.mark.parametrize("knows", [True, False], ids=["same-store", "another-store"])
def test_after_a_kill_at_any_call(way: TransportKind, knows: bool, store: Store, other_store: Store) -> None:
    async def story() -> list[str]:
        _, calls, _ = await push(windows(), store, kind=way)
        wrong = []
        for fault in _faults(calls, How.DIE):
            machine = windows()
            with pytest.raises(Killed):
                await push(machine, store, fault, kind=way)
            second = store if knows else other_store
            outcome, _, _ = await push(machine, second, kind=way)
            at = f"call {fault.number} ({calls[fault.number - 1]}): {verdict(outcome)} {outcome.message}"
            if not outcome.status.is_success or len(machine.commands) != 1 or left_behind(machine):
                wrong.append(f"{at}: run {len(machine.commands)} times, {left_behind(machine)}")
            if second.open_journals(machine.host.name, make_package().key):
                wrong.append(f"{at}: a journal is still open")
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)


FOUND = [
    (Found(present=False, matches=False, seen="x"), Status.INSTALLED),
    (Found(present=True, matches=False, seen="x"), Status.UPGRADED),
    (Found(present=True, matches=False, seen="x", version="1.9.9"), Status.UPGRADED),
    (Found(present=True, matches=True, seen="x", version="2.0"), Status.UNCHANGED),
    (Found(present=True, matches=True, seen="x"), Status.UNCHANGED),
    (Found(present=True, matches=True, seen="x", version="2.0.0.1"), "newer-version-present"),
    (Found(present=True, matches=False, seen="x", version="10.0"), "newer-version-present"),
    (Found(present=True, matches=False, seen="x", version="not numbers"), Status.UPGRADED),
]


@pytest.mark.parametrize(("found", "expected"), FOUND)
def test_what_follows_from_what_is_found(found: Found, expected: Status | str) -> None:
    decided = decide(make_package(), found)
    assert (decided.code if isinstance(decided, Problem) else decided) == expected
