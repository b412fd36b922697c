"""Changes of groups of machines: static ones, which people fill, and dynamic ones, which a query does.

Each is an edit for ``Registrar.change``. An inventory's own groups are what its file says: they are filled by ``sync``
alone. What must not live here: reading a query (``results``).
"""

from __future__ import annotations

from pusher.access import Kind, result
from pusher.access.permissions import IN_GROUPS
from pusher.models.registry import GroupOrigin, MachineGroupRow, ObjectRow
from pusher.problems import BadInput
from pusher.registry import names
from pusher.registry.change import Draft, Edit
from pusher.registry.objects import drop_grants
from pusher.registry.results import groups_named, read_query, static_names


def add(draft: Draft, name: str, query: str | None = None, within: str | None = None) -> Edit:
    """A static group, or with a query a dynamic one. BadInput where there is one of that name."""
    names.checked_name(name, "a group of machines")
    if any(mark in name for mark in ",!&:"):
        raise BadInput(None, f"a group of machines cannot be called {name!r}", "a name without commas, colons, ! and &")
    thing = names.object_id(Kind.GROUP, name)
    if thing in draft.world.objects:
        raise BadInput(None, f"there is a group {name} already", "another name")
    row = _asked(draft, thing, query, within)
    draft.change.put(ObjectRow(id=thing, kind=Kind.GROUP.value, name=name))
    draft.change.put(row)
    return Edit(object=thing, after=said(row), moved=(thing,))


def change(draft: Draft, group: str, query: str | None, within: str | None) -> Edit | None:
    """Another query of a dynamic group, or another group that its result never leaves; None: as it was."""
    thing = names.machine_group(draft.world, group, dynamic=True)
    before = next(one for one in draft.things.groups if one.id == thing)
    after = _asked(draft, thing, query or before.query, within or before.within)
    if after == before:
        return None
    draft.change.put(after)
    return Edit(object=thing, before=said(before), after=said(after), moved=(thing,))


def put(draft: Draft, thing: str, group: str) -> Edit | None:
    """Put a machine or a group into a static group; None where it is in it."""
    thing, group = _pair(draft, thing, group)
    if (thing, group) in set(draft.things.members):
        return None
    draft.change.put_into([(thing, group)])
    return _moved(draft, thing, {*draft.world.objects[thing].parents, group})


def take(draft: Draft, thing: str, group: str) -> Edit:
    """Take it out again. BadInput where it is not directly in it."""
    thing, group = _pair(draft, thing, group)
    if (thing, group) not in set(draft.things.members):
        there = ", ".join(draft.world.objects[thing].parents) or "a group; it is in none"
        raise BadInput(None, f"{thing} is not directly in {group}", there)
    draft.change.take_out([(thing, group)])
    return _moved(draft, thing, {*draft.world.objects[thing].parents} - {group})


def remove(draft: Draft, group: str) -> Edit:
    """A static or dynamic group, with the grants on it; what was in it stays. BadInput where another group needs it."""
    thing = names.machine_group(draft.world, group)
    row = next(one for one in draft.things.groups if one.id == thing)
    if row.origin is GroupOrigin.INVENTORY:
        raise BadInput(
            None, f"{thing} is a group of an inventory", "a group that is not; the inventory's file is edited"
        )
    _refuse_needed(draft, thing)
    inside = [pair for pair in draft.things.members if thing in pair]
    grants = drop_grants(draft, thing, result(thing))
    draft.change.take_out(inside)
    draft.change.drop(MachineGroupRow, thing)
    draft.change.drop(ObjectRow, thing)
    before = {**said(row), "owner": draft.world.objects[thing].owner, "grants": grants, "held": len(inside)}
    return Edit(object=thing, before=before, moved=(thing,))


def said(row: MachineGroupRow) -> dict[str, object]:
    return {"origin": row.origin.value, "query": row.query, "within": row.within}


def _asked(draft: Draft, thing: str, query: str | None, within: str | None) -> MachineGroupRow:
    if query is None:
        if within is not None:
            raise BadInput(None, "a static group is kept within nothing", "a query, or no other group")
        return MachineGroupRow(id=thing, origin=GroupOrigin.STATIC)
    read_query(query, static_names(draft.things).values())
    kept = names.machine_group(draft.world, within, dynamic=False) if within is not None else None
    return MachineGroupRow(id=thing, origin=GroupOrigin.DYNAMIC, query=query, within=kept)


def _pair(draft: Draft, thing: str, group: str) -> tuple[str, str]:
    found = names.thing(draft.world, thing, tuple(IN_GROUPS))
    into = names.machine_group(draft.world, group, dynamic=False)
    one = draft.world.objects.get(found)
    if one is None or one.kind not in IN_GROUPS:
        raise BadInput(None, f"{found} is in no group", "a machine or a group")
    if next(row for row in draft.things.groups if row.id == into).origin is GroupOrigin.INVENTORY:
        raise BadInput(None, f"{into} is a group of an inventory, whose file says what is in it", "another group")
    return found, into


def _moved(draft: Draft, thing: str, after: set[str]) -> Edit:
    before = draft.world.objects[thing].parents
    return Edit(object=thing, before={"groups": sorted(before)}, after={"groups": sorted(after)}, moved=(thing,))


def _refuse_needed(draft: Draft, thing: str) -> None:
    """A query that names a group which is gone would find something else, perhaps more."""
    known = static_names(draft.things)
    name = known.get(thing, "").lower()
    for one in draft.things.groups:
        if one.within == thing or (one.query is not None and name and name in groups_named(one.query, known.values())):
            raise BadInput(None, f"{thing} is needed by the dynamic group {one.id}", "another query of that first")
