"""File calls on a server that says what a test wants: refusals, files that change, and numbers that cannot be."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.smb.files import Files
from pusher.transports.smb.messages import Command
from pusher.transports.smb.trees import Trees
from tests.unit.transports.smb.peer import Reply, Seen, created_body, file_id, peer

PATH = RemotePath(share="ADMIN$", path="labagent\\labagent.exe")
CHUNK = 65536
END_OF_FILE, CANNOT_DELETE, SYMLINK, IN_USE, FULL = 0xC0000011, 0xC0000121, 0x8000002D, 0xC0000043, 0xC000007F
READONLY = 1

Answers = Mapping[Command, Callable[[Seen], Reply]]


def closed(size: int) -> Reply:
    return Reply(body=struct.pack("<HHIQQQQQQI", 60, 1, 0, 0, 0, 0, 0, size, size, 0))


class File:
    """One that is there, with its content; ``answers`` differ from what a server would say."""

    def __init__(self, content: bytes = b"", answers: Answers | None = None, attributes: int = 0x80) -> None:
        self.content, self.answers, self.attributes = bytearray(content), answers or {}, attributes
        self.seen = list[Command]()

    def answer(self, request: Seen) -> list[Reply]:
        command = Command(request.command)
        self.seen.append(command)
        return [self.answers[command](request) if command in self.answers else self._said(command, request)]

    def _said(self, command: Command, request: Seen) -> Reply:
        match command:
            case Command.CREATE:
                body = bytearray(created_body(file_id(1), len(self.content)))
                body[56:60] = self.attributes.to_bytes(4, "little")
                return Reply(body=bytes(body))
            case Command.READ:
                length, offset = struct.unpack_from("<IQ", request.body, 4)
                return self._read(offset, length)
            case Command.WRITE:
                length, offset = struct.unpack_from("<IQ", request.body, 4)
                self.content[offset : offset + length] = request.body[48 : 48 + length]
                return written(length)
            case Command.CLOSE:
                return closed(len(self.content))
            case _:
                return Reply(body=b"\x02\0\0\0")

    def _read(self, offset: int, length: int) -> Reply:
        data = bytes(self.content[offset : offset + length])
        return data_of(data) if data else Reply(status=END_OF_FILE)


def data_of(data: bytes) -> Reply:
    return Reply(body=struct.pack("<HBBIII", 17, 80, 0, len(data), 0, 0) + data)


def written(count: int) -> Reply:
    return Reply(body=struct.pack("<HHIIHH", 17, 0, count, 0, 0, 0))


@asynccontextmanager
async def files_on(file: File, *, credits: int = 100) -> AsyncIterator[Files]:
    async with peer(encrypts=True, credits=credits) as made:
        made.serve(file.answer)
        yield Files(made.wire, Trees(made.wire, "ws01", {"ADMIN$": 5, "IPC$": 6}), CHUNK, CHUNK)


Call = Callable[[Files], Awaitable[object]]


async def code_of(file: File, call: Call) -> str:
    async with files_on(file) as files:
        with pytest.raises(ProblemError) as caught:
            await call(files)
    return caught.value.problem.code


def ignore(count: int) -> None:
    """For copies whose progress nobody follows."""


@settings(max_examples=40)
@given(size=st.integers(0, 3 * CHUNK), limit=st.integers(0, 4 * CHUNK), credits=st.sampled_from([1, 3, 100]))
async def test_what_is_read_is_what_is_there(size: int, limit: int, credits: int) -> None:
    content = bytes(index % 251 for index in range(size))
    async with files_on(File(content), credits=credits) as files:
        digest = await files.digest(PATH, limit)
    assert digest is not None and digest.size == size
    assert digest.sha256 == (hashlib.sha256(content).hexdigest() if limit >= size else "")


@settings(max_examples=40)
@given(size=st.integers(0, 3 * CHUNK), credits=st.sampled_from([1, 3, 100]))
async def test_what_is_written_is_there_and_counted_once(size: int, credits: int) -> None:
    content, moved, file = bytes(index % 251 for index in range(size)), list[int](), File()
    async with files_on(file, credits=credits) as files:
        await files.put(PATH, memoryview(content), moved.append)
    assert bytes(file.content) == content and sum(moved) == size


async def test_a_file_that_becomes_shorter_while_it_is_read() -> None:
    file = File(b"x" * 3 * CHUNK)

    def shrinking(request: Seen) -> Reply:
        (offset,) = struct.unpack_from("<Q", request.body, 8)
        return data_of(b"x" * CHUNK) if offset == 0 else Reply(status=END_OF_FILE)

    file.answers = {Command.READ: shrinking}
    async with files_on(file) as files:
        digest = await files.digest(PATH, 3 * CHUNK)
    assert digest is not None and digest.sha256 == "", "it was not read in whole"


async def stat(files: Files) -> None:
    await files.stat(PATH)


async def digest(files: Files) -> None:
    await files.digest(PATH, 50)


async def put(files: Files) -> None:
    await files.put(PATH, memoryview(b"x" * 9), ignore)


async def put_in_pieces(files: Files) -> None:
    await files.put(PATH, memoryview(bytes(CHUNK * 2)), ignore)


@pytest.mark.parametrize(
    ("command", "reply", "call", "code"),
    [
        (Command.CREATE, Reply(status=SYMLINK), stat, "path-not-found"),
        (Command.CREATE, Reply(status=IN_USE), digest, "file-in-use"),
        (Command.READ, data_of(b"x" * 100), digest, "protocol-error"),
        (Command.WRITE, written(8), put, "protocol-error"),
        (Command.WRITE, written(8), put_in_pieces, "protocol-error"),
        (Command.CLOSE, closed(8), put, "copy-mismatch"),
        (Command.CLOSE, closed(8), put_in_pieces, "copy-mismatch"),
        (Command.WRITE, Reply(status=FULL), put, "disk-full"),
        (Command.FLUSH, Reply(status=FULL), put, "disk-full"),
    ],
)
async def test_what_is_refused_or_cannot_be(command: Command, reply: Reply, call: Call, code: str) -> None:
    assert await code_of(File(b"x" * 50, {command: lambda _: reply}), call) == code


async def test_a_copy_that_fails_in_the_middle_closes_its_file() -> None:
    file = File(answers={Command.WRITE: lambda _: Reply(status=FULL)})
    assert await code_of(file, lambda files: files.put(PATH, memoryview(bytes(3 * CHUNK)), ignore)) == "disk-full"
    assert file.seen[-1] is Command.CLOSE


async def test_a_read_only_file_gets_its_mark_back_where_it_cannot_go() -> None:
    marks = list[int]()

    def set_info(request: Seen) -> Reply:
        kind = request.body[3]
        if kind == 4:  # FileBasicInformation
            marks.append(struct.unpack_from("<I", request.body, 64)[0])
            return Reply(body=b"\x02\0")
        return Reply(status=CANNOT_DELETE)

    file = File(b"x", {Command.SET_INFO: set_info}, attributes=READONLY | 0x20)
    assert await code_of(file, lambda files: files.remove(PATH)) == "file-in-use"
    assert marks == [0x20, READONLY | 0x20]


@pytest.mark.parametrize("path", ["..\\x", "a\\..\\b", "a\\\\b", "."])
async def test_a_path_that_leads_elsewhere_is_not_sent(path: str) -> None:
    file = File()
    assert await code_of(file, lambda files: files.stat(RemotePath(share="ADMIN$", path=path))) == "path-not-found"
    assert file.seen == []
