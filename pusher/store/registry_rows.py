"""The registry's rows, read as the nouns that they are. What must not live here: changing any (``registry_change``)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from pusher.models.registry import (
    GrantRow,
    GroupOrigin,
    MachineGroupRow,
    MachineRow,
    ObjectRow,
    PeopleGroupRow,
    PersonRow,
    RegisteredPackageRow,
    RoleRow,
    Subjects,
    Things,
)
from pusher.store import registry_schema as schema


def read_number(connection: Connection) -> int:
    """The number that every change raises."""
    return int(connection.execute(select(schema.access_version.c.number)).scalar_one())


def read_subjects(connection: Connection) -> Subjects:
    """Who there is and what they were given, each list in the order of its keys."""
    return Subjects(
        people=tuple(PersonRow(**row) for row in _all(connection, schema.people)),
        groups=tuple(PeopleGroupRow(**row) for row in _all(connection, schema.people_groups)),
        memberships=_pairs(connection, schema.memberships.c.member, schema.memberships.c.in_group),
        roles=read_roles(connection),
        grants=tuple(GrantRow(**row) for row in _all(connection, schema.grants)),
    )


def read_roles(connection: Connection) -> tuple[RoleRow, ...]:
    """The newest version of each custom role that is not gone."""
    table = schema.roles
    newest = select(table.c.name, func.max(table.c.version).label("version")).group_by(table.c.name).subquery()
    query = (
        select(table)
        .join(newest, (newest.c.name == table.c.name) & (newest.c.version == table.c.version))
        .where(table.c.removed == 0)
        .order_by(table.c.name)
    )
    return tuple(role_of(row) for row in connection.execute(query).mappings())


def role_of(row: Any) -> RoleRow:
    return RoleRow(
        name=row["name"],
        version=row["version"],
        level=row["level"],
        permissions=tuple(row["permissions"]),
        includes=tuple(row["includes"]),
        capabilities=tuple(row["capabilities"]),
    )


def read_things(connection: Connection) -> Things:
    """All objects and where they are, each list in the order of its keys."""
    # By position: of tens of thousands of rows, names would be the most of the cost.
    objects, machines = schema.objects, schema.known_machines
    query = select(objects.c.id, objects.c.kind, objects.c.name, objects.c.owner).order_by(objects.c.id)
    known = select(machines.c.id, machines.c.address, machines.c.site, machines.c.gone_at).order_by(machines.c.id)
    return Things(
        objects=tuple(ObjectRow(id=i, kind=k, name=n, owner=o) for i, k, n, o in connection.execute(query).all()),
        machines=tuple(
            MachineRow(id=i, address=address, site=site, gone_at=gone)
            for i, address, site, gone in connection.execute(known).all()
        ),
        groups=tuple(
            MachineGroupRow(**{**row, "origin": GroupOrigin(row["origin"])})
            for row in _all(connection, schema.machine_groups)
        ),
        members=_pairs(connection, schema.members.c.object, schema.members.c.in_group),
        packages=tuple(RegisteredPackageRow(**row) for row in _all(connection, schema.registered_packages)),
    )


def _all(connection: Connection, table: Any) -> list[dict[str, Any]]:
    query: Select[Any] = select(table).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(query).mappings()]


def _pairs(connection: Connection, one: Any, other: Any) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in connection.execute(select(one, other).order_by(one, other)).all())
