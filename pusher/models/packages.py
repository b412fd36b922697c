"""What is pushed: files, a service or an installer, and the rule that tells whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pusher.models.common import Source


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

    Times are in seconds; ``leftovers`` are files that the agent itself makes beside its own. ``replaces``: a
    later version in whose place this one is put, since a run is taken back; never said by a package itself.
    """

    name: str
    version: str
    root: Path
    files: tuple[PackageFile, ...]
    replaces: str | None = None
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
