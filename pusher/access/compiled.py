"""All questions about access, answered by one value, so that the answers cannot disagree.

``compiled`` makes an ``Access`` of the world at a moment. It holds good until the world changes, or until
``good_until``, when the next grant ends. What else the room says (reasons, guards, what remains) asks it, and decides
nothing about access by itself.
What must not live here: the rules (``decide``), and a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from pusher.access.decide import Answer, Reach, decide, where
from pusher.access.permissions import Kind, Permission, view_of
from pusher.access.places import Place, Places
from pusher.access.world import SERVER, Effect, Grant, Person, Standing, Token, World
from pusher.models.conditions import Condition
from pusher.problems import BadInput


@dataclass(frozen=True, kw_only=True)
class Access:
    """``at``: the moment it speaks of. ``lasting``: only allows that do not end before this count; for who gives away
    what they hold. ``grants``: those in force, by subject.
    """

    world: World
    at: datetime
    lasting: datetime
    places: Places
    grants: Mapping[str, tuple[Grant, ...]]

    def may(self, person: str, permission: Permission, thing: str = SERVER, token: Token | None = None) -> Answer:
        """Whether the person may do it to the object, or to the server; ``token``: by that token.

        BadInput where there is no such object, or where the permission is not asked of its kind.
        """
        return decide(self.reach(person, permission), self.place(thing, permission), token)

    def where(self, person: str, permission: Permission, token: Token | None = None) -> Condition:
        """The objects that the person may do it to, as a condition on their rows. BadInput as ``may``."""
        _check_of_objects(permission)
        return where(self.reach(person, permission), token)

    def which(self, person: str, permission: Permission, token: Token | None = None) -> Iterator[str]:
        """The same objects by their ids, in the order of the world. BadInput as ``may``."""
        _check_of_objects(permission)
        reach = self.reach(person, permission)
        named = reach.scopes | ({token.within} if token is not None else set())
        known: dict[tuple[object, ...], bool] = {}
        for name in self.places.of_kind.get(permission.kind, ()):
            one = self.world.objects[name]
            # What is in the same groups and has the same owner is answered alike, where no grant names it.
            like = (name,) if name in named else (one.parents, one.results, one.owner)
            if like not in known:
                known[like] = decide(reach, self.places.of(name), token).allowed
            if known[like]:
                yield name

    def anywhere(self, person: str, permission: Permission) -> bool:
        """Whether there is the server or any object that the person may do it to."""
        if self.may(person, permission).allowed:
            return True
        reach = self.reach(person, permission)
        if reach.lacks_capability:
            return False
        inside = (n for scope in reach.allow for n in self.places.inside(scope, permission.asked_of))
        owned = (n for subject in reach.subjects for n in self.places.owned.get(subject, ()))
        places = map(self.places.of, (*owned, *inside))
        return any(decide(reach, one).allowed for one in places if self.is_asked_of(permission, one))

    def place(self, thing: str, permission: Permission) -> Place:
        """The place of what a permission is asked of. BadInput as ``may``."""
        if thing != SERVER and thing not in self.world.objects:
            raise BadInput(None, f"there is no object {thing!r}")
        place = self.places.of(thing)
        if not self.is_asked_of(permission, place):
            raise BadInput(None, f"{permission} is not asked of {self.world.label(thing)}", _asked_of(permission))
        return place

    def is_asked_of(self, permission: Permission, place: Place) -> bool:
        """The server may be asked of everything; an object of its own kind; a static group of what it shall hold."""
        if place.kind is None:
            return True
        if permission.creates:
            return permission.asked_of is Kind.GROUP is place.kind and not self.world.objects[place.id].dynamic
        return place.kind is permission.kind and permission.kind not in _ONLY_ON_THE_SERVER

    def reach(self, person: str, permission: Permission) -> Reach:
        """What bears on a person and a permission. A person who is not known is disabled."""
        key = person, permission
        if key not in self._reaches:
            self._reaches[key] = self._reach(person, permission, self.grants_of(person))
        return self._reaches[key]

    def with_grant(self, reach: Reach, grant: Grant) -> Reach:
        """What would bear on them if they had one grant more."""
        return self._reach(reach.person, reach.permission, (*self.grants_of(reach.person), grant))

    def subjects(self, name: str) -> frozenset[str]:
        """A person or a group of people, and all groups that they are in, at whatever depth."""
        if name not in self._subjects:
            found, todo = {name}, [name]
            while todo:
                new = self.world.members.get(todo.pop(), frozenset()) - found
                found |= new
                todo += new
            self._subjects[name] = frozenset(found)
        return self._subjects[name]

    def grants_of(self, name: str) -> tuple[Grant, ...]:
        """The grants in force to a person or a group, and to all groups they are in."""
        return tuple(grant for subject in sorted(self.subjects(name)) for grant in self.grants.get(subject, ()))

    def through(self, end: datetime) -> Access:
        """The same, but only what is allowed at least until then counts as allowed."""
        if end <= self.lasting:
            return self
        if end not in self._lasting:
            self._lasting[end] = _access(self.world, self.at, end, self.places)
        return self._lasting[end]

    @cached_property
    def good_until(self) -> datetime | None:
        """When the next grant ends; None where none does. Until then the answers are the same for the same world."""
        return min((one.until for some in self.grants.values() for one in some if one.until is not None), default=None)

    @cached_property
    def _reaches(self) -> dict[tuple[str, Permission], Reach]:
        return {}

    @cached_property
    def _lasting(self) -> dict[datetime, Access]:
        return {}

    @cached_property
    def _subjects(self) -> dict[str, frozenset[str]]:
        return {}

    def _reach(self, person: str, permission: Permission, grants: Iterable[Grant]) -> Reach:
        grants = tuple(grants)
        of = _view_first(permission)
        view = self._reach(person, of, grants) if of is not None else None
        allow: dict[str, Grant] = {}
        deny: dict[str, Grant] = {}
        gives = takes = None
        for grant in grants:
            role, everywhere = grant.role, grant.scope == SERVER
            if grant.effect is Effect.ALLOW:
                if permission in role.permissions:
                    allow.setdefault(grant.scope, grant)
                if everywhere and permission in role.all_capabilities:
                    gives = gives or grant
                continue
            if permission in role.denies:
                deny.setdefault(grant.scope, grant)
            if everywhere and (permission in role.denies_capabilities or not role.denies.isdisjoint((permission, of))):
                takes = takes or grant
        known = self.world.people.get(person, Person(id=person, standing=Standing.DISABLED))
        return Reach(
            person=person,
            permission=permission,
            standing=known.standing,
            subjects=self.subjects(person),
            allow=allow,
            deny=deny,
            capability=gives,
            capability_denied=takes,
            view=view,
        )


def compiled(world: World, at: datetime) -> Access:
    """All that can be asked of a world at a moment (aware)."""
    return _access(world, at, at, Places(objects=world.objects))


def _access(world: World, at: datetime, lasting: datetime, places: Places) -> Access:
    grants: dict[str, list[Grant]] = {}
    for one in world.grants:
        if one.ends > at and (one.effect is Effect.DENY or one.ends >= lasting):
            grants.setdefault(one.subject, []).append(one)
    held = {subject: tuple(some) for subject, some in grants.items()}
    return Access(world=world, at=at, lasting=lasting, places=places, grants=held)


_ONLY_ON_THE_SERVER = frozenset({Kind.PERSON, Kind.ROLE, Kind.AUDIT, Kind.SETTINGS})


def _check_of_objects(permission: Permission) -> None:
    if permission.kind in _ONLY_ON_THE_SERVER or permission.creates:
        raise BadInput(None, f"{permission} is asked of no {permission.kind} that is there")


def _view_first(permission: Permission) -> Permission | None:
    """The view that a permission asks for first: of the kind that it is asked of."""
    if permission.is_view or (permission.creates and permission.asked_of is not Kind.GROUP):
        return None
    return view_of(permission.asked_of)


def _asked_of(permission: Permission) -> str:
    """What it is asked of, in words."""
    if permission.kind in _ONLY_ON_THE_SERVER or (permission.creates and permission.asked_of is not Kind.GROUP):
        return "the server"
    return "the server or a static group" if permission.creates else f"the server or a {permission.kind}"
