"""The end of an installer's log as a line that a person can read, whatever the machine has put into it. Pure."""

from __future__ import annotations

import unicodedata

TAIL = 16 * 1024
"""Bytes that are fetched."""

_MOST = 4000
_UTF16_BOM, _UTF8_BOM = b"\xff\xfe", b"\xef\xbb\xbf"


def readable(data: bytes) -> str:
    """The last lines, joined by `` | ``; at most ``_MOST`` characters, none of which a terminal would obey."""
    lines = (_printable(line).strip() for line in _decoded(data).splitlines())
    text = " | ".join(line for line in lines if line)
    return text if len(text) <= _MOST else "…" + text[1 - _MOST :]


def _decoded(data: bytes) -> str:
    # Windows Installer writes UTF-16; a tail of it has no mark at its start, but Latin text has every other byte 0.
    zeros = data[1::2].count(0)
    if data.startswith(_UTF16_BOM) or zeros * 4 > len(data) // 2:
        return data[: len(data) // 2 * 2].decode("utf-16-le", "replace").lstrip("\ufeff")
    return data.removeprefix(_UTF8_BOM).decode("utf-8", "replace")


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line if unicodedata.category(c) != "Cf")
