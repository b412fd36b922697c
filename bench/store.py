"""``python -m bench store``: how many pushes a second the store takes, in a file, on a server, and on a far server.

What a push of the samples' package writes and reads, in its order and waiting where a push waits, for ``PUSHES``
machines, so many at once; nothing is done to any machine. The server is a PostgreSQL of its own that waits for its disk
(``lab.postgresql``); the far one is the same behind ``delay``. Medians of ``ROUNDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from lab.postgresql import Server
from pusher.clock import utc_now
from pusher.models import Attempt, Event, Mark, Outcome, Run, Stage, Status, Verb
from pusher.store import Store, open_store

PUSHES = 400
AT_ONCE = (50, 100)
ROUNDS = 3
FAR = 20
"""Milliseconds of a round trip."""

_STEPS = ("stage", "place", "register", "start", "verify", "commit")
_EVENTS = ("identity", "signed-in", "copied-by")


@dataclass
class _Asked:
    statements: int = 0
    commits: int = 0


def main() -> None:
    print(f"{'store':<22}{'at once':>8}{'pushes/s':>10}{'statements a push':>19}{'a commit':>10}")
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as folder, _server() as server:
        for words, port in (("SQLite", 0), ("PostgreSQL", server.port), (f"the same, {FAR} ms away", -1)):
            for at_once in AT_ONCE:
                with _far(server.port) if port < 0 else contextlib.nullcontext(port) as way:
                    urls = (
                        _new_database(server, words, at_once, number, way) if way else f"{folder}/{at_once}-{number}"
                        for number in range(ROUNDS)
                    )
                    _line(words, at_once, [_round(url, at_once) for url in urls])


def _line(words: str, at_once: int, rounds: list[tuple[float, _Asked]]) -> None:
    rate = statistics.median(rate for rate, _ in rounds)
    asked = rounds[-1][1]
    print(
        f"{words:<22}{at_once:>8}{rate:>10.0f}{asked.statements / PUSHES:>19.1f}"
        f"{asked.statements / asked.commits:>10.1f}",
        flush=True,
    )


@contextlib.contextmanager
def _server() -> Iterator[Server]:
    server = Server(durable=True)
    try:
        server.up()
        yield server
    finally:
        server.down()


def _new_database(server: Server, words: str, at_once: int, number: int, port: int) -> str:
    name = f"bench_{len(words)}_{at_once}_{number}"
    server.create(name)
    return server.url(name, port)


@contextlib.contextmanager
def _far(port: int) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.delay", "127.0.0.1", str(port), str(FAR)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as delay:
        try:
            assert delay.stdout is not None
            yield int(delay.stdout.readline())
        finally:
            delay.kill()


def _round(url: str, at_once: int) -> tuple[float, _Asked]:
    """Pushes a second, and what the database was asked."""
    store, asked = open_store(url), _Asked()
    names = [f"ws{number:05}.corp.example" for number in range(PUSHES)]
    run = Run(id="r", verb=Verb.PUSH, inventory="-", package="p", version="1", operator="-", started_at=utc_now())
    store.begin_run(run, {}, [(name, None, None) for name in names])

    def counted(*_: Any) -> None:
        asked.statements += 1

    def committed(_: Any) -> None:
        asked.commits += 1

    event.listen(store._database.engine, "before_cursor_execute", counted)
    event.listen(store._database.engine, "commit", committed)
    took = asyncio.run(_all(store, names, at_once))
    left = store.unfinished("r")
    store.close()
    if left:
        sys.exit(f"{len(left)} pushes have no outcome")
    return PUSHES / took, asked


async def _all(store: Store, names: list[str], at_once: int) -> float:
    room, began = asyncio.Semaphore(at_once), time.monotonic()

    async def one(name: str) -> None:
        async with room:
            await _push(store, name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    return time.monotonic() - began


async def _push(store: Store, name: str) -> None:
    store.target_began("r", name, utc_now())
    for counted in (_more, _less):  # a sign-in: it is on its way, and it is known how it went
        await store.ledger.change("corp\\push", counted)
    for kind in _EVENTS:
        store.event(Event(run="r", target=name, at=utc_now(), stage=Stage.IDENTIFY, kind=kind, detail="-" * 60))
    for closed_as in (None, "committed"):
        await store.journals(name, "labagent", closed_as, target=name, under=(name, "10.0.0.1"))
    journal = await store.open_journal(host=name, service="labagent", run="r", target=name, before={}, at=utc_now())
    for step in _STEPS:
        await store.mark(journal.id, step, Mark.INTENT, utc_now())
        store.mark_done(journal.id, step, utc_now())
    await store.close_journal(journal.id, "committed")
    at, stage = utc_now(), Stage.RECORD
    store.attempt(
        Attempt(run="r", target=name, number=1, stage=stage, code=None, account="push", started_at=at, ended_at=at)
    )
    await store.outcome(
        Outcome(run="r", target=name, address=None, status=Status.INSTALLED, stage=stage, started_at=at, ended_at=at)
    )


def _by(number: int) -> Callable[[Any], tuple[dict[str, int], None]]:
    return lambda document: ({"in_flight": (document or {"in_flight": 0})["in_flight"] + number}, None)


_more, _less = _by(1), _by(-1)

if __name__ == "__main__":
    main()
