"""Waves that go on: whoever looks after the queue opens the next one, or stops the run, as ``queue.waves`` says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from pusher.models import Wave, WaveCounts
from pusher.queue.waves import Rollout, advance
from pusher.store import Store, StoreError

_log = structlog.get_logger()


async def roll_out(store: Store) -> list[tuple[str, Wave]]:
    """Advance all runs that go out in waves; the waves that have changed by that, as they are now."""
    found = []
    for run in await store.rolling_out():
        try:
            changed = await asyncio.to_thread(store.advance_waves, run, _advanced)
            await asyncio.to_thread(store.open_work, run)
        except StoreError as error:  # one run that makes no sense here keeps no other from going on
            _log.warning("waves-not-advanced", run=run, code=error.problem.code, detail=error.problem.message)
            continue
        for wave in changed:
            _log.info("wave", run=run, number=wave.number, state=wave.state.value)
        found += [(run, wave) for wave in changed]
    return found


def _advanced(
    waves: Sequence[Wave], counts: Mapping[int, WaveCounts], rollout: Mapping[str, Any], now: datetime
) -> Sequence[Wave]:
    return advance(waves, counts, Rollout.from_json(rollout), now)
