"""What a PE image says of itself: its machine and its file version, read from a few bytes as they stream by.

Pure; takes bytes of a stranger. Sources: PE/COFF specification ("COFF File Header", "Optional Header Data
Directories", "The .rsrc Section"), VS_VERSIONINFO and VS_FIXEDFILEINFO (winver.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_MACHINES = {0x8664: "x64", 0x014C: "x86", 0xAA64: "arm64", 0x01C4: "arm"}

_HEADERS = 64 * 1024
"""Bytes in which the headers of an image must end; linkers need a few hundred."""
_TREE = 256 * 1024
"""Bytes of the resource directory that are kept: room for thousands of resources, before their data begins."""
_MOST_SECTIONS = 96
"""Windows' loader takes no more."""

_DIRECTORIES = {0x10B: 96, 0x20B: 112}
"""Where the data directories stand in an optional header, by its magic (PE32, PE32+)."""
_RESOURCES = 2
_RT_VERSION, _VS_VERSION_INFO = 16, 1
_FOLDED = 0x80000000

_VERSION_INFO = "VS_VERSION_INFO\0".encode("utf-16-le")
_FIXED_INFO = struct.pack("<II", 0xFEEF04BD, 0x00010000)
_FIXED_INFO_AT = 40
"""Three lengths, the key, and two bytes that align what follows."""
_VERSION_SIZE = _FIXED_INFO_AT + 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """What a file on the target holds; ``version`` is its VS_FIXEDFILEINFO file version, if it has one."""

    size: int
    sha256: str
    version: str | None


def machine_of(head: bytes) -> str | None:
    """``x64``, ``x86``, ``arm64`` or ``arm`` from the first kilobytes of an image; None where it is none."""
    at = _coff_header(head)
    return None if at is None or at + 2 > len(head) else _MACHINES.get(struct.unpack_from("<H", head, at)[0])


class FileVersionScan:
    """Finds the file version in an image that streams by in parts, as Windows does: by the resource directory.

    A program may carry others as resources of its own (drivers, helpers), each with a version: the first one in the
    file need not be the program's. The headers come first and say where the directory is, which says where the
    version is. Only forward: a version that stands before its own directory is not found. Memory: one part, the
    headers and the directory, both bounded.
    """

    def __init__(self) -> None:
        self._passed = 0
        self._headers: _Window | None = _Window(0, _HEADERS)
        self._layout: _Layout | None = None
        self._tree: _Window | None = None
        self._found: _Window | None = None

    def feed(self, part: bytes) -> None:
        for window in (self._headers, self._tree, self._found):
            if window is not None:
                window.take(self._passed, part)
        if self._tree is None and self._headers is not None:
            self._read_headers(part)
        if self._tree is not None and self._found is None and self._tree.complete:
            self._found = self._window_on_version(part)
        self._passed += len(part)

    @property
    def version(self) -> str | None:
        """Dotted, four numbers; None where the file has none, or where it has not come by yet."""
        found = self._found
        if found is None and self._tree is not None:
            found = self._window_on_version(b"")  # the file ended before its directory should
        return None if found is None else _version(bytes(found.data))

    def _read_headers(self, part: bytes) -> None:
        headers = self._headers
        assert headers is not None
        self._layout = _layout(bytes(headers.data))
        if self._layout is not None:
            self._tree = self._window(self._layout.resources, min(self._layout.size, _TREE), part, headers)
        if self._layout is not None or headers.complete or not b"MZ".startswith(bytes(headers.data[:2])):
            self._headers = None

    def _window_on_version(self, part: bytes) -> _Window:
        assert self._tree is not None and self._layout is not None
        at = _version_at(bytes(self._tree.data), self._layout)
        return _Window(0, 0) if at is None else self._window(at, _VERSION_SIZE, part, self._tree)

    def _window(self, start: int, size: int, part: bytes, earlier: _Window) -> _Window:
        """A window on bytes that may have come by already, in an earlier one or in this part."""
        made = _Window(start, size)
        made.take(earlier.start, bytes(earlier.data))
        made.take(self._passed, part)
        return made


