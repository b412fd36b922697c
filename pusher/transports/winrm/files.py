"""Files and folders over WinRM: CIM where it has numbers, cmd where it has not. Blocking, one thread at a time.

CIM is asked and told what it can (``cim_files``). cmd's built-ins do the rest, and are never believed: their exit codes
differ between versions and their words between languages, so after each one CIM is asked what is there now.
Many files at once are ``many``'s.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NoReturn

from pypsrp.exceptions import WSManFaultError

from pusher.problems import Code, ProblemError
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath
from pusher.transports.codes import Operation, from_win32, of
from pusher.transports.port import FileInfo, Limits
from pusher.transports.winrm.cim import UINT64
from pusher.transports.winrm.cim_files import FILE, FOLDER, RETURNED, CimFiles
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer
from pusher.transports.winrm.copying import Copier
from pusher.transports.winrm.facts import Folders, free_bytes
from pusher.transports.winrm.faults import guarded
from pusher.transports.winrm.hashing import sha256_of, sha256_of_many
from pusher.transports.winrm.lock import Lock, take
from pusher.transports.winrm.places import parent, place
from pusher.transports.winrm.shell import IDLE, Ran, Shell, StillRunningError, program_line, quoted

_VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){3}")
_PLAIN = re.compile(r"[A-Za-z]:[A-Za-z0-9\\._~-]+")
"""A path that is itself in a URL."""
_ANY = "\\*"
_ATTRIB = "\\System32\\attrib.exe"
PROBE = "pusher-check.tmp"
"""The file that is made to see whether one can be: one name, so that what a power cut leaves is gone by the next."""
_SECOND_LOOK = (0.0, 0.3, 0.5)
"""Seconds before each try to make a file or to remove a folder: on a busy machine the first command after its start was
seen to be lost, and another pusher or a scanner may have the same file or folder open at the same moment."""
_PAUSES = (0.1, 0.3, 1.0, 0.0)


class Files:
    """File and folder calls of one session; raises ProblemError only.

    ``idle``: seconds without a request after which the target ends a shell of this session, and with it its lock.
    """

    def __init__(
        self, client: Client, folders: Folders, content: ContentServer | None, limits: Limits, idle: float = IDLE
    ) -> None:
        self._client, self._folders, self._limits, self._idle = client, folders, limits, idle
        self._cim = CimFiles(client, folders.windows)
        # A command that says nothing for a while must not look like a copy that stands still.
        self._shell = Shell(client, idle, poll=min(10.0, limits.stall / 2))
        self.copier = Copier(
            client, self._shell, folders, content, limits, lambda there: self._cim.get(FILE, there) is not None
        )
        self._locks: list[Lock] = []

    @property
    def copied_by(self) -> str:
        return self.copier.way

    # What is there

    def stat(self, path: RemotePath) -> FileInfo | None:
        return guarded(Operation.FILE, lambda: self._cim.look(self.place(path)), str(path))

    def digest(self, path: RemotePath, limit: int, made: Callable[[int], None]) -> FileDigest | None:
        """Size, hash and version. The target reads and hashes the file itself; nothing of it travels."""

        def living() -> None:
            made(0)
            self.keep()

        def work() -> FileDigest | None:
            found = self.unhashed(path)
            if found is None or found.size > limit:
                return found
            sha256 = sha256_of(path, self.place(path), found.size, self._shell, self._folders, self._limits, living)
            return replace(found, sha256=sha256)

        return guarded(Operation.FILE, work, str(path))

    def unhashed(self, path: RemotePath) -> FileDigest | None:
        """Size and version, in one question; the library's own exceptions."""
        there = self.place(path)
        found = self._cim.get(FILE, there)
        if found is None:
            self._refuse_folder(there, path)
            return None
        version = found.text("Version").strip()
        return FileDigest(
            size=found.number("FileSize", UINT64),
            sha256="",
            version=version if _VERSION.fullmatch(version) else None,
        )

    def hashes(self, sizes: Mapping[str, int], made: Callable[[], None]) -> dict[str, str]:
        """The hashes of files by their places, in few commands; the library's own exceptions."""
        return sha256_of_many(sizes, self._shell, self._folders, self._limits, made)

    def tail(self, path: RemotePath, limit: int) -> bytes | None:
        """The file's last bytes, read by curl as they are, also while another program writes the file.

        Without curl, or where the path needs escapes in a URL, ``type`` shows them: text, which Windows turns into
        UTF-8 where it has a UTF-16 byte order mark.
        """

        def work() -> bytes | None:
            there = self.place(path)
            found = self._cim.get(FILE, there)
            if found is None:
                self._refuse_folder(there, path)
                return None
            if _PLAIN.fullmatch(there) and self.copier.has_curl:
                part = f"--range -{limit} " if found.number("FileSize", UINT64) > limit else ""
                url = "file:///" + there.replace("\\", "/")
                ran = self.run_line(f"@{quoted(self.copier.curl)} -q --silent {part}{url}", keep=limit, last=True)
                if ran.exit_code == 0:
                    return ran.stdout
            ran = self.run_line(f"type {quoted(there)}", keep=limit, last=True)
            if ran.exit_code and not ran.stdout:
                raise ProblemError(of(Code.FILE_IN_USE, Operation.FILE, f"{path} cannot be read"))
            return ran.stdout

        return guarded(Operation.FILE, work, str(path))

    # Folders

    def make_folder(self, path: RemotePath) -> bool:
        def work() -> bool:
            there = self.place(path)
            if self._cim.get(FOLDER, there) is not None:
                return False
            self.refuse_lost()
            # mkdir would make the folders above as well, which is not asked for. One has something in it: "." at least.
            above = parent(there).rstrip("\\")
            self.run_line(f"if exist {quoted(above + _ANY)} mkdir {quoted(there)}")
            if self._cim.get(FOLDER, there) is None:
                self._say_why(there, path, Operation.FOLDER)
            return True

        return guarded(Operation.FOLDER, work, str(path))

    def remove_folder(self, path: RemotePath) -> bool:
        def work() -> bool:
            there = self.place(path)
            if self._cim.get(FOLDER, there) is None:
                if self._cim.get(FILE, there) is not None:
                    raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FOLDER, f"{path} is a file"))
                return False
            for pause in _SECOND_LOOK:
                time.sleep(pause)  # a virus scanner or an indexer has an empty folder open for a moment
                self.run_line(f"rmdir {quoted(there)}")
                if self._cim.get(FOLDER, there) is None:
                    return True
                if self.run_line(f"dir /a /b {quoted(there)}", keep=1).stdout:
                    return False  # something is in it, whatever it is
            raise ProblemError(from_win32(5, Operation.FOLDER, f"{path} is empty and cannot be removed"))

        return guarded(Operation.FOLDER, work, str(path))

    # Files

    def put(self, path: RemotePath, data: memoryview, moved: Callable[[int], None]) -> None:
        """Have ``data`` there as the whole file."""

        def work() -> None:
            there = self.place(path)
            self.refuse_lost()
            if not self.copier.copy(there, data, moved, self.keep):
                self._say_why(there, path, Operation.FILE, len(data))
            found = self._cim.look(there)
            if found is None or found.size != len(data):
                have = "nothing" if found is None else f"{found.size} bytes"
                raise ProblemError(of(Code.COPY_MISMATCH, Operation.FILE, f"{path}: {have} there, {len(data)} sent"))

        guarded(Operation.FILE, work, str(path))

    def rename(self, path: RemotePath, to: RemotePath) -> None:
        def work() -> None:
            there, then = self.place(path), self.place(to)
            returned = self._invoke("Rename", there, {"FileName": then})
            if returned is None:
                raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"{path} is not there, or no file"))
            if returned:
                self._refuse(returned, then, path)

        guarded(Operation.FILE, work, f"{path} -> {to.name}")

    def remove(self, path: RemotePath) -> bool:
        def work() -> bool:
            there = self.place(path)
            returned = self._invoke("Delete", there)
            if returned is not None and RETURNED.get(returned) == Code.ACCESS_DENIED:
                returned = self._delete_marked(there, returned)
            if returned is None:
                self._refuse_folder(there, path)
                return False
            if returned:
                self._refuse(returned, there, path)
            return True

        return guarded(Operation.FILE, work, str(path))

    def probe_write(self, path: RemotePath) -> None:
        """Write a little file and remove it."""

        def work() -> None:
            there = self.place(path)
            if not self._writable(there):
                self._say_why(there, path, Operation.PROBE_WRITE)

        guarded(Operation.PROBE_WRITE, work, str(path))

    # The lock

    def hold(self, path: RemotePath) -> Lock:
        """The caller closes it, and has ``keep`` called now and then."""

        def work() -> Lock:
            there = self.place(path)

            def remove() -> None:
                # Where somebody else has it open by now it is his; a file that stays behind is no lock.
                with contextlib.suppress(WSManFaultError):
                    self._invoke("Delete", there)

            lock = take(there, Shell(self._client, self._idle), self._shell, remove)
            if lock is None:
                found = self._cim.look(there)
                if found is not None and not found.is_folder:
                    raise ProblemError(of(Code.PUSH_IN_PROGRESS, Operation.LOCK, f"{path} is held open"))
                self._say_why(there, path, Operation.LOCK)
            self._locks.append(lock)
            return lock

        return guarded(Operation.LOCK, work, str(path))

    def keep(self) -> None:
        """Keep the locks' shells from running out of their idle time; to be called at least every ``idle / 3``."""
        for lock in self._locks:
            guarded(Operation.LOCK, lock.keep)

    # Programs

    def run(self, command: str, limit: float) -> int:
        """In a shell of its own: the target ends with it whatever the program has left running in it."""
        shell = Shell(self._client, self._idle, self._shell.poll)

        def work() -> int:
            self.refuse_lost()
            try:
                return shell.run(program_line(command), limit=limit, made=self.keep).exit_code
            except StillRunningError as error:
                raise ProblemError(
                    of(Code.INSTALLER_TIMED_OUT, Operation.RUN, f"it has not ended after {limit:g} s")
                ) from error
            finally:
                with contextlib.suppress(Exception):  # how the program ended is what matters
                    shell.close()

        return guarded(Operation.RUN, work)

    def close(self) -> None:
        """Free every lock and delete every shell; never raises."""
        locks, self._locks = self._locks, []
        for shut in [*(lock.close for lock in locks), self._shell.close, self._client.end_shells]:
            with contextlib.suppress(Exception):
                shut()

    # What these are made of

    def place(self, path: RemotePath) -> str:
        """Where it is on the target's disk; ProblemError where that may not be said."""
        return place(path, self._folders.windows, self._folders.drive)

    def run_line(self, line: str, *, keep: int = 4096, last: bool = False) -> Ran:
        """What cmd says to ``line``, in the shell that all such lines share."""
        return self._shell.run(line, keep=keep, last=last, limit=self._limits.call, made=self.keep)

    def refuse_lost(self) -> None:
        """Nothing is changed any more where somebody else may hold the machine's lock by now."""
        if any(lock.lost for lock in self._locks):
            raise ProblemError(of(Code.CONNECTION_LOST, Operation.LOCK, "the target has ended what held its lock"))

    def _invoke(self, method: str, there: str, arguments: Mapping[str, str] | None = None) -> int | None:
        """A method's ReturnValue; None where no such file is there."""
        self.refuse_lost()
        return self._cim.invoke(method, there, arguments)

    def _delete_marked(self, there: str, refused: int) -> int | None:
        """Without the attributes that forbid it, which come back where something else forbids it too."""
        found = self._cim.get(FILE, there)
        if found is None or found.flag("Writeable") or not found.text("Writeable"):
            return refused
        attrib = f"@{quoted(self._folders.windows + _ATTRIB)}"
        # attrib leaves a hidden or system file alone unless it is told to clear these too.
        self.run_line(f"{attrib} -r -h -s {quoted(there)}")
        returned = self._invoke("Delete", there)
        if returned:
            marks = " ".join(mark for name, mark in (("Hidden", "+h"), ("System", "+s")) if found.flag(name))
            self.run_line(f"{attrib} +r {marks} {quoted(there)}")
        return returned

    def _refuse_folder(self, there: str, path: RemotePath) -> None:
        if self._cim.get(FOLDER, there) is not None:
            raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"{path} is a folder"))

    def _refuse(self, returned: int, there: str, path: RemotePath) -> NoReturn:
        """Say what a method's number means. A program that runs is denied to all, like a folder one may not write."""
        code = RETURNED.get(returned, Code.PROTOCOL_ERROR)
        if code == Code.ACCESS_DENIED:
            self._say_why(there, path, Operation.FILE)
        raise ProblemError(of(code, Operation.FILE, f"{path} (CIM_DataFile returned {returned})"))

    def _writable(self, there: str) -> bool:
        """Whether a file that is not there yet can be made; it is gone afterwards.

        One command line makes it, shows it and removes it, and the target carries it out to its end whatever becomes
        of this process: nothing is left behind by one that is killed in between.
        """
        for pause in _SECOND_LOOK:
            time.sleep(pause)
            sign, path = secrets.token_hex(8), quoted(there)
            if sign.encode() in self.run_line(f"echo {sign}>{path}& type {path}& del {path}").stdout:
                break
        else:
            return False
        for pause in _PAUSES:
            if self._cim.get(FILE, there) is None or self._invoke("Delete", there) in (0, None):
                break
            time.sleep(pause)  # a virus scanner looks at it
        return True

    def _say_why(self, there: str, path: RemotePath, operation: Operation, size: int = 1) -> NoReturn:
        """Find out, without believing any words, why ``there`` could not be written."""
        found = self._cim.look(there)
        if found is not None and found.is_folder:
            raise ProblemError(of(Code.PATH_NOT_FOUND, operation, f"{path} is a folder"))
        above = parent(there)
        if self._cim.get(FOLDER, above) is None:
            raise ProblemError(of(Code.PATH_NOT_FOUND, operation, f"{path.parent} is not there"))
        if there[:2].upper() == self._folders.drive.upper():
            free = free_bytes(self._client, self._folders.drive) + (found.size if found else 0)
            if free < size:
                raise ProblemError(of(Code.DISK_FULL, operation, f"{path}: {free} bytes are free, {size} needed"))
        beside_it = self._writable(f"{above.rstrip(chr(92))}\\{PROBE}")
        if found is not None and beside_it:
            raise ProblemError(of(Code.FILE_IN_USE, operation, f"{path} cannot be written, though its folder can"))
        raise ProblemError(
            from_win32(5, operation, f"{path}, though its folder can be written" if beside_it else str(path))
        )
