"""The adapter: ``Transport``, ``Link`` and ``Session`` of the port over machines in memory.

Every call passes ``Wire.call``: the one place where it yields to the loop, is counted, meets its fault, and where
the machine's number becomes a Problem. A cancelled call drops its connection, as the SMB bridge does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pusher.models import Credential, Protocol, Secret, Status, TransportKind
from pusher.problems import CATALOGUE, Code, Problem, ProblemError
from pusher.remote.images import FileDigest, FileVersionScan
from pusher.remote.paths import RemotePath, SystemFolders, expanded
from pusher.transports import by_service, one_by_one
from pusher.transports.codes import Operation, from_ntstatus, from_win32, of
from pusher.transports.memory.disk import Key, NtError, key_of
from pusher.transports.memory.host import MemoryHost, Ran, User
from pusher.transports.memory.services import Win32Error
from pusher.transports.memory.wire import Fault, Wire
from pusher.transports.port import (
    SIGNED_IN,
    SYSTEM,
    CheckCancelled,
    Endpoint,
    FileInfo,
    Hold,
    Limits,
    Link,
    Moved,
    NewFile,
    PeerIdentity,
    Renaming,
    RunAs,
    ServiceConfig,
    ServiceStatus,
    Session,
    never_cancelled,
)

T = TypeVar("T")

_DENIED, _SHARING, _INVALID_FOLDER = 0xC0000022, 0xC0000043, 0xC0000103
_WIN32_DENIED, _NO_KEY = 5, 2


_RUNNER = b"MZ runner"
_PORTS = {TransportKind.SMB: 445, TransportKind.WINRM: 5986}


class MemoryTransport:
    """One pusher's way to ``hosts``, by address. ``calls`` counts all it made, ``struck`` the faults that went off.

    ``nameless``: no host says what it is called; a certificate proves it, as with a listener that takes no NTLM.
    """

    def __init__(
        self,
        hosts: Mapping[str, MemoryHost],
        *faults: Fault,
        kind: TransportKind = TransportKind.SMB,
        nameless: bool = False,
    ) -> None:
        self.kind, self.nameless = kind, nameless
        self.hosts = hosts
        self.faults = list(faults)
        self.calls: list[str] = []
        self.struck: list[str] = []
        self.dead = False
        self._wires: list[Wire] = []

    async def probe(self, endpoint: Endpoint, seconds: float) -> Problem | None:
        host = self.hosts.get(endpoint.address)
        refused = Code.TIMED_OUT if host is None else self._refusal(host, endpoint)
        if refused is not None and CATALOGUE[refused].status is not Status.UNREACHABLE:
            refused = None  # it is refused by what has accepted a connection
        if refused is None and host is not None and host.mute:
            await asyncio.sleep(seconds)
            return of(Code.TIMED_OUT, Operation.REACH, f"nothing for {seconds:g} s")
        return None if refused is None else of(refused, Operation.REACH, endpoint.address)

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        host = self.hosts.get(endpoint.address)
        wire = Wire(self, host or MemoryHost(refuses=Code.TIMED_OUT), limits)

        def connect() -> None:
            refused = self._refusal(wire.host, endpoint)
            if refused is not None:
                raise ProblemError(of(refused, Operation.REACH, endpoint.address))

        await wire.call("open", Operation.REACH, connect, limits.connect)
        self._wires.append(wire)
        return _MemoryLink(wire)

    def _refusal(self, host: MemoryHost, endpoint: Endpoint) -> Code | None:
        """A host has one port open: the one that it says, or each transport's own where it says none."""
        asked = endpoint.port or _PORTS[self.kind]
        return host.refuses or (None if asked == host.port else Code.PORT_CLOSED)

    def due(self, call: str) -> Fault | None:
        """Count a call; its fault, if one is due."""
        self.calls.append(call)
        for fault in self.faults:
            number = self.calls.count(fault.call) if fault.call else len(self.calls)
            if fault.call in ("", call) and fault.number == number:
                self.struck.append(call)
                return fault
        return None

    def cut(self) -> None:
        """Drop every connection."""
        for wire in self._wires:
            wire.drop()

    def die(self) -> None:
        self.dead = True
        self.cut()


