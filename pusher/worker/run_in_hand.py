"""A run that a worker has taken up: from its opening until the worker holds nothing of it.

Whatever goes wrong in one run ends no other and no worker: it comes to a sentence (``Left``), and what was claimed is
freed by the worker. What must not live here: which run is taken up when (``worker``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import structlog

from pusher.clock import Now
from pusher.models import Run
from pusher.problems import BadInput, ProblemError
from pusher.push.context import Stop
from pusher.queue.windows import Windows
from pusher.store import Store, StoreError
from pusher.worker.claimed_run import ClaimedRun, Selection
from pusher.worker.lease import Lease
from pusher.worker.turns import Share

_OPENING = 120.0
"""Seconds in which a run must be open: its files read, its secrets had."""

AHEAD = 2
"""Targets claimed, as a multiple of those worked on at once: one that is silent keeps no other from being begun."""

_log = structlog.get_logger()


class OpenRun(Protocol):
    """A queued run that is open on this machine: everything read, nothing contacted."""

    @property
    def run(self) -> Run: ...

    @property
    def selection(self) -> Selection: ...

    @property
    def places(self) -> int:
        """How many of its targets are worked on at once."""

    @property
    def windows(self) -> Windows:
        """In which they may be touched."""

    async def work(self, claimed: ClaimedRun, stop: Stop) -> None:
        """Do it: until ``claimed`` is exhausted and all that it had has ended."""


Open = Callable[[str], AbstractAsyncContextManager[OpenRun]]
"""Opens a run by its id; BadInput or ProblemError where that cannot be done here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A run is left: to others, and ``why``; or without a reason for a while, since nothing was there to claim, or the
    store was away."""

    why: str = ""


class RunInHand:
    """``work`` once. ``is_leaving`` says whether the worker takes nothing more."""

    def __init__(
        self, run: str, store: Store, worker: str, lease: Lease, open_run: Open, is_leaving: Callable[[], bool]
    ) -> None:
        self.run, self.stop = run, Stop()
        self._store, self._lease = store, lease
        self._open, self._is_leaving = open_run, is_leaving
        self.worker, self._began, self.places = worker, lease.now(), 0
        self.is_opening = True
        self.claimed: ClaimedRun | None = None
        self._share: Share | None = None

    @property
    def held(self) -> int:
        """How many of its targets are claimed."""
        return self.claimed.held if self.claimed is not None else 0

    @property
    def held_by_priority(self) -> Mapping[int, int]:
        return self.claimed.held_by_priority if self.claimed is not None else {}

    @property
    def may_have_more(self) -> bool:
        """Whether it may claim more than it has."""
        return self.claimed is None or not self.claimed.is_exhausted

    def holds_up_others(self, opening: float) -> bool:
        """Whether it is not known yet what it will claim; that is waited for ``opening`` seconds."""
        return self.claimed is None and self._lease.now() - self._began < opening

    def allow(self, share: Share | None) -> None:
        """See ``ClaimedRun.allow``."""
        self._share = share
        if self.claimed is not None:
            self.claimed.allow(share)

    async def work(self, most: int | None, now: Now) -> Left | None:
        """Until nothing is left of it to claim and all that was has ended; None where something was.

        ``most``: targets that are worked on at once; None: as many as the run has places.
        """
        try:
            return await self._work(most, now)
        except BadInput as error:
            return Left(why=error.sentence)
        except StoreError as error:
            _log.error("run-left", run=self.run, code=error.problem.code)
            # What passes is waited for in silence; a damaged store is not read the better for it.
            row = error.problem.row
            passes = row.passing or row.given_back
            return Left() if passes else Left(why=f"{error.problem.code}: {error.problem.message}")
        except ProblemError as error:
            return Left(why=f"{error.problem.code}: {error.problem.message}")
        except Exception as error:  # a fault of ours
            _log.exception("internal-error", run=self.run)
            return Left(why=f"a fault of pusher's own ({type(error).__name__}), which is in the log")
        finally:
            self.is_opening = False

    async def _work(self, most: int | None, now: Now) -> Left | None:
        async with AsyncExitStack() as stack:
            opened = await self._opened(stack)
            self.is_opening = False
            if self._is_leaving():
                return None
            claimed = ClaimedRun(
                self._store,
                self.run,
                self.worker,
                AHEAD * (most or opened.places),
                opened.selection,
                self._lease,
                self.stop,
                now,
                opened.windows,
            )
            claimed.allow(self._share)
            self.claimed, self.places = claimed, opened.places
            filling = asyncio.create_task(claimed.fill())
            try:
                await opened.work(claimed, self.stop)
            finally:
                filling.cancel()
                await asyncio.gather(filling, return_exceptions=True)
            if claimed.failure is not None:
                raise claimed.failure
            return None if claimed.has_claimed else Left()

    async def _opened(self, stack: AsyncExitStack) -> OpenRun:
        try:
            async with asyncio.timeout(_OPENING) as limit:
                return await stack.enter_async_context(self._open(self.run))
        except TimeoutError as error:
            if not limit.expired():
                raise
            found = f"it could not be opened within {_OPENING:g} s"
            raise BadInput(None, found, "files and secrets that can be read") from error
