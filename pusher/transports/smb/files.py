"""File calls over MS-SMB2: blocking, one session, one thread at a time.

Reads and writes are pipelined: as many requests are in flight as ``_WINDOW`` and the server's credits allow
(MS-SMB2 3.2.4.1.2, 3.2.4.1.5). Everything the server says about sizes is checked against what was asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from smbprotocol.exceptions import (
    CannotDelete,
    DeletePending,
    DirectoryNotEmpty,
    EndOfFile,
    ObjectNameCollision,
    ObjectNameNotFound,
    ObjectPathNotFound,
    SMBException,
    SMBResponseException,
)
from smbprotocol.file_info import (
    FileBasicInformation,
    FileDispositionInformation,
    FileFsFullSizeInformation,
    FileRenameInformation,
)
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2QueryInfoRequest,
    SMB2QueryInfoResponse,
    SMB2SetInfoRequest,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from pusher.problems import Code, ProblemError
from pusher.remote.images import FileDigest, FileVersionScan, machine_of
from pusher.remote.paths import SYSTEM_DRIVE, RemotePath
from pusher.transports.codes import Operation, of
from pusher.transports.port import FileInfo
from pusher.transports.smb.connection import CHUNK, ImplausibleError
from pusher.transports.smb.faults import guarded

T = TypeVar("T")

_WINDOW = 8
_GOES = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Seconds between two looks at a removed file that another process has open."""
_CREDIT_UNIT = 65536
_CREDITS_WANTED = 256
_ABSENT = (ObjectNameNotFound, ObjectPathNotFound)
_FILE = FilePipePrinterAccessMask
_SHARE_ALL = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE


class Shares:
    """The session's tree connects, made when first asked for. ``drive``: the share of the system drive."""

    def __init__(self, session: Session, address: str, drive: Callable[[], str] = lambda: SYSTEM_DRIVE) -> None:
        self._session, self._address, self._drive = session, address, drive
        self._trees: dict[str, TreeConnect] = {}

    def tree(self, share: str) -> TreeConnect:
        key = share.upper()
        if key not in self._trees:
            operation = Operation.ADMIN_SHARE if key == "ADMIN$" else Operation.SHARE
            name = self._drive() if key == SYSTEM_DRIVE else share
            tree = TreeConnect(self._session, f"\\\\{self._address}\\{name}")
            guarded(operation, tree.connect, "" if operation is Operation.ADMIN_SHARE else name)
            self._trees[key] = tree
        return self._trees[key]


