"""The calls about many files, for a transport that has nothing better than to make them one by one.

And for what a better one leaves over: a file that could not be put together with others is put alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pusher.problems import Code, ProblemError
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath
from pusher.transports.codes import Operation, of
from pusher.transports.port import CheckCancelled, FileInfo, Moved, NewFile, Renaming, never_cancelled

_IN_USE = Code.FILE_IN_USE
_FOR_ITS_VERSION = 64 * 1024 * 1024
"""Bytes of a file that are looked through for its version."""


class Single(Protocol):
    """The calls of ``port.Session`` about one file that these are made of."""

    async def stat(self, path: RemotePath) -> FileInfo | None: ...
    async def put(self, path: RemotePath, data: memoryview, moved: Moved) -> None: ...
    async def digest(self, path: RemotePath, limit: int) -> FileDigest | None: ...
    async def rename(self, path: RemotePath, to: RemotePath) -> None: ...
    async def remove(self, path: RemotePath) -> bool: ...


async def put_proven(session: Single, file: NewFile, moved: Moved) -> None:
    """Write a whole file and read it back; ``copy-mismatch`` where that is another.

    Where it is held by another process nothing of it counts as moved: it has to be put once more.
    """
    counted = 0

    def counting(count: int) -> None:
        nonlocal counted
        counted += count
        moved(count)

    try:
        await session.put(file.path, file.data, counting)
        there = await session.digest(file.path, limit=len(file.data))
    except ProblemError as error:
        if error.problem.row.held and counted:
            moved(-counted)
        raise
    if there is None or there.size != len(file.data) or there.sha256 != file.sha256:
        raise ProblemError(of(Code.COPY_MISMATCH, Operation.FILE, str(file.path)))


async def put_each(
    session: Single, files: Sequence[NewFile], moved: Moved, check_cancelled: CheckCancelled = never_cancelled
) -> list[NewFile]:
    """``Session.put_all``."""
    in_use = list[NewFile]()
    for file in files:
        check_cancelled()
        try:
            await put_proven(session, file, moved)
        except ProblemError as error:
            if error.problem.code != _IN_USE:
                raise
            in_use.append(file)
    return in_use


async def digest_each(session: Single, limits: Mapping[RemotePath, int | None]) -> dict[RemotePath, FileDigest | None]:
    """``Session.digest_all``, where a file's version is in the file alone."""
    found = dict[RemotePath, FileDigest | None]()
    for path, limit in limits.items():
        digest = await session.digest(path, _FOR_ITS_VERSION if limit is None else limit)
        found[path] = digest and (replace(digest, sha256="") if limit is None else digest)
    return found


async def taken_each(session: Single, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
    """``Session.taken``."""
    return frozenset([path for path in paths if await _is_taken(session, path)])


async def _is_taken(session: Single, path: RemotePath) -> bool:
    try:
        return await session.stat(path) is not None
    except ProblemError as error:
        if error.problem.code != _IN_USE:
            raise
        return True


async def rename_each(session: Single, renames: Sequence[Renaming]) -> list[Renaming]:
    """``Session.rename_all``."""
    left = list[Renaming]()
    for renaming in renames:
        if any(renaming.to == other.path for other in left):
            left.append(renaming)  # its place has not become free
            continue
        try:
            await session.rename(renaming.path, renaming.to)
        except ProblemError as error:
            if not error.problem.row.held:
                raise
            left.append(renaming)
    return left


async def remove_each(session: Single, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
    """``Session.remove_all``."""
    done = dict[RemotePath, bool]()
    for path in paths:
        try:
            done[path] = await session.remove(path)
        except ProblemError as error:
            if error.problem.row.session_gone:
                raise
    return done
