"""SMB2 messages by fixed templates: the dozen that a push sends, and what is read of their answers. Pure.

A body is built in one ``struct.pack``, byte for byte as smbprotocol encodes it (a test holds every template to that).
Answers are parsed with each offset and length checked against the bytes that came: a target is never trusted.
Source: MS-SMB2 2.2 (messages), MS-FSCC 2.4 and 2.5 (information classes). What must not live here: sockets, keys, when
to send what.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from pusher.transports.smb.errors import ImplausibleError, NtStatusError

HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
"""SMB2 header, synchronous (MS-SMB2 2.2.1.2); in an asynchronous answer the two numbers before the session are one."""
HEADER_SIZE = HEADER.size
PROTOCOL_ID = b"\xfeSMB"

RELATED_FILE = b"\xff" * 16
"""The FileId of the chain's own CREATE (MS-SMB2 3.2.4.1.4)."""

SUCCESS = 0
BUFFER_OVERFLOW = 0x80000005
"""A warning: as much as there was room for is in the answer."""


class Command(IntEnum):
    """MS-SMB2 2.2.1.2, Command."""

    LOGOFF = 2
    TREE_CONNECT = 3
    CREATE = 5
    CLOSE = 6
    FLUSH = 7
    READ = 8
    WRITE = 9
    IOCTL = 11
    QUERY_INFO = 16
    SET_INFO = 17


class HeaderFlags(IntFlag):
    """MS-SMB2 2.2.1.2, Flags."""

    SERVER_TO_REDIR = 0x1
    ASYNC_COMMAND = 0x2
    RELATED_OPERATIONS = 0x4
    SIGNED = 0x8


class Access(IntFlag):
    """MS-SMB2 2.2.13.1; the same bits mean a file's data or a folder's entries."""

    LIST_DIRECTORY = 0x1
    READ_ATTRIBUTES = 0x80
    WRITE_ATTRIBUTES = 0x100
    DELETE = 0x10000
    GENERIC_WRITE = 0x40000000
    GENERIC_READ = 0x80000000


class Share(IntFlag):
    """MS-SMB2 2.2.13, ShareAccess."""

    NONE = 0
    READ = 1
    WRITE = 2
    DELETE = 4
    ALL = 7


class Disposition(IntEnum):
    """MS-SMB2 2.2.13, CreateDisposition."""

    OPEN = 1
    CREATE = 2
    OVERWRITE_IF = 5


class Options(IntFlag):
    """MS-SMB2 2.2.13, CreateOptions."""

    NONE = 0
    DIRECTORY_FILE = 0x1
    NON_DIRECTORY_FILE = 0x40
    DELETE_ON_CLOSE = 0x1000


class Attributes(IntFlag):
    """MS-FSCC 2.6."""

    READONLY = 0x1
    DIRECTORY = 0x10
    NORMAL = 0x80


