"""What a session over a blocking library is, whichever library: each call in the pool of threads, under its deadline.

An adapter gives its files and its service manager, which are blocking and translate what their library raises; the
calls about these two are the same for each. What must not live here: anything that knows a protocol.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from pusher.models import Secret
from pusher.problems import Code, Stage
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath
from pusher.transports import one_by_one
from pusher.transports.codes import Operation
from pusher.transports.port import (
    CheckCancelled,
    FileInfo,
    Hold,
    Limits,
    Moved,
    NewFile,
    PeerIdentity,
    Renaming,
    ServiceConfig,
    ServiceStatus,
    never_cancelled,
)
from pusher.transports.threaded import CallProgress, ThreadedCalls

T = TypeVar("T")
Beat = Callable[[int], None]
"""Called with the number of bytes that moved, as a sign of life."""


class Closing(Protocol):
    """Something open on the target; blocking."""

    def close(self) -> None: ...


class BlockingFiles(Protocol):
    """The file calls of ``port.Session``, blocking; ProblemError."""

    def stat(self, path: RemotePath) -> FileInfo | None: ...
    def make_folder(self, path: RemotePath) -> bool: ...
    def remove_folder(self, path: RemotePath) -> bool: ...
    def put(self, path: RemotePath, data: memoryview, made: Beat, /) -> None: ...
    def digest(self, path: RemotePath, limit: int, made: Beat) -> FileDigest | None: ...
    def rename(self, path: RemotePath, to: RemotePath) -> None: ...
    def remove(self, path: RemotePath) -> bool: ...
    def probe_write(self, path: RemotePath) -> None: ...
    def hold(self, path: RemotePath) -> Closing: ...
    def tail(self, path: RemotePath, limit: int) -> bytes | None: ...


class BlockingServices(Protocol):
    """The service calls of ``port.Session``, blocking; ProblemError."""

    def config(self, name: str) -> ServiceConfig | None: ...
    def status(self, name: str) -> ServiceStatus | None: ...
    def create(self, name: str, config: ServiceConfig, secret: Secret | None) -> None: ...
    def configure(self, name: str, config: ServiceConfig, secret: Secret | None) -> None: ...
    def start(self, name: str) -> None: ...
    def stop(self, name: str) -> bool: ...
    def delete(self, name: str) -> bool: ...


class ThreadedHold:
    """The target's lock; closing it frees it."""

    def __init__(self, held: Closing, calls: ThreadedCalls, limits: Limits) -> None:
        self._held, self._calls, self._limits = held, calls, limits

    async def close(self) -> None:
        # Where the connection is gone the target has freed the lock, or will, which is all that closing is for.
        with contextlib.suppress(Exception):
            await self._calls.call(
                self._held.close, deadline=self._limits.call, stage=Stage.LOCK, what="freeing the lock"
            )


class ThreadedSession:
    """The calls of ``port.Session`` that every adapter answers alike."""

    takes_several = False

    def __init__(
        self,
        calls: ThreadedCalls,
        identity: PeerIdentity,
        limits: Limits,
        files: BlockingFiles,
        services: BlockingServices,
    ) -> None:
        self.identity = identity
        self._calls, self._limits = calls, limits
        self._blocking_files, self._blocking_services = files, services

    @property
    def copied_by(self) -> str:
        return ""

    async def stat(self, path: RemotePath) -> FileInfo | None:
        return await self._call(lambda: self._blocking_files.stat(path), Operation.FILE, str(path))

    async def make_folder(self, path: RemotePath) -> bool:
        return await self._call(lambda: self._blocking_files.make_folder(path), Operation.FOLDER, str(path))

    async def remove_folder(self, path: RemotePath) -> bool:
        return await self._call(lambda: self._blocking_files.remove_folder(path), Operation.FOLDER, str(path))

    async def put(self, path: RemotePath, data: memoryview, moved: Moved) -> None:
        await self._moving(lambda made: self._blocking_files.put(path, data, made), moved, f"copying to {path}")

    async def digest(self, path: RemotePath, limit: int) -> FileDigest | None:
        return await self._moving(
            lambda made: self._blocking_files.digest(path, limit, made), lambda _: None, f"reading {path}"
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
        await self._call(lambda: self._blocking_files.rename(path, to), Operation.FILE, str(path))

    async def remove(self, path: RemotePath) -> bool:
        return await self._call(lambda: self._blocking_files.remove(path), Operation.FILE, str(path))

    async def rename_all(self, renames: Sequence[Renaming]) -> list[Renaming]:
        return await one_by_one.rename_each(self, renames)

    async def remove_all(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        return await one_by_one.remove_each(self, paths)

    async def probe_write(self, folder: RemotePath) -> str:
        path = folder.child(f"pusher-{secrets.token_hex(6)}.tmp")
        await self._call(lambda: self._blocking_files.probe_write(path), Operation.PROBE_WRITE, str(path))
        return str(path)

    async def hold(self, path: RemotePath) -> Hold:
        held = await self._call(lambda: self._blocking_files.hold(path), Operation.LOCK, str(path))
        return ThreadedHold(held, self._calls, self._limits)

    async def tail(self, path: RemotePath, limit: int) -> bytes | None:
        return await self._call(lambda: self._blocking_files.tail(path, limit), Operation.FILE, str(path))

    async def service_config(self, name: str) -> ServiceConfig | None:
        return await self._call(lambda: self._blocking_services.config(name), Operation.SERVICE, name)

    async def service_status(self, name: str) -> ServiceStatus | None:
        return await self._call(lambda: self._blocking_services.status(name), Operation.SERVICE, name)

    async def create_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        await self._call(lambda: self._blocking_services.create(name, config, secret), Operation.SERVICE, name)

    async def configure_service(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        await self._call(lambda: self._blocking_services.configure(name, config, secret), Operation.SERVICE, name)

    async def start_service(self, name: str) -> None:
        await self._call(lambda: self._blocking_services.start(name), Operation.START, name, self._limits.start)

    async def stop_service(self, name: str) -> bool:
        return await self._call(lambda: self._blocking_services.stop(name), Operation.SERVICE, name)

    async def delete_service(self, name: str) -> bool:
        return await self._call(lambda: self._blocking_services.delete(name), Operation.SERVICE, name)

    async def _call(self, work: Callable[[], T], operation: Operation, what: str, deadline: float | None = None) -> T:
        return await self._calls.call(
            work, deadline=deadline or self._limits.call, stage=operation.stage, what=f"{operation.words} ({what})"
        )

    async def _moving(self, work: Callable[[Beat], T], moved: Moved, what: str) -> T:
        """A transfer: its deadline is for the time in which nothing moves."""
        call_progress = CallProgress()

        def made(count: int) -> None:
            call_progress.made()
            moved(count)

        return await self._calls.call(
            lambda: work(made),
            deadline=self._limits.stall,
            stage=Stage.STAGE,
            what=what,
            code=Code.TRANSFER_STALLED,
            call_progress=call_progress,
        )
