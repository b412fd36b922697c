"""What the registry keeps, as its rows have it: people, roles and grants, and the objects that they are about.

Values of the rules' own vocabulary (kinds, permissions, effects) are text here: what they mean is ``access``'s. Times
are aware.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class GroupOrigin(StrEnum):
    """Where a group of machines comes from, which says who fills it: an inventory's file, a person, a query."""

    INVENTORY = "inventory"
    STATIC = "static"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonRow:
    id: str
    name: str = ""
    standing: str = "enabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleGroupRow:
    """A group of people. ``sid``: of a directory's, which is known by it and never by its name."""

    id: str
    name: str = ""
    sid: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleRow:
    """One version of a custom role: the newest counts."""

    name: str
    version: int
    level: str
    permissions: tuple[str, ...]
    includes: tuple[str, ...]
    capabilities: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantRow:
    """``role``: its name, so that a grant means what the role is now. ``scope``: as of ``access.world``."""

    id: str
    subject: str
    role: str
    effect: str
    scope: str
    until: datetime | None
    made_by: str
    made_at: datetime
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRow:
    """What can be permitted something on. ``owner``: a person or a group of people."""

    id: str
    kind: str
    name: str
    owner: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineRow:
    """What inventories say of a machine. ``gone_at``: since when no inventory has it; its history is kept."""

    id: str
    address: str | None = None
    site: str | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineGroupRow:
    """A group of machines. ``query``, ``within``: of a dynamic one. ``file``: of an inventory's own group, its path."""

    id: str
    origin: GroupOrigin
    query: str | None = None
    within: str | None = None
    file: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredPackageRow:
    """A package's folder as it was when it was registered. ``sha256``: of its manifest, as the queue knows it."""

    id: str
    version: str
    sha256: str
    root: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Subjects:
    """Who is given something, and what. ``memberships``: (person or group of people, the group it is directly in)."""

    people: tuple[PersonRow, ...] = ()
    groups: tuple[PeopleGroupRow, ...] = ()
    memberships: tuple[tuple[str, str], ...] = ()
    roles: tuple[RoleRow, ...] = ()
    grants: tuple[GrantRow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Things:
    """All objects. ``members``: (object, group of machines that it is directly in, or that finds it)."""

    objects: tuple[ObjectRow, ...] = ()
    machines: tuple[MachineRow, ...] = ()
    groups: tuple[MachineGroupRow, ...] = ()
    members: tuple[tuple[str, str], ...] = ()
    packages: tuple[RegisteredPackageRow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryRows:
    """All of it at one moment. ``version``: the number that every change of it raises."""

    version: int
    subjects: Subjects
    things: Things


Pairs = Iterable[tuple[str, str]]
