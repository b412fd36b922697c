"""The maintenance windows of a worker's runs: which of them may be begun on now, and what waits until they open.

What must not live here: when a window is open (``queue.windows``), and what a worker does with a run that it has in
hand (``worker``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from pusher.clock import Now
from pusher.models import Outcome, Stage, Target
from pusher.problems import BadInput, Code, problem
from pusher.problems.outcomes import never_tried
from pusher.queue.again import GIVE_UP_AFTER, late_after
from pusher.queue.windows import Window, Windows
from pusher.store import Store

UNKNOWN = timedelta(minutes=1)
"""What a target is believed to take of which no other one is known."""
_BELIEVED = timedelta(minutes=1)
"""How long a run is believed to take as long a target as it did."""


class Standing(Enum):
    OPEN = auto()
    ENDING = auto()
    """What is begun on may go on, and nothing more is begun."""
    SHUT = auto()


@dataclass(kw_only=True, slots=True)
class _Known:
    windows: Windows
    gives_up: datetime
    takes: timedelta = UNKNOWN
    takes_until: datetime | None = None
    closes: datetime | None = None


class RunWindows:
    """Of a worker, which knows more runs as it meets them."""

    def __init__(self, store: Store, now: Now) -> None:
        self._store, self._now = store, now
        self._known: dict[str, _Known] = {}

    async def standing(self, run: str) -> Standing:
        """BadInput where nobody here can say."""
        known = self._known.get(run)
        if known is None:
            known = self._known[run] = await asyncio.to_thread(self._read, run)
        now = self._now()
        if not any(known.windows.sets):
            return Standing.OPEN
        if known.takes_until is None or known.takes_until <= now:
            seconds = await asyncio.to_thread(self._store.usual_seconds, run)
            known.takes = timedelta(seconds=seconds) if seconds is not None else UNKNOWN
            known.takes_until = now + _BELIEVED
        if known.closes is not None and now + known.takes < known.closes:
            return Standing.OPEN
        known.closes = None
        if not known.windows.is_open(now):
            return Standing.SHUT
        if not known.windows.may_begin(now, known.takes):
            return Standing.ENDING
        known.closes = known.windows.closes_at(now) or now + timedelta(days=1)
        return Standing.OPEN

    async def wait(self, run: str) -> None:
        """What is ready of the run waits until its windows open, a little spread; it ends, where that is too late."""
        known, now = self._known[run], self._now()
        # It may be open still, for less than it takes.
        shuts = known.windows.closes_at(now) or now
        opens = known.windows.next_opening(shuts)
        if opens > known.gives_up:
            await asyncio.to_thread(self._end, run, opens, now)
            return
        while await asyncio.to_thread(self._store.put_off_ready, run, lambda target: opens + late_after(target)):
            pass

    def _end(self, run: str, opens: datetime, now: datetime) -> None:
        def outcome_of(target: str, is_begun: bool) -> Outcome:
            found = problem(
                Code.INTERRUPTED if is_begun else Code.OUTSIDE_WINDOW,
                Stage.RESOLVE,
                f"it opens on {opens:%Y-%m-%d %H:%M} UTC, after the run is given up",
            )
            return never_tried(run, Target(name=target), None, found, now, now)

        while self._store.end_unclaimed(run, outcome_of):
            pass

    def _read(self, run: str) -> _Known:
        found = self._store.run(run)
        written = self._store.windows(run)
        try:
            windows = Windows(sets=(tuple(map(Window.from_json, written)),))
        except (KeyError, ValueError, TypeError) as error:
            raise BadInput(None, f"its maintenance windows make no sense here ({error})", "time zones that this "
                           "machine knows") from error  # fmt: skip
        return _Known(
            windows=windows, gives_up=(found.started_at if found is not None else self._now()) + GIVE_UP_AFTER
        )
