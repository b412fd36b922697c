"""A recorded run: which one is meant, who works on it, and why something cannot be asked of it.

Not here: the words in which a person is told so (``cli``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pusher.credentials.lockout.process import Process
from pusher.models import Run

if TYPE_CHECKING:
    from pusher.store import Store


class Refusal(StrEnum):
    """Why what is asked of a run is not done."""

    UNKNOWN = "unknown"
    """No run is called so, or several begin so."""
    ENDED = "ended"
    ABANDONED = "abandoned"
    """Nobody works on it any more, and it has no end."""
    NOTHING_LEFT = "nothing-left"
    NO_WAVES = "no-waves"
    NO_SUCH_WAVE = "no-such-wave"
    NOT_STOPPED = "not-stopped"
    """Nor is any wave held that was asked for."""


class RunRefusedError(Exception):
    """``run``: its id, or what was said of it where there is none. ``worker``: who worked on it, if that is known."""

    def __init__(self, why: Refusal, run: str, worker: Process | None = None) -> None:
        super().__init__(f"{run}: {why}")
        self.why, self.run, self.worker = why, run, worker


def find(store: Store, name: str) -> Run:
    """The run of this id, the only one that begins so, or the newest (``last``); RunRefusedError."""
    found = store.run(name)
    if found is None:
        raise RunRefusedError(Refusal.UNKNOWN, name)
    return found


def worker_of(store: Store, run: Run) -> Process | None:
    """The process that works or worked on a run; None where the store does not tell (an earlier version's run)."""
    known = store.worker(run.id)
    try:
        return Process(**known) if known else None
    except TypeError:
        return None
