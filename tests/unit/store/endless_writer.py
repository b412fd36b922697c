"""Writes to a store until it is killed, and says of each thing when it is durable. Run as a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import sys

from pusher.models import Mark
from pusher.store import open_store
from tests.unit.store.store_contract import NOON, an_event, an_outcome


async def write(url: str) -> None:
    store = open_store(url)
    for number in itertools.count():
        name = f"ws{number:05}"
        journal = await store.open_journal(host=name, service="s", run="r", target=name, before={}, at=NOON)
        await store.mark(journal.id, "stage", Mark.INTENT, NOON)
        store.event(an_event(name, "posted before"))
        await store.outcome(an_outcome(name))
        print(name, flush=True)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
