"""What a person holds over a scope, what a grant gives there, and what the end of a deny would give back.

To hold a permission over a scope is to have it on all that the scope covers now, and on whatever joins it later: by an
allow that covers the scope itself; or, of what is owned, on the thing and everything of its kind that is in it.
What must not live here: which change asks for what (``guards``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pusher.access.compiled import Access
from pusher.access.decide import Reach, decide
from pusher.access.permissions import ALL, IN_GROUPS, OUTWARD, Kind, Permission, view_of
from pusher.access.places import WHOLE_SERVER, Place
from pusher.access.roles import Role
from pusher.access.world import RESULT, SERVER, Grant, Standing, World


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Part:
    """A permission over a scope, or with ``capability`` that of an outward act, which is the server's alone."""

    permission: Permission
    scope: str = SERVER
    capability: bool = False

    def __str__(self) -> str:
        return f"the capability {self.permission}" if self.capability else f"{self.permission} on {self.scope}"


def given(world: World, role: Role, scope: str) -> Iterator[Part]:
    """All that an allow of the role gives on a scope."""
    for permission in _fitting(world, role.permissions, scope):
        yield Part(permission=permission, scope=scope)
    if scope == SERVER:
        for permission in sorted(role.all_capabilities):
            yield Part(permission=permission, capability=True)


def given_back(world: World, role: Role, scope: str) -> Iterator[Part]:
    """All that may come back when a deny of the role on a scope ends: what it took, and where it took the view, all."""
    taken = {one for one in ALL if one in role.denies or _sees(one) in role.denies}
    for permission in _fitting(world, taken, scope):
        yield Part(permission=permission, scope=scope)
    if scope == SERVER:
        for permission in sorted(OUTWARD & (taken | role.denies_capabilities)):
            yield Part(permission=permission, capability=True)


def owned(access: Access, thing: str) -> Iterator[Part]:
    """All that the owner of an object has."""
    place = access.places.of(thing)
    for permission in sorted(ALL):
        if permission.kind is place.kind and access.is_asked_of(permission, place):
            yield Part(permission=permission, scope=thing)


def lacking(access: Access, person: str, parts: Iterable[Part], through: datetime) -> Iterator[Part]:
    """Those of the parts that the person does not hold until then at least."""
    then = access.through(through)
    return (part for part in parts if not holds(then, person, part))


def holds(access: Access, person: str, part: Part) -> bool:
    """Whether the person holds it, over all that its scope covers now and later."""
    reach = access.reach(person, part.permission)
    if reach.standing is not Standing.ENABLED or reach.lacks_capability:
        return False
    if part.capability:
        return True
    if all(decide(reach, one).allowed for one in _newcomers(access, part)):
        # Whoever joins is covered by an allow; only a deny further in can take it from what is there.
        return all(decide(reach, one).allowed for one in _denied_inside(access, reach, part.scope))
    return _owns(access, reach, part.scope)


def _newcomers(access: Access, part: Part) -> Iterator[Place]:
    """What may join the scope: nobody's, and covered by nothing but what covers the scope."""
    scopes = access.places.newcomer(part.scope)
    yield Place(id=part.scope, kind=part.permission.asked_of, scopes=scopes)
    if part.scope == SERVER:
        yield WHOLE_SERVER


def _denied_inside(access: Access, reach: Reach, scope: str) -> Iterator[Place]:
    for denied in dict.fromkeys((*reach.deny, *(reach.view.deny if reach.view is not None else ()))):
        for name in access.places.inside(denied, reach.permission.asked_of):
            place = access.places.of(name)
            if scope in place.scopes and access.is_asked_of(reach.permission, place):
                yield place


def _owns(access: Access, reach: Reach, scope: str) -> bool:
    """Whether the scope is an object that the permission is asked of, and they have it there and on all inside."""
    if scope not in access.world.objects or not access.is_asked_of(reach.permission, access.places.of(scope)):
        return False
    inside = map(access.places.of, access.places.inside(scope, reach.permission.asked_of))
    return all(decide(reach, one).allowed for one in inside if access.is_asked_of(reach.permission, one))


def _fitting(world: World, permissions: Iterable[Permission], scope: str) -> list[Permission]:
    """Those that are asked of anything that the scope covers."""
    return sorted(one for one in permissions if scope == SERVER or _fits(world, one, scope))


def _fits(world: World, permission: Permission, scope: str) -> bool:
    if scope.startswith(RESULT):
        return permission.asked_of is Kind.MACHINE
    here = world.objects.get(scope)
    if here is None:
        return False
    if here.kind is Kind.GROUP and not here.dynamic:
        return permission.kind in IN_GROUPS
    return permission.kind is here.kind and not permission.creates


def _sees(permission: Permission) -> Permission | None:
    """The view without which the permission is refused."""
    return None if permission.creates and permission.kind not in IN_GROUPS else view_of(permission.asked_of)


def in_force(access: Access, scopes: Iterable[str]) -> Iterator[Grant]:
    """The grants to anybody on any of the scopes."""
    wanted = frozenset(scopes)
    return (grant for some in access.grants.values() for grant in some if grant.scope in wanted)
