"""``python -m bench queue [N]``: what the queue costs, on SQLite and on a PostgreSQL server of its own.

``submit`` is how long a run of N targets takes into the queue; ``claim`` and ``finish`` are a worker's, fifty at a time
and one at a time with eight under way; ``idle`` is the CPU of a worker that looks at the queue while all N targets wait
for a due time that has not come, and ``due`` how long it takes to make all of them ready at once.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from lab.postgresql import Server
from pusher.clock import utc_now
from pusher.models import Claim, Outcome, Run, Stage, Status, Verb
from pusher.store import Store, open_store

TARGETS = 100_000
ENDED = 2_000
"""So many are claimed and finished."""
ROUNDS = 200
_AT_ONCE, _UNDER_WAY = 50, 8
_LEASE = timedelta(hours=1)


def main(arguments: list[str]) -> None:
    count = int(arguments[0].replace(",", "")) if arguments else TARGETS
    heads = ("submit", 10), ("claim", 10), ("finish", 11), ("idle", 16), ("due", 9)
    print(f"{count:,} targets\n{'':<12}" + "".join(f"{head:>{width}}" for head, width in heads))
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        _line("SQLite", open_store(str(Path(name) / "store.sqlite")), count)
    server = Server()
    try:
        server.up()
        _line("PostgreSQL", open_store(server.create("bench_queue")), count)
    finally:
        server.down()


def _line(name: str, store: Store, count: int) -> None:
    try:
        submit = _timed(lambda: _submitted(store, "r", count))
        worker = asyncio.run(store.register("bench", {}, _LEASE, _nobody)) or ""
        claims = list[Claim]()
        claim = _timed(lambda: claims.extend(asyncio.run(_claimed(store, worker))))
        finish = _timed(lambda: asyncio.run(_finished(store, claims)))
        store._database.writer.write_now(
            lambda connection: connection.execute(text(
                "UPDATE work SET state = 'waiting', due = '2999-01-01T00:00:00.000000+00:00' WHERE state = 'ready'"
            ))
        )  # fmt: skip
        began = time.process_time()
        asyncio.run(_idle(store))
        idle = (time.process_time() - began) / ROUNDS
        store._database.writer.write_now(
            lambda connection: connection.execute(text("UPDATE work SET due = '2000-01-01' WHERE state = 'waiting'"))
        )
        due = _timed(lambda: asyncio.run(_tidied(store)))
        print(f"{name:<12}{submit:>8.1f} s{ENDED / claim:>8,.0f}/s{ENDED / finish:>9,.0f}/s"
              f"{idle * 1000:>7.2f} ms a look{due:>7.1f} s", flush=True)  # fmt: skip
    finally:
        store.close()


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _nobody(_: object) -> bool:
    return False


def _submitted(store: Store, run: str, count: int) -> None:
    made = Run(id=run, verb=Verb.PUSH, inventory="-", package="p", version="1", operator="-", started_at=utc_now())
    store.begin_run(made, {}, [(f"ws{number:06}", None, None) for number in range(count)], priority=100)


async def _claimed(store: Store, worker: str) -> list[Claim]:
    found = list[Claim]()
    while len(found) < ENDED:
        found += await store.claim("r", worker, _AT_ONCE)
    return found


async def _finished(store: Store, claims: Sequence[Claim]) -> None:
    left = iter(claims)

    async def finishing() -> None:
        for claim in left:
            now = utc_now()
            await store.finish(claim, Outcome(run=claim.run, target=claim.target, address=None, started_at=now,
                                              status=Status.INSTALLED, stage=Stage.RECORD, ended_at=now))  # fmt: skip

    await asyncio.gather(*(finishing() for _ in range(_UNDER_WAY)))


async def _idle(store: Store) -> None:
    for _ in range(ROUNDS):
        await store.tidy(_nobody)
        await store.look()


async def _tidied(store: Store) -> None:
    await store.tidy(_nobody)
