"""One host of a running lab, as tests and the command line see it: where it is, and what can be done to it.

Everything is read from the lab's state on disk or asked of the host's process, so any process of the same
user may have one. Not here: what happens inside the host (host.py), starting a whole lab (fleet.py).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import control, processes
from lab.control import ControlError
from lab.processes import Mark
from lab.samba import KEEPER
from lab.scenarios import Kind, Scenario
from lab.winrm import HTTP_PORT, HTTPS_PORT

_READY_LIMIT = 120.0
_INSIDE_WINDOWS = "run/lab/prefix/drive_c/windows"


class LabError(Exception):
    """The lab, or one of its hosts, cannot do what was asked; the message says why."""


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """One attempt to sign in that the host has seen, the lab's own left out."""

    time: str
    user: str
    status: str


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of the host, by its pid inside."""

    pid: int
    parent: int
    command: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that the host's service manager knows."""

    name: str
    display_name: str
    state: str  # running, stopped, start-pending and so on
    image_path: str
    start_type: int
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A shell that somebody has open at the WinRM endpoint."""

    id: str
    owner: str
    resource: str
    idle_timeout: float
    commands: list[str]


class Host:
    """A client of one running host. `boot` starts its process: fleet.py knows how."""

    def __init__(
        self,
        *,
        name: str,
        domain: str,
        address: str,
        port: int,
        scenario: Scenario,
        folder: Path,
        boot: Callable[[Host, bool], None],
        joined: bool = False,
    ) -> None:
        self.name = name
        self.domain = domain
        self.joined = joined  # a member of the lab's directory
        self.fqdn = f"{name}.{domain}"
        self.address = address
        self.port = port
        self.scenario = scenario
        self.folder = folder
        self._boot = boot

    def __repr__(self) -> str:
        return f"Host({self.name!r}, {self.scenario.name!r}, {self.address}:{self.port})"

    @property
    def has_process(self) -> bool:
        """Whether anything runs for this host at all; nothing does for a closed port or a stale name."""
        return self.scenario.kind not in (Kind.CLOSED, Kind.STALE)

    @property
    def record(self) -> Path:
        return self.folder / "process.json"

    @property
    def mark(self) -> Mark | None:
        """The host's outermost process while it runs."""
        return processes.running(self.record)

    @property
    def admin_share(self) -> Path:
        """The windows folder of the running host, from outside; it changes with every boot."""
        mark = self.mark
        if mark is None or self.scenario.kind is not Kind.WINDOWS:
            raise LabError(f"{self.name}: no Windows runs here")
        return Path(f"/proc/{mark.pid}/root/{_INSIDE_WINDOWS}")

    def start(self) -> None:
        """Boot with the disk as it is (new when there is none); returns when the host answers."""
        self._start(fresh=not self.folder.exists())

    def kill(self) -> None:
        """End the host at once, as by pulling the plug: the service database may be half a minute old then.

        No-op when it does not run.
        """
        mark = processes.read_mark(self.record)
        if mark is not None:
            processes.end(mark)
            self.record.unlink(missing_ok=True)

    def reboot(self) -> None:
        """An orderly restart: the service database is written, and services that start by themselves start."""
        self._ask("shut_down", timeout=30)
        self.kill()
        self.start()

    def reset(self) -> None:
        """A fresh boot with a fresh disk at the same address."""
        self.kill()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self._start(fresh=True)

    def _start(self, *, fresh: bool) -> None:
        if not self.has_process:
            return
        if self.mark is not None:
            raise LabError(f"{self.name} runs already")
        self._boot(self, fresh)
        try:
            self._ask("ready", timeout=_READY_LIMIT)
        except ControlError as exc:
            raise LabError(f"{exc}\n{self.log_tail()}") from exc

    def log_tail(self, lines: int = 15) -> str:
        """The end of what the host's process has logged."""
        path = self.folder / "log" / "host.log"
        if not path.exists():
            return "(no log)"
        text = path.read_text(encoding="utf-8", errors="replace")
        return "\n".join([f"{path}:", *text.splitlines()[-lines:]])

    def link(
        self,
        fault: str,
        after: int = 0,
        times: int | None = None,
        *,
        after_messages: int = 0,
        ms: int = 0,
        port: int | None = None,
    ) -> None:
        """Put a fault on the connections from now on (for `times` of them, or until `heal`).

        Faults: stall, reset, kill-smbd (each after so many bytes or messages towards the host), refuse,
        delay (by `ms`). See fault_proxy.py. `port` is the host's SMB port, 5985 or 5986; by default it is every one of
        them that can have the fault.
        """
        way = None if port is None else {self.port: "smb", HTTP_PORT: "http", HTTPS_PORT: "https"}[port]
        self._ask("link", fault=fault, after=after, after_messages=after_messages, ms=ms, times=times, way=way)

    def winrm(self, **behaviour: Any) -> None:
        """Have the WinRM endpoint behave otherwise from now on; without arguments as a healthy one.

        See Behaviour in lab/winrm/config.py: delay_ms, status, max_shells, max_envelope_kb, deny ("fault" or "401"),
        binding ("none", "relaxed" or "strict"), allow_unencrypted, drop_after, drop_on, hang_on.
        """
        self._ask("winrm", **behaviour)

    def cut_winrm(self) -> int:
        """Reset every WinRM connection that is open now; returns how many there were."""
        return int(self._ask("cut_winrm"))

    def shells(self) -> list[Shell]:
        """The shells that are open at the WinRM endpoint."""
        return [Shell(**row) for row in self._ask("shells")]

    def winrm_log(self, event: str | None = None) -> list[dict[str, Any]]:
        """What the WinRM endpoint has seen since the disk was new, oldest first.

        Events: sign-in (user, status, protocol, secure, bound), request (user, secure, what, fault), dropped, hangs,
        command-ended (line, code), shell-expired, seal-broken, unencrypted-refused, download.
        """
        path = self.folder / "log" / "winrm.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # the last line may be being written
        rows = [json.loads(line) for line in whole.splitlines()]
        return [row for row in rows if event in (None, row["event"])]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate that the WinRM endpoint presents, in hexadecimal digits."""
        from lab.certificates import fingerprint  # slow to import

        return fingerprint(self.folder / ("relay.pem" if self.scenario.winrm.relay else "winrm.pem"))

    def heal(self) -> None:
        """No fault on the connections from now on; those that have one keep it."""
        self._ask("heal")

    def kill_smbd_children(self) -> int:
        """Kill the server process of every open connection; returns how many there were."""
        return int(self._ask("kill_smbd_children"))

    def hold(self, path: str, *, delete_on_close: bool = False) -> None:
        """Have a file of ADMIN$ open without sharing, as Windows has a running executable, until `release`."""
        self._ask("hold", path=path, delete_on_close=delete_on_close)

    def release(self, path: str) -> None:
        self._ask("release", path=path)

    def processes(self) -> list[Process]:
        return [Process(**row) for row in self._ask("processes")]

    def services(self) -> list[Service]:
        """Asked of the service manager directly, past SMB and any fault of the link."""
        return [Service(**row) for row in self._ask("services", timeout=30)]

    def sign_ins(self) -> list[SignIn]:
        """Every attempt to sign in since the disk was new, oldest first."""
        path = self.folder / "log" / "sign-ins.log"
        if not path.exists():
            return []
        return parse_sign_ins(path.read_text(encoding="utf-8", errors="replace"))

    def _ask(self, call: str, timeout: float = 10.0, **arguments: Any) -> Any:
        return control.ask(self.folder / "control.sock", call, arguments, timeout)


def parse_sign_ins(text: str) -> list[SignIn]:
    """Samba's authentication audit: a JSON object a line, some with words in front."""
    found = []
    for line in text.splitlines():
        start = line.find('{"timestamp"')
        if start < 0:
            continue
        event = json.loads(line[start:])
        if event.get("type") != "Authentication":
            continue
        details = event["Authentication"]
        # A member's winbindd writes of what it asks the directory, for sign-ins that smbd writes of too.
        if details["clientAccount"] != KEEPER and details.get("serviceDescription") != "winbind":
            found.append(SignIn(time=event["timestamp"], user=details["clientAccount"] or "", status=details["status"]))
    return found
