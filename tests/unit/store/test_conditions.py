"""A condition in SQL finds the rows that it is about, and what access decides of many machines is what it decides of
each: on SQLite and on PostgreSQL, in any world.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Column, Connection, MetaData, String, Table, create_engine, delete, insert, select

from pusher.access import SERVER, Kind, Object, Permission, Token, World, compiled, result
from pusher.models.conditions import Condition, Covered, Everything, Not, Nothing, Owned, all_of, any_of, none_of
from pusher.store.conditions import Rows, as_sql
from tests.unit.access import plain
from tests.unit.access.worlds import NOW, ROLES, A, D, P, tokens, world, worlds

TABLES = MetaData()
OBJECTS = Table("condition_objects", TABLES, Column("id", String, primary_key=True), Column("kind", String),
                Column("owner", String))  # fmt: skip
COVERS = Table("condition_covers", TABLES, Column("scope", String), Column("object", String))
ROWS = Rows(id=OBJECTS.c.id, owner=OBJECTS.c.owner, covering_scope=COVERS.c.scope, covered_object=COVERS.c.object)
MANY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=60)


@contextmanager
def database(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            TABLES.create_all(connection)
            yield connection
            transaction.rollback()
    finally:
        engine.dispose()


@pytest.fixture
def sqlite() -> Iterator[Connection]:
    with database("sqlite://") as connection:
        yield connection


@pytest.fixture
def server(empty_database: str) -> Iterator[Connection]:
    with database(empty_database.replace("postgresql://", "postgresql+psycopg://")) as connection:
        yield connection


def fill(connection: Connection, of: World) -> None:
    """The rows of a world, and which scope covers which by the plain model."""
    for table in (OBJECTS, COVERS):
        connection.execute(delete(table))
    rows = [{"id": one.id, "kind": str(one.kind), "owner": one.owner} for one in of.objects.values()]
    connection.execute(insert(OBJECTS), rows)
    pairs = [{"scope": s, "object": name} for name in of.objects for s in plain.around(of, name) - {SERVER}]
    connection.execute(insert(COVERS), pairs)


def found(connection: Connection, condition: Condition, kind: Kind) -> set[str]:
    query = select(OBJECTS.c.id).where(OBJECTS.c.kind == str(kind), as_sql(condition, ROWS))
    return set(connection.scalars(query))


def check_a_world(connection: Connection, of: World, token: Token | None) -> None:
    fill(connection, of)
    access = compiled(of, NOW)
    for person, permission in itertools.product(("ann", "eve"), LISTED):
        rows = found(connection, access.where(person, permission, token), permission.kind)
        named = [one.id for one in of.objects.values() if one.kind is permission.kind]
        told = {name for name in named if plain.may(of, person, permission, name, NOW, token)}
        assert rows == told == set(access.which(person, permission, token)), (person, permission)


LISTED = (P.MACHINE_VIEW, P.MACHINE_PUSH, P.MACHINE_DELETE, P.MACHINE_MANAGE_ACCESS, P.GROUP_VIEW, P.GROUP_MODIFY,
          P.PACKAGE_ASSIGN, P.ACCOUNT_TEST)  # fmt: skip


@pytest.mark.thorough
@MANY
@given(of=worlds(), token=tokens)
def test_in_any_world_sqlite_finds_what_the_rules_say(sqlite: Connection, of: World, token: Token | None) -> None:
    check_a_world(sqlite, of, token)


@pytest.mark.process
@pytest.mark.thorough
@MANY
@given(of=worlds(), token=tokens)
def test_in_any_world_postgresql_finds_what_the_rules_say(server: Connection, of: World, token: Token | None) -> None:
    check_a_world(server, of, token)


def table_of(connection: Connection) -> None:
    """Every role and scope, with every deny: the three machines are nobody's, Ann's and her group's."""
    here = [Object(id=f"pc-{owner}", kind=Kind.MACHINE, parents=("lab",), results=("stale",), owner=owner)
            for owner in (None, "ann", "helpdesk")]  # fmt: skip
    fill(connection, world(objects=here))
    pairs = list(itertools.product(ROLES, (SERVER, "paris", "lab", "pc-None", result("stale"), "stale")))
    asked = (P.MACHINE_VIEW, P.MACHINE_MODIFY, P.MACHINE_PUSH, P.MACHINE_MANAGE_ACCESS)
    conditions: dict[Condition, list[tuple[World, Permission]]] = {}
    for (role, scope), deny in itertools.product(pairs, [None, *pairs]):
        denied = [("ann", deny[0], D, deny[1])] if deny is not None else []
        of = world(("helpdesk", role, A, scope), *denied, objects=here)
        access = compiled(of, NOW)
        for permission in asked:
            conditions.setdefault(access.where("ann", permission), []).append((of, permission))
    assert 50 < len(conditions) < 1000, "the same condition is asked once"
    for condition, stories in conditions.items():
        rows = found(connection, condition, Kind.MACHINE) & {one.id for one in here}
        for of, permission in stories:
            told = {one.id for one in here if plain.may(of, "ann", permission, one.id, NOW)}
            assert rows == told, (of.grants, permission)


@pytest.mark.thorough
def test_every_role_scope_owner_and_deny_on_sqlite(sqlite: Connection) -> None:
    table_of(sqlite)


@pytest.mark.process
@pytest.mark.thorough
def test_every_role_scope_owner_and_deny_on_postgresql(server: Connection) -> None:
    table_of(server)


IN_PARIS, HERS = Covered(frozenset({"paris"})), Owned(frozenset({"ann"}))
CONDITIONS: list[tuple[Condition, set[str]]] = [
    (Everything(), {"agent", "annspkg"}),
    (Nothing(), set()),
    (HERS, {"annspkg"}),
    (Not(HERS), {"agent"}),
    (Covered(frozenset({"agent", "nowhere"})), {"agent"}),
    (Not(Covered(frozenset({"agent"}))), {"annspkg"}),
    (all_of(HERS, Not(Covered(frozenset({"annspkg"})))), set()),
    (any_of(HERS, Covered(frozenset({"agent"}))), {"agent", "annspkg"}),
]


def test_each_kind_of_condition_finds_its_rows(sqlite: Connection) -> None:
    fill(sqlite, world())
    for condition, rows in CONDITIONS:
        assert found(sqlite, condition, Kind.PACKAGE) == rows, condition


@pytest.mark.process
def test_each_kind_of_condition_finds_its_rows_on_postgresql(server: Connection) -> None:
    fill(server, world())
    for condition, rows in CONDITIONS:
        assert found(server, condition, Kind.PACKAGE) == rows, condition


def test_what_says_nothing_is_left_out_of_a_condition() -> None:
    assert all_of(Everything(), HERS, HERS) == HERS == any_of(Nothing(), HERS)
    assert all_of(HERS, Nothing()) == Nothing() == any_of()
    assert any_of(HERS, Everything()) == Everything() == all_of()
    assert (none_of(Everything()), none_of(Nothing()), none_of(Not(HERS))) == (Nothing(), Everything(), HERS)
    assert none_of(HERS) == Not(HERS)
