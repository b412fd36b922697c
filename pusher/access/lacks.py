"""Whether who has part in an act has all that it asks for: asked when a role, a grant or a group is saved, and nightly.

An act that comes to ask for more, as after an upgrade, leaves people with a button that can only refuse:
``dead_buttons`` finds them.
What must not live here: what an act asks for (``permissions.NEEDS``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pusher.access.compiled import Access
from pusher.access.permissions import ACTS, NEEDS, Act, Need, Permission, view_of
from pusher.access.roles import Level, Role
from pusher.access.world import Standing

Needs = Mapping[Act, Iterable[Need]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A permission that an act asks for; with ``capability``, that of the act itself."""

    permission: Permission
    capability: bool = False

    def __str__(self) -> str:
        return f"the capability {self.permission}" if self.capability else str(self.permission)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortfall:
    """``missing``: what the act asks for and the role has not. ``by_design``: the same, but another role gives it.

    A role of the server leaves the machines to roles on objects, as Operator does to Pusher; a role on objects leaves
    all but the view of its object to a role of the server.
    """

    missing: tuple[Missing, ...] = ()
    by_design: tuple[Missing, ...] = ()


def lacks(role: Role, act: Act, needs: Needs = NEEDS) -> Shortfall:
    """What a role lacks of an act that it has part in; nothing, where it has none."""
    does = ACTS[act]
    if does not in role.permissions | role.all_capabilities:
        return Shortfall()
    short = [Missing(permission=one.permission) for one in needs[act] if one.permission not in role.permissions]
    if does not in role.all_capabilities:
        short.append(Missing(permission=does, capability=True))
    view = Missing(permission=view_of(does.kind))
    left = {view, Missing(permission=does)} if role.level is not Level.OBJECT else {one for one in short if one != view}
    return Shortfall(
        missing=tuple(one for one in short if one not in left), by_design=tuple(one for one in short if one in left)
    )


def never(access: Access, person: str, act: Act, needs: Needs = NEEDS) -> tuple[Missing, ...]:
    """What an act asks for and nothing at all gives the person, on any object there is."""
    short = [Missing(permission=one.permission) for one in needs[act] if not _ever(access, person, one)]
    if access.reach(person, ACTS[act]).lacks_capability:
        short.append(Missing(permission=ACTS[act], capability=True))
    return tuple(short)


def dead_buttons(
    access: Access, act: Act, needs: Needs = NEEDS, people: Iterable[str] | None = None
) -> dict[str, tuple[Missing, ...]]:
    """The people who were given part in an act, and for whom it can only be refused, with what they lack.

    ``people``: only those of them; None: all there are.
    """
    found = {}
    for name in access.world.people if people is None else people:
        one, reach = access.world.people[name], access.reach(name, ACTS[act])
        if one.standing is Standing.ENABLED and (reach.allow or reach.capability is not None):
            short = never(access, name, act, needs)
            if short:
                found[name] = short
    return found


def _ever(access: Access, person: str, need: Need) -> bool:
    if need.server:
        return access.may(person, need.permission).allowed
    reach = access.reach(person, need.permission)
    if reach.lacks_capability:  # told by itself: here it is asked what else there is
        theirs = (thing for one in reach.subjects for thing in access.places.owned.get(one, ()))
        return bool(reach.allow) or any(access.world.objects[one].kind is need.permission.kind for one in theirs)
    return access.anywhere(person, need.permission)