class _Window:
    """The bytes of a stream from ``start`` on, at most ``size``."""

    def __init__(self, start: int, size: int) -> None:
        self.start, self._size = start, size
        self.data = bytearray()

    @property
    def complete(self) -> bool:
        return len(self.data) >= self._size

    def take(self, at: int, part: bytes) -> None:
        """``part`` stands at ``at`` of the stream; what follows on from the data so far is taken."""
        wanted = self.start + len(self.data)
        if not self.complete and at <= wanted < at + len(part):
            self.data += part[wanted - at : self.start + self._size - at]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Where the resource directory is in the file, its size, and the sections as (address, size, place in the file)."""

    resources: int
    size: int
    sections: tuple[tuple[int, int, int], ...]


def _coff_header(head: bytes) -> int | None:
    if len(head) < 64 or head[:2] != b"MZ":
        return None
    at = int(struct.unpack_from("<I", head, 0x3C)[0])
    return at + 4 if head[at : at + 4] == b"PE\0\0" else None


def _layout(head: bytes) -> _Layout | None:
    """None where the headers are not all there, are no image's, or name no resources."""
    coff = _coff_header(head)
    if coff is None or coff + 20 > len(head):
        return None
    sections, optional_size = struct.unpack_from("<H", head, coff + 2)[0], struct.unpack_from("<H", head, coff + 16)[0]
    optional, table = coff + 20, coff + 20 + optional_size
    if sections > _MOST_SECTIONS or optional + 2 > len(head) or table + 40 * sections > len(head):
        return None
    directories = _DIRECTORIES.get(struct.unpack_from("<H", head, optional)[0])
    if directories is None or directories + 8 * (_RESOURCES + 1) > optional_size:
        return None
    if struct.unpack_from("<I", head, optional + directories - 4)[0] <= _RESOURCES:
        return None
    address, size = struct.unpack_from("<II", head, optional + directories + 8 * _RESOURCES)
    rows = [struct.unpack_from("<III", head, table + 40 * number + 12) for number in range(sections)]
    made = _Layout(resources=0, size=size, sections=tuple((row[0], row[1], row[2]) for row in rows))
    at = _place(made, address)
    return None if at is None or not size else _Layout(resources=at, size=size, sections=made.sections)


def _place(layout: _Layout, address: int) -> int | None:
    """Where in the file the byte of this relative virtual address stands."""
    for start, size, place in layout.sections:
        if start <= address < start + size:
            return place + address - start
    return None


def _version_at(tree: bytes, layout: _Layout) -> int | None:
    """Where in the file the version's data stands: type, name and language are the directory's three levels."""
    kinds = _entries(tree, 0)
    names = _entries(tree, _below(kinds.get(_RT_VERSION)))
    languages = _entries(tree, _below(names.get(_VS_VERSION_INFO, next(iter(names.values()), None))))
    leaf = next(iter(languages.values()), None)
    if leaf is None or leaf & _FOLDED or leaf + 16 > len(tree):
        return None
    return _place(layout, struct.unpack_from("<I", tree, leaf)[0])


def _entries(tree: bytes, at: int | None) -> dict[int, int]:
    """Identity → offset, of one directory; what has a name of its own is left out: a version has a number."""
    if at is None or at + 16 > len(tree):
        return {}
    named, numbered = struct.unpack_from("<HH", tree, at + 12)
    first = at + 16 + 8 * named
    numbered = min(numbered, max(0, len(tree) - first) // 8)
    return dict(struct.iter_unpack("<II", tree[first : first + 8 * numbered]))


def _below(entry: int | None) -> int | None:
    return entry & ~_FOLDED if entry is not None and entry & _FOLDED else None


def _version(data: bytes) -> str | None:
    if len(data) < _VERSION_SIZE or data[6 : 6 + len(_VERSION_INFO)] != _VERSION_INFO:
        return None
    if data[_FIXED_INFO_AT : _FIXED_INFO_AT + 8] != _FIXED_INFO:
        return None
    high, low = struct.unpack_from("<II", data, _FIXED_INFO_AT + 8)
    return ".".join(map(str, (high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF)))
