"""YAML with positions, built from the parser's events so that nothing is ever constructed by a tag.

Here lives the reader: plain values only, every value with line and column, duplicate keys refused, nesting and
aliases bounded. What must not live here: what the keys mean.

Plain scalars follow YAML 1.2: ``no``, ``on`` and ``1:30`` are text (a site may well be called ``no``).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pusher.config.document import Document, Path, dotted
from pusher.config.files import split_lines
from pusher.config.wording import plain
from pusher.models import Source
from pusher.problems import BadInput

MAX_DEPTH = 32
MAX_VALUES = 2_000_000
"""Values in a document, aliases counted as if written out: a billion laughs ends here."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Only what YAML 1.1 and 1.2 both read as a number: ``012`` and ``1e3`` are text, as a serial number would be.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"(?:\.[0-9]{1,30}|[-+]?[0-9]{1,30}\.[0-9]{0,30})(?:[eE][-+][0-9]{1,3})?", re.ASCII)
_PLAIN_TAGS = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:str"})


class _Opaque:
    """A value behind a tag that is not understood (Ansible's ``!vault``): present, unreadable, never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(opaque)"


OPAQUE = _Opaque()


class _TooDeep(BadInput):
    """More levels than MAX_DEPTH."""


_Marks = dict[int, "array[int] | dict[str, tuple[int, int, int, int]]"]


@dataclass(frozen=True, slots=True)
class _YamlPositions:
    """Positions by container: two numbers for an item of a list, four for a key and its value."""

    root: object
    top: tuple[int, int]
    marks: _Marks

    def find(self, path: Path, *, key: bool) -> tuple[int, int] | None:
        here, place = self.root, self.top
        for number, step in enumerate(path):
            marks = self.marks.get(id(here))
            if isinstance(here, list) and isinstance(step, int) and isinstance(marks, array):
                if not 0 <= step < len(here):
                    return None
                place = (marks[2 * step], marks[2 * step + 1])
                here = here[step]
            elif isinstance(here, dict) and isinstance(step, str) and isinstance(marks, dict):
                if step not in here:
                    return None
                mark = marks[step]
                last = number == len(path) - 1
                place = mark[:2] if key and last else mark[2:]
                here = here[step]
            else:
                return None
        return place


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being filled."""

    into: list[Any] | dict[str, Any]
    path: Path
    anchor: str | None
    started_at: int
    key: str | None = None
    key_mark: tuple[int, int] = (0, 0)
    merges: list[tuple[Any, tuple[int, int]]] = field(default_factory=list)


def parse_yaml(text: str, file: str, *, as_written: bool = False) -> Document:
    """The document in ``text``; ``file`` is what sentences call it."""
    return _Builder(file, as_written).build(text)


