"""A worker's way to the hosts: ``Transport``, ``Link`` and ``Session`` of the port, asked over the socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from pusher.models import TransportKind
from pusher.problems import Code, Problem, ProblemError
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath
from pusher.transports import one_by_one
from pusher.transports.codes import Operation, of
from pusher.transports.port import (
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
from tests.faults.wire import packed, read_message


class SocketTransport:
    """``worker`` is what the hosts write down of whoever asks."""

    kind = TransportKind.SMB

    def __init__(self, path: Path, worker: str) -> None:
        self._path, self._worker = path, worker

    async def probe(self, endpoint: Endpoint, seconds: float) -> Problem | None:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(packed({"call": "probe", "endpoint": endpoint, "seconds": seconds}))
            found: Problem | None = (await read_message(reader))["value"]
            return found
        finally:
            writer.close()

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        reader, writer = await asyncio.open_unix_connection(self._path)
        link = _Link(reader, writer)
        writer.write(packed({"call": "open", "endpoint": endpoint, "limits": limits, "worker": self._worker}))
        try:
            answer = await read_message(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ProblemError(of(Code.CONNECTION_LOST, Operation.REACH, endpoint.address)) from None
        if problem := answer.get("problem"):
            writer.close()
            raise ProblemError(problem)
        link.begin()
        return link


class _Link:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._reading: asyncio.Task[None] | None = None
        self.secret_sent = self._is_down = False
        self.identity = PeerIdentity()

    def begin(self) -> None:
        self._reading = asyncio.create_task(self._read())

    async def identify(self) -> PeerIdentity:
        self.identity = await self.call("identify")
        return self.identity

    async def sign_in(self, *arguments: Any) -> Session:
        self.secret_sent = True
        await self.call("sign_in", *arguments)
        return cast(Session, _Session(self))

    async def close(self) -> None:
        self._lose()
        if self._reading is not None:
            self._reading.cancel()

    async def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """A call that is cancelled drops the connection, as the adapters do."""
        if self._is_down:
            raise ProblemError(of(Code.CONNECTION_LOST, Operation.FILE, name))
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(packed({"number": number, "call": name, "arguments": arguments, "named": named}))
        try:
            return await waiting
        except asyncio.CancelledError:
            self._lose()
            raise

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                answer = await read_message(self._reader)
                self.secret_sent = answer["secret_sent"]
                waiting = self._waiting.pop(answer["number"])
                if waiting.done():
                    continue
                if problem := answer.get("problem"):
                    waiting.set_exception(ProblemError(problem))
                else:
                    waiting.set_result(answer["value"])
        self._lose()

    def _lose(self) -> None:
        self._is_down = True
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ProblemError(of(Code.CONNECTION_LOST, Operation.FILE)))
        self._waiting.clear()


class _Hold:
    def __init__(self, link: _Link, number: int) -> None:
        self._link, self._number = link, number

    async def close(self) -> None:
        with contextlib.suppress(ProblemError):
            await self._link.call("release", self._number)


class _Session:
    """Every other call of the port is asked as it is."""

    takes_several = True
    copied_by = ""

    def __init__(self, link: _Link) -> None:
        self._link, self.identity = link, link.identity

    def __getattr__(self, name: str) -> Any:
        return partial(self._link.call, name)

    def runner(self, run_as: RunAs = SYSTEM) -> str:
        return "nothing is run"

    async def hold(self, path: RemotePath) -> _Hold:
        return _Hold(self._link, await self._link.call("hold", path))

    async def put(self, path: RemotePath, data: memoryview, moved: Moved) -> None:
        await self._link.call("put", path, data, _unfollowed)
        moved(len(data))

    async def put_all(
        self, files: Sequence[NewFile], moved: Moved, check_cancelled: CheckCancelled = never_cancelled
    ) -> list[NewFile]:
        return await one_by_one.put_each(cast(Session, self), files, moved, check_cancelled)

    async def digest_all(self, limits: Mapping[RemotePath, int | None]) -> dict[RemotePath, FileDigest | None]:
        return await one_by_one.digest_each(cast(Session, self), limits)

    async def taken(self, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
        return await one_by_one.taken_each(cast(Session, self), paths)

    async def rename_all(self, renames: Sequence[Renaming]) -> list[Renaming]:
        return await one_by_one.rename_each(cast(Session, self), renames)

    async def remove_all(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        return await one_by_one.remove_each(cast(Session, self), paths)

    async def close(self) -> None:
        await self._link.close()


def _unfollowed(count: int) -> None:
    """Progress is told when the whole file has arrived."""
