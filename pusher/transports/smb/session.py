"""The calls of ``port.Session`` over one wire: each under its deadline, which ends the connection when it is over.

A deadline is for the time in which no answer comes on the connection: a call that waits there behind long files, for
its turn or for its answer, is not late while these move. A call whose time is over, or whose task is cancelled, may
have had its effect or not: nothing more is said on that connection, so that the target's lock is freed and the next
push finds out. What must not live here: how a call is made (``files``, ``services``, ``policy``, ``rights``).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from impacket.dcerpc.v5.scmr import MSRPC_UUID_SCMR

from pusher.models import Secret
from pusher.problems import Code, NextMove, Problem, ProblemError, Stage, problem
from pusher.remote.images import FileDigest
from pusher.remote.paths import SYSTEM_DRIVE, RemotePath, SystemFolders
from pusher.remote.together import together
from pusher.transports import by_service, one_by_one
from pusher.transports.codes import Operation, of
from pusher.transports.port import (
    SIGNED_IN,
    SYSTEM,
    CheckCancelled,
    FileInfo,
    Hold,
    Limits,
    Moved,
    NewFile,
    PeerIdentity,
    Renaming,
    RunAs,
    ServiceConfig,
    ServiceStatus,
    never_cancelled,
)
from pusher.transports.smb import policy, rights
from pusher.transports.smb.files import CHUNK, Files, Held
from pusher.transports.smb.pipe import Rpc
from pusher.transports.smb.services import ServiceManager
from pusher.transports.smb.trees import Trees
from pusher.transports.smb.wire import Wire

T = TypeVar("T")

_GRACE = 5.0
"""Seconds in which a call that was given up comes to its end."""

_AT_ONCE = 16
"""Files that are written or read at the same time."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """What a sign-in leaves. ``key``: Session.ApplicationKey (MS-SMB2 3.2.1.3), where what is sent is encrypted."""

    wire: Wire
    trees: Trees
    key: bytes | None
    most_read: int
    most_written: int


class SmbSession:
    """One authenticated session; its calls may be made at the same time."""

    takes_several = True

    def __init__(self, signed_in: SignedIn, identity: PeerIdentity, limits: Limits) -> None:
        self.identity, self._limits = identity, limits
        self._wire, self._trees = signed_in.wire, signed_in.trees
        self._trees.drive = self._system_drive
        self._files = Files(self._wire, self._trees, signed_in.most_read, signed_in.most_written)
        self._turn = asyncio.Lock()
        self._services = ServiceManager(lambda: self._bind("svcctl", MSRPC_UUID_SCMR), lambda: signed_in.key)

    @property
    def copied_by(self) -> str:
        return ""

    # -- facts ---------------------------------------------------------------------------------------------------

    async def is_domain_controller(self) -> bool:
        return await self._call(policy.is_domain_controller(self._bind), Operation.FACTS, "server type")

    async def folders(self) -> SystemFolders:
        return await self._managed(self._services.folders, Operation.FACTS, "where Windows is")

    async def architecture(self) -> str | None:
        return await self._call(self._files.architecture(), Operation.FACTS, "architecture")

    async def free_bytes(self) -> int:
        return await self._call(self._files.free_bytes("ADMIN$"), Operation.FACTS, "free space")

    async def registry_value(self, key: str, name: str) -> str | int | None:
        value = policy.registry_value(self._bind, key, name)
        return await self._call(value, Operation.REGISTRY, f"{key}, {name}")

    async def registry_access(self, key: str) -> str:
        return await self._call(policy.registry_access(self._bind, key), Operation.REGISTRY, key)

    async def holders_of(self, right: str, account: str) -> tuple[str, ...]:
        return await self._call(rights.holders_of(self._bind, right, account), Operation.POLICY, account)

    async def grant_right(self, right: str, account: str) -> None:
        await self._call(rights.grant(self._bind, right, account), Operation.POLICY, account)

    async def revoke_right(self, right: str, account: str) -> None:
        await self._call(rights.revoke(self._bind, right, account), Operation.POLICY, account)

    # -- files ---------------------------------------------------------------------------------------------------

    async def stat(self, path: RemotePath) -> FileInfo | None:
        return await self._call(self._files.stat(path), Operation.FILE, str(path))

    async def make_folder(self, path: RemotePath) -> bool:
        return await self._call(self._files.make_folder(path), Operation.FOLDER, str(path))

    async def remove_folder(self, path: RemotePath) -> bool:
        return await self._call(self._files.remove_folder(path), Operation.FOLDER, str(path))

    async def rename(self, path: RemotePath, to: RemotePath) -> None:
        await self._call(self._files.rename(path, to), Operation.FILE, str(path))

    async def remove(self, path: RemotePath) -> bool:
        return await self._call(self._files.remove(path), Operation.FILE, str(path))

    async def tail(self, path: RemotePath, limit: int) -> bytes | None:
        return await self._call(self._files.tail(path, limit), Operation.FILE, str(path))

    async def probe_write(self, folder: RemotePath) -> str:
        path = folder.child(f"pusher-{secrets.token_hex(6)}.tmp")
        await self._call(self._files.probe_write(path), Operation.PROBE_WRITE, str(path))
        return str(path)

    async def hold(self, path: RemotePath) -> Hold:
        return _Hold(await self._call(self._files.hold(path), Operation.LOCK, str(path)), self)

    async def put(self, path: RemotePath, data: memoryview, moved: Moved) -> None:
        await self._moving(self._files.put(path, data, moved), f"copying to {path}")

    async def digest(self, path: RemotePath, limit: int) -> FileDigest | None:
        return await self._moving(self._files.digest(path, limit), f"reading {path}")

    async def put_all(
        self, files: Sequence[NewFile], moved: Moved, check_cancelled: CheckCancelled = never_cancelled
    ) -> list[NewFile]:
        in_use = list[NewFile]()
        for some in _in_lots(files):
            check_cancelled()
            for held in await together(*(one_by_one.put_each(self, [file], moved) for file in some), at_once=True):
                in_use += held
        return in_use

    async def digest_all(self, limits: Mapping[RemotePath, int | None]) -> dict[RemotePath, FileDigest | None]:
        found, paths = dict[RemotePath, FileDigest | None](), list(limits)
        for at in range(0, len(paths), _AT_ONCE):
            some = paths[at : at + _AT_ONCE]
            each = (one_by_one.digest_each(self, {path: limits[path]}) for path in some)
            for one in await together(*each, at_once=True):
                found |= one
        return found

    async def taken(self, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
        found = await together(*(one_by_one.taken_each(self, [path]) for path in paths), at_once=True)
        return frozenset[RemotePath]().union(*found)

    async def rename_all(self, renames: Sequence[Renaming]) -> list[Renaming]:
        return await one_by_one.rename_each(self, renames)

    async def remove_all(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        return await one_by_one.remove_each(self, paths)

    # -- services and programs -----------------------------------------------------------------------------------

    async def may_create_services(self) -> str:
        await self._managed(self._services.open, Operation.SERVICE_MANAGER, "service manager")
        return "service manager opened with SC_MANAGER_CREATE_SERVICE"

    async def service_config(self, name: str) -> ServiceConfig | None:
        return await self._managed(partial(self._services.config, name), Operation.SERVICE, name)

    async def service_status(self, name: str) -> ServiceStatus | None:
        return await self._managed(partial(self._services.status, name), Operation.SERVICE, name)

    async def create_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        await self._managed(partial(self._services.create, name, config, secret), Operation.SERVICE, name)

    async def configure_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        await self._managed(partial(self._services.configure, name, config, secret), Operation.SERVICE, name)

    async def start_service(self, name: str) -> None:
        await self._managed(partial(self._services.start, name), Operation.START, name, self._limits.start)

    async def stop_service(self, name: str) -> bool:
        return await self._managed(partial(self._services.stop, name), Operation.SERVICE, name)

    async def delete_service(self, name: str) -> bool:
        return await self._managed(partial(self._services.delete, name), Operation.SERVICE, name)

    def runner(self, run_as: RunAs = SYSTEM) -> str:
        return by_service.words(run_as)

    async def run(self, command: str, limit: float, run_as: RunAs = SYSTEM) -> int:
        if run_as == SIGNED_IN:
            raise ProblemError(
                of(Code.RUN_AS_UNSUPPORTED, Operation.RUN, "SMB starts programs by the service manager only")
            )
        return await by_service.run(self, by_service.program().program, command, limit, run_as)

    async def close(self) -> None:
        """Sign off politely where the connection still lives, and drop it in any case; never raises."""
        try:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._limits.connect):
                    async with self._turn:
                        await self._services.close()
                    self._wire.sign_off()
                    await self._wire.close()
        finally:
            self._wire.abort()

    # -- the parts -----------------------------------------------------------------------------------------------

    async def _bind(self, pipe: str, interface: bytes) -> Rpc:
        return await Rpc.bind(self._wire, await self._trees.tree("IPC$"), pipe, interface)

    async def _system_drive(self) -> str:
        """The share of the drive that Windows is on; where an account may not ask, C$ as on nearly all."""
        try:
            async with self._turn:
                return f"{(await self._services.folders()).drive[0]}$"
        except ProblemError as error:
            if error.problem.next_move is NextMove.RETRY:
                raise
            return SYSTEM_DRIVE

    async def _call(self, work: Awaitable[T], operation: Operation, what: str, deadline: float | None = None) -> T:
        late = partial(problem, Code.TIMED_OUT, operation.stage)
        return await self._within(deadline or self._limits.call, work, late, f"{operation.words} ({what})")

    async def _managed(
        self, work: Callable[[], Awaitable[T]], operation: Operation, what: str, deadline: float | None = None
    ) -> T:
        """A call of the service manager; its deadline begins when those before it have ended."""
        async with self._turn:
            return await self._call(work(), operation, what, deadline)

    async def _moving(self, work: Awaitable[T], what: str) -> T:
        """A transfer."""
        return await self._within(self._limits.stall, work, partial(problem, Code.TRANSFER_STALLED, Stage.STAGE), what)

    async def _within(self, seconds: float, work: Awaitable[T], late: Callable[[str], Problem], what: str) -> T:
        """``seconds``: in which no answer comes. Past them the wire goes first, so that no clean-up waits on it."""
        loop = asyncio.get_running_loop()
        began, task = loop.time(), asyncio.ensure_future(work)
        try:
            while not task.done() and (left := max(began, self._wire.moved_at) + seconds - loop.time()) > 0:
                await asyncio.wait({task}, timeout=left)
            if task.done():
                return task.result()
        except asyncio.CancelledError:
            await self._give_up(task)
            raise
        over = ProblemError(late(f"{what}: nothing for {seconds:g} s"))
        await self._give_up(task, over)
        raise over

    async def _give_up(self, task: asyncio.Future[T], why: ProblemError | None = None) -> None:
        """Whoever else waits on the wire is told ``why`` it went."""
        self._wire.abort(why)
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE)
        if task.done() and not task.cancelled():
            task.exception()  # of no interest any more


def _in_lots(files: Sequence[NewFile]) -> Iterator[list[NewFile]]:
    """As many files as are on their way at once: not more bytes than one piece of a long file."""
    lot, size = list[NewFile](), 0
    for file in files:
        if lot and (len(lot) == _AT_ONCE or size + len(file.data) > CHUNK):
            yield lot
            lot, size = [], 0
        lot.append(file)
        size += len(file.data)
    if lot:
        yield lot


class _Hold:
    """The target's lock; closing it frees it."""

    def __init__(self, held: Held, session: SmbSession) -> None:
        self._held, self._session = held, session

    async def close(self) -> None:
        # Where the connection is gone the target has freed the lock, or will, which is all that closing is for.
        with contextlib.suppress(Exception):
            await self._session._call(self._held.close(), Operation.LOCK, "freeing it")
