"""The port: what a transport can do, and the values it speaks in.

A ``Transport`` opens a ``Link`` (no secret has left yet), the link says who answers, and signs in to become a
``Session``. Every method raises ``ProblemError`` and nothing else, and returns within its deadline. Paths are
relative to a share, with backslashes, as MS-SMB2 sends them. All times are in seconds, all sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from pusher.models import Credential, Secret, TransportKind
from pusher.problems import Problem
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath, SystemFolders


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Deadlines in seconds. ``stall``: how long a copy may stand still; ``call``: any other single call.

    A copy that waits for its turn on a connection on which others move does not stand still.
    """

    connect: float = 5.0
    sign_in: float = 20.0
    call: float = 30.0
    stall: float = 15.0
    start: float = 75.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where to connect; ``host`` is the name that Kerberos, the certificate and the identity check go by.

    ``port`` 0: the transport's own. ``scheme`` (WinRM: ``https`` or ``http``) None: the transport's own order.
    ``fingerprint``: the only certificate to be accepted, as 64 hexadecimal digits of its SHA-256; then neither its
    issuer nor its dates matter.
    """

    host: str
    address: str
    port: int = 0
    scheme: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerIdentity:
    """Who answers, as it says itself before any secret leaves (MS-NLMP 2.2.1.2, MS-SMB2 2.2.4).

    The names come from an unauthenticated challenge: they catch a stale record, not an attacker. ``dialect`` says in
    words what is spoken (``SMB 3.1.1``, ``WinRM over TLS 1.3``); ``proof`` is what else proves the machine, such as
    a certificate that was validated for its name, and empty where nothing does.
    """

    netbios_name: str = ""
    dns_name: str = ""
    netbios_domain: str = ""
    dns_domain: str = ""
    build: str = ""
    server_guid: str = ""
    dialect: str = ""
    encrypts: bool = False
    clock: datetime | None = None
    proof: str = ""

    @property
    def machine(self) -> str:
        """The machine's own name: DNS where it has one, NetBIOS otherwise; lower case; empty if it said none."""
        return (self.dns_name or self.netbios_name).lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInfo:
    size: int
    is_folder: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class NewFile:
    """A file that is to be on the target; ``sha256`` is that of ``data``, in lower-case hexadecimal."""

    path: RemotePath
    data: memoryview
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Renaming:
    """A file and its new name, on the same share."""

    path: RemotePath
    to: RemotePath


class ServiceState(IntEnum):
    """MS-SCMR 2.2.47 SERVICE_STATUS.dwCurrentState."""

    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    RUNNING = 4
    CONTINUE_PENDING = 5
    PAUSE_PENDING = 6
    PAUSED = 7


class StartType(IntEnum):
    """MS-SCMR 2.2.15 QUERY_SERVICE_CONFIGW.dwStartType."""

    BOOT = 0
    SYSTEM = 1
    AUTO = 2
    DEMAND = 3
    DISABLED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceStatus:
    """MS-SCMR 2.2.47; ``wait_hint`` in milliseconds as the service gave it; ``process`` 0 where none is known."""

    state: ServiceState
    win32_exit: int = 0
    service_exit: int = 0
    checkpoint: int = 0
    wait_hint: int = 0
    process: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceConfig:
    """What the service database keeps: image path, start type, account, display name and description.

    Windows gives an image path back with its environment's names expanded, however it was written.
    """

    image_path: str
    display_name: str
    start_type: StartType
    account: str = "LocalSystem"
    delayed: bool = False
    description: str = ""


