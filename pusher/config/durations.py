"""Durations as an administrator writes them: ``5s``, ``2m``, ``1m30s``, ``500ms``; as seconds inside.

Here lives their parsing and the pydantic type. What must not live here: any particular limit.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from pusher.config.wording import Wrong, kind, shown

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)
_WHOLE = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h|d))+", re.ASCII)
EXPECTED = 'a duration such as "5s", "2m" or "500ms"'


def parse_duration(text: str) -> float:
    """Seconds. A number without a unit is refused: nobody remembers which unit a bare number has."""
    if not _WHOLE.fullmatch(text):
        raise Wrong(f"{shown(text)} is not a duration", EXPECTED)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise Wrong(f"is {kind(value)}", EXPECTED)
    return parse_duration(value)


Duration = Annotated[float, BeforeValidator(_seconds), Field(description=EXPECTED)]
"""A pydantic field that holds seconds and is written as a duration."""
