"""Whether a world fits together: asked of what it would be, before a change is kept. The first fault is one sentence.

Deciding needs none of this: what does not fit gives nothing to anybody, and a circle is gone round once. But what
cannot have been meant is refused when it is written, and nothing is changed.
What must not live here: who may make the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from pusher.access.permissions import IN_GROUPS, Kind
from pusher.access.roles import Level
from pusher.access.world import RESULT, SERVER, Grant, Object, World
from pusher.problems import BadInput


def check_world(world: World, *, objects: bool = True) -> None:
    """Raises BadInput for the first thing in it that cannot be: circles of groups, and names of nobody and nothing.

    ``objects``: False where they are those of a world that was checked, so that only the rest of it may be wrong.
    """
    for name in (*world.people, *world.groups):
        if name in world.people and name in world.groups:
            raise BadInput(None, f"{name} is a person and a group of people", "one of them")
    for member, groups in world.members.items():
        _known_subject(world, member, "a member of a group")
        for group in sorted(groups - world.groups.keys()):
            raise BadInput(None, f"{world.label(member)} is put into {group!r}", "a group of people that there is")
    _no_circle(world, world.members)
    if objects:
        for one in world.objects.values():
            _check_object(world, one)
        _no_circle(world, {name: one.parents for name, one in world.objects.items() if one.kind is Kind.GROUP})
    for grant in world.grants:
        _check_reference(world, grant)


def check_grant(world: World, grant: Grant, now: datetime) -> None:
    """Raises BadInput for a new grant that cannot be, or that gives or takes nothing.

    To nobody; on nothing; of a role that is not given there, or that there is not; over before it begins; under an id
    that is taken.
    """
    _check_reference(world, grant)
    role = grant.role
    wrong = Level.OBJECT if grant.scope == SERVER else Level.SERVER
    if role not in world.roles:
        raise BadInput(None, f"there is no role {role.name!r}", ", ".join(one.name for one in world.roles))
    if role.level is wrong:
        places = "on objects, not on the server" if wrong is Level.OBJECT else "on the server, not on objects"
        raise BadInput(None, f"{role.name} is given {places}")
    if role.is_empty:
        raise BadInput(None, f"{role.name} gives nothing")
    if grant.until is not None and grant.until <= now:
        raise BadInput(None, f"the grant ends at {grant.until:%Y-%m-%d %H:%M %Z}, which is past", "a later time")
    if any(grant.id == one.id for one in world.grants):
        raise BadInput(None, f"there is a grant {grant.id!r} already")


def check_owner(world: World, owner: str) -> None:
    """Raises BadInput where an object would belong to nobody there is."""
    _known_subject(world, owner, "an owner")


def _known_subject(world: World, name: str, what: str) -> None:
    if name not in world.people and name not in world.groups:
        raise BadInput(None, f"{name!r} is nobody and cannot be {what}", "a person or a group of people")


def _check_reference(world: World, grant: Grant) -> None:
    _known_subject(world, grant.subject, "given a role")
    if grant.scope.startswith(RESULT):
        found = world.objects.get(grant.scope.removeprefix(RESULT))
        if found is None or not found.dynamic:
            raise BadInput(None, f"{grant.scope!r} is no scope", "the result of a dynamic group")
    elif grant.scope != SERVER and grant.scope not in world.objects:
        raise BadInput(None, f"{grant.scope!r} is no scope", f"{SERVER}, an object, or {RESULT}GROUP")


def _check_object(world: World, one: Object) -> None:
    name = world.label(one.id)
    if one.id == SERVER or one.id.startswith(RESULT):
        raise BadInput(None, f"an object cannot be called {one.id!r}")
    if one.parents and one.kind not in IN_GROUPS:
        raise BadInput(None, f"{name} is a {one.kind} and cannot be in a group")
    for group in one.parents:
        if not _is_group(world, group, dynamic=False):
            raise BadInput(None, f"{name} is put into {group!r}", "a static group")
    if one.results and one.kind is not Kind.MACHINE:
        raise BadInput(None, f"{name} is a {one.kind}, and dynamic groups find machines")
    for group in one.results:
        if not _is_group(world, group, dynamic=True):
            raise BadInput(None, f"{name} is found by {group!r}", "a dynamic group")
    if one.dynamic and one.kind is not Kind.GROUP:
        raise BadInput(None, f"{name} is a {one.kind}, and only groups are dynamic")
    if one.within is not None and not (one.dynamic and _is_group(world, one.within, dynamic=False)):
        raise BadInput(None, f"{name} is kept within {one.within!r}", "a dynamic group, within a static one")


def _is_group(world: World, name: str, *, dynamic: bool) -> bool:
    found = world.objects.get(name)
    return found is not None and found.kind is Kind.GROUP and found.dynamic is dynamic


def _no_circle(world: World, above: Mapping[str, Iterable[str]]) -> None:
    """Raises BadInput with the names on the way round. Each edge is walked once."""
    done: set[str] = set()
    for start in above:
        path: list[str] = []
        todo = [(start, False)]
        while todo:
            at, left = todo.pop()
            if left:
                done.add(path.pop())
            elif at in path:
                round_ = [*path[path.index(at) :], at]
                raise BadInput(None, "a circle of groups: " + ", which is in ".join(map(world.label, round_)))
            elif at not in done:
                path.append(at)
                todo += [(at, True), *((one, False) for one in above.get(at, ()))]
