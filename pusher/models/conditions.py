"""A condition on rows of objects, as a value: what a pure room decides for many rows at once, and a store asks for.

A row has an id and perhaps an owner, and is covered by scopes: itself, the groups it is in, the results it is found in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Everything:
    """Every row."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No row."""


@dataclass(frozen=True, slots=True)
class Covered:
    """Rows that one of the scopes covers."""

    by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Owned:
    """Rows whose owner is one of these; one without an owner never is."""

    by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Not:
    """Rows that the condition does not hold for."""

    of: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    of: tuple[Condition, ...]


Condition = Everything | Nothing | Covered | Owned | Not | AllOf | AnyOf


def all_of(*conditions: Condition) -> Condition:
    """All of them, without those that say nothing and none twice."""
    left = tuple(dict.fromkeys(one for one in conditions if one != Everything()))
    if Nothing() in left:
        return Nothing()
    return AllOf(left) if len(left) > 1 else next(iter(left), Everything())


def any_of(*conditions: Condition) -> Condition:
    """Any of them, without those that say nothing and none twice."""
    left = tuple(dict.fromkeys(one for one in conditions if one != Nothing()))
    if Everything() in left:
        return Everything()
    return AnyOf(left) if len(left) > 1 else next(iter(left), Nothing())


def none_of(condition: Condition) -> Condition:
    """The rows that it does not hold for."""
    if isinstance(condition, Everything | Nothing):
        return Nothing() if condition == Everything() else Everything()
    return condition.of if isinstance(condition, Not) else Not(condition)
