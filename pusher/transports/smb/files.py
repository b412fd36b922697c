"""File calls over MS-SMB2, each as few round trips as it can be.

A file is opened, looked at or changed, and closed by one chain. Everything the server says about sizes is checked
against what was asked. What must not live here: how a message looks (``messages``) or travels (``wire``).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from pusher.problems import Code, ProblemError
from pusher.remote.images import FileDigest, FileVersionScan, machine_of
from pusher.remote.paths import RemotePath
from pusher.transports.codes import Operation, of
from pusher.transports.port import FileInfo
from pusher.transports.smb.errors import ImplausibleError, NtStatusError, WireError
from pusher.transports.smb.faults import translating
from pusher.transports.smb.flow import Pieces
from pusher.transports.smb.messages import (
    RELATED_FILE,
    SUCCESS,
    Access,
    Answer,
    Attributes,
    Created,
    Disposition,
    Options,
    Request,
    Share,
    close,
    count_written,
    create,
    created,
    data_read,
    dispose,
    flush,
    free_space,
    query_free_space,
    read,
    rename,
    set_attributes,
    size_when_closed,
    write,
)
from pusher.transports.smb.trees import Trees
from pusher.transports.smb.wire import Wire

CHUNK = 1024 * 1024
"""Bytes of file data in one READ or WRITE."""

_GOES = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Seconds between two looks at a removed file that another process has open."""
_END_OF_FILE, _CANNOT_DELETE, _DELETE_PENDING = 0xC0000011, 0xC0000121, 0xC0000056
_NAME_COLLISION, _NOT_EMPTY, _SHARING_VIOLATION = 0xC0000035, 0xC0000101, 0xC0000043
ABSENT = (0xC0000034, 0xC000003A)
"""OBJECT_NAME_NOT_FOUND, OBJECT_PATH_NOT_FOUND."""


