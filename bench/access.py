"""What a decision about access costs, and "which machines may she push to" of many: ``python -m bench access [N]``.

50,000 machines in 440 groups, 200 people in 31, 600 grants, 300 of them denies of one machine each, in the registry's
own tables of a store in a SQLite file. CPU time of this process.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from pusher.access import SERVER, Access, Effect, Grant, Kind, Object, Permission, Person, World
from pusher.access.places import Places
from pusher.access.roles import DEPLOYMENT_ADMINISTRATOR, FULL_CONTROL, MODIFIER, PUSHER, SERVER_ADMINISTRATOR, VIEWER
from pusher.access.why import why
from pusher.models.registry import (
    GrantRow,
    GroupOrigin,
    MachineGroupRow,
    MachineRow,
    ObjectRow,
    PeopleGroupRow,
    PersonRow,
)
from pusher.registry.change import Actor, Registrar
from pusher.registry.grants import GrantAsked, add
from pusher.registry.groups import put
from pusher.registry.loaded import Loaded
from pusher.store import Store, open_store
from pusher.store.registry_change import RegistryChange

_NOW = datetime(2026, 11, 2, tzinfo=UTC)
_ASKED = 3_000
T = TypeVar("T")


def main(arguments: list[str]) -> None:
    machines = int(arguments[0]) if arguments else 50_000
    chance = random.Random(7)
    world = _world(machines, chance)
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as folder:
        store = open_store(str(Path(folder) / "access.sqlite"))
        try:
            store.registry.change(partial(_fill, world))
            _asked(store, machines, chance)
            _changed(store, Path(folder) / "audit.key")
        finally:
            store.close()


def _asked(store: Store, machines: int, chance: random.Random) -> None:
    loaded = Loaded(store, lambda: _NOW)
    access = _took("read from the store and compiled", loaded.access)
    _took("the same again, nothing changed", loaded.access)
    pairs = [(f"p{chance.randrange(200)}", f"ws{chance.randrange(machines)}") for _ in range(_ASKED)]
    for what in ("nothing known yet", "the same again"):
        began = time.process_time()
        for person, machine in pairs:
            access.may(person, Permission.MACHINE_PUSH, machine)
        print(f"one decision, {what}: {(time.process_time() - began) / _ASKED * 1e6:.1f} µs")
    _took("every machine by itself", lambda: list(access.which("p5", Permission.MACHINE_PUSH)))
    refused = next(m for _, m in pairs if not access.may("p5", Permission.MACHINE_PUSH, m).allowed)
    _took("why not, and who could grant it", lambda: why(access, "p5", Permission.MACHINE_PUSH, refused, reader="root"))
    _listed(store, access)


def _listed(store: Store, access: Access) -> None:
    condition = access.where("p5", Permission.MACHINE_PUSH)
    found = _took("which machines, by SQL", lambda: store.registry.found("machine", condition))
    _took("how many, by SQL", lambda: store.registry.count("machine", condition))
    _took("the first hundred, by SQL", lambda: store.registry.found("machine", condition, 100))
    told = list(access.which("p5", Permission.MACHINE_PUSH))
    print(f"{len(found):,} machines either way" if sorted(found) == sorted(told) else "THE TWO DISAGREE")


def _changed(store: Store, key: Path) -> None:
    """Read, changed, checked as a whole and entered in the audit."""
    registrar = Registrar(store, key, Actor(name="bench", via="command", origin="bench"), lambda: _NOW)
    asked = GrantAsked(subject="p7", role="Viewer", scope="r1")
    _took("a grant, added", lambda: registrar.change("grants.add", lambda draft: add(draft, asked)))
    _took("a machine, put into a group", lambda: registrar.change("put", lambda draft: put(draft, "ws1", "r1")))


def _took(what: str, does: Callable[[], T]) -> T:
    began = time.process_time()
    result = does()
    print(f"{what}: {(time.process_time() - began) * 1e3:.1f} ms")
    return result


def _fill(of: World, change: RegistryChange) -> None:
    objects = of.objects.values()
    change.put(*(PersonRow(id=one) for one in of.people))
    change.put(*(PeopleGroupRow(id=one) for one in {group for some in of.members.values() for group in some}))
    change.join((member, group) for member, groups in of.members.items() for group in groups)
    change.put(*(
        GrantRow(id=one.id, subject=one.subject, role=one.role.name, effect=one.effect.value, scope=one.scope,
                 until=one.until, made_by="bench", made_at=_NOW) for one in of.grants
    ))  # fmt: skip
    change.put(*(ObjectRow(id=one.id, kind=one.kind.value, name=one.id, owner=one.owner) for one in objects))
    change.put(*(MachineRow(id=one.id) for one in objects if one.kind is Kind.MACHINE))
    change.put(*(
        MachineGroupRow(id=one.id, origin=GroupOrigin.DYNAMIC if one.dynamic else GroupOrigin.STATIC,
                        query="ws1*" if one.dynamic else None) for one in objects if one.kind is Kind.GROUP
    ))  # fmt: skip
    change.put_into((one.id, group) for one in objects for group in (*one.parents, *one.results))
    pairs = list(Places(objects=of.objects).covers())
    change.cover(pairs, ())
    change.raise_number()
    print(f"{len(of.objects):,} objects, {len(pairs):,} rows of the closure")


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