class _MemoryLink:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._identity = PeerIdentity()

    @property
    def secret_sent(self) -> bool:
        return self._wire.secret_sent

    async def identify(self) -> PeerIdentity:
        host, nameless = self._wire.host, self._wire.transport.nameless
        unnamed = PeerIdentity(encrypts=host.encrypts, proof=f"certificate for {host.name}, issued by a CA in memory")
        # A GUID is said in the negotiation of SMB only.
        smb = self._wire.transport.kind is TransportKind.SMB
        named = host.identity if smb else replace(host.identity, server_guid="")
        self._identity = await self._wire.call(
            "identify", Operation.IDENTIFY, lambda: unnamed if nameless else named, self._wire.limits.connect
        )
        return self._identity

    async def sign_in(self, credential: Credential) -> Session:
        wire = self._wire
        wire.secret_sent = False

        def work() -> User:
            if credential.secret is None and credential.ccache is None and "" not in wire.host.users:
                raise ProblemError(of(Code.KERBEROS_FAILED, Operation.SIGN_IN, credential.account))
            wire.secret_sent = credential.secret is not None
            return wire.host.admit(credential)

        if credential.protocol is Protocol.NTLM and credential.secret is None:
            raise ProblemError(of(Code.SIGN_IN_FAILED, Operation.SIGN_IN, credential.account))
        user = await wire.call("sign_in", Operation.SIGN_IN, work, wire.limits.sign_in, what=f"as {credential.account}")
        return _MemorySession(wire, user, self._identity)

    async def close(self) -> None:
        self._wire.drop()


class _MemoryHold:
    def __init__(self, wire: Wire, number: int) -> None:
        self._wire, self._number = wire, number

    async def close(self) -> None:
        self._wire.release(self._number)


