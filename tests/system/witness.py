"""Clients that know nothing of pusher: what a host looks like to them decides a test.

Samba's smbclient, net and rpcclient go the way any administrator's tool goes, and are told the password by a file
of mode 0600. A host's disk and process list are looked at from outside, past any account and any fault of its link.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lab import Host, Lab, Service, SignIn

AGENT = r"labagent\labagent.exe"
SERVICE = "LabAgent"
_LISTED = re.compile(r"^  (\S.*?)\s+[A-Z]*\s+\d+  \w{3} \w{3} +\d", re.MULTILINE)
_BEATS = "heartbeat.txt"  # the agent's own, once a second

Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All of a host that a push could change. ``agents`` are the processes of the agent."""

    files: dict[str, tuple[int, int]]  # size and time of change, of folders neither
    service: Service | None
    agents: tuple[int, ...]


class Witness:
    """One user's way to one host."""

    def __init__(self, lab: Lab, host: Host, user: str = "pushadm", secret: str = "push-2026") -> None:
        self.host = host
        self._user, self._password = user, lab.secret(secret)

    def smb(self, command: str, share: str = "ADMIN$") -> str:
        """smbclient's output, whatever it was."""
        return self._run("smbclient", "-p", str(self.host.port), f"//{self.host.address}/{share}", "-c", command)

    def names(self, folder: str, share: str = "ADMIN$") -> list[str]:
        """What lies in a folder, as smbclient lists it; nothing where there is no such folder."""
        found = _LISTED.findall(self.smb(f'ls "{folder}\\*"', share))
        return [name for name in found if name not in (".", "..")]

    def content(self, path: str, share: str = "ADMIN$") -> bytes:
        """A file's bytes, fetched by smbclient."""
        with tempfile.TemporaryDirectory() as folder:
            got = Path(folder) / "got"
            said = self.smb(f'get "{path}" {got}', share)
            assert got.exists(), said
            return got.read_bytes()

    def service_state(self, name: str = SERVICE) -> str | None:
        """``running``, ``stopped``, ``start pending`` …; None where `net` says that there is no such service."""
        said = self.net("status", name)
        for line in said.splitlines():
            if line.startswith(f"{name} service is "):
                return line.removeprefix(f"{name} service is ").rstrip(".")
        assert "WERR_SERVICE_DOES_NOT_EXIST" in said, said
        return None

    def service_setting(self, key: str, name: str = SERVICE) -> str | None:
        """A line of what `net` tells of a service, such as ``Executable Path``; None where there is none."""
        for line in self.net("status", name).splitlines():
            said, _, value = line.partition("=")
            if said.strip() == key:
                return value.strip()
        return None

    def net(self, *command: str) -> str:
        """What `net rpc service` says, whatever it is."""
        return self._run("net", "rpc", "service", *command, "-S", self.host.address, "-p", str(self.host.port))

    def service_list(self) -> list[str]:
        """The names of all services, asked of `net`."""
        said = self.net("list")
        return [line.split()[0] for line in said.splitlines() if line.split()]

    def registry_keys(self, path: str) -> list[str]:
        """The keys below HKLM\\PATH, as `net rpc registry` lists them."""
        said = self._run(
            *("net", "rpc", "registry", "enumerate", f"HKLM\\{path}"),
            *("-S", self.host.address, "-p", str(self.host.port)),
        )
        return re.findall(r"^Keyname *= (.+)$", said, re.MULTILINE)

    def _run(self, *command: str) -> str:
        descriptor, name = tempfile.mkstemp()  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"username = {self._user}\npassword = {self._password}\n")
            done = subprocess.run([*command, "-A", name], capture_output=True, text=True, timeout=60, check=False)
        finally:
            Path(name).unlink()
        return done.stdout + done.stderr


def agents_now(host: Host) -> tuple[int, ...]:
    """The agent's processes, by their pid inside the host."""
    return tuple(p.pid for p in host.processes() if "labagent.exe" in p.command)


def agents(host: Host) -> tuple[int, ...]:
    """The agent's processes once an earlier one has ended: those of the service alone."""

    def is_settled(found: tuple[int, ...]) -> bool:
        service = service_of(host)
        return len(found) <= (0 if service is None or service.state == "stopped" else 1)

    return settled(lambda: agents_now(host), is_settled)


def processes_of(host: Host, program: str) -> list[str]:
    """The command lines with `program` in them, once those that are about to end have ended."""

    def look() -> list[str]:
        return [p.command for p in host.processes() if program in p.command]

    return settled(look, lambda found: not found)


def settled(look: Callable[[], Seen], is_settled: Callable[[Seen], bool], limit: float = 10.0) -> Seen:
    """What is seen once it is as it should be, or after `limit` seconds: a service's process ends a moment after it
    has reported SERVICE_STOPPED (Service Control Manager, SetServiceStatus)."""
    deadline = time.monotonic() + limit
    while not is_settled(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def faults_struck(host: Host) -> int:
    """How many faults of its link have struck since it was made."""
    return (host.folder / "log" / "host.log").read_text(encoding="utf-8", errors="replace").count(" fault: ")


def service_of(host: Host, name: str = SERVICE) -> Service | None:
    """Asked of the service manager past SMB."""
    return next((service for service in host.services() if service.name.lower() == name.lower()), None)


def files(host: Host, top: str = "") -> dict[str, tuple[int, int]]:
    """Every file and folder of drive C:, with size and time of change (of a folder neither)."""
    drive = host.admin_share.parent
    found = {}
    # A folder, too, may go while we look: os.walk passes over what it can no longer list.
    everything = (Path(at) / name for at, folders, names in os.walk(drive / top) for name in (*folders, *names))
    for path in everything:
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # it went while we looked
        if path.name != _BEATS:
            name = str(path.relative_to(drive))
            found[name] = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


def snapshot(host: Host) -> Snapshot:
    return Snapshot(files=files(host), service=service_of(host), agents=agents(host))


def litter(host: Host) -> list[str]:
    """What a push must not leave behind: half-made and set-aside files, probes, locks, its own folder."""
    return [name for name in files(host) if "pusher" in name.lower()]


def traces(host: Host) -> list[str]:
    """Litter, and all that a push that was undone must have taken back: the agent's folder as well."""
    return [name for name in files(host) if "pusher" in name.lower() or "labagent" in name.lower()]


def agent_file(host: Host) -> bytes | None:
    path = host.admin_share / "labagent" / "labagent.exe"
    return path.read_bytes() if path.exists() else None


def sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


@contextmanager
def new_sign_ins(host: Host) -> Iterator[list[SignIn]]:
    """The sign-ins that the host's own log gained within the block; the list is filled at its end."""
    before = len(host.sign_ins())
    gained: list[SignIn] = []
    yield gained
    gained += host.sign_ins()[before:]
