"""TOML with positions: tomllib reads the values, a small scanner finds where keys and values stand.

Here lives the reader. What must not live here: what the keys mean. The scanner only ever walks text that
tomllib has accepted, so it looks for ends of things and never judges them.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path as FilePath

from pusher.config.document import Document, Path
from pusher.config.files import SMALL_FILE, place, read_text, split_lines
from pusher.config.wording import is_visible, plain
from pusher.models import Source
from pusher.problems import BadInput

# tomllib gives line and column only in its message before Python 3.14.
_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_LONE_CR = re.compile(r"\r(?!\n)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ATOM = re.compile(r"[^,\]}#\r\n]*")
_BASIC = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(r"'[^']*'")
_MULTI_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROLS = frozenset("btnfre")
_OPEN_AT_END = re.compile(r"\\\"[ \t]*(?:#.*)?$")
_BACKSLASH = "'…' around text with backslashes, or each backslash twice"
_VALUE = "'text', a number, true or false"
_TYPOGRAPHIC = "“”„‟‘’‚‛«»"
_MULTI_LITERAL = re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _TomlPositions:
    """Positions by path: offset of the key and of the value."""

    text: str
    offsets: dict[Path, tuple[int, int]]

    def find(self, path: Path, *, key: bool) -> tuple[int, int] | None:
        offsets = self.offsets.get(path)
        if offsets is None:
            return None
        where = place("", self.text, offsets[0] if key else offsets[1])
        return where.line, where.column


def read_toml(path: FilePath, limit: int = SMALL_FILE) -> Document:
    """The document of a TOML file."""
    return parse_toml(read_text(path, limit), str(path))


def parse_toml(text: str, file: str) -> Document:
    """The document in ``text``; ``file`` is what sentences call it."""
    lone = _LONE_CR.search(text)
    if lone is not None:
        raise BadInput(place(file, text, lone.start()), "a carriage return without a line feed", "valid TOML")
    text = text.replace("\r\n", "\n")  # as tomllib itself does; lines and columns stay
    try:
        data = tomllib.loads(text)
        offsets = _Scanner(text).scan()
    except tomllib.TOMLDecodeError as exc:
        raise _syntax(exc, text, file) from exc
    except _ControlError as exc:
        found = f"the escape {exc.escape} makes a control character"
        raise BadInput(place(file, text, exc.offset), found, _BACKSLASH) from None
    except RecursionError as exc:
        raise BadInput(Source(file=file), "values are nested too deep", "fewer levels") from exc
    except ValueError as exc:  # a number of thousands of digits
        raise BadInput(Source(file=file), "a number that is too long", "a shorter number") from exc
    return Document(file=file, data=data, positions=_TomlPositions(text, offsets))


class _ControlError(Exception):
    """An escape at ``offset`` of the text makes a control character."""

    def __init__(self, offset: int, escape: str) -> None:
        super().__init__(escape)
        self.offset, self.escape = offset, escape


def _refuse_controls(token: str, offset: int) -> None:
    """No value of any format holds a control character: whoever wrote "CORP\\bob" meant a backslash."""
    for found in _ESCAPE.finditer(token):
        digits = found[1] or found[2] or found[3]
        if found[4] in _CONTROLS if digits is None else unicodedata.category(chr(int(digits, 16))) == "Cc":
            raise _ControlError(offset + found.start(), found[0])


def _syntax(exc: tomllib.TOMLDecodeError, text: str, file: str) -> BadInput:
    message = str(exc)
    found = _AT.search(message)
    what = plain(_AT.sub("", message))
    what = what[:1].lower() + what[1:]
    if found is not None and found[1]:
        source = Source(file=file, line=int(found[1]), column=int(found[2]))
    else:
        lines = split_lines(text)
        source = Source(file=file, line=len(lines), column=len(lines[-1]) + 1)
        what += " at the end of the file"
    line = split_lines(text)[source.line - 1]
    character = line[source.column - 1 : source.column]
    if "escape" in what.lower() or "hex" in what or _OPEN_AT_END.search(line):
        return BadInput(
            source, "the TOML cannot be read: in double quotation marks a backslash begins an escape", _BACKSLASH
        )
    if character and character in _TYPOGRAPHIC:
        return BadInput(source, f"the TOML cannot be read: {character} is a typographic quotation mark", "' or \"")
    if character and not is_visible(character):
        unseen = f"the TOML cannot be read: here is U+{ord(character):04X}, a character that is not seen"
        return BadInput(source, unseen, "no such character")
    return BadInput(source, f"the TOML cannot be read: {what}", _VALUE if what == "invalid value" else "valid TOML")


class _Scanner:
    """Finds keys and values in TOML that is known to be valid."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._offsets: dict[Path, tuple[int, int]] = {(): (0, 0)}
        self._arrays: dict[Path, int] = {}

    def scan(self) -> dict[Path, tuple[int, int]]:
        """Positions of every key and value."""
        table: Path = ()
        while True:
            self._skip(_GAP)
            if self._at >= len(self._text):
                return self._offsets
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        start = self._at
        double = self._text.startswith("[[", start)
        self._at += 2 if double else 1
        steps = self._key()
        self._skip(_SPACE)
        self._at += 2 if double else 1
        path: Path = ()
        for number, step in enumerate(steps):
            path = (*path, step)
            self._offsets.setdefault(path, (start, start))
            last = number == len(steps) - 1
            if last and double:
                self._arrays[path] = self._arrays.get(path, -1) + 1
            elif last:
                self._offsets[path] = (start, start)
            if path in self._arrays:
                path = (*path, self._arrays[path])
                if last:
                    self._offsets[path] = (start, start)
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._key())
        self._skip(_SPACE)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        for end in range(len(table) + 1, len(path)):  # tables that a dotted key makes on the way
            self._offsets.setdefault(path[:end], (start, start))
        self._value(path, start)

    def _key(self) -> list[str]:
        steps: list[str] = []
        while True:
            self._skip(_SPACE)
            first = self._text[self._at : self._at + 1]
            if first in ('"', "'"):
                token = self._take(_BASIC if first == '"' else _LITERAL)
                steps.append(next(iter(tomllib.loads(f"{token}=0"))))
            else:
                steps.append(self._take(_BARE))
            self._skip(_SPACE)
            if self._text[self._at : self._at + 1] != ".":
                return steps
            self._at += 1

    def _value(self, path: Path, key: int) -> None:
        self._offsets[path] = (key, self._at)
        rest = self._text[self._at : self._at + 3]
        if rest == '"""':
            at = self._at
            _refuse_controls(self._take(_MULTI_BASIC), at)
        elif rest == "'''":
            self._take(_MULTI_LITERAL)
        elif rest[:1] == '"':
            at = self._at
            _refuse_controls(self._take(_BASIC), at)
        elif rest[:1] == "'":
            self._take(_LITERAL)
        elif rest[:1] == "[":
            self._array(path)
        elif rest[:1] == "{":
            self._inline(path)
        else:
            self._take(_ATOM)

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while True:
            self._skip(_GAP)
            if self._text[self._at] == "]":
                self._at += 1
                return
            self._value((*path, number), self._at)
            number += 1
            self._skip(_GAP)
            if self._text[self._at] == ",":
                self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_GAP)
            if self._text[self._at] == "}":
                self._at += 1
                return
            self._pair(path)
            self._skip(_GAP)
            if self._text[self._at] == ",":
                self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the scanner walks only text that tomllib accepted"
        self._at = found.end()
        return found[0]
