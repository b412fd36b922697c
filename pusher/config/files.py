"""Reading a file of the operator's: bounded, decoded, and refused with one sentence.

Here live the only reads of configuration files. What must not live here: any format.
Windows tools write UTF-16 and byte order marks (PowerShell's ``>``, Excel), so both are understood.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import BinaryIO

from pusher.models import Source
from pusher.problems import BadInput

MAX_BYTES = 64 * 1024 * 1024
SMALL_FILE = 4 * 1024 * 1024
_CHUNK = 256 * 1024

# What YAML calls printable, without the rare line ends (NEL, LS, PS) on which editors and parsers disagree, so that
# a line number always means the same line. Every format is held to it, since no name needs more.
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile(r"\r\n|\n|\r")
# A byte order mark at a line's beginning: files that were joined (copy a.txt+b.txt). It says nothing there.
_JOINED = re.compile("(?m)^\ufeff+")
_ZIP = b"PK\x03\x04"
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The file's bytes, at most ``limit`` of them (a device or a pipe that never ends is bounded too)."""
    source = Source(file=str(path))
    try:
        with path.open("rb") as stream:
            data = _read(stream, limit)
    except FileNotFoundError as exc:
        raise BadInput(source, "the file does not exist", "a readable file") from exc
    except PermissionError as exc:
        raise BadInput(source, "the file may not be read by this user", "a readable file") from exc
    except IsADirectoryError as exc:
        raise BadInput(source, "this is a folder", "a file") from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = getattr(exc, "strerror", None) or str(exc)
        raise BadInput(source, f"the file cannot be read ({reason})") from exc
    if len(data) > limit:
        raise BadInput(source, "the file is too large", f"at most {limit // (1024 * 1024)} MiB")
    return data


def _read(stream: BinaryIO, limit: int) -> bytes:
    """At most one byte more than ``limit``, in chunks: one large read would take the memory before the file does."""
    data = bytearray()
    while len(data) <= limit and (chunk := stream.read(min(_CHUNK, limit + 1 - len(data)))):
        data += chunk
    return bytes(data)


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The file's text: UTF-8, or UTF-16 where a byte order mark says so."""
    return decode(read_bytes(path, limit), str(path))


def decode(data: bytes, file: str) -> str:
    """Text of ``data``; a byte or character that does not belong is named with its line and column."""
    if data.startswith(_ZIP):
        found = "this is an Excel workbook (or another ZIP file)"
        raise BadInput(Source(file=file), found, "a text file; save a workbook as CSV UTF-8")
    encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as exc:
        good = data[: exc.start].decode(encoding, errors="ignore")
        raise BadInput(place(file, good, len(good)), "a byte that is not UTF-8 text", "a UTF-8 text file") from exc
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        found = f"the control character U+{ord(bad[0]):04X}"
        expected = "a text file in UTF-8, or in UTF-16 with a byte order mark" if bad[0] == "\0" else "a text file"
        raise BadInput(place(file, text, bad.start()), found, expected)
    return _JOINED.sub("", text)


def split_lines(text: str) -> list[str]:
    """Lines of ``text`` without their ends; only CR, LF and CRLF end a line, as in an editor."""
    return _LINE_END.split(text)


def place(file: str, text: str, offset: int) -> Source:
    """Line and column of ``offset`` in ``text``."""
    before = _LINE_END.split(text[:offset])
    return Source(file=file, line=len(before), column=len(before[-1]) + 1)
