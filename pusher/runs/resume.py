"""Going on with a run that has stopped by itself, or with its next wave before its time.

Not here: when a wave stops a run (``queue.waves``), and what is done to its hosts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pusher.models import Run, Wave, WaveCounts
from pusher.queue.waves import resume as resumed
from pusher.runs.recorded import Refusal, RunRefusedError, find

if TYPE_CHECKING:
    from pusher.store import Store


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """``waves``: those that are open by that."""

    run: Run
    waves: Sequence[Wave]


def resume(store: Store, name: str, through: int | None = None) -> Resumed:
    """The wave that was stopped is open again, its failures so far forgiven; and so are all up to ``through``.

    RunRefusedError where the run has no such wave, or none of them is closed.
    """
    run = find(store, name)
    numbers = [wave.number for wave, _ in store.waves(run.id)]
    if not numbers:
        raise RunRefusedError(Refusal.NO_WAVES, run.id)
    if run.ended_at is not None:
        raise RunRefusedError(Refusal.ENDED, run.id)
    if through is not None and through not in numbers:
        raise RunRefusedError(Refusal.NO_SUCH_WAVE, run.id)

    def decide(
        waves: Sequence[Wave], counts: Mapping[int, WaveCounts], _: Mapping[str, Any], now: datetime
    ) -> Sequence[Wave]:
        return resumed(waves, counts, through or 0, now)

    changed = store.advance_waves(run.id, decide)
    if not changed:
        raise RunRefusedError(Refusal.NOT_STOPPED, run.id)
    return Resumed(run=run, waves=changed)
