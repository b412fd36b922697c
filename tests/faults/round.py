"""One round: a run in the queue, workers, faults until all is done, and what is found afterwards."""

from __future__ import annotations

import asyncio
import random
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from lab.postgresql import Server
from tests.faults.hosts import Hosts, Machine
from tests.faults.injected import FAULTS, Around, Fault
from tests.faults.site import LOG, PROGRAM, SECRET, Database, Site, some_machines, the_program

Say = Callable[[str], None]
WORKERS = 3
_LOOK = 0.5


@dataclass(frozen=True, kw_only=True)
class Asked:
    """``pause``: seconds between two faults, at most; ``faults``: how many at most; ``limit``: seconds for the whole
    round."""

    targets: int
    seed: int
    on_server: bool
    lease: float = 4.0
    pause: float = 6.0
    faults: int | None = None
    limit: float = 600.0


@dataclass
class Found:
    """Names of hosts that are not as they should be, by what is wrong; ``injected`` counts the faults by name."""

    database: str = ""
    seconds: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    at_once: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    open_journals: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    installs: Counter[int] = field(default_factory=Counter)
    """How many hosts had their agent started so many times."""

    @property
    def is_right(self) -> bool:
        wrong = (self.lost, self.at_once, self.doubled, self.left_behind, self.open_journals, self.secrets)
        return not any(wrong)


def one_round(asked: Asked, say: Say) -> Found:
    with tempfile.TemporaryDirectory(prefix="pusher-faults-") as name, _database(Path(name), asked) as database:
        return asyncio.run(_round(Path(name), database, asked, say))


@contextmanager
def _database(folder: Path, asked: Asked) -> Iterator[Database]:
    if not asked.on_server:
        yield Database(str(folder / "store.sqlite"), None)
        return
    server = Server(durable=True)
    try:
        server.up()
        yield Database(server.create("pusher"), server)
    finally:
        server.down()


async def _round(folder: Path, database: Database, asked: Asked, say: Say) -> Found:
    machines = some_machines(asked.targets)
    site, hosts = Site(folder, database, machines, asked.lease), Hosts(machines)
    found = Found(database=database.name)
    began = time.monotonic()
    async with hosts.serving(site.socket):
        status, said = await site.command(
            "push", "inventory.yaml", "--package", "labagent", "--accounts", "accounts.toml", "--store", database.url,
            "--log", "queue.log", "--queue", "--per-subnet", "0", "--json",
        )  # fmt: skip
        if status:
            raise RuntimeError(f"the run was not queued: {said}")
        try:
            for number in range(WORKERS):
                await site.begin_worker(f"worker{number + 1}")
            await _until_done(Around(site, hosts, random.Random(asked.seed)), found, asked, say)
        finally:
            await site.end_workers()
    found.seconds = time.monotonic() - began
    _judge(site, found)
    return found


async def _until_done(around: Around, found: Found, asked: Asked, say: Say) -> None:
    striking = asyncio.create_task(_strike(around, found, asked))
    hurrying = asyncio.create_task(_hurry(around.site.database))
    looking_after = asyncio.create_task(around.site.look_after_workers())
    until = time.monotonic() + asked.limit
    last = -1
    try:
        while time.monotonic() < until and not striking.done():
            done = await _asked_of(around.site.database, "SELECT count(*) FROM work WHERE state = 'done'")
            if done != last and done is not None:
                say(f"{done:,} of {asked.targets:,} done, {found.injected.total()} faults")
                last = done
            if done == asked.targets:
                return
            await asyncio.sleep(_LOOK)
    finally:
        for task in (striking, hurrying, looking_after):
            task.cancel()
        ended = await asyncio.gather(striking, hurrying, looking_after, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error


async def _strike(around: Around, found: Found, asked: Asked) -> None:
    """One fault after the other, whether or not those before it are over; at the end all are."""
    under_way: set[asyncio.Task[None]] = set()
    try:
        for fault in islice(_faults(around, asked.on_server), asked.faults):
            await asyncio.sleep(around.random.random() * asked.pause)
            found.injected[fault.name] += 1
            under_way.add(asyncio.create_task(fault.strike(around)))
        await asyncio.gather(*under_way)
        await asyncio.Event().wait()
    finally:
        await asyncio.gather(*under_way)


def _faults(around: Around, on_server: bool) -> Iterator[Fault]:
    """In any order, each as often as it weighs, and then all of them again."""
    faults = [fault for fault in FAULTS if on_server or not fault.servers_only for _ in range(fault.weight)]
    while True:
        yield from around.random.sample(faults, len(faults))


async def _hurry(database: Database) -> None:
    """What waits is due: the minutes between two tries are proven elsewhere. And an operator has seen to the account:
    a sign-in that was cut off counts as failed, and parks the host on it."""
    while True:
        await asyncio.sleep(_LOOK)
        await _asked_of(database, "UPDATE work SET due = queued_at FROM runs WHERE runs.id = work.run AND "
                        "work.state = 'waiting' RETURNING 1")  # fmt: skip


async def _asked_of(database: Database, query: str) -> int | None:
    """None where the database is away."""

    def ask() -> int:
        with database.engine.begin() as connection:
            rows = connection.exec_driver_sql(query).all()
            return int(rows[0][0]) if rows else 0

    try:
        return await asyncio.to_thread(ask)
    except DBAPIError:
        return None


def _judge(site: Site, found: Found) -> None:
    rows = site.database.rows("SELECT target, status, code, message FROM outcomes")
    outcomes: Mapping[str, tuple[str, ...]] = {target: tuple(rest) for target, *rest in rows}
    undone = Counter(
        target for (target,) in site.database.rows("SELECT target FROM journals WHERE closed_as = 'undone'")
    )
    found.open_journals = [
        target for (target,) in site.database.rows("SELECT target FROM journals WHERE closed_as IS NULL")
    ]
    for machine in site.machines.values():
        name = machine.host.name
        found.installs[machine.starts] += 1
        outcome = outcomes.get(name, ("no outcome",))
        if is_lost := outcome[0] not in ("installed", "unchanged"):
            found.lost.append(f"{name}: {' '.join(word or '-' for word in outcome)}")
        if machine.interleaved():
            found.at_once.append(f"{name}\n{machine.record()}")
        if machine.starts - 1 > undone[name]:
            found.doubled.append(name)
        if not is_lost and (wrong := _unlike_an_install(machine)):
            found.left_behind.append(f"{name}: {wrong}\n{machine.record()}")
    found.secrets = _tables_with(site.database, SECRET)


def _unlike_an_install(machine: Machine) -> str:
    """What is there and should not be, or the other way round; empty where all is right."""
    expected = type(machine.host)().disk.snapshot() | {
        "windows\\labagent": None,
        f"windows\\{PROGRAM}": the_program(),
        f"windows\\{LOG}": machine.host.read(f"Windows\\{LOG}") or b"",
    }
    found = machine.host.disk.snapshot()
    wrong = sorted(path for path in found.keys() | expected.keys() if found.get(path, 0) != expected.get(path, 0))
    services = {name: is_up for name, (_, is_up) in machine.host.snapshot()["services"].items()}
    if services != {"labagent": True}:
        wrong.append(f"services {services}")
    return ", ".join(wrong)


def _tables_with(database: Database, secret: str) -> list[str]:
    with database.engine.connect() as connection:
        names = inspect(database.engine).get_table_names()
        return [name for name in names if any(secret in repr(row) for row in connection.execute(_all_of(name)))]


def _all_of(name: str) -> Any:
    return select(text("*")).select_from(table(name))


def new_seed() -> int:
    return secrets.randbelow(1_000_000)
