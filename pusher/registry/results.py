"""What dynamic groups find: their queries over the machines that there are now.

A query is written as ``--limit``: a glob on names, ``group:NAME``, ``site:NAME``, ``~REGEX``, commas between, ``!`` and
``&`` before. It speaks of static groups alone, so that no result depends on another.
What must not live here: what follows from being found (``access``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from pusher.access import result
from pusher.access.permissions import IN_GROUPS
from pusher.access.places import Places
from pusher.models import Source, Target
from pusher.models.registry import GroupOrigin, MachineGroupRow, Things
from pusher.problems import BadInput
from pusher.store.registry_change import RegistryChange
from pusher.targets.selection import Selector, Subject, parse_selector

_QUERY = Source(file="--query")


def read_query(query: str, groups: Iterable[str]) -> Selector:
    """The query, understood; ``groups``: the names of the static groups. BadInput where it cannot be read."""
    known = {name.lower(): name for name in groups}
    try:
        selector = parse_selector(query, None, tuple(known.values()))
    except BadInput as error:
        raise BadInput(_QUERY, error.found, error.expected) from error
    for _, _, term in selector.terms:
        if term.subject is Subject.GROUP and term.literal is not None and term.literal not in known:
            expected = ", ".join(sorted(known.values())) or "a static group; there is none"
            raise BadInput(_QUERY, f"the group {term.literal!r} is not there", expected)
    return selector


def groups_named(query: str, groups: Iterable[str]) -> frozenset[str]:
    """The static groups that a query names outright, in lower case."""
    terms = read_query(query, groups).terms
    return frozenset(term.literal for _, _, term in terms if term.subject is Subject.GROUP and term.literal is not None)


def static_names(things: Things) -> dict[str, str]:
    """The names of the static groups by their ids."""
    static = {one.id for one in things.groups if one.origin is not GroupOrigin.DYNAMIC}
    return {one.id: one.name for one in things.objects if one.id in static}


def covered(places: Places, things: Iterable[str]) -> frozenset[str]:
    """The things, and all objects that they cover or find."""
    inside = (name for thing in things for scope in (thing, result(thing)) for kind in IN_GROUPS
              for name in places.inside(scope, kind))  # fmt: skip
    return frozenset((*things, *inside))


def refresh_results(
    change: RegistryChange, things: Things, places: Places, moved: frozenset[str], affected: frozenset[str]
) -> tuple[Things, frozenset[str]]:
    """With what each dynamic group finds now, written where it differs; and the machines of which it does.

    One that is itself among ``moved`` is asked of all machines, any other of those among ``affected``.
    """
    dynamic = [one for one in things.groups if one.origin is GroupOrigin.DYNAMIC]
    anew = {one.id for one in dynamic if one.id in moved}
    ids = {one.id for one in dynamic}
    before = {(name, group) for name, group in things.members if group in ids and (group in anew or name in affected)}
    after = set(_found(dynamic, things, places, anew, affected)) if dynamic else set()
    if before == after:
        return things, frozenset()
    change.take_out(before - after)
    change.put_into(after - before)
    found = replace(things, members=tuple(sorted((set(things.members) - before) | after)))
    return found, frozenset(name for name, _ in before ^ after)


def _found(
    dynamic: Iterable[MachineGroupRow],
    things: Things,
    places: Places,
    anew: Collection[str],
    affected: frozenset[str],
) -> Iterator[tuple[str, str]]:
    names = static_names(things)
    targets = dict(_targets(things, places, names, None if anew else affected))
    for group in dynamic:
        selector = read_query(group.query or "", names.values())
        within = names.get(group.within) if group.within is not None else None
        for machine in targets if group.id in anew else affected & targets.keys():
            target = targets[machine]
            if (group.within is None or within in target.groups) and selector.takes(target):
                yield machine, group.id


def _targets(
    things: Things, places: Places, names: Mapping[str, str], only: Collection[str] | None
) -> Iterator[tuple[str, Target]]:
    """The machines that are not gone, as a selector looks at them; None: all of them."""
    called = {one.id: one.name for one in things.objects}
    for one in things.machines:
        if one.gone_at is None and (only is None or one.id in only):
            groups = tuple(names[scope] for scope in places.of(one.id).scopes if scope in names)
            yield one.id, Target(name=called[one.id], address=one.address, site=one.site, groups=groups)
