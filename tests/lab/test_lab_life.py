"""The life of a whole lab: up, up again, down, and down after an `up` that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import SCENARIOS, HostSpec, Lab, LabError, build, healthy
from tests.lab.clients import network

pytestmark = pytest.mark.lab

ROOT = Path(build.__file__).parent.parent
MIXED = [
    HostSpec(name="ws01"),
    HostSpec(name="ws02", scenario=SCENARIOS["port-closed"]),
    HostSpec(name="ws03", scenario=SCENARIOS["mute"]),
    HostSpec(name="ws04", scenario=SCENARIOS["same-version"]),
]


@pytest.fixture
def lab(own_lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A lab to be started and ended by the test; where none starts at all, `own_lab` has said so."""
    made = Lab(tmp_path / "state", network(1), tmp_path / "inventory")
    yield made
    made.down()


def left_of(lab: Lab) -> dict[str, list[str]]:
    """Whatever there is of a lab: processes, mounts, listening sockets, files."""
    prefix = lab.network.rpartition(".")[0]
    processes = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(lab.state) in command or f"{prefix}." in command:
                processes.append(command)
    sockets = subprocess.run(["ss", "-Hltun"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {
        "processes": processes,
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if str(lab.state) in line],
        "sockets": [line for line in sockets if f" {prefix}." in line],
        "files": [str(path) for path in lab.state.glob("*") if path.name != "lock"],
        "inventory": [str(path) for path in (lab.inventory_dir or Path()).glob("**/*")],
    }


NOTHING: dict[str, list[str]] = {"processes": [], "mounts": [], "sockets": [], "files": [], "inventory": []}


def test_down_leaves_nothing(lab: Lab) -> None:
    assert lab.up(MIXED)
    seen = left_of(lab)
    assert all(seen[kind] for kind in ("processes", "sockets", "files", "inventory"))
    assert seen["mounts"] == []  # a host's are its own
    lab.down()
    assert left_of(lab) == NOTHING
    assert lab.hosts == {}
    lab.down()  # again is no error


def test_up_again_does_nothing_and_other_hosts_need_fresh(lab: Lab) -> None:
    assert lab.up(MIXED)
    marks = [host.mark for host in lab.hosts.values()]
    assert not Lab(lab.state, lab.network, lab.inventory_dir).up(MIXED)
    assert [host.mark for host in lab.hosts.values()] == marks
    with pytest.raises(LabError, match="--fresh"):
        lab.up(healthy(1))
    assert lab.up(healthy(1), fresh=True)
    assert list(lab.hosts) == ["ws01"]


def test_a_lab_that_is_up_in_part_says_so(lab: Lab) -> None:
    lab.up(healthy(2))
    lab.hosts["ws02"].kill()
    assert not lab.is_up
    with pytest.raises(LabError, match=r"in part \(ws02 ended\)"):
        lab.up(healthy(2))
    lab.hosts["ws02"].start()
    assert not lab.up(healthy(2))


def test_two_labs_do_not_share_a_network(lab: Lab, tmp_path: Path) -> None:
    lab.up(healthy(1))
    other = Lab(tmp_path / "other", lab.network)
    with pytest.raises(LabError, match="is taken: by another lab"):
        other.up(healthy(1))
    assert lab.is_up
    assert [path.name for path in other.state.iterdir()] == ["lock"]


def test_secrets_are_their_owners_only_and_on_no_command_line(lab: Lab) -> None:
    lab.up(MIXED)
    secrets = [lab.secret(name) for name in ("push-2026", "push-2025", "clerk")]
    for path in (lab.state / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for path in lab.state.glob("hosts/*/order.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            shown = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        assert not any(secret.encode() in shown for secret in secrets)
    for path in lab.state.glob("hosts/*/log/**/*"):
        if path.is_file():
            assert not any(secret.encode() in path.read_bytes() for secret in secrets)


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.5, 0.6, 0.8, 1.2])
def test_an_up_that_was_killed_is_ended_by_down(lab: Lab, seconds: float) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lab", "up", "--hosts", "4", "--state", str(lab.state)),
            *("--network", lab.network, "--inventory", str(lab.inventory_dir)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lab.down()
    assert left_of(lab) == NOTHING


def test_the_command_line(lab: Lab) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lab", *arguments, "--state", str(lab.state)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    up = ("up", "--hosts", "2", "--network", lab.network, "--inventory", str(lab.inventory_dir))
    assert run("status").returncode == 1
    done = run(*up)
    assert done.returncode == 0, done.stderr
    assert "ws02.lab.test" in done.stdout
    assert "up already" in run(*up).stderr
    rows = [json.loads(line) for line in run("status", "--json").stdout.splitlines()]
    assert [(row["name"], row["state"], row["expect_status"]) for row in rows] == [
        ("ws01", "up", "installed"),
        ("ws02", "up", "installed"),
    ]
    assert run("down").returncode == 0
    assert run("status").returncode == 1
    bad = run("up", "--network", "10.0.0.0/24")
    assert (bad.returncode, "127.0.0.0/8" in bad.stderr) == (2, True)


def test_hosts_of_a_lab_that_a_reboot_ended_are_started_anew(lab: Lab) -> None:
    lab.up(healthy(2))
    for path in [*lab.state.glob("hosts/*/process.json"), lab.state / "dns.json"]:
        os.kill(json.loads(path.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
    limit = time.monotonic() + 10
    while left_of(lab)["sockets"]:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert not lab.is_up
    assert lab.up(healthy(2))
    assert lab.is_up


def test_the_agent_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    def made(cache: str, version: str = "1.4.2") -> bytes:
        (tmp_path / cache).mkdir()
        return build.agent_executable(tmp_path / cache, version).read_bytes()

    first, second = made("one"), made("two")
    assert first == second
    assert len(first) > 250_000
    assert "1.4.2".encode("utf-16-le") in first
    assert made("three", "1.3.0") != first
