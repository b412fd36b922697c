"""The nouns that every floor shares.

Here live frozen, keyword-only values and enums. No I/O, no clock, no defaults read from the environment.
The names of outcome fields and of the enum values are part of the product's surface (see README, "Surface").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Status(StrEnum):
    """How a target ended."""

    INSTALLED = "installed"
    UPGRADED = "upgraded"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    READY = "ready"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_success(self) -> bool:
        """True for the statuses that let the command exit 0."""
        return self in SUCCESSES


SUCCESSES = frozenset({Status.INSTALLED, Status.UPGRADED, Status.UNCHANGED, Status.REMOVED, Status.READY})


class Stage(StrEnum):
    """Where in a push something happened, in the order of the story."""

    RESOLVE = "resolve"
    REACH = "reach"
    IDENTIFY = "identify"
    SIGN_IN = "sign-in"
    RIGHTS = "rights"
    LOCK = "lock"
    STAGE = "stage"
    SERVICE = "service"
    START = "start"
    VERIFY = "verify"
    RECORD = "record"


class NextMove(StrEnum):
    """What the scheduler does about a problem."""

    RETRY = "retry"
    NEXT_ACCOUNT = "next-account"
    NEXT_TRANSPORT = "next-transport"
    WAIT = "wait"
    GIVE_UP = "give-up"
    STOP_ACCOUNT = "stop-account"


class Verb(StrEnum):
    """What a run does to its targets."""

    PUSH = "push"
    CHECK = "check"
    REMOVE = "remove"


class TransportKind(StrEnum):
    SMB = "smb"
    WINRM = "winrm"


class Protocol(StrEnum):
    """The authentication protocol, named explicitly: never negotiated (MS-SPNG would fall back silently)."""

    KERBEROS = "kerberos"
    NTLM = "ntlm"


class Secret:
    """A secret that does not print itself: its repr, str and format are ``***``; pickling is refused."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; called by transports at the moment of sign-in and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where in the operator's files a thing was written. Line and column count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, kw_only=True, slots=True)
class WinrmWay:
    """How WinRM is reached on a target; None: https on 5986, then http on 5985 with message encryption.

    ``scheme`` is ``https`` or ``http``; ``fingerprint`` the SHA-256 of the only certificate to accept, 64 hexadecimal
    digits in lower case.
    """

    port: int | None = None
    scheme: str | None = None
    fingerprint: str | None = None