class Files:
    """File and folder calls; raises ProblemError only."""

    def __init__(self, shares: Shares, sleep: Callable[[float], None] = time.sleep) -> None:
        self._shares, self._sleep = shares, sleep

    def stat(self, path: RemotePath) -> FileInfo | None:
        def work() -> FileInfo | None:
            with self._opened(path, _FILE.FILE_READ_ATTRIBUTES) as there:
                folder = bool(there.file_attributes & FileAttributes.FILE_ATTRIBUTE_DIRECTORY)
                return FileInfo(size=there.end_of_file, is_folder=folder)

        return guarded(Operation.FILE, _absent_as_none(work), str(path))

    def make_folder(self, path: RemotePath) -> bool:
        def work() -> bool:
            try:
                with self._opened(
                    path,
                    DirectoryAccessMask.FILE_LIST_DIRECTORY,
                    disposition=CreateDisposition.FILE_CREATE,
                    options=CreateOptions.FILE_DIRECTORY_FILE,
                ):
                    return True
            except ObjectNameCollision:
                return False

        return guarded(Operation.FOLDER, work, str(path))

    def remove_folder(self, path: RemotePath) -> bool:
        def work() -> bool:
            try:
                self._delete(path, CreateOptions.FILE_DIRECTORY_FILE)
            except (DirectoryNotEmpty, *_ABSENT):
                return False
            self._await_gone(path)
            return True

        return guarded(Operation.FOLDER, work, str(path))

    def remove(self, path: RemotePath) -> bool:
        def work() -> bool:
            try:
                self._delete(path, CreateOptions.FILE_NON_DIRECTORY_FILE)
            except _ABSENT:
                return False
            self._await_gone(path)
            return True

        return guarded(Operation.FILE, work, str(path))

    def rename(self, path: RemotePath, to: RemotePath) -> None:
        def work() -> None:
            with self._opened(path, _FILE.DELETE) as there:
                info = FileRenameInformation()
                info["replace_if_exists"] = False
                info["file_name"] = _downward(to)
                _set_info(there, info)

        guarded(Operation.FILE, work, f"{path} -> {to.name}")

    def put(self, path: RemotePath, data: memoryview, made: Callable[[int], None]) -> None:
        """Write ``data`` as the whole file; ``made`` is told of each acknowledged chunk's bytes."""

        def work() -> int:
            with self._opened(
                path,
                _FILE.GENERIC_WRITE,
                disposition=CreateDisposition.FILE_OVERWRITE_IF,
                options=CreateOptions.FILE_NON_DIRECTORY_FILE,
                share=0,
            ) as there:
                chunk = min(CHUNK, there.connection.max_write_size)
                sends = (
                    (there.write(bytes(data[at : at + chunk]), at, send=False), min(chunk, len(data) - at))
                    for at in range(0, len(data), chunk)
                )
                for written, asked in _pipelined(there, sends):
                    if written != asked:
                        raise ImplausibleError(f"{written} bytes acknowledged of {asked}")
                    made(asked)
                there.flush()
                there.close(get_attributes=True)
                return int(there.end_of_file)

        size = guarded(Operation.FILE, work, str(path))
        if size != len(data):
            raise ProblemError(of(Code.COPY_MISMATCH, Operation.FILE, f"{path}: {size} bytes there, {len(data)} sent"))

    def digest(self, path: RemotePath, limit: int, made: Callable[[int], None]) -> FileDigest | None:
        """Read and hash at most ``limit`` bytes; of a longer file the hash is empty."""

        def work() -> FileDigest | None:
            with self._opened(
                path,
                _FILE.GENERIC_READ,
                options=CreateOptions.FILE_NON_DIRECTORY_FILE,
                share=ShareAccess.FILE_SHARE_READ,
            ) as there:
                size, total = int(there.end_of_file), 0
                sha, scan = hashlib.sha256(), FileVersionScan()
                for part in self._read(there, min(size, limit)):
                    total += len(part)
                    sha.update(part)
                    scan.feed(part)
                    made(len(part))
                whole = total == size
                return FileDigest(size=size, sha256=sha.hexdigest() if whole else "", version=scan.version)

        return guarded(Operation.FILE, _absent_as_none(work), str(path))

    def tail(self, path: RemotePath, limit: int) -> bytes | None:
        """The last ``limit`` bytes; whoever writes the file goes on writing."""

        def work() -> bytes | None:
            with self._opened(
                path, _FILE.GENERIC_READ, options=CreateOptions.FILE_NON_DIRECTORY_FILE, share=_SHARE_ALL
            ) as there:
                size = int(there.end_of_file)
                return b"".join(self._read(there, size, max(0, size - limit)))

        return guarded(Operation.FILE, _absent_as_none(work), str(path))

    def architecture(self) -> str | None:
        """From the COFF header of the system's own kernel32.dll: no registry is needed for it."""

        def work() -> bytes | None:
            path = RemotePath(share="ADMIN$", path="System32\\kernel32.dll")
            with self._opened(path, _FILE.GENERIC_READ, share=_SHARE_ALL) as there:
                head: bytes = there.read(0, 4096)
                return head

        head = guarded(Operation.FACTS, _absent_as_none(work), "System32\\kernel32.dll")
        return machine_of(head) if head else None

    def free_bytes(self, share: str) -> int:
        """What the caller may still write (MS-FSCC 2.5.4)."""

        def work() -> int:
            with self._opened(
                RemotePath(share=share, path=""),
                DirectoryAccessMask.FILE_READ_ATTRIBUTES,
                options=CreateOptions.FILE_DIRECTORY_FILE,
            ) as root:
                query = SMB2QueryInfoRequest()
                query["info_type"] = FileFsFullSizeInformation.INFO_TYPE
                query["file_info_class"] = FileFsFullSizeInformation.INFO_CLASS
                query["file_id"] = root.file_id
                query["output_buffer_length"] = 32
                answer = SMB2QueryInfoResponse()
                answer.unpack(_ask(root, query)["data"].get_value())
                _, caller, _, sectors, size = struct.unpack("<QQQII", answer["buffer"].get_value()[:32])
                return int(caller * sectors * size)

        return guarded(Operation.FACTS, work, f"free space of {share}")

    def probe_write(self, path: RemotePath) -> None:
        """A file that deletes itself on close: nothing is left even where the connection drops."""

        def work() -> None:
            with self._opened(
                path,
                _FILE.GENERIC_WRITE | _FILE.DELETE,
                disposition=CreateDisposition.FILE_CREATE,
                options=CreateOptions.FILE_NON_DIRECTORY_FILE | CreateOptions.FILE_DELETE_ON_CLOSE,
                share=0,
            ) as there:
                there.write(b"pusher")

        guarded(Operation.PROBE_WRITE, work, str(path))

    def hold(self, path: RemotePath) -> Open:
        """Open without sharing, delete-on-close: the target itself arbitrates. The caller closes it."""

        def work() -> Open:
            lock = Open(self._shares.tree(path.share), _downward(path))
            lock.create(
                ImpersonationLevel.Impersonation,
                _FILE.GENERIC_WRITE | _FILE.DELETE,
                FileAttributes.FILE_ATTRIBUTE_NORMAL,
                0,
                CreateDisposition.FILE_OVERWRITE_IF,
                CreateOptions.FILE_NON_DIRECTORY_FILE | CreateOptions.FILE_DELETE_ON_CLOSE,
            )
            return lock

        return guarded(Operation.LOCK, work, str(path))

    @contextlib.contextmanager
    def _opened(
        self,
        path: RemotePath,
        access: int,
        *,
        disposition: int = CreateDisposition.FILE_OPEN,
        options: int = 0,
        share: int = _SHARE_ALL,
    ) -> Iterator[Open]:
        there = Open(self._shares.tree(path.share), _downward(path))
        there.create(
            ImpersonationLevel.Impersonation,
            access,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            share,
            disposition,
            options,
        )
        try:
            yield there
        except BaseException:
            # The first error is the one to report; closing after it may well fail too.
            with contextlib.suppress(SMBException):
                there.close()
            raise
        there.close()

    def _delete(self, path: RemotePath, kind: int) -> None:
        # Setting the disposition says at once what forbids the removal; delete-on-close would keep silent.
        try:
            with self._opened(path, _FILE.DELETE, options=kind) as there:
                marks = int(there.file_attributes)
                _dispose(there)
        except CannotDelete:
            if not marks & FileAttributes.FILE_ATTRIBUTE_READONLY:
                raise  # a program that runs
            self._delete_marked(path, kind, marks)

    def _delete_marked(self, path: RemotePath, kind: int, marks: int) -> None:
        """Without its read-only attribute (MS-FSA 2.1.5.14.4), which comes back where something else forbids it."""
        with self._opened(path, _FILE.DELETE | _FILE.FILE_WRITE_ATTRIBUTES, options=kind) as there:
            _mark(there, marks & ~FileAttributes.FILE_ATTRIBUTE_READONLY)
            try:
                _dispose(there)
            except SMBException:
                with contextlib.suppress(SMBException):
                    _mark(there, marks)
                raise

    def _await_gone(self, path: RemotePath) -> None:
        """A removed file is there until the last who has it open (a virus scanner) closes it."""
        for pause in _GOES:
            try:
                with self._opened(path, _FILE.FILE_READ_ATTRIBUTES):
                    return  # another one, made since
            except DeletePending:
                self._sleep(pause)
            except SMBResponseException:
                return
        raise ProblemError(
            of(Code.FILE_IN_USE, Operation.FILE, f"{path} is removed as soon as another process closes it")
        )

    def _read(self, there: Open, size: int, start: int = 0) -> Iterator[bytes]:
        chunk = min(CHUNK, there.connection.max_read_size)
        sends = (
            (there.read(at, min(chunk, size - at), send=False), min(chunk, size - at))
            for at in range(start, size, chunk)
        )
        try:
            for part, asked in _pipelined(there, sends):
                if len(part) > asked:
                    raise ImplausibleError(f"{len(part)} bytes came where {asked} were asked for")
                yield part
                if len(part) < asked:
                    return
        except EndOfFile:
            return


