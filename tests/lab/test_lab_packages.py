"""What is said and done about missing Debian packages; apt-get itself is played."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import packages


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A machine that lacks two packages, with a policy file of its own; what would have been run."""
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        if "apt-get" in command:
            ran.append(["policy file is there" if packages._POLICY.exists() else "no policy file"])
        elif "tee" in command:
            packages._POLICY.touch()
        elif "rm" in command:
            packages._POLICY.unlink()
        return subprocess.CompletedProcess(command, 0 if command != ["sudo", "-n", "true"] else 1)

    there = tmp_path / "smbd"
    there.touch()
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(packages, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(packages, "NEEDED", {"samba": str(there), "wine": "/nowhere/wine"})
    monkeypatch.setattr(packages, "NEEDED_WITHOUT_ROOT", {"libuid-wrapper": "/nowhere/*/wrapper.so"})
    return ran


def test_root_installs_and_no_service_starts(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said: list[str] = []
    assert packages.install(said.append) == ["wine"]  # played, so it is missing still
    assert said == ["installing wine"]
    assert any("install" in command and command[-1] == "wine" for command in commands)
    assert ["no policy file"] not in commands
    assert not packages._POLICY.exists()


def test_a_policy_that_is_there_is_left_alone(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    packages._POLICY.write_text("mine", encoding="ascii")
    packages.install(lambda line: None)
    assert packages._POLICY.read_text(encoding="ascii") == "mine"
    assert not any("tee" in command or "rm" in command for command in commands)


def test_who_may_not_install_is_told_the_command(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert packages.install(lambda line: None) == ["wine", "libuid-wrapper"]
    assert commands == [["sudo", "-n", "true"]]
    assert packages.command(["wine"]) == "apt-get update && apt-get install --no-install-recommends -y wine"


def test_with_everything_there_nothing_is_run(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "NEEDED", {})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert packages.install(lambda line: None) == []
    assert commands == []
