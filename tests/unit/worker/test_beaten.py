"""Whoever watches a worker is told of each beat that the store has heard, and of no other."""

from __future__ import annotations

import asyncio
from unittest import mock

from pusher.problems import Code, problem
from pusher.store import Store, StoreError
from tests.unit.worker.stories import Site, some_hosts
from tests.unit.worker.test_worker import told


def test_a_beat_is_told_once_the_store_has_heard_it(store: Store) -> None:
    heard = list[float]()

    async def story() -> None:
        loop, site = asyncio.get_running_loop(), Site(store, some_hosts(0))
        running = site.running("w", beaten=lambda: heard.append(loop.time()))
        await asyncio.sleep(40)
        before = len(heard)
        away = StoreError(problem(Code.STORE_UNAVAILABLE))
        with mock.patch.object(Store, "beat", side_effect=away):
            await asyncio.sleep(40)
            assert len(heard) == before, "it was not heard"
        await asyncio.sleep(40)
        assert len(heard) > before
        await running.kill()

    told(story)
    assert len(heard) >= 4