class _MemorySession:
    def __init__(self, wire: Wire, user: User, identity: PeerIdentity) -> None:
        self.identity = identity
        self.takes_several = wire.transport.kind is TransportKind.SMB
        self._wire, self._user = wire, user
        self._host, self._disk, self._services = wire.host, wire.host.disk, wire.host.services

    async def is_domain_controller(self) -> bool:
        return await self._wire.call("is_domain_controller", Operation.FACTS, lambda: self._host.is_domain_controller)

    async def folders(self) -> SystemFolders:
        return await self._wire.call("folders", Operation.FACTS, lambda: self._host.folders)

    async def architecture(self) -> str | None:
        return await self._wire.call("architecture", Operation.FACTS, lambda: self._reading(self._host.architecture))

    async def free_bytes(self) -> int:
        return await self._wire.call("free_bytes", Operation.FACTS, lambda: self._reading(self._disk.room))

    async def stat(self, path: RemotePath) -> FileInfo | None:
        return await self._wire.call("stat", Operation.FILE, lambda: self._disk.info(self._key(path)), what=str(path))

    async def make_folder(self, path: RemotePath) -> bool:
        def work() -> bool:
            return self._disk.make_folder(self._writable(path), path.name)

        return await self._wire.call("make_folder", Operation.FOLDER, work, what=str(path))

    async def remove_folder(self, path: RemotePath) -> bool:
        def work() -> bool:
            return self._disk.remove_folder(self._writable(path))

        return await self._wire.call("remove_folder", Operation.FOLDER, work, what=str(path))

    async def put(self, path: RemotePath, data: memoryview, moved: Moved) -> None:
        def write(part: memoryview) -> None:
            self._disk.append(self._disk.create(self._writable(path), path.name), bytes(part))
            if part:
                moved(len(part))

        await self._wire.call(
            "put",
            Operation.FILE,
            lambda: write(data),
            self._wire.limits.stall,
            late=Code.TRANSFER_STALLED,
            half=lambda: write(data[: len(data) // 2]),
            what=str(path),
        )

    async def digest(self, path: RemotePath, limit: int) -> FileDigest | None:
        def work() -> FileDigest | None:
            data = self._disk.read(self._key(path))
            if data is None:
                return None
            scan = FileVersionScan()
            scan.feed(data[:limit])
            whole = len(data) <= limit
            sha256 = hashlib.sha256(data).hexdigest() if whole else ""
            return FileDigest(size=len(data), sha256=sha256, version=scan.version)

        return await self._wire.call(
            "digest", Operation.FILE, work, self._wire.limits.stall, late=Code.TRANSFER_STALLED, what=str(path)
        )

    async def put_all(
        self, files: Sequence[NewFile], moved: Moved, check_cancelled: CheckCancelled = never_cancelled
    ) -> list[NewFile]:
        return await one_by_one.put_each(self, files, moved, check_cancelled)

    async def digest_all(self, limits: Mapping[RemotePath, int | None]) -> dict[RemotePath, FileDigest | None]:
        return await one_by_one.digest_each(self, limits)

    async def taken(self, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
        return await one_by_one.taken_each(self, paths)

    async def rename(self, path: RemotePath, to: RemotePath) -> None:
        def work() -> None:
            self._disk.rename(self._writable(path), self._writable(to), to.name)

        await self._wire.call("rename", Operation.FILE, work, what=f"{path} -> {to.name}")

    async def remove(self, path: RemotePath) -> bool:
        def work() -> bool:
            return self._disk.remove(self._writable(path))

        return await self._wire.call("remove", Operation.FILE, work, what=str(path))

    async def rename_all(self, renames: Sequence[Renaming]) -> list[Renaming]:
        return await one_by_one.rename_each(self, renames)

    async def remove_all(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        return await one_by_one.remove_each(self, paths)

    async def probe_write(self, folder: RemotePath) -> str:
        path = folder.child("pusher-probe.tmp")

        def work() -> str:
            key = self._writable(path)
            self._disk.append(self._disk.create(key, path.name), b"pusher")
            self._disk.remove(key)
            return str(path)

        return await self._wire.call("probe_write", Operation.PROBE_WRITE, work, what=str(path))

    async def hold(self, path: RemotePath) -> Hold:
        def work() -> _MemoryHold:
            key = self._writable(path)
            return _MemoryHold(self._wire, self._wire.hold(key, self._disk.create(key, path.name)))

        return await self._wire.call("hold", Operation.LOCK, work, what=str(path))

    async def may_create_services(self) -> str:
        def work() -> str:
            self._manager()
            return "service manager opened with SC_MANAGER_CREATE_SERVICE"

        return await self._wire.call("may_create_services", Operation.SERVICE_MANAGER, work)

    async def service_config(self, name: str) -> ServiceConfig | None:
        def work() -> ServiceConfig | None:
            self._manager()
            config = self._services.config(name, self._host.now())
            if config is None:
                return None
            return replace(config, image_path=expanded(config.image_path, self._host.folders))

        return await self._wire.call("service_config", Operation.SERVICE, work, what=name)

    async def service_status(self, name: str) -> ServiceStatus | None:
        def work() -> ServiceStatus | None:
            self._manager()
            return self._services.status(name, self._host.now())

        return await self._wire.call("service_status", Operation.SERVICE, work, what=name)

    async def create_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        def work() -> None:
            self._manager()
            self._keep_secret(secret, name)
            self._services.create(name, config, self._host.now(), secret)

        await self._wire.call("create_service", Operation.SERVICE, work, what=name)

    async def configure_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        def work() -> None:
            self._manager()
            self._keep_secret(secret, name)
            self._services.configure(name, config, self._host.now(), secret)

        await self._wire.call("configure_service", Operation.SERVICE, work, what=name)

    async def start_service(self, name: str) -> None:
        def work() -> float | None:
            self._manager()
            return self._host.start(name)

        refused_after = await self._wire.call(
            "start_service", Operation.START, work, self._wire.limits.start, what=name
        )
        if refused_after is not None:
            await asyncio.sleep(refused_after)
            raise ProblemError(from_win32(1053, Operation.START, name))

    async def stop_service(self, name: str) -> bool:
        def work() -> bool:
            self._manager()
            return self._services.stop(name, self._host.now())

        return await self._wire.call("stop_service", Operation.SERVICE, work, what=name)

    async def delete_service(self, name: str) -> bool:
        def work() -> bool:
            self._manager()
            return self._services.delete(name, self._host.now())

        return await self._wire.call("delete_service", Operation.SERVICE, work, what=name)

    def runner(self, run_as: RunAs = SYSTEM) -> str:
        return "WinRS in memory" if run_as == SIGNED_IN else "service PusherRun in memory"

    @property
    def copied_by(self) -> str:
        return "memory" if "put" in self._wire.host.calls else ""

    async def run(self, command: str, limit: float, run_as: RunAs = SYSTEM) -> int:
        """As the real ones do: by a service; over WinRM at once too, for who is signed in."""
        if run_as != SIGNED_IN:
            return await by_service.run(self, _RUNNER, command, limit, run_as)
        if self._wire.transport.kind is TransportKind.SMB:
            raise ProblemError(of(Code.RUN_AS_UNSUPPORTED, Operation.RUN, command))

        def work() -> Ran:
            self._manager()
            return self._host.execute(command)

        # The program runs on where its pusher has long been gone: the effect first, and the wait behind it.
        ran = await self._wire.call("run", Operation.RUN, work, limit, what=command)
        await asyncio.sleep(min(ran.seconds, limit))
        if ran.seconds > limit:
            raise ProblemError(of(Code.INSTALLER_TIMED_OUT, Operation.RUN, f"{limit:g} s"))
        return ran.code

    async def tail(self, path: RemotePath, limit: int) -> bytes | None:
        def work() -> bytes | None:
            data = self._disk.read(self._key(path))
            return None if data is None else data[max(0, len(data) - limit) :]

        return await self._wire.call("tail", Operation.FILE, work, what=str(path))

    async def registry_value(self, key: str, name: str) -> str | int | None:
        def work() -> str | int | None:
            if self._host.registry is None:
                raise ProblemError(of(Code.REGISTRY_UNAVAILABLE, Operation.REGISTRY, "no winreg pipe"))
            if self._host.registry_denied or not self._user.administrator:
                raise Win32Error(_WIN32_DENIED)
            return self._host.values.get((key.lower(), name.lower()))

        return await self._wire.call("registry_value", Operation.REGISTRY, work, what=f"{key}, {name}")

    async def registry_access(self, key: str) -> str:
        return await self._wire.call("registry_access", Operation.REGISTRY, lambda: self._open_key(key), what=key)

    def _keep_secret(self, secret: Secret | None, name: str) -> None:
        if secret is not None and not self._host.encrypts:
            raise ProblemError(of(Code.SESSION_NOT_ENCRYPTED, Operation.SERVICE, name))

    async def holders_of(self, right: str, account: str) -> tuple[str, ...]:
        def work() -> tuple[str, ...]:
            return self._host.holders_of(right, account)

        return await self._wire.call("holders_of", Operation.POLICY, work, what=account)

    async def grant_right(self, right: str, account: str) -> None:
        def work() -> None:
            self._host.change_right(right, account, True)

        await self._wire.call("grant_right", Operation.POLICY, work, what=account)

    async def revoke_right(self, right: str, account: str) -> None:
        def work() -> None:
            self._host.change_right(right, account, False)

        await self._wire.call("revoke_right", Operation.POLICY, work, what=account)

    async def close(self) -> None:
        self._wire.drop()

    def _key(self, path: RemotePath) -> Key:
        admin = path.share.upper() == "ADMIN$"
        try:
            root = self._host.root(path.share, self._user)
        except NtError as error:
            operation = Operation.ADMIN_SHARE if admin else Operation.SHARE
            raise ProblemError(from_ntstatus(error.status, operation, "" if admin else path.share)) from error
        return root + key_of(path.path)

    def _writable(self, path: RemotePath) -> Key:
        key = self._key(path)
        if path.share.upper() in self._host.read_only_shares:
            raise NtError(_DENIED)
        return key

    def _reading(self, value: T) -> T:
        """Facts that are read off ADMIN$."""
        self._key(RemotePath(share="ADMIN$", path=""))
        return value

    def _manager(self) -> None:
        if not self._user.administrator:
            raise ProblemError(from_win32(_WIN32_DENIED, Operation.SERVICE_MANAGER))

    def _open_key(self, key: str) -> str:
        if self._host.registry is None:
            raise ProblemError(of(Code.REGISTRY_UNAVAILABLE, Operation.REGISTRY, "no winreg pipe"))
        if self._host.registry_denied or not self._user.administrator:
            raise Win32Error(_WIN32_DENIED)
        opened = key
        while opened.lower() not in self._host.registry:
            opened = opened.rpartition("\\")[0]
            if "\\" not in opened:
                raise Win32Error(_NO_KEY)
        return f"{opened} opened " + ("for writing" if opened == key else "to create keys in")
