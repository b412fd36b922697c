"""What a push writes down of a host before it changes it, so that whoever comes after a kill can put it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    """What a journal says of a step: about to be done, done, or undone again."""

    INTENT = "intent"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalStep:
    step: str
    mark: Mark


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What one push did to one host: ``before`` is all that its undo needs, ``steps`` what was begun and done."""

    id: str
    run: str
    target: str
    before: Mapping[str, Any]
    steps: tuple[JournalStep, ...] = ()
