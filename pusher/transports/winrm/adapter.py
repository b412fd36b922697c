"""The asynchronous face of WinRM: each call in the pool of threads, under its deadline, as the port asks.

What is decided here: the order of schemes and that nothing but an absent listener leads from HTTPS to HTTP; that
who answers is asked on a connection of its own, so that the one that signs in does so once and from the beginning;
and that an account which signs in but is refused everything is no failed sign-in. Everything else is in the modules
beside this one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from pusher.models import Credential, Protocol, TransportKind
from pusher.problems import Code, Problem, ProblemError, Stage
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath, SystemFolders
from pusher.transports import by_service, one_by_one
from pusher.transports.codes import Operation, of
from pusher.transports.port import (
    SIGNED_IN,
    SYSTEM,
    CheckCancelled,
    Endpoint,
    Limits,
    Link,
    Moved,
    NewFile,
    PeerIdentity,
    Renaming,
    RunAs,
    Session,
    never_cancelled,
)
from pusher.transports.probe import probe
from pusher.transports.threaded import Pool, ThreadedCalls
from pusher.transports.threaded_session import Beat, ThreadedSession
from pusher.transports.winrm import facts
from pusher.transports.winrm.authentication import sign_in, who_answers
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer
from pusher.transports.winrm.faults import guarded, refused, translate
from pusher.transports.winrm.files import PROBE, Files
from pusher.transports.winrm.many import FEW, ManyFiles
from pusher.transports.winrm.orphans import Owner, Register
from pusher.transports.winrm.registry import Registry
from pusher.transports.winrm.services import ServiceManager
from pusher.transports.winrm.shell import IDLE
from pusher.transports.winrm.tls import Trust
from pusher.transports.winrm.wire import Wire

T = TypeVar("T")

HTTPS, HTTP = "https", "http"
_PORTS = {HTTPS: 5986, HTTP: 5985}
_TOGETHER = 100
"""Files that are renamed or removed by one call: it is over, one way or the other, within some seconds."""
_FAREWELL = 15.0
"""Seconds for freeing the lock and deleting the shells at the end; what is left is the target's idle time to end."""


class WinrmTransport:
    """Opens links; one for the process, given its pool of threads.

    ``ca``: a PEM file of the only CAs whose certificates are believed (None: the system's); BadInput where it cannot
    be read. ``content``: what targets pull files from (None: every file is sent through WinRM itself). ``idle``: the
    seconds after which a target ends what nobody asks for any more, such as the lock of a pusher that has vanished.
    """

    kind = TransportKind.WINRM

    def __init__(self, pool: Pool, *, ca: Path | None, content: ContentServer | None, idle: float = IDLE) -> None:
        self._pool, self._shared = pool, _Shared(content=content, idle=idle, shells=Register())
        self._trust = Trust(ca)

    async def probe(self, endpoint: Endpoint, seconds: float) -> Problem | None:
        return await probe(endpoint.address, [port for _, port in ways(endpoint)], seconds, translate)

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        """HTTP is tried only where no HTTPS listener can be reached at all: a bad certificate is no reason."""
        tried = []
        for scheme, port in ways(endpoint):
            trust = self._trust if scheme == HTTPS else None
            wire = Wire(endpoint.host.rstrip("."), endpoint.address, port, trust, endpoint.fingerprint)
            tried.append(f"{endpoint.address}:{port}")
            link = _WinrmLink(wire, self._pool, limits, self._shared)
            try:
                await link.open(" and ".join(tried))
            except ProblemError as error:
                if not wire.unreached:
                    raise
                unreached = error
            else:
                return link
        raise unreached