class Files:
    """File and folder calls; raises ProblemError only. ``most_read`` and ``most_written``: what the server takes."""

    def __init__(
        self,
        wire: Wire,
        trees: Trees,
        most_read: int,
        most_written: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._wire, self._trees, self._sleep = wire, trees, sleep
        self._most_read, self._most_written = min(CHUNK, most_read), min(CHUNK, most_written)

    async def stat(self, path: RemotePath) -> FileInfo | None:
        with translating(Operation.FILE, str(path)):
            opened, _ = await self._ask(path, _open(path, Access.READ_ATTRIBUTES), close())
            if opened.status in ABSENT:
                return None
            there = created(opened)
            return FileInfo(size=there.size, is_folder=there.is_folder)

    async def make_folder(self, path: RemotePath) -> bool:
        with translating(Operation.FOLDER, str(path)):
            opening = create(
                _downward(path),
                Access.LIST_DIRECTORY,
                disposition=Disposition.CREATE,
                options=Options.DIRECTORY_FILE,
            )
            made, closed = await self._ask(path, opening, close())
            if made.must(_NAME_COLLISION).status == SUCCESS:
                closed.must()
            return made.status == SUCCESS

    async def remove_folder(self, path: RemotePath) -> bool:
        with translating(Operation.FOLDER, str(path)):
            for pause in _GOES:
                try:
                    return await self._remove(path, Options.DIRECTORY_FILE)
                except NtStatusError as error:
                    if error.status != _SHARING_VIOLATION:
                        raise
                await self._sleep(pause)  # a virus scanner or an indexer has it open
            return await self._remove(path, Options.DIRECTORY_FILE)

    async def remove(self, path: RemotePath) -> bool:
        with translating(Operation.FILE, str(path)):
            return await self._remove(path, Options.NON_DIRECTORY_FILE)

    async def rename(self, path: RemotePath, to: RemotePath) -> None:
        with translating(Operation.FILE, f"{path} -> {to.name}"):
            for answer in await self._ask(path, _open(path, Access.DELETE), rename(_downward(to)), close()):
                answer.must()

    async def put(self, path: RemotePath, data: memoryview, made: Callable[[int], None]) -> None:
        """Write ``data`` as the whole file; ``made`` is told of each acknowledged chunk's bytes."""
        opening = create(
            _downward(path),
            Access.GENERIC_WRITE,
            disposition=Disposition.OVERWRITE_IF,
            options=Options.NON_DIRECTORY_FILE,
            share=Share.NONE,
        )
        with translating(Operation.FILE, str(path)):
            if len(data) > self._wire.largest(self._most_written):
                size = await self._put_in_pieces(path, opening, data, made)
            else:
                size = await self._put_at_once(path, opening, data, made)
        if size != len(data):
            raise ProblemError(of(Code.COPY_MISMATCH, Operation.FILE, f"{path}: {size} bytes there, {len(data)} sent"))

    async def _put_at_once(
        self, path: RemotePath, opening: Request, data: memoryview, made: Callable[[int], None]
    ) -> int:
        writes = [write(data)] if data else []
        opened, *written, flushed, closed = await self._ask(path, opening, *writes, flush(), close(tells_size=True))
        opened.must()
        for answer in written:
            _acknowledged(answer, len(data))
            made(len(data))
        flushed.must()
        return size_when_closed(closed)

    async def _put_in_pieces(
        self, path: RemotePath, opening: Request, data: memoryview, made: Callable[[int], None]
    ) -> int:
        tree = await self._trees.tree(path.share)
        async with self._opened(path, opening) as there:
            pieces = Pieces(0, len(data), lambda at, size: write(data[at : at + size], at, there.file))
            async with aclosing(self._wire.stream(tree, pieces, self._most_written)) as answers:
                async for sent, answer in answers:
                    _acknowledged(answer, sent)
                    made(sent)
            flushed, closed = await self._wire.ask(tree, flush(there.file), close(there.file, tells_size=True))
            flushed.must()
            there.is_closed = True
            return size_when_closed(closed)

    async def digest(self, path: RemotePath, limit: int) -> FileDigest | None:
        """Read and hash at most ``limit`` bytes; of a longer file the hash is empty."""
        sha, scan, total = hashlib.sha256(), FileVersionScan(), 0

        def take(part: memoryview) -> None:
            nonlocal total
            total += len(part)
            sha.update(part)
            scan.feed(bytes(part))

        with translating(Operation.FILE, str(path)):
            size = await self._read(path, limit, take)
        if size is None:
            return None
        return FileDigest(size=size, sha256=sha.hexdigest() if total == size else "", version=scan.version)

    async def tail(self, path: RemotePath, limit: int) -> bytes | None:
        """The last ``limit`` bytes; whoever writes the file goes on writing."""
        with translating(Operation.FILE, str(path)):
            try:
                async with self._opened(path, _reading(path, Share.ALL)) as there:
                    parts = self._streamed(path, there.file, max(0, there.size - limit), there.size)
                    return b"".join([bytes(part) async for part in parts])
            except NtStatusError as error:
                if error.status in ABSENT:
                    return None
                raise

    async def architecture(self) -> str | None:
        """From the COFF header of the system's own kernel32.dll: no registry is needed for it."""
        path = RemotePath(share="ADMIN$", path="System32\\kernel32.dll")
        with translating(Operation.FACTS, path.path):
            opened, head, _ = await self._ask(path, _open(path, Access.GENERIC_READ), read(4096), close())
            if opened.must(*ABSENT).status in ABSENT:
                return None
            return machine_of(bytes(data_read(head)))

    async def free_bytes(self, share: str) -> int:
        """What the caller may still write (MS-FSCC 2.5.4)."""
        root = RemotePath(share=share, path="")
        opening = create("", Access.READ_ATTRIBUTES, options=Options.DIRECTORY_FILE)
        with translating(Operation.FACTS, f"free space of {share}"):
            opened, told, _ = await self._ask(root, opening, query_free_space(), close())
            opened.must()
            return free_space(told)

    async def probe_write(self, path: RemotePath) -> None:
        """A file that deletes itself on close: nothing is left even where the connection drops."""
        opening = _passing(path, Disposition.CREATE)
        with translating(Operation.PROBE_WRITE, str(path)):
            for answer in await self._ask(path, opening, write(b"pusher"), close()):
                answer.must()

    async def hold(self, path: RemotePath) -> Held:
        """Open without sharing, delete-on-close: the target itself arbitrates. The caller closes it."""
        opening = _passing(path, Disposition.OVERWRITE_IF)
        with translating(Operation.LOCK, str(path)):
            (opened,) = await self._ask(path, opening)
            return Held(self._wire, await self._trees.tree(path.share), created(opened).file)

    # -- the parts -----------------------------------------------------------------------------------------------

    async def _ask(self, path: RemotePath, *requests: Request) -> list[Answer]:
        return await self._wire.ask(await self._trees.tree(path.share), *requests)

    @contextlib.asynccontextmanager
    async def _opened(self, path: RemotePath, opening: Request, *more: Request) -> AsyncIterator[_Opened]:
        """For what takes more than one chain; ``more`` goes in the first one."""
        opened, *answers = await self._ask(path, opening, *more)
        there = _Opened(created(opened), answers)
        try:
            yield there
        except Exception:
            # The first error is the one to report; closing after it may well fail too.
            with contextlib.suppress(WireError, OSError):
                await self._ask(path, close(there.file))
            raise
        if not there.is_closed:
            (closed,) = await self._ask(path, close(there.file))
            closed.must()

    async def _read(self, path: RemotePath, limit: int, take: Callable[[memoryview], None]) -> int | None:
        """The file's size, None where it is absent; ``take`` gets at most ``limit`` bytes of it, from the first."""
        first = self._wire.largest(self._most_read)
        if limit <= first:
            opened, head, closed = await self._ask(path, _reading(path), read(max(limit, 1)), close())
            if opened.status in ABSENT:
                return None
            size = created(opened).size
            take(_what_came(head, max(limit, 1))[:limit])
            closed.must()
            return size
        try:
            async with self._opened(path, _reading(path), read(first)) as there:
                head_came = _what_came(there.answers[0], first)
                take(head_came)
                if len(head_came) == first:
                    async for part in self._streamed(path, there.file, first, min(there.size, limit)):
                        take(part)
                return there.size
        except NtStatusError as error:
            if error.status in ABSENT:
                return None
            raise

    async def _streamed(self, path: RemotePath, file: bytes, start: int, end: int) -> AsyncIterator[memoryview]:
        tree = await self._trees.tree(path.share)
        pieces, ended = Pieces(start, end, lambda at, size: read(size, at, file)), False
        async with aclosing(self._wire.stream(tree, pieces, self._most_read)) as answers:
            async for asked, answer in answers:
                if not ended:
                    part = _what_came(answer, asked)
                    ended = len(part) < asked  # it became shorter meanwhile
                    yield part

    async def _remove(self, path: RemotePath, kind: Options) -> bool:
        try:
            await self._delete(path, kind)
        except NtStatusError as error:
            if error.status in ABSENT or (kind == Options.DIRECTORY_FILE and error.status == _NOT_EMPTY):
                return False
            raise
        await self._await_gone(path)
        return True

    async def _delete(self, path: RemotePath, kind: Options) -> None:
        # Setting the disposition says at once what forbids the removal; delete-on-close would keep silent.
        opening = create(_downward(path), Access.DELETE, options=kind)
        opened, disposed, closed = await self._ask(path, opening, dispose(), close())
        there = created(opened)
        if disposed.status == _CANNOT_DELETE and there.attributes & Attributes.READONLY:
            await self._delete_marked(path, kind, there.attributes)
            return
        disposed.must()
        closed.must()

    async def _delete_marked(self, path: RemotePath, kind: Options, marks: int) -> None:
        """Without its read-only attribute (MS-FSA 2.1.5.14.4), which comes back where something else forbids it."""
        opening = create(_downward(path), Access.DELETE | Access.WRITE_ATTRIBUTES, options=kind)
        async with self._opened(path, opening) as there:
            (marked,) = await self._ask(path, _marking(marks & ~Attributes.READONLY, there.file))
            marked.must()
            (disposed,) = await self._ask(path, dispose(there.file))
            if disposed.status != SUCCESS:
                await self._ask(path, _marking(marks, there.file))
            disposed.must()

    async def _await_gone(self, path: RemotePath) -> None:
        """A removed file is there until the last who has it open (a virus scanner) closes it."""
        for pause in _GOES:
            opened, _ = await self._ask(path, _open(path, Access.READ_ATTRIBUTES), close())
            if opened.status != _DELETE_PENDING:
                return  # gone, or another one, made since
            await self._sleep(pause)
        raise ProblemError(
            of(Code.FILE_IN_USE, Operation.FILE, f"{path} is removed as soon as another process closes it")
        )


class Held:
    """An open file that nobody else can open; it goes when it is closed."""

    def __init__(self, wire: Wire, tree: int, file: bytes) -> None:
        self._wire, self._tree, self._file = wire, tree, file

    async def close(self) -> None:
        """NtStatusError, or what ended the connection."""
        (closed,) = await self._wire.ask(self._tree, close(self._file))
        closed.must()


class _Opened:
    """A file that is open over several chains; ``answers``: to what travelled with its CREATE."""

    def __init__(self, there: Created, answers: list[Answer]) -> None:
        self.file, self.size, self.answers, self.is_closed = there.file, there.size, answers, False


def _open(path: RemotePath, access: int) -> Request:
    return create(_downward(path), access)


def _reading(path: RemotePath, share: Share = Share.READ) -> Request:
    return create(_downward(path), Access.GENERIC_READ, options=Options.NON_DIRECTORY_FILE, share=share)


def _passing(path: RemotePath, disposition: Disposition) -> Request:
    """A file that nobody else may open, and that goes when it is closed."""
    return create(
        _downward(path),
        Access.GENERIC_WRITE | Access.DELETE,
        disposition=disposition,
        options=Options.NON_DIRECTORY_FILE | Options.DELETE_ON_CLOSE,
        share=Share.NONE,
    )


def _marking(attributes: int, file: bytes = RELATED_FILE) -> Request:
    return set_attributes(attributes or Attributes.NORMAL, file)


def _downward(path: RemotePath) -> str:
    """The path, where it leads nowhere but down: some servers resolve what Windows' own clients never send."""
    if path.path and {"", ".", ".."} & set(path.path.split("\\")):
        raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"{path} does not lead downward"))
    return path.path


def _acknowledged(answer: Answer, sent: int) -> None:
    written = count_written(answer)
    if written != sent:
        raise ImplausibleError(f"{written} bytes acknowledged of {sent}")


def _what_came(answer: Answer, asked: int) -> memoryview:
    """The bytes of a READ; none past the end of the file."""
    if answer.status == _END_OF_FILE:
        return memoryview(b"")
    data = data_read(answer)
    if len(data) > asked:
        raise ImplausibleError(f"{len(data)} bytes came where {asked} were asked for")
    return data
