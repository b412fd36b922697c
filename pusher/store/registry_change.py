"""One change of the registry: a transaction that no other change of it runs beside, whichever process makes that.

Here are the writes. What must not live here: whether a change may be made, and what follows from it (the registry,
above the store).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Executable, Table, bindparam, delete, insert, select, update

from pusher.models.registry import (
    GrantRow,
    MachineGroupRow,
    MachineRow,
    ObjectRow,
    Pairs,
    PeopleGroupRow,
    PersonRow,
    RegisteredPackageRow,
    RoleRow,
    Subjects,
    Things,
)
from pusher.store import registry_schema as schema
from pusher.store.audit import Entries
from pusher.store.database import replacing, unless_there
from pusher.store.registry_rows import read_number, read_subjects, read_things

Row = PersonRow | PeopleGroupRow | GrantRow | ObjectRow | MachineRow | MachineGroupRow | RegisteredPackageRow

_TABLES: Mapping[type[Row], Table] = MappingProxyType(
    {
        PersonRow: schema.people,
        PeopleGroupRow: schema.people_groups,
        GrantRow: schema.grants,
        ObjectRow: schema.objects,
        MachineRow: schema.known_machines,
        MachineGroupRow: schema.machine_groups,
        RegisteredPackageRow: schema.registered_packages,
    }
)
_REPLACING = {kind: replacing(table) for kind, table in _TABLES.items()}
_BATCH = 5_000


class RegistryChange:
    """Made with the one row of ``access_version`` locked until the transaction ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # A write first: SQLite begins no transaction for a SELECT.
        connection.execute(update(schema.access_version).values(number=schema.access_version.c.number))
        self.number = read_number(connection)
        self.audit = Entries(connection)

    def subjects(self) -> Subjects:
        return read_subjects(self._connection)

    def things(self) -> Things:
        return read_things(self._connection)

    def covers(self) -> set[tuple[str, str]]:
        """(scope, object) of the closure, as it was last written."""
        rows = self._connection.execute(select(schema.covers.c.scope, schema.covers.c.object))
        return {(scope, thing) for scope, thing in rows.all()}

    def put(self, *rows: Row) -> None:
        """Rows of one kind, each in the place of the one of its id, if there is one."""
        if rows:
            names = [field.name for field in fields(rows[0])]
            statement = _REPLACING[type(rows[0])][self._connection.dialect.name]
            self._many(statement, ({name: getattr(row, name) for name in names} for row in rows))

    def drop(self, kind: type[Row], *ids: str) -> None:
        table = _TABLES[kind]
        self._many(delete(table).where(table.c.id == bindparam("its_id")), ({"its_id": one} for one in ids))

    def join(self, pairs: Pairs) -> None:
        """(person or group of people, group)."""
        self._insert(schema.memberships, ("member", "in_group"), pairs)

    def leave(self, pairs: Pairs) -> None:
        self._delete(schema.memberships, ("member", "in_group"), pairs)

    def put_into(self, pairs: Pairs) -> None:
        """(object, group of machines)."""
        self._insert(schema.members, ("object", "in_group"), pairs)

    def take_out(self, pairs: Pairs) -> None:
        self._delete(schema.members, ("object", "in_group"), pairs)

    def cover(self, added: Pairs, removed: Pairs) -> None:
        """Of the closure: (scope, object)."""
        self._delete(schema.covers, ("scope", "object"), removed)
        self._insert(schema.covers, ("scope", "object"), added)

    def save_role(self, role: RoleRow, *, removed: bool = False) -> None:
        """As a version of its own: the one of this number must not be there."""
        values = {field.name: getattr(role, field.name) for field in fields(role)}
        self._connection.execute(insert(schema.roles), {**values, "removed": int(removed)})

    def next_version(self, role: str) -> int:
        """The number of a role's next version, from 1; of one that was removed, too."""
        query = select(schema.roles.c.version).where(schema.roles.c.name == role)
        return max(self._connection.execute(query).scalars(), default=0) + 1

    def raise_number(self) -> None:
        """Whatever was kept of the registry is out of date from now on."""
        self._connection.execute(update(schema.access_version).values(number=schema.access_version.c.number + 1))

    def _insert(self, table: Table, names: tuple[str, str], pairs: Pairs) -> None:
        self._many(
            unless_there(table)[self._connection.dialect.name], (dict(zip(names, p, strict=True)) for p in pairs)
        )

    def _delete(self, table: Table, names: tuple[str, str], pairs: Pairs) -> None:
        one, other = names
        mine = (table.c[one] == bindparam("its_first")) & (table.c[other] == bindparam("its_second"))
        self._many(delete(table).where(mine), ({"its_first": a, "its_second": b} for a, b in pairs))

    def _many(self, statement: Executable, rows: Iterable[Mapping[str, Any]]) -> None:
        for batch in _batches(rows):
            self._connection.execute(statement, batch)


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        yield batch
