"""Redaction: the secrets in use are cut out of every string of an entry, in each form in which they turn up.

What it costs does not grow with the number of secrets (with LAPS, one a machine): a text is looked at once, four
characters at a time, and compared with whole secrets only where one begins so. What must not live here: files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from pusher.models import Secret

_NAMED_SO = ("password", "secret", "passwd", "credential", "token")
_SHORTEST = 4
"""Shorter secrets are not cut out by value: they would tear holes into ordinary words. Also what is looked up."""
_SHORTEST_ENCODED = 8
"""A few characters of base64 or hexadecimal digits may be anything."""
_CUT = "***"


class Redactor:
    """A structlog processor that cuts the secrets that it has learnt out of every string of an entry."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._lengths: dict[str, tuple[int, ...]] = {}
        """By a value's first characters: how long such values are, the longest first."""

    def learn(self, secrets: Iterable[Secret]) -> None:
        for value in (secret.reveal() for secret in secrets):
            if len(value) >= _SHORTEST:
                for form in forms(value):
                    self._add(form)

    def _add(self, value: str) -> None:
        if len(value) >= _SHORTEST and value not in self._values:
            self._values.add(value)
            begins = value[:_SHORTEST]
            lengths = {*self._lengths.get(begins, ()), len(value)}
            self._lengths[begins] = tuple(sorted(lengths, reverse=True))

    def __call__(self, _: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in entry.items():
            entry[key] = self._clean_field(key, value)
        return entry

    def _clean_field(self, name: str, value: Any) -> Any:
        return _CUT if _is_named_so(name) else self._clean(value)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.cut(value)
        if isinstance(value, dict):
            return {self.cut(_text(key)): self._clean_field(_text(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.cut(_text(value))  # an exception or the like, which the renderer would turn into text anyway

    def cut(self, text: str) -> str:
        """The text with every secret in it replaced; those that overlap are one."""
        kept, upto = [], 0
        for start, end in self._found(text):
            kept += [text[upto:start], _CUT]
            upto = end
        return "".join([*kept, text[upto:]]) if kept else text

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets stand, in order, those that overlap as one."""
        lengths, values = self._lengths, self._values
        start = end = 0
        for at in range(len(text) - _SHORTEST + 1):
            known = lengths.get(text[at : at + _SHORTEST])
            if known is None:
                continue
            longest = next((length for length in known if text[at : at + length] in values), 0)
            if not longest:
                continue
            if at >= end:
                if end:
                    yield start, end
                start = at
            end = max(end, min(at + longest, len(text)))
        if end:
            yield start, end


@lru_cache(maxsize=1_000)
def _is_named_so(name: str) -> bool:
    """The names of fields are few; those of a stranger's mapping may be any."""
    lower = name.lower()
    return any(word in lower for word in _NAMED_SO)


def forms(value: str) -> set[str]:
    """A secret as it is, and as it looks in messages, exceptions, URLs, XML, JSON and dumps of bytes."""
    wide, narrow = value.encode("utf-16-le", "surrogatepass"), value.encode("utf-8", "surrogatepass")
    written = {
        value,
        repr(value)[1:-1],
        ascii(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(narrow, safe=""),
        quote(narrow),
        quote_plus(narrow),
        escape(value),
        escape(value, {'"': "&quot;", "'": "&apos;"}),
        *(repr(data)[2:-1] for data in (narrow, wide)),
    }
    encoded = {text for data in (narrow, wide) for text in (data.hex(), data.hex().upper(), *_base64(data))}
    return written | {text for text in encoded if len(text) >= _SHORTEST_ENCODED}


def _base64(data: bytes) -> Iterator[str]:
    """What is certain of it, whatever stands before and behind: it may begin at any byte of three."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode()
        sure = text[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # of a stranger's class: no entry is worth a run
        return f"<{type(value).__name__} that cannot be shown>"
