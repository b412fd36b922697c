"""The words of a BadInput sentence: what was found, what was expected, which known name is near.

Here live pure functions over text. What must not live here: positions, files, or any value of a secret.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterable

_SHOWN = 80

INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Everything that changes what a reader sees without being seen: C0 and C1 controls (terminal escapes), bidi marks (a
name that reads backwards), zero-width, filler and tag characters, lone surrogates (not even encodable)."""


class Wrong(ValueError):
    """A value that a format refuses, without its place: ``validate`` and the readers add file, line and column."""

    def __init__(self, found: str, expected: str = "") -> None:
        super().__init__(f"{found}; expected {expected}" if expected else found)
        self.found, self.expected = found, expected


def about(name: str, wrong: Wrong) -> str:
    """What was found, said of the thing called ``name``."""
    joint = " " if wrong.found.startswith(("is ", "has ", "names ")) else ": "
    return f"{name}{joint}{wrong.found}"


def shown(text: str) -> str:
    """The operator's text in quotes, short, and with control characters made visible.

    A sentence ends up on a terminal: an escape sequence in a file must not act there.
    """
    return f"'{plain(text)}'"


def plain(text: str) -> str:
    """Like ``shown``, without the quotes."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return "".join(c if is_visible(c) else f"\\u{ord(c):04x}" for c in cut)


def is_visible(text: str) -> bool:
    """Whether all of it is seen as it is; of white space, only the space itself."""
    return text.isprintable() and INVISIBLE.search(text) is None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    by_fold = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold()[:200], list(by_fold), n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def hint(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing."""
    near = nearest(word, known)
    return f" (did you mean {plain(near)}?)" if near else ""


def listed(words: Iterable[str], last: str = "or") -> str:
    """``a, b or c``; a long list is cut."""
    items = [plain(word) for word in words]
    if len(items) > 16:
        return ", ".join(items[:15]) + f" … ({len(items)} in all)"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def kind(value: object) -> str:
    """What a value is, in an administrator's words; never the value itself."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text" if value else "empty"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a table of keys"
    if isinstance(value, datetime.date | datetime.time):
        return "a date or time"
    return "a value with a tag"
