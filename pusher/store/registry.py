"""The registry: people, what they were given and the objects that it is about, under a number that each change raises.

It records and answers. What must not live here: who may do what to whom (access), whether a change fits (the registry,
above the store).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, func, select

from pusher.models.conditions import Condition
from pusher.models.registry import RegistryRows, RoleRow
from pusher.store import registry_schema as schema
from pusher.store.audit import Audit
from pusher.store.conditions import Rows, as_sql
from pusher.store.database import Database, Repository
from pusher.store.registry_change import RegistryChange
from pusher.store.registry_rows import read_number, read_subjects, read_things, role_of

_ROWS = Rows(
    id=schema.objects.c.id,
    owner=schema.objects.c.owner,
    covering_scope=schema.covers.c.scope,
    covered_object=schema.covers.c.object,
)


class Registry(Repository):
    """Every call may raise StoreError. ``audit``: what has been changed in it, and by whom."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.audit = Audit(database)

    def number(self) -> int:
        """Whoever keeps something of the registry keeps this number with it: as long as it is this, nothing changed."""
        return self._database.read(read_number)

    def rows(self) -> RegistryRows:
        """All of it, of one moment."""
        return self._database.read(_rows)

    def change(self, work: Callable[[RegistryChange], None]) -> None:
        """``work`` in one transaction, beside which no other change runs. Where it raises, nothing is changed.

        It is done again where a server is away in the middle of it, once it is back.
        """
        self._database.write(lambda connection: work(RegistryChange(connection)))

    def found(self, kind: str, condition: Condition, limit: int | None = None) -> Sequence[str]:
        """The ids of the objects of a kind for which a condition holds, in their order; the first ``limit`` of them."""
        query = select(schema.objects.c.id).where(schema.objects.c.kind == kind, as_sql(condition, _ROWS))
        query = query.order_by(schema.objects.c.id).limit(limit)
        return self._database.read(lambda connection: connection.scalars(query).all())

    def count(self, kind: str, condition: Condition) -> int:
        """How many there are."""
        query = select(func.count()).where(schema.objects.c.kind == kind, as_sql(condition, _ROWS))
        return self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    def versions_of(self, role: str) -> Sequence[RoleRow]:
        """All that a custom role has been, the oldest first."""
        query = select(schema.roles).where(schema.roles.c.name == role, schema.roles.c.removed == 0)
        query = query.order_by(schema.roles.c.version)
        return self._database.read(lambda c: [role_of(row) for row in c.execute(query).mappings()])


def _rows(connection: Connection) -> RegistryRows:
    """A statement sees what was committed before it: read again where a change came between two."""
    while True:
        number = read_number(connection)
        rows = RegistryRows(version=number, subjects=read_subjects(connection), things=read_things(connection))
        if read_number(connection) == number:
            return rows