def _downward(path: RemotePath) -> str:
    """The path, where it leads nowhere but down: some servers resolve what Windows' own clients never send."""
    if path.path and {"", ".", ".."} & set(path.path.split("\\")):
        raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"{path} does not lead downward"))
    return path.path


def _pipelined(there: Open, sends: Iterator[tuple[tuple[Any, Any], int]]) -> Iterator[tuple[Any, int]]:
    """Keep several requests in flight; yields (answer, bytes asked) in the order of sending."""
    connection, tree = there.connection, there.tree_connect
    flying: deque[tuple[Any, Any, int]] = deque()

    def settle() -> tuple[Any, int]:
        request, receive, asked = flying.popleft()
        return receive(request), asked

    for (message, receive), asked in sends:
        charge = (max(asked, 1) - 1) // _CREDIT_UNIT + 1
        while flying and (len(flying) >= _WINDOW or _credits(connection) < charge):
            yield settle()
        request = connection.send(
            message, tree.session.session_id, tree.tree_connect_id, credit_request=_CREDITS_WANTED
        )
        flying.append((request, receive, asked))
    while flying:
        yield settle()


def _credits(connection: Any) -> int:
    with connection.sequence_lock:
        window = connection.sequence_window
        return int(window["high"] - window["low"])


def _set_info(there: Open, info: Any) -> None:
    request = SMB2SetInfoRequest()
    request["info_type"] = info.INFO_TYPE
    request["file_info_class"] = info.INFO_CLASS
    request["file_id"] = there.file_id
    request["buffer"] = info
    _ask(there, request)


def _dispose(there: Open) -> None:
    info = FileDispositionInformation()
    info["delete_pending"] = True
    _set_info(there, info)


def _mark(there: Open, attributes: int) -> None:
    """Set the attributes; times of zero stay as they are (MS-FSCC 2.4.7)."""
    info = FileBasicInformation()
    info["file_attributes"] = attributes or FileAttributes.FILE_ATTRIBUTE_NORMAL
    _set_info(there, info)


def _ask(there: Open, message: Any) -> Any:
    tree = there.tree_connect
    request = there.connection.send(message, tree.session.session_id, tree.tree_connect_id)
    return there.connection.receive(request)


def _absent_as_none(work: Callable[[], T | None]) -> Callable[[], T | None]:
    def tolerant() -> T | None:
        try:
            return work()
        except _ABSENT:
            return None

    return tolerant