@dataclass(frozen=True, slots=True)
class Request:
    """One message without its header.

    ``payload``: the bytes it sends or asks for, whichever is more: its credit charge goes by them (MS-SMB2 3.1.5.2).
    ``file_at``: where in the body its FileId stands, 0 where it has none.
    """

    command: Command
    body: bytes
    payload: int = 1
    file_at: int = 0

    def of_file(self, file: bytes) -> Request:
        """The same, of another file."""
        if not self.file_at:
            return self
        body = self.body[: self.file_at] + file + self.body[self.file_at + 16 :]
        return Request(self.command, body, self.payload, self.file_at)


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer: NTSTATUS, body, and the tree that its header names."""

    status: int
    body: memoryview
    tree: int

    def must(self, *also: int) -> Answer:
        """Itself, where it is a success or one of the statuses of ``also``; NtStatusError otherwise."""
        if self.status != SUCCESS and self.status not in also:
            raise NtStatusError(self.status)
        return self


# -- requests ----------------------------------------------------------------------------------------------------

_TREE_CONNECT = struct.Struct("<HHHH")
_LOGOFF = struct.Struct("<HH")
_CREATE = struct.Struct("<HBBIQQIIIIIHHII")
_CLOSE = struct.Struct("<HHI16s")
_READ = struct.Struct("<HBBIQ16sIIIHH")
_WRITE = struct.Struct("<HHIQ16sIIHHI")
_IOCTL = struct.Struct("<HHI16sIIIIIIII")
_QUERY_INFO = struct.Struct("<HBBIHHIII16s")
_SET_INFO = struct.Struct("<HBBIHHI16s")
_IMPERSONATION = 2
_INFO_FILE, _INFO_FILESYSTEM = 1, 2
_FS_FULL_SIZE = 7
_FILE_BASIC, _FILE_RENAME, _FILE_DISPOSITION = 4, 10, 13
_PIPE_TRANSCEIVE = 0x0011C017
_IS_FSCTL = 1


def tree_connect(share: str) -> Request:
    r"""MS-SMB2 2.2.9; ``share`` as ``\\server\name``."""
    path = share.encode("utf-16-le")
    return Request(Command.TREE_CONNECT, _TREE_CONNECT.pack(9, 0, HEADER_SIZE + _TREE_CONNECT.size, len(path)) + path)


def logoff() -> Request:
    """MS-SMB2 2.2.7."""
    return Request(Command.LOGOFF, _LOGOFF.pack(4, 0))


def create(
    path: str,
    access: int,
    *,
    disposition: Disposition = Disposition.OPEN,
    options: int = Options.NONE,
    share: int = Share.ALL,
) -> Request:
    """MS-SMB2 2.2.13; ``path`` relative to its share, with backslashes. No oplock is asked for."""
    name = path.encode("utf-16-le")
    at = HEADER_SIZE + _CREATE.size
    body = _CREATE.pack(
        57, 0, 0, _IMPERSONATION, 0, 0, access, Attributes.NORMAL, share, disposition, options, at, len(name), 0, 0
    )
    return Request(Command.CREATE, body + (name or b"\0\0"))


def close(file: bytes = RELATED_FILE, *, tells_size: bool = False) -> Request:
    """MS-SMB2 2.2.15; ``tells_size``: the answer has the file's size after all that was written."""
    return Request(Command.CLOSE, _CLOSE.pack(24, int(tells_size), 0, file), file_at=8)


def flush(file: bytes = RELATED_FILE) -> Request:
    """MS-SMB2 2.2.17."""
    return Request(Command.FLUSH, _CLOSE.pack(24, 0, 0, file), file_at=8)


def read(length: int, offset: int = 0, file: bytes = RELATED_FILE) -> Request:
    """MS-SMB2 2.2.19."""
    body = _READ.pack(49, 80, 0, length, offset, file, 0, 0, 0, 0, 0) + b"\0"
    return Request(Command.READ, body, payload=length, file_at=16)


def write(data: bytes | memoryview, offset: int = 0, file: bytes = RELATED_FILE) -> Request:
    """MS-SMB2 2.2.21."""
    body = b"".join((_WRITE.pack(49, HEADER_SIZE + _WRITE.size, len(data), offset, file, 0, 0, 0, 0, 0), data))
    return Request(Command.WRITE, body, payload=len(data), file_at=16)


def transceive(data: bytes, room: int, file: bytes = RELATED_FILE) -> Request:
    """MS-SMB2 2.2.31 with FSCTL_PIPE_TRANSCEIVE (MS-FSCC 2.3.49): write to a pipe and read its answer."""
    at = HEADER_SIZE + _IOCTL.size
    body = _IOCTL.pack(57, 0, _PIPE_TRANSCEIVE, file, at, len(data), 0, at, 0, room, _IS_FSCTL, 0) + data
    return Request(Command.IOCTL, body, payload=max(len(data), room), file_at=8)


def query_free_space(file: bytes = RELATED_FILE) -> Request:
    """MS-SMB2 2.2.37, FileFsFullSizeInformation (MS-FSCC 2.5.4)."""
    body = _QUERY_INFO.pack(41, _INFO_FILESYSTEM, _FS_FULL_SIZE, 32, 0, 0, 0, 0, 0, file)
    return Request(Command.QUERY_INFO, body, file_at=24)


def dispose(file: bytes = RELATED_FILE) -> Request:
    """Removed when it is closed: MS-SMB2 2.2.39, FileDispositionInformation (MS-FSCC 2.4.11)."""
    return _set_info(_FILE_DISPOSITION, b"\1", file)


def rename(to: str, file: bytes = RELATED_FILE) -> Request:
    """FileRenameInformation for SMB2 (MS-FSCC 2.4.43.2); what is there already is not replaced."""
    name = to.encode("utf-16-le")
    return _set_info(_FILE_RENAME, struct.pack("<B7xQI", 0, 0, len(name)) + name, file)


