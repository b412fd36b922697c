"""Asking a run that is going on to stop, or one that is in the queue.

Not here: how it stops (``push``), and how it learns that it was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pusher.credentials.lockout.process import Process, is_gone_for_people
from pusher.models import Run
from pusher.runs.recorded import Refusal, RunRefusedError, find, worker_of
from pusher.worker.cancelled import end_cancelled

if TYPE_CHECKING:
    from pusher.store import Store


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The run that was asked to stop, and who works on it, if that is known.

    ``ended``: of a run in the queue, how many of its machines waited there and are ended; None of another run.
    """

    run: Run
    worker: Process | None = None
    ended: int | None = None


def cancel(store: Store, name: str, at: datetime) -> Asked:
    """Ask the run to stop; it may have ended before it hears of it. RunRefusedError where nobody would hear."""
    run = find(store, name)
    if run.ended_at is not None:
        raise RunRefusedError(Refusal.ENDED, run.id)
    if store.work_states(run.id):
        return Asked(run=run, ended=_cancel_queued(store, run, at))
    worker = worker_of(store, run)
    if worker is not None and is_gone_for_people(worker):
        raise RunRefusedError(Refusal.ABANDONED, run.id, worker)
    store.ask_cancel(run.id, at)
    return Asked(run=run, worker=worker)


def _cancel_queued(store: Store, run: Run, at: datetime) -> int:
    """What nobody works on ends here, since there may be no worker to end it; the rest by whoever works on it."""
    store.ask_cancel(run.id, at)
    ended = end_cancelled(store, run.id, at)
    store.end_runs()
    return ended
