"""Installers on hosts: real MSI packages and an .exe, run, judged, found again, upgraded, removed, and interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lab import SCENARIOS, Host, HostSpec, Lab
from pusher.helper_exe import load
from tests.conftest import StartLab
from tests.lab.winrm import WinRm
from tests.system import witness
from tests.system.command import Ended, Pusher, Running, eventually
from tests.system.installers import SETUP, TOOL, Kit
from tests.system.site import Site, free_network

pytestmark = pytest.mark.lab

TRANSPORTS = ("smb", "winrm")
"""The ways that installers are pushed by."""

RUNNER = "PusherRun"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A host, and pusher for it by one transport."""

    lab: Lab
    host: Host
    kit: Kit
    inventory: Path
    pusher: Pusher
    transport: str

    def push(self, package: Path, *options: str) -> Ended:
        return self._with(package).push(self.inventory, "--transport", self.transport, "--attempts", "1", *options)

    def starting(self, package: Path) -> Running:
        options = ("--transport", self.transport, "--attempts", "1")
        return self._with(package).starting("push", self.inventory, *options)

    def check(self, package: Path) -> Ended:
        return self._with(package).check(self.inventory, "--transport", self.transport)

    def remove(self, package: Path) -> Ended:
        return self._with(package).remove(self.inventory, "--transport", self.transport)

    def _with(self, package: Path) -> Pusher:
        return replace(self.pusher, package=package)

    def events(self, ended: Ended) -> dict[str, str]:
        """The details of the host's events by their kind; of several, the last."""
        story = self.pusher.reading("show", ended.run, self.host.fqdn, "--json")
        assert story.status == 0, story.everything_said()
        record: dict[str, Any] = json.loads(story.stdout)
        return {event["kind"]: event["detail"] for event in record["events"]}

    def drive(self, path: str) -> Path:
        return self.host.admin_share.parent / path

    @property
    def run_by(self) -> str:
        """Who the MSI was told that it is run by; in Wine's own registry, asked for by another client."""
        said, _, code = WinRm(self.lab, self.host).run("reg query HKLM\\SOFTWARE\\LabTool /v RunBy")
        assert code == 0, said
        return said.split()[-1]

    @property
    def held(self) -> Path:
        """What an installer is told to wait for."""
        return self.host.admin_share / "Temp" / "hold"

    @property
    def runs(self) -> int:
        """How often the setup program has been run."""
        file = self.host.admin_share / "Temp" / "runs.txt"
        return len(file.read_text().split()) if file.exists() else 0

    def is_clean(self) -> bool:
        """Nothing of pusher's own is left."""
        assert witness.litter(self.host) == []
        assert not (self.host.admin_share / "pusher").exists()
        assert witness.service_of(self.host, RUNNER) is None
        assert witness.processes_of(self.host, "pusher-run") == []
        return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("installers")
    lab = Lab(folder / "state", free_network(), folder / "inventory")
    hosts = [HostSpec(name=name, scenario=SCENARIOS["healthy"]) for name in ("setup1", "setup2")]
    yield Site(lab=start_lab(lab, hosts), files=folder / "inventory")
    lab.down()


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit(folder=tmp_path_factory.mktemp("kit"))


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest, place: Site, kit: Kit, tmp_path: Path) -> Iterator[Bench]:
    host = place.host("setup1")
    host.reset()
    yield bench_of(place, kit, host, request.param, tmp_path)


def bench_of(place: Site, kit: Kit, host: Host, transport: str, folder: Path) -> Bench:
    return Bench(
        lab=place.lab,
        host=host,
        kit=kit,
        inventory=place.inventory_of(folder, [host], transports=transport),
        pusher=place.pusher(folder / "run"),
        transport=transport,
    )


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A push that was killed while the installer ran, and the same one again, which waits for a minute's idle time."""

    bench: Bench
    again: Future[Ended]


