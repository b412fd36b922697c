"""The faults, a row each: what it is called, and what it does to the site.

Each ends with all as it was before, but for workers that have ended: those are begun again by whoever looks after them.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.faults.hosts import Hosts
from tests.faults.site import Site, Worker

HELD = 3.0
"""Seconds for which a database is held up: less than a lease."""


@dataclass(frozen=True)
class Around:
    """What a fault may reach."""

    site: Site
    hosts: Hosts
    random: random.Random
    database: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of those that end it or hold it up: one at a time."""

    def a_worker(self) -> Worker:
        return self.random.choice(sorted(self.site.workers.values(), key=lambda worker: worker.name))


Strike = Callable[[Around], Coroutine[Any, Any, None]]


async def _killed(around: Around) -> None:
    worker = around.a_worker()
    worker.tell(signal.SIGKILL)
    await worker.process.wait()


async def _frozen(around: Around) -> None:
    await _asleep(around.a_worker(), around.site.lease * 1.7)


async def _dozing(around: Around) -> None:
    await _asleep(around.a_worker(), around.site.lease * 0.4)


async def _asleep(worker: Worker, seconds: float) -> None:
    worker.tell(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        worker.tell(signal.SIGCONT)


async def _drained(around: Around) -> None:
    worker = around.a_worker()
    worker.tell(signal.SIGTERM)
    await worker.process.wait()


async def _hurried(around: Around) -> None:
    worker = around.a_worker()
    worker.tell(signal.SIGTERM)
    await asyncio.sleep(around.random.random())
    worker.tell(signal.SIGTERM)
    await worker.process.wait()


async def _cut(around: Around) -> None:
    busy = around.hosts.busy
    for address in around.random.sample(busy, min(3, len(busy))):
        around.hosts.cut(address)


async def _database_ended(around: Around) -> None:
    server = around.site.database.server
    assert server is not None
    async with around.database:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(around.random.random())
        await asyncio.to_thread(server.start)


async def _sessions_ended(around: Around) -> None:
    ending = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    async with around.database:
        await asyncio.to_thread(around.site.database.rows, ending)


async def _database_held(around: Around) -> None:
    """By somebody's transaction that holds what all of them write."""
    sqlite = around.site.database.server is None

    def hold() -> None:
        with around.site.database.engine.begin() as connection:
            if not sqlite:
                connection.exec_driver_sql("LOCK TABLE work, outcomes IN EXCLUSIVE MODE")
            time.sleep(HELD)

    async with around.database:
        await asyncio.to_thread(hold)


@dataclass(frozen=True)
class Fault:
    name: str
    strike: Strike
    weight: int = 1
    servers_only: bool = False


FAULTS = (
    Fault("worker killed (SIGKILL)", _killed, 4),
    Fault("worker frozen past its lease, then woken", _frozen, 2),
    Fault("worker frozen for less than its lease", _dozing),
    Fault("worker asked to leave (SIGTERM)", _drained),
    Fault("worker made to leave (two SIGTERMs)", _hurried),
    Fault("connections to three hosts cut", _cut, 3),
    Fault("database held by another's transaction", _database_held),
    Fault("database server ended (SIGQUIT) and begun again", _database_ended, servers_only=True),
    Fault("database sessions ended", _sessions_ended, servers_only=True),
)
