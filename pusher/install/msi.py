"""What a Windows Installer package says of itself: its Property table, read from the file.

An MSI is a compound file (MS-CFB), which olefile reads; its tables are streams whose names are packed and whose
texts are numbers in a pool of strings. Only the pool and one table are read, and everything is bounded by the file.
Nothing here trusts the file: whatever is wrong with it ends in ``MsiError``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import olefile

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"
_TWO, _ONE, _TABLE, _PACKED_END = 0x3800, 0x4800, 0x4840, 0x4840
_LONG_REFERENCES = 0x80000000
_MOST = 64 * 1024 * 1024
"""No table or pool of a real package comes near this many bytes."""


class MsiError(ValueError):
    """The file is not a Windows Installer package that can be read; the message says why."""


def read_properties(path: Path) -> Mapping[str, str]:
    """The rows of the Property table; raises MsiError, or OSError where the file cannot be read."""
    with path.open("rb") as file:
        if file.read(8) != olefile.MAGIC:
            raise MsiError("it is no compound file")
    try:
        with olefile.OleFileIO(str(path)) as compound:
            tables = {unpacked_name(entry[0]): entry for entry in compound.listdir() if len(entry) == 1}
            strings, width = _strings(
                _stream(compound, tables, "\u4840_StringPool"), _stream(compound, tables, "\u4840_StringData")
            )
            return _pairs(_stream(compound, tables, "\u4840Property"), strings, width)
    except MsiError:
        raise
    except Exception as error:  # a damaged compound file makes the library fail in many ways
        raise MsiError(f"it is damaged ({type(error).__name__})") from error


def unpacked_name(name: str) -> str:
    """A stream's name: two characters of the alphabet in one from U+3800, one in one from U+4800."""
    text = ""
    for character in name:
        code = ord(character)
        if _TWO <= code < _ONE:
            text += _ALPHABET[code - _TWO & 0x3F] + _ALPHABET[code - _TWO >> 6]
        elif _ONE <= code < _PACKED_END:
            text += _ALPHABET[code - _ONE]
        else:
            text += character  # U+4840 marks a table
    return text


def _stream(compound: olefile.OleFileIO, tables: Mapping[str, list[str]], name: str) -> bytes:
    if name not in tables:
        raise MsiError(f"it has no table {name.lstrip(chr(_TABLE))}")
    if compound.get_size(tables[name]) > _MOST:
        raise MsiError("a table in it is too large")
    data: bytes = compound.openstream(tables[name]).read(_MOST)
    return data


def _strings(pool: bytes, data: bytes) -> tuple[list[str], int]:
    """The texts by number (0 is none), and how many bytes a reference to one takes."""
    if len(pool) < 4:
        raise MsiError("its pool of strings is empty")
    header = struct.unpack_from("<I", pool)[0]
    codec = _codec(header & 0xFFFF)
    entries = list(struct.iter_unpack("<HH", pool[4 : len(pool) // 4 * 4]))
    strings, at, high = [""], 0, 0
    for length, references in entries:
        if not length and references and not high:
            high = references  # a text of 64 KiB and more: the next entry holds the rest of its length
            continue
        size, high = high << 16 | length, 0
        if at + size > len(data):
            raise MsiError("its strings end too soon")
        strings.append(data[at : at + size].decode(codec, "replace"))
        at += size
    return strings, 3 if header & _LONG_REFERENCES else 2


def _codec(page: int) -> str:
    if page in (0, 65001):
        return "utf-8"
    try:
        "".encode(f"cp{page}")
    except LookupError:
        return "latin-1"
    return f"cp{page}"


def _pairs(table: bytes, strings: list[str], width: int) -> dict[str, str]:
    """The table lies column by column: all names, then all values."""
    rows = len(table) // (2 * width)
    numbers = [int.from_bytes(table[at : at + width], "little") for at in range(0, 2 * rows * width, width)]
    if any(number >= len(strings) for number in numbers):
        raise MsiError("its Property table names strings that are not there")
    return {strings[name]: strings[value] for name, value in zip(numbers[:rows], numbers[rows:], strict=True)}
