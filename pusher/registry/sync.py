"""An inventory's machines and groups, made those of the registry.

The inventory itself is a group, named after its file; its groups are in that one, ``paris/tier0``. What its file no
longer says is taken out of them. A machine that no inventory has any more is kept, with the grants on it, its owner and
its history, and marked gone.
What must not live here: reading the file (``targets``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pusher.access import Kind
from pusher.models.registry import GroupOrigin, MachineGroupRow, MachineRow, ObjectRow
from pusher.problems import BadInput, Code
from pusher.registry import names
from pusher.registry.change import Draft, Edit, few
from pusher.registry.objects import drop_grants
from pusher.registry.results import groups_named, static_names
from pusher.targets.inventory import Inventory
from pusher.targets.ranges import canonical_name


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What an inventory says, by ids. ``members``: (machine or group, the group that it is directly in)."""

    root: str
    file: str
    groups: Mapping[str, str]
    machines: Mapping[str, MachineRow]
    called: Mapping[str, str]
    members: frozenset[tuple[str, str]] = field(default_factory=frozenset)


def read(inventory: Inventory, path: Path, name: str | None) -> Listed:
    """``name``: what the inventory is called; None: as its file. Its directory groups are expanded already."""
    called = names.checked_name(name or path.stem, "an inventory")
    if "/" in called or any(mark in called for mark in ",!&:"):
        raise BadInput(None, f"an inventory cannot be called {called!r}", "a name without slashes, commas and colons")
    root = names.object_id(Kind.GROUP, called)
    below = _children(inventory)
    groups = {root: called, **{_group(called, one): f"{called}/{one}" for one in inventory.group_names}}
    members = {(_group(called, child), _group(called, group)) for group, some in below.items() for child in some}
    inside = {child for child, _ in members}
    members |= {(one, root) for one in groups if one != root and one not in inside}
    machines, shown = {}, {}
    above = _above(below)
    for selected in inventory.targets():
        target = selected.target
        if selected.decision.code == Code.DUPLICATE:
            continue
        machine = names.object_id(Kind.MACHINE, target.name)
        machines[machine] = MachineRow(id=machine, address=target.address, site=target.site)
        shown[machine] = canonical_name(target.name)
        further = {one for group in target.groups for one in above.get(group, ())}
        direct = [_group(called, group) for group in target.groups if group not in further]
        members |= {(machine, group) for group in direct or [root]}
    return Listed(
        root=root,
        file=str(path.absolute()),
        groups=groups,
        machines=machines,
        called=shown,
        members=frozenset(members),
    )


@dataclass(frozen=True, kw_only=True)
class _Differences:
    """Between an inventory and the registry, by ids. ``before``: what was in the inventory's groups."""

    known: Mapping[str, MachineRow]
    before: frozenset[tuple[str, str]]
    groups_before: int
    put: list[MachineRow]
    added: list[str]
    gone: list[str]
    new_groups: list[str]
    gone_groups: list[str]
    loose: frozenset[tuple[str, str]]

    def moved(self, listed: Listed) -> set[str]:
        some = (self.gone, self.added, self.new_groups, self.gone_groups, (thing for thing, _ in self.loose))
        elsewhere = {thing for thing, _ in self.before ^ listed.members}
        return elsewhere.union((one.id for one in self.put), *some)


def sync(draft: Draft, listed: Listed) -> Edit | None:
    """None where the registry says the same. BadInput where a group of that name is another's."""
    _refuse_another(draft, listed)
    found = _differences(draft, listed)
    moved = found.moved(listed)
    if not moved:
        return None
    _refuse_needed(draft, found.gone_groups)
    grants = _write(draft, listed, found)
    back = sorted(one.id for one in found.put if one.id in found.known and found.known[one.id].gone_at is not None)
    machines = {"added": found.added, "gone": found.gone, "back": back}
    return Edit(
        object=listed.root,
        before={
            "machines": len({thing for thing, _ in found.before if thing in found.known}),
            "groups": found.groups_before,
        },
        after={
            "machines": len(listed.machines),
            "groups": len(listed.groups),
            **{f"{name} count": len(some) for name, some in machines.items()},
            **{name: few(some) for name, some in machines.items()},
            "groups added": few(found.new_groups),
            "groups gone": few(found.gone_groups),
            "grants gone": few(grants),
        },
        moved=moved,
    )