def set_attributes(attributes: int, file: bytes = RELATED_FILE) -> Request:
    """FileBasicInformation (MS-FSCC 2.4.7); times of zero stay as they are."""
    return _set_info(_FILE_BASIC, struct.pack("<QQQQII", 0, 0, 0, 0, attributes, 0), file)


def _set_info(kind: int, data: bytes, file: bytes) -> Request:
    body = _SET_INFO.pack(33, _INFO_FILE, kind, len(data), HEADER_SIZE + _SET_INFO.size, 0, 0, file) + data
    return Request(Command.SET_INFO, body, file_at=16)


# -- answers -----------------------------------------------------------------------------------------------------

_CREATED = struct.Struct("<HBBIQQQQQQII16sII")
_CLOSED = struct.Struct("<HHIQQQQQQI")
_READ_ANSWER = struct.Struct("<HBBIII")
_WRITTEN = struct.Struct("<HHIIHH")
_IOCTL_ANSWER = struct.Struct("<HHI16sIIIIII")
_QUERIED = struct.Struct("<HHI")
_FULL_SIZE = struct.Struct("<QQQII")


@dataclass(frozen=True, slots=True)
class Created:
    """What a CREATE tells: the FileId, the size in bytes, the attributes (MS-SMB2 2.2.14)."""

    file: bytes
    size: int
    attributes: int

    @property
    def is_folder(self) -> bool:
        return bool(self.attributes & Attributes.DIRECTORY)


def created(answer: Answer) -> Created:
    """NtStatusError where it was refused."""
    (_, _, _, _, _, _, _, _, _, size, attributes, _, file, _, _) = _fields(_CREATED, answer.must(), 89)
    return Created(file, size, attributes)


def size_when_closed(answer: Answer) -> int:
    """The file's size in bytes, of a CLOSE that ``tells_size`` (MS-SMB2 2.2.16)."""
    fields = _fields(_CLOSED, answer.must(), 60)
    if not fields[1] & 1:
        raise ImplausibleError("a CLOSE that was to tell the file's size does not")
    return int(fields[8])


def data_read(answer: Answer) -> memoryview:
    """The bytes of a READ (MS-SMB2 2.2.20), of a pipe perhaps not the last; NtStatusError 0xC0000011 past the end."""
    _, offset, _, length, _, _ = _fields(_READ_ANSWER, answer.must(BUFFER_OVERFLOW), 17)
    return _slice(answer, offset, length)


def count_written(answer: Answer) -> int:
    """MS-SMB2 2.2.22."""
    return int(_fields(_WRITTEN, answer.must(), 17)[2])


def transceived(answer: Answer) -> bytes:
    """What the pipe answered; more is to be read where the status is BUFFER_OVERFLOW (MS-SMB2 2.2.32)."""
    fields = _fields(_IOCTL_ANSWER, answer.must(BUFFER_OVERFLOW), 49)
    return bytes(_slice(answer, fields[6], fields[7]))


def free_space(answer: Answer) -> int:
    """Bytes that the caller may still write (MS-FSCC 2.5.4)."""
    _, offset, length = _fields(_QUERIED, answer.must(), 9)
    if length != _FULL_SIZE.size:
        raise ImplausibleError(f"free space in {length} bytes")
    _, caller, _, sectors, size = _FULL_SIZE.unpack(_slice(answer, offset, length))
    return int(caller * sectors * size)


def _fields(shape: struct.Struct, answer: Answer, structure_size: int) -> tuple[Any, ...]:
    if len(answer.body) < shape.size:
        raise ImplausibleError(f"an answer of {len(answer.body)} bytes where {shape.size} were due")
    fields = shape.unpack_from(answer.body)
    if fields[0] != structure_size:
        raise ImplausibleError(f"an answer with the structure size {fields[0]}, not {structure_size}")
    return fields


def _slice(answer: Answer, offset: int, length: int) -> memoryview:
    """``length`` bytes at ``offset``, which counts from the header's first byte."""
    at = offset - HEADER_SIZE
    if length and not 0 <= at <= len(answer.body) - length:
        raise ImplausibleError(f"{length} bytes at {offset} of a message of {HEADER_SIZE + len(answer.body)}")
    return answer.body[at : at + length] if length else answer.body[:0]
