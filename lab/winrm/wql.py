"""The part of WQL that a client of the lab may use: columns, one class, comparisons joined by AND or by OR.

Anything else is refused, never half understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_QUERY = re.compile(
    r"\s*select\s+(?P<columns>\*|[\w\s,]+?)\s+from\s+(?P<name>\w+)(?:\s+where\s+(?P<where>.+?))?\s*", re.I | re.S
)
_LITERAL = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+|true|false"
_CONDITION = re.compile(rf"\s*(?P<name>\w+)\s*(?P<sign>=|<>|!=)\s*(?P<literal>{_LITERAL})\s*", re.I)


class WqlError(Exception):
    """Not the WQL that is understood here."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    name: str
    equal: bool
    value: str

    def holds(self, row: Mapping[str, Any]) -> bool:
        found = next((value for name, value in row.items() if name.lower() == self.name.lower()), None)
        text = str(found).lower() if found is not None else ""
        return (text == self.value.lower()) is self.equal


@dataclass(frozen=True, kw_only=True)
class Query:
    name: str
    columns: tuple[str, ...]  # none: all of them
    conditions: tuple[Condition, ...] = ()
    any_of: bool = False

    def holds(self, row: Mapping[str, Any]) -> bool:
        if not self.conditions:
            return True
        answers = [condition.holds(row) for condition in self.conditions]
        return any(answers) if self.any_of else all(answers)

    @property
    def keys(self) -> dict[str, str]:
        """What must be equal, where all conditions must hold: enough to ask for one instance."""
        return {} if self.any_of else {row.name: row.value for row in self.conditions if row.equal}


def parse(text: str) -> Query:
    found = _QUERY.fullmatch(text)
    if found is None:
        raise WqlError(text)
    columns = () if found["columns"] == "*" else tuple(part.strip() for part in found["columns"].split(","))
    conditions, any_of = _conditions(found["where"] or "")
    return Query(name=found["name"], columns=columns, conditions=conditions, any_of=any_of)


def _conditions(text: str) -> tuple[tuple[Condition, ...], bool]:
    conditions, joints = [], set()
    at = 0
    while at < len(text):
        found = _CONDITION.match(text, at)
        if found is None:
            raise WqlError(text)
        conditions.append(Condition(name=found["name"], equal=found["sign"] == "=", value=_value(found["literal"])))
        at = found.end()
        joint = re.compile(r"(and|or)\b", re.I).match(text, at)
        if joint is None and at < len(text):
            raise WqlError(text)
        if joint is not None:
            joints.add(joint[1].lower())
            at = joint.end()
    if len(joints) > 1:
        raise WqlError(f"AND and OR together: {text}")
    return tuple(conditions), joints == {"or"}


def _value(literal: str) -> str:
    if literal[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", literal[1:-1])
    return literal.lower()
