"""Programs for tests, byte by byte: PE images with a resource directory, as far as anybody reads them."""

from __future__ import annotations

import struct

_ALIGN = 0x200
_SECTION_ADDRESS = 0x1000


def version_resource(version: str) -> bytes:
    """A VS_VERSIONINFO with nothing but its VS_FIXEDFILEINFO (winver.h)."""
    numbers = [*(int(part) for part in version.split(".")), 0, 0, 0][:4]
    high, low = numbers[0] << 16 | numbers[1], numbers[2] << 16 | numbers[3]
    fixed = struct.pack("<13I", 0xFEEF04BD, 0x00010000, high, low, *([0] * 9))
    return (
        struct.pack("<HHH", 40 + len(fixed), len(fixed), 0) + "VS_VERSION_INFO\0".encode("utf-16-le") + b"\0\0" + fixed
    )


def program(version: str | None, *, inner: bytes = b"", machine: int = 0x8664, pad: int = 3000) -> bytes:
    """An image whose own version is ``version``; ``inner`` is carried as a resource (RT_RCDATA) before it."""
    resources = _resources(([(10, inner)] if inner else []) + ([(16, version_resource(version))] if version else []))
    optional = struct.pack("<H", 0x20B).ljust(108, b"\0") + struct.pack("<I", 16)
    optional += b"".join(
        struct.pack("<II", *((_SECTION_ADDRESS, len(resources)) if number == 2 and resources else (0, 0)))
        for number in range(16)
    )
    coff = struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, len(optional), 0x22)
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    section = b".rsrc\0\0\0" + struct.pack("<IIII", len(resources), _SECTION_ADDRESS, len(resources), _ALIGN)
    head = start.ljust(0x80, b"\0") + b"PE\0\0" + coff + optional + section.ljust(40, b"\0")
    return head.ljust(_ALIGN, b"\0") + resources + b"\x90" * pad


def _resources(held: list[tuple[int, bytes]]) -> bytes:
    """Three levels of directories (type, name 1, language 1033), the data entries, and the data in this order."""
    if not held:
        return b""
    count = len(held)
    top = 16 + 8 * count
    leaves, data = top + 48 * count, top + 64 * count
    levels, entries, content = b"", b"", b""
    for number, (_, payload) in enumerate(held):
        name = top + 48 * number
        levels += _directory([(1, 0x80000000 | name + 24)]) + _directory([(1033, leaves + 16 * number)])
        entries += struct.pack("<IIII", _SECTION_ADDRESS + data + len(content), len(payload), 0, 0)
        content += payload.ljust(-(-len(payload) // 8) * 8, b"\0")
    return (
        _directory([(kind, 0x80000000 | top + 48 * number) for number, (kind, _) in enumerate(held)])
        + levels
        + entries
        + content
    )


def _directory(entries: list[tuple[int, int]]) -> bytes:
    return struct.pack("<IIHHHH", 0, 0, 0, 0, 0, len(entries)) + b"".join(struct.pack("<II", *row) for row in entries)
