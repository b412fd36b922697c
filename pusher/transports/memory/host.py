"""A machine in memory: who it is, who may sign in, and what is on it.

Tests make one, give it accounts, files and switches, push to it, and then look at ``snapshot``, ``sign_ins`` and
``calls``. Nothing here is asynchronous, and nothing knows of Problems.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pusher.models import Credential
from pusher.problems import Code
from pusher.remote.paths import SYSTEM_DRIVE, SystemFolders, program_of
from pusher.transports import by_service
from pusher.transports.memory.disk import Disk, Entry, Key, NtError, key_of
from pusher.transports.memory.services import Services, Win32Error
from pusher.transports.port import ITSELF, PeerIdentity, ServiceState, ServiceStatus

_LOGON_FAILURE, _LOCKED, _DISABLED, _EXPIRED = 0xC000006D, 0xC0000234, 0xC0000072, 0xC0000193
_MUST_CHANGE, _NO_SHARE, _DENIED, _NONE_MAPPED = 0xC0000224, 0xC00000CC, 0xC0000022, 0xC0000073
_FILE_NOT_FOUND = 2
_CURRENT = "hklm\\software\\microsoft\\windows nt\\currentversion"
_IN_WINDOWS = ("", "\\Temp", "\\System32")
_BESIDE = ("Program Files", "ProgramData")
_PLENTY = 64 * 1024**3


@dataclass(kw_only=True)
class User:
    """An account. Give the same object to many hosts and it is a domain's; ``failures`` is its badPwdCount."""

    password: str | None
    administrator: bool = True
    disabled: bool = False
    expired: bool = False
    must_change: bool = False
    locked: bool = False
    threshold: int = 0
    failures: int = 0

    def refusal(self, password: str | None) -> int | None:
        """The NTSTATUS that refuses this password, if any. What is wrong with the account shows only behind it."""
        if self.locked:
            return _LOCKED
        if password != self.password:
            self.failures += 1
            self.locked = 0 < self.threshold <= self.failures
            return _LOGON_FAILURE
        self.failures = 0
        flags = {_DISABLED: self.disabled, _EXPIRED: self.expired, _MUST_CHANGE: self.must_change}
        return next((status for status, flag in flags.items() if flag), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command's exit code, and how many seconds it took."""

    code: int = 0
    seconds: float = 0.0


def cmd_exit(command: str) -> Ran:
    """The one program that every machine has; anything else is not found."""
    found = re.fullmatch(r'"%SystemRoot%\\System32\\cmd\.exe" /c exit (\d+)', command)
    if found is None:
        raise Win32Error(_FILE_NOT_FOUND)
    return Ran(code=int(found[1]))


@dataclass(eq=False)
class MemoryHost:
    """One machine. ``name`` is what it says it is called: a DNS name, or a plain one for a machine without.

    ``users`` by what signs in: ``name`` (local), ``domain\\\\name``, ``name@domain``, or empty for the process's own
    identity; in lower case. ``registry``: the keys there are (None: no Remote Registry); ``values`` by key and name, in
    lower case. ``old_key``: it cannot read tickets. ``execute``: what running a command does and comes to.
    ``refuses``: the code that a connection attempt ends with. ``mute``: calls are never answered. ``latency``: seconds
    a call takes.
    """

    name: str = "ws01.corp.example"
    users: dict[str, User] = field(default_factory=dict)
    is_domain_controller: bool = False
    architecture: str | None = "x64"
    encrypts: bool = True
    missing_shares: set[str] = field(default_factory=set)
    read_only_shares: set[str] = field(default_factory=set)
    registry: set[str] | None = field(default_factory=lambda: {"hklm\\software"})
    values: dict[tuple[str, str], str | int] = field(default_factory=lambda: {(_CURRENT, "systemroot"): "C:\\Windows"})
    execute: Callable[[str], Ran] = field(default_factory=lambda: cmd_exit)
    registry_denied: bool = False
    rights: dict[str, frozenset[str]] = field(default_factory=dict)
    group_rights: dict[str, frozenset[str]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    leaves: dict[str, str] = field(default_factory=dict)
    folders: SystemFolders = field(default_factory=SystemFolders)
    port: int = 445
    refuses: Code | None = None
    mute: bool = False
    latency: float = 0.0
    skew: float = 0.0
    old_key: bool = False
    room: int = _PLENTY
    sign_ins: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.disk = Disk(self.room)
        self.services = Services(self._program, self._is_account, self._may_log_on)
        windows = self.folders.windows[3:]
        for folder in (*(windows + inner for inner in _IN_WINDOWS), *_BESIDE):
            self.disk.make_folder(key_of(folder), folder.rpartition("\\")[2])

    @property
    def identity(self) -> PeerIdentity:
        label, _, domain = self.name.partition(".")
        return PeerIdentity(
            netbios_name=label[:15].upper(),
            dns_name=self.name if domain else "",
            netbios_domain=domain.partition(".")[0].upper(),
            dns_domain=domain,
            build="10.0.20348",
            server_guid=f"guid-of-{self.name}" if self.name else "",
            dialect="SMB 3.1.1",
            encrypts=self.encrypts,
        )

    def now(self) -> float:
        """The machine's clock: the loop's, which a test may let fly, and what ``skew`` adds to it."""
        return asyncio.get_running_loop().time() + self.skew

    def admit(self, credential: Credential) -> User:
        """One sign-in; the user, or NtError."""
        name = login_name(credential)
        self.sign_ins.append(name)
        user = self.users.get(name)
        if user is None or (credential.ccache is not None and self.old_key):
            raise NtError(_LOGON_FAILURE)  # as servers do: who does not exist is not told from who mistypes
        # A ticket is proof enough; what it proves is between the domain controller and the pusher.
        password = user.password if credential.ccache else credential.secret.reveal() if credential.secret else None
        status = user.refusal(password)
        if status is not None:
            raise NtError(status)
        return user

    def root(self, share: str, user: User) -> Key:
        """Where a share leads to; what a tree connect refuses."""
        roots: dict[str, Key] = {"ADMIN$": key_of(self.folders.windows[3:]), SYSTEM_DRIVE: ()}
        if share.upper() not in roots or share.upper() in self.missing_shares:
            raise NtError(_NO_SHARE)
        if not user.administrator:
            raise NtError(_DENIED)
        return roots[share.upper()]

    def holders_of(self, right: str, account: str) -> tuple[str, ...]:
        own = self._rights_of(account)
        return ((ITSELF,) if right in own else ()) + tuple(
            g for g, rights in self.group_rights.items() if right in rights
        )

    def change_right(self, right: str, account: str, given: bool) -> None:
        own = self._rights_of(account)
        self.rights[account.lower()] = own | {right} if given else own - {right}

    def _rights_of(self, account: str) -> frozenset[str]:
        if account.lower() not in self.rights:
            raise NtError(_NONE_MAPPED)
        return self.rights[account.lower()]

    def _may_log_on(self, account: str, password: str | None) -> bool:
        """As a service. What is not among ``passwords`` has none: a built-in account, or a group managed one."""
        wanted = self.passwords.get(account.lower())
        return wanted is None or (password == wanted and bool(self.holders_of("SeServiceLogonRight", account)))

    def _is_account(self, account: str) -> bool:
        return "\\" not in account or account.lower() in self.rights or account.upper().startswith("NT ")

    def write(self, path: str, data: bytes) -> None:
        """Put a file on the drive from inside, for example ``Windows\\\\labagent\\\\labagent.exe``."""
        parts = path.split("\\")
        for length in range(1, len(parts)):
            self.disk.make_folder(key_of("\\".join(parts[:length])), parts[length - 1])
        self.disk.append(self.disk.create(key_of(path), parts[-1]), data)

    def read(self, path: str) -> bytes | None:
        """A file of the drive; None where there is none."""
        return self.disk.snapshot().get(path.lower())

    def start(self, name: str) -> float | None:
        """As ``Services.start``; a program that starts makes the file that ``leaves`` names, where there is none."""
        refused_after = self.services.start(name, self.now())
        left = self.leaves.get(name.lower())
        if refused_after is None and name == by_service.NAME:
            self._run_by_service()
        if refused_after is None and left is not None and self.read(left) is None:
            self.write(left, b"made by the agent itself")
        return refused_after

    def _run_by_service(self) -> None:
        """What the helper program does, seen from outside: it runs, and stops with what the command has come to."""
        config = self.services.config(by_service.NAME, self.now())
        assert config is not None
        limit, _, command = config.image_path.partition('" ')[2].partition(" ")
        try:
            ran = self.execute(command)
        except Win32Error as error:
            ended, after = ServiceStatus(state=ServiceState.STOPPED, win32_exit=error.code), 0.0
        else:
            late = ran.seconds > int(limit) / 1000
            code = 1460 if late else 1066 if ran.code else 0
            ended = ServiceStatus(state=ServiceState.STOPPED, win32_exit=code, service_exit=0 if late else ran.code)
            after = min(ran.seconds, int(limit) / 1000)
        self.services.foresee(by_service.NAME, ((0, ServiceStatus(state=ServiceState.RUNNING)), (after, ended)))

    def snapshot(self) -> dict[str, Any]:
        """All that a push could have changed, to be compared."""
        return {
            "disk": self.disk.snapshot(),
            "services": self.services.snapshot(self.now()),
            "rights": dict(self.rights),
        }

    def _program(self, image_path: str) -> Entry | None:
        drive, _, path = program_of(image_path, self.folders).partition("\\")
        entry = self.disk.find(key_of(path)) if drive == self.folders.drive.lower() else None
        return None if entry is None or entry.is_folder else entry


def login_name(credential: Credential) -> str:
    """The key of ``MemoryHost.users`` that a credential stands for."""
    return (f"{credential.domain}\\{credential.user}" if credential.domain else credential.user).lower()
