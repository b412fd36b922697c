"""The predefined roles and every permission, as docs/access.md has them: ``python -m pusher.access.table``.

Each cell is an answer by the rules, to somebody who has that role and nothing else. What must not live here: a cell
that is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from pusher.access.compiled import Access, compiled
from pusher.access.decide import Rule
from pusher.access.permissions import OBJECTS, Kind, Permission
from pusher.access.roles import PREDEFINED, Level, Role
from pusher.access.world import FOREVER, SERVER, Grant, Object, Person, World


def markdown(level: Level) -> str:
    """The table of the roles that are given server-wide, or on an object: a row for each permission."""
    roles = [role for role in PREDEFINED if role.level in {level, Level.EITHER}]
    lines = ["| permission | " + " | ".join(role.name for role in roles) + " |", "| --- |" + " --- |" * len(roles)]
    for asked in rows(level):
        lines.append(f"| `{asked}` | " + " | ".join(cell(role, level, asked) for role in roles) + " |")
    return "\n".join(lines) + "\n"


def rows(level: Level) -> Iterator[Permission]:
    """The permissions that a role can give there."""
    for permission in Permission:
        if level is Level.SERVER or (permission.kind in OBJECTS and _thing(permission, level) is not None):
            yield permission


def cell(role: Role, level: Level, permission: Permission) -> str:
    """What the role alone gives of a permission: all of it, a part, which another role completes, or nothing."""
    thing = _thing(permission, level)
    scope = SERVER if level is Level.SERVER or thing is None else thing
    answer = _holder(role, scope).may("holder", permission, thing or SERVER)
    if answer.allowed:
        return "yes"
    if permission in role.permissions:
        return {Rule.VIEW_FIRST: "with view", Rule.CAPABILITY: "with the capability"}[answer.rule]
    return "the capability" if level is Level.SERVER and permission in role.all_capabilities else ""


def _thing(permission: Permission, level: Level) -> str | None:
    """What it is asked of: an object of the kind, or where that is to be created, a group; None for the server."""
    if permission.creates:
        return Kind.GROUP if permission.asked_of is Kind.GROUP and level is Level.OBJECT else None
    return permission.kind if permission.kind in OBJECTS else None


def _holder(role: Role, scope: str) -> Access:
    grant = Grant(id="grant", subject="holder", role=role, scope=scope)
    objects = {kind.value: Object(id=kind, kind=kind) for kind in OBJECTS}
    world = World(people={"holder": Person(id="holder")}, objects=objects, grants=(grant,))
    return compiled(world, FOREVER.replace(year=2000))


if __name__ == "__main__":
    print(markdown(Level.SERVER))
    print(markdown(Level.OBJECT), end="")
