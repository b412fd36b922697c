"""A system drive in memory: folders and files by case-insensitive path, with the sharing rules that matter here.

A file that is held (opened without sharing) lets nobody else in; a program that runs can be renamed and read, but
neither overwritten nor removed. Refusals carry the NTSTATUS that MS-SMB2 servers answer with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pusher.transports.port import FileInfo

Key = tuple[str, ...]
"""A place on the drive: the lower-case parts of its path, the root being empty."""

_NAME_INVALID, _NOT_FOUND, _COLLISION, _PATH_NOT_FOUND = 0xC0000033, 0xC0000034, 0xC0000035, 0xC000003A
_SHARING, _IN_USE, _DISK_FULL, _NOT_EMPTY = 0xC0000043, 0xC0000121, 0xC000007F, 0xC0000101
_IS_FOLDER, _NOT_A_FOLDER = 0xC00000BA, 0xC0000103
_FORBIDDEN = re.compile(r'[<>:"/|?*\x00-\x1f]')
_LONGEST_NAME = 255


class NtError(Exception):
    """The machine refuses with an NTSTATUS."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status


@dataclass(eq=False, slots=True)
class Entry:
    """A file, or a folder (no data). ``held``: open without sharing; ``running``: how many processes run it."""

    name: str
    data: bytes | None
    held: bool = False
    running: int = 0

    @property
    def is_folder(self) -> bool:
        return self.data is None


def key_of(path: str) -> Key:
    """The place that a path with backslashes names."""
    parts = path.split("\\") if path else []
    for part in parts:
        if not part or part in {".", ".."} or _FORBIDDEN.search(part) or len(part) > _LONGEST_NAME:
            raise NtError(_NAME_INVALID)
    return tuple(part.lower() for part in parts)


class Disk:
    """``room``: bytes that may still be written."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._entries: dict[Key, Entry] = {(): Entry("", None)}

    def get(self, key: Key) -> Entry | None:
        """What is there. Refused where a part above it is missing or a file, as an open would be."""
        entry = self._entries.get(key)
        if entry is None and key:
            above = self._entries.get(key[:-1])
            if above is not None and above.is_folder:
                return None
            raise NtError(_PATH_NOT_FOUND)
        return entry

    def find(self, key: Key) -> Entry | None:
        """What is there, if anything, whatever is above it."""
        return self._entries.get(key)

    def info(self, key: Key) -> FileInfo | None:
        entry = self.find(key)
        return None if entry is None else FileInfo(size=len(entry.data or b""), is_folder=entry.is_folder)

    def make_folder(self, key: Key, name: str) -> bool:
        entry = self.get(key)
        if entry is None:
            self._entries[key] = Entry(name, None)
            return True
        return False

    def remove_folder(self, key: Key) -> bool:
        entry = self._entries.get(key)
        if entry is None or self._children(key):
            return False
        if not entry.is_folder:
            raise NtError(_NOT_A_FOLDER)
        del self._entries[key]
        return True

    def read(self, key: Key) -> bytes | None:
        entry = self.find(key)
        return None if entry is None else self._usable(entry).data

    def create(self, key: Key, name: str) -> Entry:
        """An empty file, in place of one that is there."""
        entry = self.get(key)
        if entry is not None and self._usable(entry).running:
            raise NtError(_SHARING)
        if entry is None:
            entry = self._entries[key] = Entry(name, b"")
        self.room += len(entry.data or b"")
        entry.data = b""
        return entry

    def append(self, entry: Entry, data: bytes) -> None:
        """Write as much as there is room for, and then refuse."""
        fits = data[: max(self.room, 0)]
        entry.data = (entry.data or b"") + fits
        self.room -= len(fits)
        if len(fits) < len(data):
            raise NtError(_DISK_FULL)

    def rename(self, key: Key, to: Key, name: str) -> None:
        entry = self.get(key)
        if entry is None:
            raise NtError(_NOT_FOUND)
        if entry.held:
            raise NtError(_SHARING)
        if to == key:
            entry.name = name
        elif self.get(to) is not None:
            raise NtError(_COLLISION)
        else:
            self._entries[to] = entry
            entry.name = name
            del self._entries[key]

    def remove(self, key: Key) -> bool:
        entry = self.find(key)
        if entry is None:
            return False
        if self._usable(entry).running:
            raise NtError(_IN_USE)
        del self._entries[key]
        self.room += len(entry.data or b"")
        return True

    def snapshot(self) -> dict[str, bytes | None]:
        """Every path and what it holds; None for a folder."""
        return {"\\".join(key): entry.data for key, entry in sorted(self._entries.items()) if key}

    def _usable(self, entry: Entry) -> Entry:
        if entry.is_folder:
            raise NtError(_IS_FOLDER)
        if entry.held:
            raise NtError(_SHARING)
        return entry

    def _children(self, key: Key) -> bool:
        return any(other[: len(key)] == key and len(other) > len(key) for other in self._entries)
