"""A world of the access tests as rows of the registry's own tables, whatever is in it."""

from __future__ import annotations

from sqlalchemy import delete

from pusher.access import PREDEFINED, SERVER, World
from pusher.models.registry import (
    GrantRow,
    GroupOrigin,
    MachineGroupRow,
    ObjectRow,
    PeopleGroupRow,
    PersonRow,
    RoleRow,
)
from pusher.store import Store, registry_schema
from pusher.store.registry_change import RegistryChange
from tests.unit.access import plain
from tests.unit.access.worlds import NOW

_TABLES = (registry_schema.memberships, registry_schema.people, registry_schema.people_groups, registry_schema.roles,
           registry_schema.grants, registry_schema.members, registry_schema.covers, registry_schema.machine_groups,
           registry_schema.objects)  # fmt: skip


def fill(store: Store, of: World) -> None:
    """The closure is the plain model's, not the one that the registry would write."""
    with store._database.engine.begin() as connection:
        for table in _TABLES:
            connection.execute(delete(table))
    store.registry.change(lambda change: _write(change, of))


def _write(change: RegistryChange, of: World) -> None:
    change.put(*(PersonRow(id=one.id, name=one.name, standing=one.standing.value) for one in of.people.values()))
    change.put(*(PeopleGroupRow(id=one.id, name=one.name) for one in of.groups.values()))
    change.join((member, group) for member, groups in of.members.items() for group in groups)
    for role in of.roles:
        if role not in PREDEFINED:
            change.save_role(RoleRow(
                name=role.name, version=change.next_version(role.name), level=role.level.value,
                permissions=tuple(role.adds), includes=tuple(one.name for one in role.includes),
                capabilities=tuple(role.capabilities),
            ))  # fmt: skip
    change.put(*(GrantRow(id=one.id, subject=one.subject, role=one.role.name, effect=one.effect.value, scope=one.scope,
                          until=one.until, made_by="root", made_at=NOW) for one in of.grants))  # fmt: skip
    change.put(*(ObjectRow(id=one.id, kind=one.kind.value, name=one.name or one.id, owner=one.owner)
                 for one in of.objects.values()))  # fmt: skip
    change.put(*(
        MachineGroupRow(id=one.id, origin=GroupOrigin.DYNAMIC if one.dynamic else GroupOrigin.STATIC,
                        query="*" if one.dynamic else None, within=one.within)
        for one in sorted(of.objects.values(), key=lambda one: one.dynamic) if one.kind == "group"
    ))  # fmt: skip
    change.put_into((one.id, group) for one in of.objects.values() for group in (*one.parents, *one.results))
    change.cover(((scope, name) for name in of.objects for scope in plain.around(of, name) - {SERVER}), ())
    change.raise_number()
