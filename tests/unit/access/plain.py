"""The rules once more, read from their table and not from the code: slow, literal, no index and nothing shared with it.

Every question walks the whole world. Of the room it uses the values only, and of a role its own fields.
"""

from __future__ import annotations

from datetime import datetime

from pusher.access import SERVER, Effect, Grant, Object, Permission, Role, Token, World

SIGNS_IN = {"machine.push", "machine.remove", "account.test"}


def kind_of(permission: str) -> str:
    return permission.split(".")[0]


def gives(role: Role) -> set[str]:
    found = {str(one) for one in role.adds}
    for other in role.includes:
        found |= gives(other)
    return found


def enables(role: Role) -> set[str]:
    found = {str(one) for one in role.capabilities}
    for other in role.includes:
        found |= enables(other)
    return found


def takes(role: Role) -> set[str]:
    """A deny takes what the role adds, and of that no view, but where the view is all that it adds."""
    added = {str(one) for one in role.adds}
    for other in role.includes:
        added -= gives(other)
    more_than_view = {one for one in added if not one.endswith(".view")}
    return more_than_view if more_than_view else added


def disables(role: Role) -> set[str]:
    own = {str(one) for one in role.capabilities}
    for other in role.includes:
        own -= enables(other)
    return own


def who(world: World, person: str) -> set[str]:
    """The person and every group they are in: added until nothing is left to add."""
    found = {person}
    while True:
        more = {group for one in found for group in world.members.get(one, ())} - found
        if not more:
            return found
        found |= more


def around(world: World, thing: str) -> set[str]:
    """Every scope that covers it."""
    found = {thing, SERVER}
    if thing == SERVER:
        return found
    one = world.objects[thing]
    if one.kind in {"machine", "group"}:
        for _ in range(len(world.objects) + 1):  # no way up is longer
            for name in list(found):
                here = world.objects.get(name)
                for group in here.parents if here is not None else ():
                    if group in world.objects and world.objects[group].kind == "group":
                        found.add(group)
    if one.kind == "machine":
        static = set(found)
        for group in one.results:
            finder = world.objects.get(group)
            if finder is not None and finder.dynamic and (finder.within is None or finder.within in static):
                found.add("result:" + group)
    return found


def asks_to_see(permission: str, one: Object | None) -> str | None:
    """The view that an act asks for first."""
    if permission.endswith(".view"):
        return None
    if permission.endswith(".create"):
        return "group.view" if one is not None else None
    return kind_of(permission) + ".view"


def in_force(world: World, person: str, now: datetime) -> list[Grant]:
    mine = who(world, person)
    return [one for one in world.grants if one.subject in mine and (one.until is None or now < one.until)]


def may(world: World, person: str, asked: Permission, thing: str, now: datetime, token: Token | None = None) -> bool:
    permission = str(asked)
    one = None if thing == SERVER else world.objects[thing]
    view = asks_to_see(permission, one)
    covered_by = around(world, thing)
    mine = in_force(world, person, now)
    allows = [grant for grant in mine if grant.effect is Effect.ALLOW]
    denies = [grant for grant in mine if grant.effect is Effect.DENY]
    # 1
    if person not in world.people or world.people[person].standing != "enabled":
        return False
    # 2
    if token is not None:
        if permission not in token.permissions:
            return False
        if token.within is not None and kind_of(permission) in {"machine", "group"} and token.within not in covered_by:
            return False
    # 3
    if permission in SIGNS_IN:
        if not any(grant.scope == SERVER and permission in enables(grant.role) for grant in allows):
            return False
        for grant in denies:
            taken = takes(grant.role) | disables(grant.role)
            if grant.scope == SERVER and (permission in taken or kind_of(permission) + ".view" in takes(grant.role)):
                return False
    # 4
    if one is not None and one.owner in who(world, person) and one.kind == kind_of(permission):
        return True
    # 5
    for grant in denies:
        if grant.scope in covered_by and (permission in takes(grant.role) or view in takes(grant.role)):
            return False
    # 6
    if view is not None and not may(world, person, Permission(view), thing, now):
        return False
    # 7 and 8
    return any(grant.scope in covered_by and permission in gives(grant.role) for grant in allows)
