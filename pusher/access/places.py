"""Where objects are: which scopes cover one, which objects a scope covers. An index, made once for many questions.

What must not live here: grants, people and what follows from them (``compiled``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pusher.access.permissions import IN_GROUPS, Kind
from pusher.access.world import RESULT, SERVER, Object, result


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What is asked about. ``scopes``: all that cover it, the nearest first, the server last.

    ``kind`` is None for the server itself.
    """

    id: str
    kind: Kind | None
    scopes: tuple[str, ...]
    owner: str | None = None


WHOLE_SERVER = Place(id=SERVER, kind=None, scopes=(SERVER,))


@dataclass(frozen=True, kw_only=True)
class Places:
    objects: Mapping[str, Object]

    def of(self, name: str) -> Place:
        """The place of an object or of the server. KeyError where there is none of that id."""
        found = self._found.get(name)
        if found is None:
            one = self.objects[name]
            found = Place(id=name, kind=one.kind, owner=one.owner, scopes=(*self._covering(one), SERVER))
            self._found[name] = found
        return found

    def newcomer(self, scope: str) -> tuple[str, ...]:
        """The scopes that will cover whatever joins a scope later, the server last. KeyError where it is none."""
        if scope == SERVER:
            return (SERVER,)
        if not scope.startswith(RESULT):
            return self.of(scope).scopes
        within = self.objects[scope.removeprefix(RESULT)].within
        return (scope, *(self._above(within) if within is not None else ()), SERVER)

    def inside(self, scope: str, kind: Kind) -> tuple[str, ...]:
        """The objects of a kind that a scope covers, the scope itself among them."""
        if scope == SERVER:
            return self.of_kind.get(kind, ())
        return tuple(name for name in self._inside.get(scope, ()) if self.objects[name].kind is kind)

    def results_within(self, groups: Iterable[str]) -> tuple[str, ...]:
        """The results that never leave one of the groups: what is put into it may be found by them."""
        covering = frozenset(groups)
        return tuple(result(one.id) for one in self._dynamic if one.within in covering)

    def covers(self) -> Iterator[tuple[str, str]]:
        """The closure: each scope with each object it covers, but for the server, which covers everything."""
        for name, one in self.objects.items():
            for scope in self._covering(one):
                yield scope, name

    @cached_property
    def of_kind(self) -> Mapping[Kind, tuple[str, ...]]:
        found: dict[Kind, list[str]] = {}
        for name, one in self.objects.items():
            found.setdefault(one.kind, []).append(name)
        return {kind: tuple(names) for kind, names in found.items()}

    @cached_property
    def owned(self) -> Mapping[str, tuple[str, ...]]:
        """Of each owner, what is theirs."""
        found: dict[str, list[str]] = {}
        for name, one in self.objects.items():
            if one.owner is not None:
                found.setdefault(one.owner, []).append(name)
        return {owner: tuple(names) for owner, names in found.items()}

    @cached_property
    def _dynamic(self) -> tuple[Object, ...]:
        return tuple(one for one in self.objects.values() if one.dynamic)

    @cached_property
    def _inside(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for scope, name in self.covers():
            found.setdefault(scope, []).append(name)
        return {scope: tuple(names) for scope, names in found.items()}

    @cached_property
    def _found(self) -> dict[str, Place]:
        return {SERVER: WHOLE_SERVER}

    @cached_property
    def _known(self) -> dict[str, tuple[str, ...]]:
        return {}

    @cached_property
    def _together(self) -> dict[tuple[object, ...], tuple[str, ...]]:
        return {}

    def _above(self, group: str) -> tuple[str, ...]:
        """A static group and all that it is in, the nearest first; a circle is gone round once."""
        if group not in self._known:
            found: dict[str, None] = {}
            todo = [group]
            while todo:
                at = todo.pop(0)
                one = self.objects.get(at)
                if at not in found and one is not None and one.kind is Kind.GROUP:
                    found[at] = None
                    todo += one.parents
            self._known[group] = tuple(found)
        return self._known[group]

    def _covering(self, one: Object) -> tuple[str, ...]:
        """The thing itself, and what covers whatever is where it is: worked out once for all that are there."""
        where = one.kind, one.parents, one.results
        if where not in self._together:
            found = dict.fromkeys(scope for group in one.parents for scope in self._above(group))
            if one.kind is Kind.MACHINE:
                found |= dict.fromkeys(result(group) for group in one.results if self._may_find(group, found))
            self._together[where] = tuple(found) if one.kind in IN_GROUPS else ()
        around = self._together[where]
        return (one.id, *around) if one.kind is not Kind.GROUP else tuple(dict.fromkeys((one.id, *around)))

    def _may_find(self, group: str, around: Mapping[str, None]) -> bool:
        """A result never leaves its ``within``, whatever was written into it last."""
        one = self.objects.get(group)
        return one is not None and one.dynamic and (one.within is None or one.within in around)
