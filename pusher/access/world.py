"""What is asked about: people and their groups, objects and where they are, and the grants. They decide nothing.

What must not live here: what follows from them (``compiled``, ``decide``), and whether they fit together (``checks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from pusher.access.permissions import Kind, Permission
from pusher.access.roles import PREDEFINED, Role

SERVER = "server"
"""The scope of all there is, and the place of what is no object: people, roles, the audit, the settings."""
RESULT = "result:"
FOREVER = datetime.max.replace(tzinfo=UTC)


def result(group: str) -> str:
    """The scope of the machines that a dynamic group finds now, without the group's definition."""
    return RESULT + group


class Standing(StrEnum):
    """Whether a person may sign in at all, and who says otherwise."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DISABLED_IN_DIRECTORY = "disabled-in-directory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    id: str
    name: str = ""
    standing: Standing = Standing.ENABLED


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleGroup:
    """A group of people: local, or a directory's by its SID, never by its name."""

    id: str
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Object:
    """``parents``: the static groups it is in. ``results``: the dynamic groups that find it now (machines only).

    ``owner``: a person or a group of people. ``within``: of a dynamic group, the static group that its result never
    leaves; None: all machines.
    """

    id: str
    kind: Kind
    name: str = ""
    parents: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    owner: str | None = None
    dynamic: bool = False
    within: str | None = None


class Effect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A role, given to or denied a person or a group of people.

    ``scope``: SERVER; an object, which is it and what is inside it; ``result(ID)``. ``until``: when it ends, aware;
    from that moment on it is as if it were not there.
    """

    id: str
    subject: str
    role: Role
    scope: str
    effect: Effect = Effect.ALLOW
    until: datetime | None = None

    @property
    def ends(self) -> datetime:
        return self.until or FOREVER


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What a token narrows its owner to: ``permissions``, and of machines and groups to those that ``within`` covers.

    What is in no group (packages, accounts, runs) is narrowed by its permissions alone. The view that an act asks for
    first is the owner's, whether the token has it or not.
    """

    permissions: frozenset[Permission]
    within: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """All of it. ``members``: of a person or a group of people, the groups it is directly in. ``roles``: all there are.

    What a value names that is not here (an owner who is gone, a group that was deleted) gives nothing to anybody.
    """

    people: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[str, PeopleGroup] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    objects: Mapping[str, Object] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    roles: tuple[Role, ...] = PREDEFINED

    def granting(self, *grants: Grant) -> World:
        """The same with grants added."""
        return replace(self, grants=(*self.grants, *grants))

    def revoking(self, grant: str) -> World:
        """The same without the grant of that id."""
        return replace(self, grants=tuple(one for one in self.grants if one.id != grant))

    def label(self, name: str) -> str:
        """What readers call a person, a group, an object or a scope."""
        if name == SERVER:
            return "the server"
        if name.startswith(RESULT):
            return f"what {self.label(name.removeprefix(RESULT))} finds"
        found = self.people.get(name) or self.groups.get(name) or self.objects.get(name)
        return found.name or name if found is not None else name
