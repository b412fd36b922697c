"""What access decides by, made of the registry's rows.

What protects fails closed: a row that says what nobody understands is not left out, since it might be a deny.
What must not live here: reading a store (``loaded``), and deciding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pusher.access import PREDEFINED, Effect, Grant, Kind, Object, PeopleGroup, Person, Role, Standing, World, read_role
from pusher.models.registry import GrantRow, GroupOrigin, RegistryRows, RoleRow, Subjects, Things
from pusher.problems import BadInput


def world_of(rows: RegistryRows) -> World:
    """BadInput where a role, a grant or a word in it is none that this version knows."""
    return world(rows.subjects, objects_of(rows.things))


def world(subjects: Subjects, objects: Mapping[str, Object]) -> World:
    """Of objects that are known already."""
    roles = roles_of(subjects.roles)
    groups: dict[str, set[str]] = {}
    for member, group in subjects.memberships:
        groups.setdefault(member, set()).add(group)
    try:
        people = {one.id: Person(id=one.id, name=one.name, standing=Standing(one.standing)) for one in subjects.people}
        grants = tuple(_grant(one, roles) for one in subjects.grants)
    except ValueError as error:
        raise BadInput(None, f"the registry holds {error}", "one that this version wrote") from error
    return World(
        people=people,
        groups={one.id: PeopleGroup(id=one.id, name=one.name) for one in subjects.groups},
        members={member: frozenset(some) for member, some in groups.items()},
        objects=objects,
        grants=grants,
        roles=tuple(roles.values()),
    )


def objects_of(things: Things) -> dict[str, Object]:
    """By their ids; BadInput for a kind that is none."""
    groups = {one.id: one for one in things.groups}
    parents: dict[str, list[str]] = {}
    results: dict[str, list[str]] = {}
    for name, into in things.members:
        is_found = groups[into].origin is GroupOrigin.DYNAMIC
        (results if is_found else parents).setdefault(name, []).append(into)
    # Most are in the same few places: each is one tuple for all of them.
    same: dict[tuple[str, ...], tuple[str, ...]] = {}
    made = {}
    for one in things.objects:
        above, found = tuple(parents.get(one.id, ())), tuple(results.get(one.id, ()))
        group = groups.get(one.id)
        made[one.id] = Object(
            id=one.id,
            kind=_kind(one.kind),
            name=one.name,
            parents=same.setdefault(above, above),
            results=same.setdefault(found, found),
            owner=one.owner,
            dynamic=group is not None and group.origin is GroupOrigin.DYNAMIC,
            within=group.within if group is not None else None,
        )
    return made


def roles_of(rows: Iterable[RoleRow]) -> dict[str, Role]:
    """The predefined ones and these, each made after those that it includes. BadInput for one that cannot be made."""
    known = {role.name: role for role in PREDEFINED}
    for row in _included_first(list(rows)):
        known[row.name] = read_role(
            row.name,
            row.permissions,
            level=row.level,
            includes=row.includes,
            capabilities=row.capabilities,
            known=known.values(),
        )
    return known


def _included_first(rows: list[RoleRow]) -> Iterator[RoleRow]:
    """What goes in a circle, or includes what is not there, comes last, and is refused by whoever makes it."""
    left = {row.name: row for row in rows}
    while left:
        ready = [row for row in left.values() if left.keys().isdisjoint(row.includes)]
        for row in ready or list(left.values()):
            yield left.pop(row.name)


def _grant(row: GrantRow, roles: Mapping[str, Role]) -> Grant:
    if row.role not in roles:
        raise BadInput(None, f"grant {row.id} of the registry is of role {row.role!r}, which is not there")
    return Grant(
        id=row.id,
        subject=row.subject,
        role=roles[row.role],
        scope=row.scope,
        effect=Effect(row.effect),
        until=row.until,
    )


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        raise BadInput(None, f"the registry holds an object of kind {text!r}", "one that this version wrote") from None