class _Builder:
    """Turns the parser's events into values, without recursion (a deep file cannot exhaust the stack)."""

    def __init__(self, file: str, as_written: bool) -> None:
        self._file, self._as_written = file, as_written
        self._text = ""
        self._frames: list[_Frame] = []
        self._marks: _Marks = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open_anchors: set[str] = set()
        self._count = 0
        self._root: Any = None
        self._top = (1, 1)
        self._documents = 0

    def build(self, text: str) -> Document:
        self._text = text
        for event in self._events(text):
            self._take(event)
        if not self._documents or self._root is None:
            raise BadInput(Source(file=self._file), "the file is empty", "keys and values in YAML")
        return Document(file=self._file, data=self._root, positions=_YamlPositions(self._root, self._top, self._marks))

    def _events(self, text: str) -> Iterator[Any]:
        events = yaml.parse(text, Loader=_LOADER)
        while True:
            try:
                event = next(events)
            except StopIteration:
                return
            except yaml.MarkedYAMLError as exc:
                raise self._too_deep_before(exc) or self._syntax(exc) from exc
            except (yaml.YAMLError, ValueError) as exc:
                raise BadInput(Source(file=self._file), "the text is not valid YAML", "a YAML file") from exc
            yield event

    def _too_deep_before(self, exc: yaml.MarkedYAMLError) -> _TooDeep | None:
        """What nests too deep before the place that the parser complains of.

        libyaml's scanner runs ahead of its events, and some releases limit nesting themselves: by then our own limit
        was passed, further up. The text up to there is read again, which nests less deep than the parser allows.
        """
        mark = exc.problem_mark
        if mark is None or not 0 < mark.index < len(self._text):
            return None
        try:
            _Builder(self._file, self._as_written).build(self._text[: mark.index])
        except _TooDeep as deep:
            return deep
        except BadInput:
            return None  # it ends in the middle of something
        return None

    def _syntax(self, exc: yaml.MarkedYAMLError) -> BadInput:
        what = ", ".join(plain(part) for part in (exc.context, exc.problem) if part)
        mark = exc.problem_mark or exc.context_mark
        if mark is None:
            return BadInput(Source(file=self._file), f"the YAML cannot be read: {what}", "valid YAML")
        lines = split_lines(self._text)
        line, column = mark.line, mark.column
        if line >= len(lines):  # libyaml sees the end of a file as a line of its own
            line, column = len(lines) - 1, len(lines[-1])
        source = Source(file=self._file, line=line + 1, column=column + 1)
        if lines[line][column : column + 1] == "\t":
            return BadInput(source, "a tab where YAML wants spaces", "spaces")
        return BadInput(source, f"the YAML cannot be read: {what}", "valid YAML")

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._bad(event, "a second document begins here", "one YAML document in the file")

    # -- values ---------------------------------------------------------------------------------------------

    def _scalar(self, event: Any) -> None:
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.into, dict) and frame.key is None:
            self._key(frame, event, mark)
            return
        value = self._value(event)
        self._counted(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, mark, event)

    def _value(self, event: Any) -> Any:
        plain_style = not event.style and event.implicit[0]  # libyaml says "", PyYAML None
        if event.tag not in _PLAIN_TAGS:
            return OPAQUE
        if event.tag is not None or not plain_style:
            return event.value
        if event.value in _NULL:
            return None
        if self._as_written:
            return event.value
        if event.value in _BOOL:
            return _BOOL[event.value]
        if _INT.fullmatch(event.value):
            return int(event.value)
        if _FLOAT.fullmatch(event.value):
            return float(event.value)
        return event.value

    def _key(self, frame: _Frame, event: Any, mark: tuple[int, int]) -> None:
        assert isinstance(frame.into, dict)
        name: str = event.value
        if event.tag not in _PLAIN_TAGS or event.anchor:
            raise self._bad(event, "a key with a tag or an anchor", "a plain key")
        if not name:
            raise self._bad(event, "a key without a name", "a name before the colon")
        seen = self._marks[id(frame.into)]
        assert isinstance(seen, dict)
        if name in seen:
            where = dotted((*frame.path, name))
            raise self._bad(event, f"{where} is there twice (first in line {seen[name][0]})", "every key once")
        frame.key, frame.key_mark = name, mark

    def _open(self, event: Any) -> None:
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.into, dict) and frame.key is None:
            raise self._bad(event, "a list or table as a key", "a plain key")
        if len(self._frames) >= MAX_DEPTH:
            raise _TooDeep(_start(self._file, event), "values are nested too deep", f"at most {MAX_DEPTH} levels")
        if event.tag not in _PLAIN_TAGS:
            raise self._bad(event, f"the tag {plain(event.tag)} is not understood", "a plain list or table")
        self._counted(event, 1)
        into: list[Any] | dict[str, Any]
        if isinstance(event, yaml.MappingStartEvent):
            into = {}
            self._marks[id(into)] = {}
        else:
            into = []
            self._marks[id(into)] = array("I")
        path = self._path_of_next()
        self._put(into, mark, event)
        if event.anchor:
            self._open_anchors.add(event.anchor)
            self._anchors.pop(event.anchor, None)
        self._frames.append(_Frame(into, path, event.anchor, self._count))

    def _close(self, event: Any) -> None:
        frame = self._frames.pop()
        if isinstance(frame.into, dict):
            for merged, mark in frame.merges:
                self._merge(frame.into, merged, mark, event)
        if frame.anchor:
            self._open_anchors.discard(frame.anchor)
            self._anchors[frame.anchor] = (frame.into, self._count - frame.started_at + 1)

    def _alias(self, event: Any) -> None:
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        name = event.anchor
        if name in self._open_anchors:
            raise self._bad(event, f"*{plain(name)} stands inside itself", "an anchor that is complete")
        if name not in self._anchors:
            raise self._bad(event, f"*{plain(name)} has no anchor before it", f"&{plain(name)} further up")
        frame = self._frames[-1]
        if isinstance(frame.into, dict) and frame.key is None:
            raise self._bad(event, "an alias as a key", "a plain key")
        value, size = self._anchors[name]
        self._counted(event, size)
        self._put(value, mark, event)

    def _merge(self, into: dict[str, Any], merged: Any, mark: tuple[int, int], event: Any) -> None:
        """``<<: *defaults``: keys that are not written here come from there, with the place they have there."""
        marks = self._marks[id(into)]
        for part in merged if isinstance(merged, list) else [merged]:
            if not isinstance(part, dict):
                source = Source(file=self._file, line=mark[0], column=mark[1])
                raise BadInput(source, "<< merges something that is no table of keys", "an alias of a table")
            theirs = self._marks[id(part)]
            assert isinstance(marks, dict)
            assert isinstance(theirs, dict)
            for key, value in part.items():
                if key not in into:
                    into[key] = value
                    marks[key] = theirs[key]

    # -- places ---------------------------------------------------------------------------------------------

    def _put(self, value: Any, mark: tuple[int, int], event: Any) -> None:
        if not self._frames:
            self._root, self._top = value, mark
            return
        frame = self._frames[-1]
        if isinstance(frame.into, list):
            frame.into.append(value)
            marks = self._marks[id(frame.into)]
            assert isinstance(marks, array)
            marks.extend(mark)
            return
        assert frame.key is not None
        if frame.key == "<<":
            frame.merges.append((value, mark))
        else:
            frame.into[frame.key] = value
            known = self._marks[id(frame.into)]
            assert isinstance(known, dict)
            known[frame.key] = (*frame.key_mark, *mark)
        frame.key = None

    def _path_of_next(self) -> Path:
        if not self._frames:
            return ()
        frame = self._frames[-1]
        return (*frame.path, len(frame.into) if isinstance(frame.into, list) else frame.key or "")

    def _counted(self, event: Any, more: int) -> None:
        self._count += more
        if self._count > MAX_VALUES:
            raise self._bad(event, "the file holds too many values", f"at most {MAX_VALUES:,}, aliases written out")

    def _bad(self, event: Any, found: str, expected: str) -> BadInput:
        return BadInput(_start(self._file, event), found, expected)


def _start(file: str, event: Any) -> Source:
    mark = event.start_mark
    return Source(file=file, line=mark.line + 1, column=mark.column + 1)
