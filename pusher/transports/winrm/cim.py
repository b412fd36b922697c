"""CIM instances as they come over WS-Man: properties as text, read with suspicion. Pure.

An element's name is the property's, its namespace the class's; ``xsi:nil`` is NULL and a repeated element an array
(DSP0230). Whatever is missing, of the wrong type or out of range is an answer that no Windows gives.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_MAX_PROPERTIES, _MAX_TEXT = 500, 64 * 1024
UINT32 = 2**32 - 1
UINT64 = 2**64 - 1


class StrangeValueError(Exception):
    """A property that is missing, of the wrong type, or out of range."""


class Instance:
    """One instance, or the output of a method."""

    def __init__(self, element: ET.Element) -> None:
        if len(element) > _MAX_PROPERTIES:
            raise StrangeValueError("properties without end")
        self._values: dict[str, str] = {}
        for child in element:
            name = child.tag.rpartition("}")[2].lower()
            if child.get(_NIL, "").lower() in ("true", "1") or child.text is None:
                continue
            if len(child.text) > _MAX_TEXT:
                raise StrangeValueError(f"{name}: a text without end")
            self._values.setdefault(name, child.text)

    def text(self, name: str) -> str:
        """Empty where it is NULL or missing."""
        return self._values.get(name.lower(), "")

    def has(self, name: str) -> bool:
        return name.lower() in self._values

    def number(self, name: str, most: int = UINT32, default: int | None = None) -> int:
        """A whole number from 0 to ``most``; ``default`` where it is NULL or missing, if one is given."""
        text = self._values.get(name.lower())
        if text is None and default is not None:
            return default
        value = (text or "").strip()
        if not (value.isascii() and value.isdecimal() and len(value) <= 20) or int(value) > most:
            raise StrangeValueError(f"{name} is {value[:40]!r}")
        return int(value)

    def flag(self, name: str) -> bool:
        """False where it is NULL or missing."""
        value = self.text(name).strip().lower()
        if value not in ("true", "false", "1", "0", ""):
            raise StrangeValueError(f"{name} is {value[:40]!r}")
        return value in ("true", "1")

    def one_of(self, name: str, meanings: Mapping[str, T]) -> T:
        """What the property's word stands for."""
        word = self.text(name)
        if word not in meanings:
            raise StrangeValueError(f"{name} is {word[:40]!r}")
        return meanings[word]

    @property
    def returned(self) -> int:
        """A method's ReturnValue."""
        return self.number("ReturnValue")