@pytest.fixture(scope="module")
def killed_over_winrm(place: Site, kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    bench = bench_of(place, kit, place.host("setup2"), "winrm", tmp_path_factory.mktemp("killed"))
    with ThreadPoolExecutor(1) as pool:
        package = kill_in_the_installer(bench)
        yield Killed(bench=bench, again=pool.submit(lambda: push_that_waits(bench, package)))


def push_that_waits(bench: Bench, package: Path) -> Ended:
    """The same push again: it waits for the installer, which may end once it does."""
    with bench.starting(package) as running:
        eventually(lambda: "waiting for its end" in running.log.read_text(), "the second push's waiting", limit=120)
        assert bench.runs == 1
        bench.held.unlink()
        return running.wait()


def kill_in_the_installer(bench: Bench) -> Path:
    """Its package. The installer waits as long as there is a file."""
    bench.held.touch()
    package = bench.kit.exe_package("killed", "1.0.0", "/hold=C:\\windows\\Temp\\hold")
    with bench.starting(package) as running:
        eventually(lambda: bench.runs == 1, "the installer's start")
        running.kill()
    return package


def test_a_push_over_winrm_is_killed(killed_over_winrm: Killed) -> None:
    """What comes of it is looked at when the next one has waited: see the test after a kill, below."""
    assert killed_over_winrm.bench.runs == 1


def test_the_life_of_an_msi(bench: Bench) -> None:
    one, two = bench.kit.msi_package("one", "1.0.0"), bench.kit.msi_package("two", "2.0.0")
    tool = bench.drive(TOOL)

    checked = bench.check(one)
    assert checked.verdict == ("ready", None), checked.everything_said()
    (pending,) = (c for c in checked.outcome["checks"] if c["check"] == "pending-version")
    assert "1.0.0 would be installed" in pending["evidence"]
    assert not tool.exists() and bench.is_clean()

    first = bench.push(one)
    assert first.verdict == ("installed", None), first.everything_said()
    assert tool.read_bytes() == bench.kit.program("1.0.0").read_bytes()
    assert first.outcome["agent_version"] == "1.0.0" and bench.is_clean()
    assert bench.run_by == "SYSTEM"
    events = bench.events(first)
    assert load().sha256 in events["runner"]
    assert events["exit-code"] == "0" and "version 1.0.0" in events["detected"]
    assert 'msiexec.exe" /i' in events["command"]

    again = bench.push(one)
    assert again.verdict == ("unchanged", None), again.everything_said()
    assert again.outcome["bytes_copied"] == 0 and "command" not in bench.events(again)

    newer = bench.push(two)
    assert newer.verdict == ("upgraded", None), newer.everything_said()
    assert tool.read_bytes() == bench.kit.program("2.0.0").read_bytes() and bench.is_clean()

    older = bench.push(one)
    assert older.verdict == ("skipped", "newer-version-present"), older.everything_said()

    removed = bench.remove(two)
    assert removed.verdict == ("removed", None), removed.everything_said()
    assert not tool.exists() and not tool.parent.exists() and bench.is_clean()
    assert bench.remove(two).verdict == ("unchanged", None)


@pytest.mark.parametrize("bench", ["winrm"], indirect=True)
@pytest.mark.parametrize("rule", ["", "[detect]\nregistry = 'HKLM\\SOFTWARE\\LabTool'\nvalue = 'Version'\n"])
def test_an_msi_is_known_by_what_it_has_registered(bench: Bench, rule: str) -> None:
    """By its product code, where the package has no rule, or by a value that it writes.

    Over SMB the lab's registry is Samba's own, into which no installer writes.
    """
    package = bench.kit.msi_package("registered", "1.0.0", detect=rule)
    first = bench.push(package)
    assert first.verdict == ("installed", None), first.everything_said()
    assert bench.push(package).verdict == ("unchanged", None)
    assert bench.remove(package).verdict == ("removed", None)
    assert bench.remove(package).verdict == ("unchanged", None)


def test_an_msi_that_fails_tells_the_end_of_its_log(bench: Bench) -> None:
    ended = bench.push(bench.kit.msi_package("refuses", "1.0.0", refuses=True))
    assert ended.verdict == ("failed", "installer-failed"), ended.everything_said()
    assert ended.outcome["stage"] == "start" and "1603" in ended.outcome["message"]
    assert "Action ended" in bench.events(ended)["installer-log"]
    assert not bench.drive(TOOL).exists() and bench.is_clean()


def test_the_life_of_an_exe(bench: Bench) -> None:
    package = bench.kit.exe_package("plain", "1.0.0", "")
    ended = bench.push(package)
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert bench.drive(SETUP).exists() and bench.runs == 1 and bench.is_clean()
    again = bench.push(package)
    assert again.verdict == ("unchanged", None) and bench.runs == 1, again.everything_said()
    newer = bench.push(bench.kit.exe_package("newer", "1.0.1", ""))
    assert newer.verdict == ("upgraded", None), newer.everything_said()
    removed = bench.remove(package)
    assert removed.verdict == ("removed", None), removed.everything_said()
    assert not bench.drive(SETUP).exists() and bench.is_clean()


@pytest.mark.parametrize("bench", ["winrm"], indirect=True)
def test_an_installer_may_run_as_the_push_account(bench: Bench) -> None:
    ended = bench.push(bench.kit.msi_package("account", "1.0.0", more='run_as = "account"'))
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert bench.run_by == "pushadm" and "WinRS" in bench.events(ended)["runner"] and bench.is_clean()


@pytest.mark.parametrize("bench", ["smb"], indirect=True)
def test_over_smb_nothing_runs_as_the_push_account(bench: Bench) -> None:
    ended = bench.push(bench.kit.msi_package("account", "1.0.0", more='run_as = "account"'))
    assert ended.status == 2 and "runs as the machine itself" in ended.stderr and bench.is_clean()


def test_an_exe_that_fails_tells_its_code_and_the_end_of_its_log(bench: Bench) -> None:
    ended = bench.push(
        bench.kit.exe_package("fails", "1.0.0", "/nothing /code=77 /log=C:\\windows\\Temp\\labsetup.log")
    )
    assert ended.verdict == ("failed", "installer-failed"), ended.everything_said()
    assert "exit code 77" in ended.outcome["message"]
    log = bench.events(ended)["installer-log"]
    assert log.endswith("the very last words") and "\x1b" not in log and len(log) <= 4000
    assert bench.is_clean()


def test_a_reboot_that_is_needed_is_told(bench: Bench) -> None:
    ended = bench.push(bench.kit.exe_package("reboot", "1.0.0", "/code=3010"))
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert "reboot-needed" in bench.events(ended)


def test_success_without_a_product_is_no_success(bench: Bench) -> None:
    ended = bench.push(bench.kit.exe_package("nothing", "1.0.0", "/nothing"))
    assert ended.verdict == ("failed", "not-detected"), ended.everything_said()
    assert ended.outcome["stage"] == "verify" and bench.is_clean()


def test_an_installer_that_waits_is_ended_with_all_its_processes(bench: Bench) -> None:
    hold = bench.held
    hold.touch()
    arguments = "/child /hold=C:\\windows\\Temp\\hold"
    ended = bench.push(bench.kit.exe_package("waits", "1.0.0", arguments, more='timeout = "4s"'))
    assert ended.verdict == ("failed", "installer-timed-out"), ended.everything_said()
    assert bench.runs == 2  # it and its child
    eventually(lambda: not [p for p in bench.host.processes() if "labsetup" in p.command], "the end of both")
    assert not bench.drive(SETUP).exists()
    assert bench.is_clean()
    assert bench.push(bench.kit.exe_package("plain", "1.0.0", "")).verdict == ("installed", None)


@pytest.mark.parametrize("bench", ["smb"], indirect=True)
def test_after_a_kill_the_next_push_waits_for_the_installer(bench: Bench) -> None:
    package = kill_in_the_installer(bench)
    ended = push_that_waits(bench, package)
    assert ended.verdict == ("unchanged", None), ended.everything_said()
    assert bench.runs == 1 and bench.drive(SETUP).exists() and bench.is_clean()


def test_after_a_kill_over_winrm_the_next_push_waits_for_the_installer(killed_over_winrm: Killed) -> None:
    """First for the lock, which lives in a shell that the machine ends when it has been idle."""
    bench, ended = killed_over_winrm.bench, killed_over_winrm.again.result()
    assert ended.verdict == ("unchanged", None), ended.everything_said()
    assert bench.runs == 1 and bench.drive(SETUP).exists() and bench.is_clean()


def test_a_connection_that_is_lost_meanwhile_does_not_lose_the_installer(bench: Bench) -> None:
    hold = bench.held
    hold.touch()
    with bench.starting(bench.kit.exe_package("lost", "1.0.0", "/code=3010 /hold=C:\\windows\\Temp\\hold")) as running:
        eventually(lambda: bench.runs == 1, "the installer's start")
        cut = bench.host.kill_smbd_children if bench.transport == "smb" else bench.host.cut_winrm
        assert cut() > 0
        eventually(lambda: "waiting for its end" in running.log.read_text(), "a second connection")
        hold.unlink()
        ended = running.wait()
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert bench.events(ended)["exit-code"] == "3010" and bench.runs == 1 and bench.is_clean()


def test_two_pushes_of_installers_do_not_run_at_once(bench: Bench) -> None:
    hold = bench.held
    hold.touch()
    held = bench.kit.exe_package("held", "1.0.0", "/hold=C:\\windows\\Temp\\hold")
    with bench.starting(held) as running:
        eventually(lambda: bench.runs == 1, "the installer's start")
        with bench.starting(bench.kit.msi_package("other", "1.0.0")) as second:
            if bench.transport == "winrm":
                # Nobody can see whether the lock's holder lives: it is waited for, and this one does.
                eventually(lambda: "lock-held" in second.log.read_text(), "the second push's waiting")
                assert bench.runs == 1
                hold.unlink()
            other = second.wait()
        if bench.transport == "winrm":
            assert other.verdict == ("installed", None), other.everything_said()
        else:
            assert other.verdict == ("failed", "push-in-progress"), other.everything_said()
            hold.unlink()
        assert running.wait().verdict == ("installed", None)
    assert bench.is_clean()
