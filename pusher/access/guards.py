"""Who may change who may do what. Nobody gives what they do not hold, whether by a grant, a role, a group or an owner.

Each guard answers with what the person lacks for a change: nothing means that they may. What they hold must last as
long as what they give. To deny wants no more than to manage access, but the end of a deny gives what it took.

=================== ========================================== ====================================================
change              wants                                      and, over what it reaches
=================== ========================================== ====================================================
``may_grant``       manage-access; server: person.modify       all that an allow gives
``may_revoke``      manage-access; server: person.modify       all that a deny took
``may_put``         assign, on both                            all that grants on the group give
``may_take_out``    assign, on both                            all that denies on the group took
``may_delete``      delete                                     all that denies took of what is in it
``may_find_anew``   modify of the dynamic group                all that grants on its result give, and denies took
``may_give_to``     change-ownership                           all that an owner has
``may_join``        person.modify                              all that the group has
``may_leave``       person.modify                              all that denies to the group took
``may_enable``      person.modify                              all that the person has
``may_change_role`` role.modify                                all that its grants give more, and its denies take less
=================== ========================================== ====================================================

A grant is changed by revoking it and granting another. A token makes none of these changes. Each guard raises KeyError
for an object that is not there, and BadInput for what is not done to its kind: nobody deletes a run.
What must not live here: whether the changed world fits together (``checks``), and making the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pusher.access.compiled import Access, compiled
from pusher.access.holding import Part, given, given_back, in_force, lacking, owned
from pusher.access.permissions import Kind, Permission, read_permission
from pusher.access.roles import SERVER_ADMINISTRATOR, Role, has_part, with_role
from pusher.access.world import FOREVER, RESULT, SERVER, Effect, Grant, Standing, World, result
from pusher.problems import BadInput

Parts = tuple[Part, ...]
P = Permission


def may_grant(access: Access, person: str, grant: Grant) -> Parts:
    """What they lack to make a grant."""
    return _sorted(_to_grant(access, person, grant))


def could_grant(access: Access, person: str, grant: Grant) -> bool:
    """Whether that is nothing: sooner told than all that is lacking."""
    return next(_to_grant(access, person, grant), None) is None


def may_revoke(access: Access, person: str, grant: Grant) -> Parts:
    """What they lack to take a grant away."""
    gives = given_back(access.world, grant.role, grant.scope) if grant.effect is Effect.DENY else ()
    return _sorted(_manage(access, person, grant.scope), lacking(access, person, gives, grant.ends))


def may_put(access: Access, person: str, thing: str, group: str) -> Parts:
    """What they lack to put a machine or a group into a static group."""
    new = set(access.places.of(group).scopes) - set(access.places.of(thing).scopes)
    return _sorted(_assign(access, person, thing, group), _moved(access, person, thing, new, Effect.ALLOW))


def may_take_out(access: Access, person: str, thing: str, group: str) -> Parts:
    """What they lack to take a machine or a group out of a static group."""
    others = (one for one in access.world.objects[thing].parents if one != group and one in access.world.objects)
    kept = {SERVER}.union(*(access.places.of(one).scopes for one in others))
    lost = set(access.places.of(group).scopes) - kept
    return _sorted(_assign(access, person, thing, group), _moved(access, person, thing, lost, Effect.DENY))


def may_find_anew(access: Access, person: str, group: str, within: str | None) -> Parts:
    """What they lack to change the query of a dynamic group, or the static group that its result never leaves.

    ``within``: what it shall be, or is.
    """
    reached = {access.world.objects[group].within or SERVER, within or SERVER}
    lacks = [
        lacking(access, person, _machines(_of_grant(access.world, grant, scope)), grant.ends)
        for grant in in_force(access, (result(group),))
        for scope in reached
    ]
    return _sorted(_may(access, person, P.GROUP_MODIFY, group), *lacks)


def may_give_to(access: Access, person: str, thing: str) -> Parts:
    """What they lack to make somebody else the owner of an object."""
    change = _to("change-ownership", access, thing)
    return _sorted(_may(access, person, change, thing), lacking(access, person, owned(access, thing), FOREVER))


def may_delete(access: Access, person: str, thing: str) -> Parts:
    """What they lack to delete an object; a group goes with all denies that reach what is in it."""
    places = access.places
    lost = set(places.of(thing).scopes) - {SERVER}
    found = (one for one in in_force(access, (result(thing),)) if one.effect is Effect.DENY)
    lacks = [lacking(access, person, given_back(access.world, one.role, one.scope), one.ends) for one in found]
    own = _may(access, person, _to("delete", access, thing), thing)
    return _sorted(own, _moved(access, person, thing, lost, Effect.DENY), *lacks)


def may_join(access: Access, person: str, member: str, group: str) -> Parts:
    """What they lack to put a person, or a group of people, into a group of people."""
    return _people(access, person, access.subjects(group) - access.subjects(member), Effect.ALLOW)


def may_leave(access: Access, person: str, member: str, group: str) -> Parts:
    """What they lack to take a person, or a group of people, out of a group of people."""
    others = access.world.members.get(member, frozenset()) - {group}
    kept = {member}.union(*map(access.subjects, others))
    return _people(access, person, access.subjects(group) - kept, Effect.DENY)


def may_enable(access: Access, person: str, other: str) -> Parts:
    """What they lack to let a person sign in who could not."""
    return _people(access, person, access.subjects(other), Effect.ALLOW)


def may_change_role(access: Access, person: str, new: Role) -> Parts:
    """What they lack to put a role into the place of the one of its name, wherever that is given or included."""
    lacks: list[Iterable[Part]] = [_may(access, person, P.ROLE_MODIFY, SERVER)]
    for grant in (one for some in access.grants.values() for one in some if has_part(one.role, new.name)):
        allows = grant.effect is Effect.ALLOW
        means = given if allows else given_back
        before = set(means(access.world, grant.role, grant.scope))
        after = set(means(access.world, with_role(grant.role, new), grant.scope))
        lacks.append(lacking(access, person, after - before if allows else before - after, grant.ends))
    return _sorted(*lacks)


def administrators(world: World, at: datetime) -> tuple[str, ...]:
    """The people who may do all that a Server Administrator may, everywhere and without an end."""
    access = compiled(world, at).through(FOREVER)
    return tuple(
        name
        for name, one in world.people.items()
        if one.standing is Standing.ENABLED
        and all(access.may(name, asked).allowed for asked in SERVER_ADMINISTRATOR.permissions)
    )


def check_administrators(before: World, after: World, at: datetime) -> None:
    """Raises BadInput for a change, of whatever kind, that leaves nobody who could undo it."""
    last = administrators(before, at)
    if last and not administrators(after, at):
        who = ", ".join(map(before.label, last))
        raise BadInput(None, f"after {who} nobody is left to administer the server", "another administrator first")


def _to_grant(access: Access, person: str, grant: Grant) -> Iterator[Part]:
    yield from _manage(access, person, grant.scope)
    if grant.effect is Effect.ALLOW:
        yield from lacking(access, person, given(access.world, grant.role, grant.scope), grant.ends)


def _sorted(*lacks: Iterable[Part]) -> Parts:
    return tuple(sorted({part for some in lacks for part in some}))


def _may(access: Access, person: str, permission: Permission, thing: str) -> Parts:
    return () if access.may(person, permission, thing).allowed else (Part(permission=permission, scope=thing),)


def _to(action: str, access: Access, thing: str) -> Permission:
    return read_permission(f"{access.world.objects[thing].kind}.{action}")


def _manage(access: Access, person: str, scope: str) -> Parts:
    if scope == SERVER:
        return _may(access, person, P.PERSON_MODIFY, SERVER)
    thing = scope.removeprefix(RESULT)
    return _may(access, person, _to("manage-access", access, thing), thing)


def _assign(access: Access, person: str, thing: str, group: str) -> Parts:
    own = _to("assign", access, thing)
    return (*_may(access, person, own, thing), *_may(access, person, P.GROUP_ASSIGN, group))


def _moved(access: Access, person: str, thing: str, scopes: set[str], effect: Effect) -> Parts:
    """What they lack of what the grants on scopes mean for a thing that they come, or cease, to cover."""
    reached = scopes.union(access.places.results_within(scopes))
    lacks = []
    for grant in in_force(access, reached):
        if grant.effect is effect:
            parts = _of_grant(access.world, grant, thing)
            of = _machines(parts) if grant.scope.startswith(RESULT) else parts
            lacks.append(lacking(access, person, of, grant.ends))
    return _sorted(*lacks)


def _people(access: Access, person: str, subjects: Iterable[str], effect: Effect) -> Parts:
    """What they lack of what grants to some subjects give, or their denies took, and of what is theirs."""
    lacks: list[Iterable[Part]] = [_may(access, person, P.PERSON_MODIFY, SERVER)]
    for subject in subjects:
        for grant in access.grants.get(subject, ()):
            if grant.effect is effect:
                lacks.append(lacking(access, person, _of_grant(access.world, grant, grant.scope), grant.ends))
        if effect is Effect.ALLOW:
            for thing in access.places.owned.get(subject, ()):
                lacks.append(lacking(access, person, owned(access, thing), FOREVER))
    return _sorted(*lacks)


def _of_grant(world: World, grant: Grant, scope: str) -> Iterator[Part]:
    """What a grant gives, or as a deny gives back when it ends, on a scope."""
    return (given if grant.effect is Effect.ALLOW else given_back)(world, grant.role, scope)


def _machines(parts: Iterable[Part]) -> Iterator[Part]:
    """Those of machines: all that a result passes on."""
    return (part for part in parts if part.permission.asked_of is Kind.MACHINE and not part.capability)