DOMAIN_CONTROLLERS = "domain-controllers"
"""The group of which all members are taken for domain controllers: for ``never``, ``--limit`` and ``--exclude``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One machine of an inventory, before it is resolved.

    ``address`` is an IP address given by the operator (None: the name is to be resolved); ``port`` overrides
    SMB's own; ``variables`` fill ``{name}`` placeholders of a package's service command. ``machine`` is what it calls
    itself, where its name in the inventory is only a label; ``aliases`` are other names that the inventory has for it.
    """

    name: str
    address: str | None = None
    port: int | None = None
    site: str | None = None
    transports: tuple[TransportKind, ...] = (TransportKind.SMB,)
    groups: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: _NOTHING, hash=False)
    domain_controller_allowed: bool = False
    winrm: WinrmWay = WinrmWay()
    machine: str | None = None
    aliases: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def own_name(self) -> str:
        """The name that the machine itself has to prove: in its challenge, its certificate and its Kerberos ticket."""
        return self.machine or self.name

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every name by which a pattern may mean it, as written; the inventory's own comes first."""
        return (self.name, *((self.machine,) if self.machine else ()), *self.aliases)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A push account as the accounts file lists it; ``secret`` is a reference such as ``env:NAME``.

    ``user`` is a UPN (``svc@corp.example``), ``DOMAIN\\user`` or ``.\\user`` for a local account. The process's
    own identity has an empty ``user`` and no secret reference. ``scope``: the targets it is for; ``never``: those it
    must not be sent to; ``domain_controllers``: whether it may be sent to one. ``packages``: the names of those it is
    for (globs); none: it is a general one. ``realm``: its Kerberos realm, where the user's domain is not that.
    ``signs_in`` False: it is no push account at all, but one that installers may be run as.
    """

    name: str
    user: str
    secret: str
    protocol: Protocol
    scope: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    realm: str | None = None
    domain_controllers: bool = False
    signs_in: bool = True
    source: Source | None = None

    @property
    def is_own_identity(self) -> bool:
        return not self.user

    @property
    def is_local(self) -> bool:
        """True for ``.\\user``: the account exists on each host separately, and so does its lockout counter."""
        return self.user.startswith(".\\")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """An account with what proves it, ready for one sign-in. ``domain`` is None for a UPN, empty for a local account.

    ``ccache`` is the name of a Kerberos cache of this process that holds its ticket; then there is no secret.
    """

    account: str
    user: str
    domain: str | None
    secret: Secret | None
    protocol: Protocol
    ccache: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageFile:
    """A file of a package: ``dest`` is relative to ADMIN$, or starts with an environment name (``%ProgramFiles%``).

    ``written`` is the place of its hash in package.toml.
    """

    source: Path
    dest: str
    sha256: str
    size: int
    written: Source | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSpec:
    """The service a package installs; ``command`` may hold ``{site}``, ``{name}`` and the target's variables.

    ``secret``: the reference to an ordinary account's password; ``grant_logon_right``: whether the account is given
    "log on as a service" where it lacks it.
    """

    name: str
    display_name: str
    command: str
    start: str = "auto"
    account: str = "LocalSystem"
    description: str = ""
    secret: str | None = None
    grant_logon_right: bool = False


LOGON_RIGHT: Final = "SeServiceLogonRight"
"""Log on as a service (MS-LSAD 3.1.1.2.2)."""

RUN_AS_SYSTEM: Final = "system"
RUN_AS_ACCOUNT: Final = "account"
"""What ``Installer.run_as`` may say: the machine itself, or the push account in its network logon. Anything else is the
name of an account of the accounts file."""


class InstallerKind(StrEnum):
    MSI = "msi"
    EXE = "exe"


@dataclass(frozen=True, kw_only=True, slots=True)
class Installer:
    """The file of a package that installs the rest, and how it is run. ``timeout`` is in seconds.

    ``product_code`` is the MSI's own. ``log`` and ``uninstall`` (an EXE's; an MSI needs neither) may start with an
    environment name. ``run_as``: see ``RUN_AS_SYSTEM``; ``run_as_written`` is its place in package.toml.
    """

    kind: InstallerKind
    file: PackageFile
    success: frozenset[int]
    arguments: str = ""
    timeout: float = 900.0
    log: str | None = None
    uninstall: str | None = None
    run_as: str = RUN_AS_SYSTEM
    run_as_written: Source | None = None
    product_code: str | None = None

    @property
    def runs_as_named(self) -> bool:
        """True where ``run_as`` is the name of an account of the accounts file."""
        return self.run_as not in (RUN_AS_SYSTEM, RUN_AS_ACCOUNT)


class DetectBy(StrEnum):
    """What tells that a package's product is on a machine."""

    SERVICE = "service"
    FILE = "file"
    REGISTRY = "registry"
    PRODUCT_CODE = "product_code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Detect:
    """The rule: the service, file, registry key or product code ``what``.

    ``version``: the least version that satisfies a file or product rule; ``value`` and ``equals``: of a registry rule.
    """

    by: DetectBy
    what: str
    version: str | None = None
    value: str | None = None
    equals: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """What is pushed: files and a service of theirs, or an installer and a rule that tells what it has installed.

    Times are in seconds; ``leftovers`` are files that the agent itself makes beside its own.
    """

    name: str
    version: str
    root: Path
    files: tuple[PackageFile, ...]
    service: ServiceSpec | None = None
    installer: Installer | None = None
    detect: Detect | None = None
    stay_running: float = 5.0
    start_timeout: float = 60.0
    stop_timeout: float = 30.0
    architectures: tuple[str, ...] = ()
    registry_keys: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def size(self) -> int:
        """Bytes of payload."""
        return sum(f.size for f in self.files)

    @property
    def key(self) -> str:
        """What a machine's journals know it by: its service, or where it is an installer its own name."""
        return self.service.name if self.service is not None else f"{self.name}.installer"

    @property
    def lock(self) -> str:
        """The name of the machine's lock: of the service, or the one that all installers share.

        Windows runs one installer at a time, and pusher has one runner on a machine.
        """
        return self.service.name if self.service is not None else "installer"


class CheckResult(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNPROVABLE = "unprovable"
    NOT_NEEDED = "not-needed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One right or readiness proof and what proved it."""

    check: str
    result: CheckResult
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """How long one step of the story took, in seconds."""

    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountTried:
    """An account that was tried on a target; ``code`` is None where it got all it needed."""

    account: str
    code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is recorded of one target: a line of ``--json``, a row of the store and of every report."""

    run: str
    target: str
    address: str | None
    status: Status
    stage: Stage
    code: str | None = None
    message: str | None = None
    remedy: str | None = None
    next_move: NextMove | None = None
    account: str | None = None
    transport: TransportKind | None = None
    protocol: Protocol | None = None
    attempts: int = 0
    seconds: float = 0.0
    accounts_tried: tuple[AccountTried, ...] = ()
    checks: tuple[Check, ...] = ()
    steps: tuple[StepTime, ...] = ()
    bytes_copied: int = 0
    agent_version: str | None = None
    machine: str | None = None
    site: str | None = None
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One invocation over an inventory. ``counts`` maps a status to how many targets ended so."""

    id: str
    verb: Verb
    inventory: str
    package: str | None
    version: str | None
    operator: str
    started_at: datetime
    ended_at: datetime | None = None
    parent: str | None = None
    counts: Mapping[Status, int] = field(default_factory=dict, hash=False)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a target during a run, in the order it happened."""

    run: str
    target: str
    at: datetime
    stage: Stage
    kind: str
    detail: str = ""