Logon = Callable[[], AbstractAsyncContextManager[None]]
"""Entered while a machine tries an account's password: who keeps the account from being locked out may refuse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAs:
    """Who a service or a command runs as: ``account`` as the service manager writes it; empty: who is signed in.

    ``secret``: the password of an ordinary account; ``logon`` holds while the machine tries it. ``is_proven``: a domain
    controller has taken it in this run.
    """

    account: str = "LocalSystem"
    secret: Secret | None = None
    is_proven: bool = field(default=False, compare=False)
    logon: Logon = field(default=nullcontext, compare=False, repr=False)


ITSELF = "itself"
"""The account that a right is given to by its own name, among ``Session.holders_of``."""

SYSTEM, SIGNED_IN = RunAs(), RunAs(account="")


class Hold(Protocol):
    """The host's lock, held until closed or until the connection drops."""

    async def close(self) -> None: ...


Moved = Callable[[int], None]
"""Called with the number of bytes that the target acknowledged since the last call.

Negative where some that were acknowledged have to be sent once more: the sum is what is there.
"""

CheckCancelled = Callable[[], None]
"""Called often, from any thread, while much is done: raises ProblemError where the push is to end. It asks nobody."""


def never_cancelled() -> None:
    """For what is done to its end."""


class Session(Protocol):
    """One authenticated session to one machine.

    ``takes_several``: calls that do not hang on each other are worth making at the same time (``remote.together``):
    over SMB they travel together, over WinRM one would wait for the other.
    """

    identity: PeerIdentity
    takes_several: bool

    def runner(self, run_as: RunAs = SYSTEM) -> str:
        """What carries out ``run`` there, in words for the record."""

    @property
    def copied_by(self) -> str:
        """How files have come there, in words for the record; empty while none have, or where there is one way only."""

    async def is_domain_controller(self) -> bool:
        """What the Server service says of the machine's role."""

    async def folders(self) -> SystemFolders:
        """Where Windows is: its own names in a service's image path come back as these folders."""

    async def architecture(self) -> str | None:
        """``x64``, ``x86``, ``arm64``; None where it cannot be told."""

    async def free_bytes(self) -> int:
        """What this account may still write on the system drive."""

    async def stat(self, path: RemotePath) -> FileInfo | None:
        """None where nothing is there."""

    async def make_folder(self, path: RemotePath) -> bool:
        """Create one folder; False where it was there already. The parent must exist."""

    async def remove_folder(self, path: RemotePath) -> bool:
        """Remove a folder; False where it is absent or not empty."""

    async def put(self, path: RemotePath, data: memoryview, moved: Moved) -> None:
        """Write a whole file, replacing one that is there; gives up when nothing moves for ``Limits.stall``."""

    async def digest(self, path: RemotePath, limit: int) -> FileDigest | None:
        """Read a file back: size, SHA-256 and file version; None where nothing is there.

        At most ``limit`` bytes are read; of a longer file the hash is empty.
        """

    async def put_all(
        self, files: Sequence[NewFile], moved: Moved, check_cancelled: CheckCancelled = never_cancelled
    ) -> list[NewFile]:
        """Write many whole files, as ``put`` does each, and read each back: ``copy-mismatch`` where one is another.

        Those are returned that could not be written since they are in use; the others are there. Where this raises,
        some of them may be. A transport puts as many into one message as it can, and asks ``check_cancelled`` between
        two files, or while they are on their way.
        """

    async def digest_all(self, limits: Mapping[RemotePath, int | None]) -> dict[RemotePath, FileDigest | None]:
        """As ``digest`` of each path, with its limit; None: size and version alone, nothing is hashed."""

    async def taken(self, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
        """Which of these names are taken, be it by a file that goes when another process closes it."""

    async def rename(self, path: RemotePath, to: RemotePath) -> None:
        """Rename on the same share; fails where ``to`` exists."""

    async def remove(self, path: RemotePath) -> bool:
        """Remove a file; False where nothing was there."""

    async def rename_all(self, renames: Sequence[Renaming]) -> list[Renaming]:
        """As ``rename`` of each, in this order; those are returned that were not made, and have to be made alone.

        One that is not made keeps no other back but those that need its ``to`` free. Where this raises, or is cut off,
        some may have been made: each file is under one of its two names, whole.
        """

    async def remove_all(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        """As ``remove`` of each; those are left out that would not go, and have to be removed alone."""

    async def probe_write(self, folder: RemotePath) -> str:
        """Create a file that deletes itself on close, write to it, close it; the name used is the evidence."""

    async def hold(self, path: RemotePath) -> Hold:
        """Open a file without sharing and with delete-on-close; ``push-in-progress`` where another holds it."""

    async def may_create_services(self) -> str:
        """Open the service manager with SC_MANAGER_CREATE_SERVICE; raises where it refuses; evidence."""

    async def service_config(self, name: str) -> ServiceConfig | None:
        """None where no such service exists."""

    async def service_status(self, name: str) -> ServiceStatus | None:
        """None where no such service exists."""

    async def create_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        """``secret``: the password of the service's account; ``session-not-encrypted`` where it could be read on the
        way."""

    async def configure_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        """As ``create_service``. Without a secret an account that is the service's already keeps its password."""

    async def start_service(self, name: str) -> None:
        """Returns when the service manager has accepted the start; ``service_status`` tells how it goes."""

    async def stop_service(self, name: str) -> bool:
        """Ask it to stop; False where it was not running."""

    async def delete_service(self, name: str) -> bool:
        """Mark it for deletion; False where no such service exists."""

    async def run(self, command: str, limit: float, run_as: RunAs = SYSTEM) -> int:
        """Run a command line as an elevated process of the machine and wait for its end; its exit code, unsigned.

        The command is run at most once. ``installer-timed-out`` where it has not ended after ``limit`` seconds; it
        may then still be running. ``run-as-unsupported`` where the transport cannot run it so.
        """

    async def tail(self, path: RemotePath, limit: int) -> bytes | None:
        """The last ``limit`` bytes of a file (a log), also while another program writes it; None where it is absent."""

    async def registry_value(self, key: str, name: str) -> str | int | None:
        """A value (REG_SZ, REG_EXPAND_SZ or REG_DWORD) of ``key`` (``HKLM\\…``); None where key or value is absent."""

    async def registry_access(self, key: str) -> str:
        """Open ``key`` (``HKLM\\\\…``) for writing values; evidence; ``registry-denied`` where it cannot."""

    async def holders_of(self, right: str, account: str) -> tuple[str, ...]:
        """By whom ``account`` has a user right (``SeServiceLogonRight`` …) on this machine: ``ITSELF``, and groups.

        Of groups those that the machine can tell: its own, and those that everybody is in; a domain's it cannot.
        ``service-account-invalid`` where nobody is called so; ``rights-unreadable`` where the transport cannot ask.
        """

    async def grant_right(self, right: str, account: str) -> None:
        """Give ``account`` itself the right; it may have it already. ``rights-unreadable``: see ``holders_of``."""

    async def revoke_right(self, right: str, account: str) -> None:
        """Take it from ``account`` itself; it may lack it."""

    async def close(self) -> None:
        """Sign off and drop the connection; never raises."""


class Link(Protocol):
    """A connection on which nobody has signed in."""

    async def identify(self) -> PeerIdentity:
        """Ask who answers, sending no user name and no secret."""

    async def sign_in(self, credential: Credential) -> Session:
        """One authentication attempt, by exactly the credential's protocol.

        Raises ProblemError; whether a secret had left by then is told by ``secret_sent``.
        """

    @property
    def secret_sent(self) -> bool:
        """True once a message derived from the secret may have left this process."""

    async def close(self) -> None:
        """Drop the connection; never raises."""


class Transport(Protocol):
    """An adapter."""

    kind: TransportKind

    async def probe(self, endpoint: Endpoint, seconds: float) -> Problem | None:
        """None where a port that ``open`` would try accepts a connection within ``seconds``. No byte is sent.

        Else what ``open`` would raise. It takes a descriptor for each port, and no thread.
        """

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        """Connect and negotiate; sends nothing of any account."""