def ways(endpoint: Endpoint) -> tuple[tuple[str, int], ...]:
    """The schemes and ports to try, in their order. A pinned certificate means HTTPS and nothing else."""
    if endpoint.fingerprint is not None:
        return ((HTTPS, endpoint.port or _PORTS[HTTPS]),)
    if endpoint.scheme is not None:
        return ((endpoint.scheme, endpoint.port or _PORTS[endpoint.scheme]),)
    if endpoint.port:
        return ((HTTP if endpoint.port == _PORTS[HTTP] else HTTPS, endpoint.port),)
    return tuple(_PORTS.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """What all links of a transport share."""

    content: ContentServer | None
    idle: float
    shells: Register


class _WinrmLink:
    def __init__(self, wire: Wire, pool: Pool, limits: Limits, shared: _Shared) -> None:
        self._wire, self._limits, self._shared = wire, limits, shared
        self._side: Wire | None = None
        self._calls = ThreadedCalls(pool, self._abort)
        self._schemes: frozenset[str] | None = None
        self._identity = PeerIdentity()
        self._secret_sent = self._spent = False

    @property
    def secret_sent(self) -> bool:
        return self._secret_sent

    async def open(self, where: str) -> None:
        await self._calls.call(
            lambda: guarded(Operation.REACH, lambda: self._wire.open(self._limits.connect), where),
            deadline=2 * self._limits.connect,  # the wire keeps to one; a peer that trickles is ended here
            stage=Stage.REACH,
            what=f"connecting to {where}",
        )

    async def identify(self) -> PeerIdentity:
        self._identity = await self._calls.call(
            lambda: guarded(Operation.IDENTIFY, self._ask_identity),
            deadline=2 * self._limits.connect,
            stage=Stage.IDENTIFY,
            what="asking who answers",
        )
        return self._identity

    async def sign_in(self, credential: Credential) -> Session:
        if self._schemes is None:
            await self.identify()
        client = await self._calls.call(
            lambda: guarded(Operation.SIGN_IN, lambda: self._sign_in(credential), f"as {credential.account}"),
            deadline=self._limits.sign_in,
            stage=Stage.SIGN_IN,
            what=f"signing in as {credential.account}",
        )
        # From here on the account is proven; what the first question meets is the session's, not the sign-in's.
        found: facts.Folders | Problem
        try:
            found = await self._calls.call(
                lambda: _first_question(client),
                deadline=self._limits.call,
                stage=Stage.RIGHTS,
                what="asking where Windows is",
            )
        except ProblemError as error:
            if error.problem.code == Code.SIGN_IN_REFUSED:
                raise
            found = error.problem
        return _WinrmSession(
            self, client, self._calls, self._identity, self._limits, found, self._shared, credential.user
        )

    async def close(self) -> None:
        await self.hang_up(lambda: None)

    async def hang_up(self, first: Callable[[], None]) -> None:
        """End politely where the connection still lives, and drop it in any case."""

        def work() -> None:
            try:
                if self._wire.alive:
                    first()
            finally:
                self._wire.close()

        try:
            with contextlib.suppress(Exception):
                await self._calls.call(work, deadline=_FAREWELL, stage=Stage.RECORD, what="closing what is open there")
        finally:
            self._abort()

    def _abort(self) -> None:
        self._wire.abort()
        side = self._side
        if side is not None:
            side.abort()

    def _ask_identity(self) -> PeerIdentity:
        """One request on a second connection: which schemes, and the challenge to a nameless NEGOTIATE."""
        if not self._wire.alive:
            raise ConnectionError("the connection is closed")
        wire = self._side = self._wire.again()
        try:
            wire.open(self._limits.connect)
            proven, again = self._wire.certificate, wire.certificate
            if proven and again and proven.der != again.der:
                raise ProblemError(of(Code.TAMPERED, Operation.IDENTIFY, "two connections show two certificates"))
            self._schemes, challenge = who_answers(wire)
        finally:
            self._side = None
            wire.close()
        if not self._wire.alive:
            raise ConnectionError("given up")
        return PeerIdentity(
            netbios_name=challenge.netbios_name if challenge else "",
            dns_name=challenge.dns_name if challenge else "",
            netbios_domain=challenge.netbios_domain if challenge else "",
            dns_domain=challenge.dns_domain if challenge else "",
            build=challenge.build if challenge else "",
            dialect=f"WinRM over {self._wire.tls_version}" if proven else "WinRM over HTTP, encrypted",
            encrypts=True,
            proof=proven.proof if proven else "",
        )

    def _sign_in(self, credential: Credential) -> Client:
        user = credential.user
        if credential.domain is not None:
            user = f"{credential.domain or self._identity.netbios_name}\\{user}"

        def sending() -> None:
            # With a ticket no secret goes anywhere; a password is at stake even at the domain controller alone.
            self._secret_sent = credential.protocol is Protocol.NTLM or credential.secret is not None

        assert self._schemes is not None, "sign_in has asked"
        if self._spent:
            raise ConnectionError("one connection signs in once")
        self._spent = True
        encryption = sign_in(self._wire, credential, user, self._schemes, sending)
        owner = Owner(self._wire.address, self._wire.port, user)
        return Client(self._wire, encryption, self._limits.call, owner, self._shared.shells)


def _lots(many: Sequence[T]) -> Iterator[Sequence[T]]:
    return (many[at : at + _TOGETHER] for at in range(0, len(many), _TOGETHER))


def _first_question(client: Client) -> facts.Folders:
    guarded(Operation.FACTS, client.end_orphans, "shells of a lost connection")
    return facts.folders(client)


class _WinrmSession(ThreadedSession):
    """``found`` is what the first question brought: where Windows is, or why nothing can be asked."""

    def __init__(
        self,
        link: _WinrmLink,
        client: Client,
        calls: ThreadedCalls,
        identity: PeerIdentity,
        limits: Limits,
        found: facts.Folders | Problem,
        shared: _Shared,
        user: str,
    ) -> None:
        self._link, self._client, self._user = link, client, user
        self._problem = found if isinstance(found, Problem) else None
        self._folders = found if isinstance(found, facts.Folders) else facts.Folders(windows="", drive="")
        self._registry = Registry(client)
        self._services = ServiceManager(client, self._registry, limits.start)
        self._files = Files(client, self._folders, shared.content, limits, shared.idle)
        self._many = ManyFiles(self._files)
        super().__init__(calls, identity, limits, self._files, self._services)

    def runner(self, run_as: RunAs = SYSTEM) -> str:
        if run_as == SIGNED_IN:
            return f"WinRS, as {self._user or 'the process itself'}"
        return by_service.words(run_as)

    @property
    def copied_by(self) -> str:
        return self._files.copied_by

    async def put_all(
        self, files: Sequence[NewFile], moved: Moved, check_cancelled: CheckCancelled = never_cancelled
    ) -> list[NewFile]:
        # The first one finds out which way there is to the machine; by others than curl nothing goes together.
        alone = 0 if self._many.go_together else 1
        in_use = await one_by_one.put_each(self, files[:alone], moved, check_cancelled)
        rest = files[alone:]
        if rest and self._many.go_together:
            rest = await self._moving(
                lambda made: self._many.put(rest, made, check_cancelled), moved, "copying many files"
            )
        return in_use + await one_by_one.put_each(self, rest, moved, check_cancelled)

    async def digest_all(self, limits: Mapping[RemotePath, int | None]) -> dict[RemotePath, FileDigest | None]:
        return await self._moving(lambda made: self._many.digests(limits, made), lambda _: None, "reading many files")

    async def taken(self, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
        return await self._call(lambda: self._many.taken(paths), Operation.FILE, "many files")

    async def rename_all(self, renames: Sequence[Renaming]) -> list[Renaming]:
        if len(renames) < FEW:
            return await one_by_one.rename_each(self, renames)
        return [
            left
            for lot in _lots(renames)
            for left in await self._call(partial(self._many.rename, lot), Operation.FILE, "many files", self._long)
        ]

    async def remove_all(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        done = dict[RemotePath, bool]()
        for lot in _lots(paths):
            done |= await self._call(partial(self._many.remove, lot), Operation.FILE, "many files", self._long)
        return done

    @property
    def _long(self) -> float:
        """For a call that is a few commands, each of which may take as long as any call."""
        return 4 * self._limits.call

    async def is_domain_controller(self) -> bool:
        return await self._call(lambda: facts.is_domain_controller(self._client), Operation.FACTS, "domain role")

    async def folders(self) -> SystemFolders:
        self._refuse(Operation.FACTS, "where Windows is")
        return SystemFolders(windows=self._folders.windows)

    async def architecture(self) -> str | None:
        return await self._call(lambda: facts.architecture(self._client), Operation.FACTS, "architecture")

    async def free_bytes(self) -> int:
        return await self._call(
            lambda: facts.free_bytes(self._client, self._folders.drive), Operation.FACTS, "free space"
        )

    async def may_create_services(self) -> str:
        return await self._call(self._services.may_create, Operation.SERVICE_MANAGER, "service manager")

    async def run(self, command: str, limit: float, run_as: RunAs = SYSTEM) -> int:
        if run_as != SIGNED_IN:
            return await by_service.run(self, by_service.program().program, command, limit, run_as)
        return await self._call(
            lambda: self._files.run(command, limit), Operation.RUN, "installer", limit + self._limits.call
        )

    async def probe_write(self, folder: RemotePath) -> str:
        path = folder.child(PROBE)
        await self._call(lambda: self._files.probe_write(path), Operation.PROBE_WRITE, str(path))
        return str(path)

    async def registry_value(self, key: str, name: str) -> str | int | None:
        return await self._call(lambda: self._registry.value(key, name), Operation.REGISTRY, key)

    async def registry_access(self, key: str) -> str:
        return await self._call(lambda: self._registry.access(key), Operation.REGISTRY, key)

    async def holders_of(self, right: str, account: str) -> tuple[str, ...]:
        """WMI shows user rights only where group policy set them (RSOP); what it does not show may be there."""
        return await self._call(lambda: self._no_rights(account), Operation.POLICY, account)

    async def grant_right(self, right: str, account: str) -> None:
        await self._call(lambda: self._no_rights(account), Operation.POLICY, account)

    async def revoke_right(self, right: str, account: str) -> None:
        await self._call(lambda: self._no_rights(account), Operation.POLICY, account)

    def _no_rights(self, account: str) -> NoReturn:
        def work() -> NoReturn:
            if not self._client.alive:
                raise ConnectionError("the connection is closed")
            raise ProblemError(of(Code.RIGHTS_UNREADABLE, Operation.POLICY, f"{account}: WinRM has no way to ask"))

        guarded(Operation.POLICY, work)
        raise AssertionError("it raises")

    async def close(self) -> None:
        await self._link.hang_up(self._files.close)

    async def _call(self, work: Callable[[], T], operation: Operation, what: str, deadline: float | None = None) -> T:
        self._refuse(operation, what)

        def whole() -> T:
            self._files.keep()  # the lock's shell lives only while it is asked for now and then
            return work()

        return await super()._call(whole, operation, what, deadline)

    async def _moving(self, work: Callable[[Beat], T], moved: Moved, what: str) -> T:
        self._refuse(Operation.FILE, what)
        return await super()._moving(work, moved, what)

    def _refuse(self, operation: Operation, what: str) -> None:
        """An account that is refused the first question is refused everything, in each question's own words."""
        if self._problem is None:
            return
        if self._problem.code == Code.NOT_ADMINISTRATOR:
            raise ProblemError(refused(operation, what))
        raise ProblemError(self._problem)
