"""A parsed file whose every value knows its line and column.

Here live ``Document`` and the port ``Positions`` that the YAML and TOML readers fulfil.
What must not live here: parsing, and what the values mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pusher.config.wording import plain
from pusher.models import Source

Path = tuple[str | int, ...]
"""From the top of a document to a value: keys, and positions in lists counted from 0."""


class Positions(Protocol):
    """Where values and keys stand; lines and columns count from 1."""

    def find(self, path: Path, *, key: bool) -> tuple[int, int] | None:
        """Line and column of the value at ``path`` (or of its key); None where the path does not exist."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A file's plain values (dict, list, str, int, float, bool, None) and their positions."""

    file: str
    data: object
    positions: Positions

    def source(self, path: Path, *, key: bool = False) -> Source:
        """Where ``path`` stands; for a path that does not exist, where the nearest thing around it stands."""
        while path:
            found = self.positions.find(path, key=key)
            if found is not None:
                return Source(file=self.file, line=found[0], column=found[1])
            path = path[:-1]
        line, column = self.positions.find((), key=False) or (1, 1)
        return Source(file=self.file, line=line, column=column)


def dotted(path: Path) -> str:
    """``groups.paris.hosts[4]``: list items count from 1, as an administrator counts."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            text += f".{plain(step)}" if text else plain(step)
    return text
