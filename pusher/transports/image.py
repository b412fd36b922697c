"""What a PE image says of itself: its machine and its file version, read from a few bytes as they stream by.

Pure; takes bytes of a stranger. Sources: PE/COFF specification ("COFF File Header"), VS_FIXEDFILEINFO (winver.h).
"""

from __future__ import annotations

import struct

_MACHINES = {0x8664: "x64", 0x014C: "x86", 0xAA64: "arm64", 0x01C4: "arm"}
_FIXED_INFO = struct.pack("<II", 0xFEEF04BD, 0x00010000)


def machine_of(head: bytes) -> str | None:
    """``x64``, ``x86``, ``arm64`` or ``arm`` from the first kilobytes of an image; None where it is none."""
    if len(head) < 64 or head[:2] != b"MZ":
        return None
    at = struct.unpack_from("<I", head, 0x3C)[0]
    if at + 6 > len(head) or head[at : at + 4] != b"PE\0\0":
        return None
    return _MACHINES.get(struct.unpack_from("<H", head, at + 4)[0])


class FileVersionScan:
    """Finds the first VS_FIXEDFILEINFO in a stream of parts and keeps its file version.

    The structure has a 32-bit signature and a fixed structure version, so it is found without walking the
    resource tree; a file has one. Memory: one part and sixteen bytes.
    """

    def __init__(self) -> None:
        self._tail = b""
        self.version: str | None = None

    def feed(self, part: bytes) -> None:
        if self.version is not None:
            return
        data = self._tail + part
        at = data.find(_FIXED_INFO)
        if at >= 0 and at + 16 <= len(data):
            high, low = struct.unpack_from("<II", data, at + 8)
            numbers = [high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF]
            self.version = ".".join(map(str, numbers))
        self._tail = data[-16:] if at < 0 else data[at:]
