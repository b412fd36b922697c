"""What a decision about access costs, and "which machines may she push to" of many: ``python -m bench access [N]``.

50,000 machines in 440 groups, 200 people in 31, 600 grants, 300 of them denies of one machine each. CPU time of this
process; the store is SQLite in a file, with an index on what is asked.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, create_engine, func, insert, select

from pusher.access import SERVER, Access, Effect, Grant, Kind, Object, Permission, Person, World, compiled
from pusher.access.roles import DEPLOYMENT_ADMINISTRATOR, FULL_CONTROL, MODIFIER, PUSHER, SERVER_ADMINISTRATOR, VIEWER
from pusher.access.why import why
from pusher.store.conditions import Rows, as_sql

_NOW = datetime(2026, 11, 2, tzinfo=UTC)
_TABLES = MetaData()
_MACHINES = Table("machines", _TABLES, Column("id", String, primary_key=True), Column("owner", String))
_COVERS = Table("covers", _TABLES, Column("scope", String), Column("object", String))
Index("covers_by_scope", _COVERS.c.scope, _COVERS.c.object, unique=True)
_ROWS = Rows(
    id=_MACHINES.c.id, owner=_MACHINES.c.owner, covering_scope=_COVERS.c.scope, covered_object=_COVERS.c.object
)
_ASKED = 3_000
T = TypeVar("T")


def main(arguments: list[str]) -> None:
    machines = int(arguments[0]) if arguments else 50_000
    chance = random.Random(7)
    world = _world(machines, chance)
    access = _took("compiled", lambda: compiled(world, _NOW))
    pairs = [(f"p{chance.randrange(200)}", f"ws{chance.randrange(machines)}") for _ in range(_ASKED)]
    for what in ("nothing known yet", "the same again"):
        began = time.process_time()
        for person, machine in pairs:
            access.may(person, Permission.MACHINE_PUSH, machine)
        print(f"one decision, {what}: {(time.process_time() - began) / _ASKED * 1e6:.1f} µs")
    _took("every machine by itself", lambda: list(access.which("p5", Permission.MACHINE_PUSH)))
    refused = next(m for _, m in pairs if not access.may("p5", Permission.MACHINE_PUSH, m).allowed)
    _took("why not, and who could grant it", lambda: why(access, "p5", Permission.MACHINE_PUSH, refused, reader="root"))
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'access.db'}")
        with engine.connect() as connection:
            _fill(connection, access)
            _listed(connection, access)
        engine.dispose()


def _listed(connection: Connection, access: Access) -> None:
    condition = as_sql(access.where("p5", Permission.MACHINE_PUSH), _ROWS)
    everyone, page = select(_MACHINES.c.id).where(condition), select(_MACHINES.c.id).where(condition).order_by("id")
    found = _took("which machines, by SQL", lambda: connection.scalars(everyone).all())
    _took("how many, by SQL", lambda: connection.scalar(select(func.count()).select_from(everyone.subquery())))
    _took("the first hundred, by SQL", lambda: connection.scalars(page.limit(100)).all())
    told = list(access.which("p5", Permission.MACHINE_PUSH))
    print(f"{len(found):,} machines either way" if sorted(found) == sorted(told) else "THE TWO DISAGREE")


def _took(what: str, does: Callable[[], T]) -> T:
    began = time.process_time()
    result = does()
    print(f"{what}: {(time.process_time() - began) * 1e3:.1f} ms")
    return result


def _fill(connection: Connection, access: Access) -> None:
    _TABLES.create_all(connection)
    objects = access.world.objects
    rows = [{"id": one.id, "owner": one.owner} for one in objects.values() if one.kind is Kind.MACHINE]
    connection.execute(insert(_MACHINES), rows)
    pairs = [{"scope": s, "object": name} for s, name in access.places.covers() if objects[name].kind is Kind.MACHINE]
    connection.execute(insert(_COVERS), pairs)
    print(f"{len(rows):,} machines, {len(pairs):,} rows of the closure")


def _world(machines: int, chance: random.Random) -> World:
    return World(
        people={name: Person(id=name) for name in ("root", *(f"p{n}" for n in range(200)))},
        members={
            **{f"p{n}": frozenset({f"team{n % 30}"}) for n in range(200)},
            **{f"team{n}": frozenset({"staff"}) for n in range(30)},
        },
        objects={one.id: one for one in _objects(machines)},
        grants=tuple(_grants(machines, chance)),
    )


def _objects(machines: int) -> Iterator[Object]:
    for region in range(40):
        yield Object(id=f"r{region}", kind=Kind.GROUP)
        for site in range(10):
            yield Object(id=f"s{region}.{site}", kind=Kind.GROUP, parents=(f"r{region}",))
    for number in range(11):
        yield Object(id=f"d{number}", kind=Kind.GROUP, dynamic=True)
    for number in range(machines):
        owner = f"p{number % 200}" if number % 500 == 0 else None
        parents = (f"s{number % 40}.{number // 40 % 10}",)
        found = tuple({f"d{number % 7}", f"d{number % 11}"})
        yield Object(id=f"ws{number}", kind=Kind.MACHINE, parents=parents, results=found, owner=owner)


def _grants(machines: int, chance: random.Random) -> Iterator[Grant]:
    yield Grant(id="root", subject="root", role=SERVER_ADMINISTRATOR, scope=SERVER)
    for team in range(30):
        yield Grant(id=f"d{team}", subject=f"team{team}", role=DEPLOYMENT_ADMINISTRATOR, scope=SERVER)
        for number in range(9):
            role = chance.choice([VIEWER, MODIFIER, PUSHER, FULL_CONTROL])
            scope = f"r{chance.randrange(40)}"
            yield Grant(id=f"v{team}.{number}", subject=f"team{team}", role=role, scope=scope)
    for number in range(300):
        who, scope = f"p{chance.randrange(200)}", f"ws{chance.randrange(machines)}"
        yield Grant(id=f"x{number}", subject=who, role=PUSHER, scope=scope, effect=Effect.DENY)