def _differences(draft: Draft, listed: Listed) -> _Differences:
    things = draft.things
    known = {one.id: one for one in things.machines}
    inventories = {one.id for one in things.groups if one.origin is GroupOrigin.INVENTORY}
    mine = {one for one in inventories if one == listed.root or one.startswith(f"{listed.root}/")}
    before = frozenset(pair for pair in things.members if pair[1] in mine)
    elsewhere = {thing for thing, group in things.members if group in inventories - mine}
    left = {thing for thing, _ in before if thing in known} - listed.machines.keys() - elsewhere
    gone_groups = mine - listed.groups.keys()
    return _Differences(
        known=known,
        before=before,
        groups_before=len(mine),
        put=[one for one in listed.machines.values() if known.get(one.id) != one],
        added=sorted(listed.machines.keys() - known.keys()),
        gone=sorted(one for one in left if known[one].gone_at is None),
        new_groups=sorted(listed.groups.keys() - mine),
        gone_groups=sorted(gone_groups),
        loose=frozenset(pair for pair in things.members if not gone_groups.isdisjoint(pair)),
    )


def _write(draft: Draft, listed: Listed, found: _Differences) -> list[str]:
    """The grants that went with groups."""
    change, file = draft.change, listed.file
    change.put(*(_object(one, Kind.GROUP, listed.groups[one]) for one in found.new_groups))
    change.put(*(MachineGroupRow(id=one, origin=GroupOrigin.INVENTORY, file=file) for one in found.new_groups))
    change.put(*(_object(one, Kind.MACHINE, listed.called[one]) for one in found.added))
    change.put(*found.put)
    change.put(*(replace(found.known[one], gone_at=draft.now) for one in found.gone))
    change.take_out((found.before | found.loose) - listed.members)
    change.put_into(listed.members - found.before)
    grants = drop_grants(draft, *found.gone_groups)
    change.drop(MachineGroupRow, *found.gone_groups)
    change.drop(ObjectRow, *found.gone_groups)
    return grants


def _refuse_another(draft: Draft, listed: Listed) -> None:
    for one in draft.things.groups:
        if one.id in listed.groups and (one.origin is not GroupOrigin.INVENTORY or one.file != listed.file):
            from_file = one.origin is GroupOrigin.INVENTORY
            what = f"a group of the inventory {one.file}" if from_file else "a group that no inventory made"
            raise BadInput(None, f"{one.id} is {what}", "another name of this inventory: --name")


def _refuse_needed(draft: Draft, gone: list[str]) -> None:
    """What keeps a result within, or a query names, does not go: the result would be another, perhaps more."""
    known = static_names(draft.things)
    for one in draft.things.groups:
        if one.query is None:
            continue
        named = groups_named(one.query, known.values())
        needed = [group for group in gone if group == one.within or known[group].lower() in named]
        if needed:
            raise BadInput(None, f"{needed[0]} is gone from the inventory, and the dynamic group {one.id} needs it",
                           "another query, or no such dynamic group, first")  # fmt: skip


def _object(name: str, kind: Kind, called: str) -> ObjectRow:
    return ObjectRow(id=name, kind=kind.value, name=called)


def _group(inventory: str, group: str) -> str:
    return names.object_id(Kind.GROUP, f"{inventory}/{group}")


def _children(inventory: Inventory) -> dict[str, list[str]]:
    return {group.name: [child.text for child in group.children] for group in inventory.parsed.groups if group.name}


def _above(below: Mapping[str, list[str]]) -> dict[str, set[str]]:
    """Of each group all that it is in, however far; the inventory has refused circles."""
    above: dict[str, set[str]] = {}
    todo = [(child, group) for group, some in below.items() for child in some]
    while todo:
        child, group = todo.pop()
        if group not in above.setdefault(child, set()):
            above[child].add(group)
            todo += [(one, group) for one in below.get(child, ())]
    return above
