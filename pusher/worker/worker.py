"""The life of a worker: it registers, beats, opens the runs that have work, and leaves.

One task keeps the lease and one looks after the queue each second: it frees what gone workers had, makes
ready what is due, ends runs that are done, hears of cancelled ones, and opens those with work that is ready, the most
urgent first; another run is opened once the one before it has nothing left to claim. Where the lease is over, whatever
this worker does stops at once, with nothing undone and nothing recorded, for others may be at it; then it begins anew
under another id. What must not live here: what a run does to its targets, and how one is opened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import structlog

from pusher.clock import Now, utc_now
from pusher.models import Run
from pusher.problems import BadInput, Code
from pusher.push.context import Stop
from pusher.store import Store, StoreError
from pusher.worker.claimed_run import ClaimedRun, Selection
from pusher.worker.lease import Lease, since_boot

LEASE = timedelta(seconds=90)
_BEAT = 15.0
_ROUND = 1.0
"""Seconds between two looks at the queue, and between two looks at the lease."""
_IDLE = 5.0
"""Seconds between two looks at the queue where there is nothing to do."""
_REFUSED_FOR = 60.0
"""Seconds for which a run that cannot be opened here is left to others."""

_log = structlog.get_logger()


class OpenRun(Protocol):
    """A queued run that is open on this machine: everything read, nothing contacted."""

    @property
    def run(self) -> Run: ...

    @property
    def selection(self) -> Selection: ...

    async def work(self, claimed: ClaimedRun, stop: Stop) -> None:
        """Do it: until ``claimed`` is exhausted and all that it had has ended."""


Open = Callable[[str], AbstractAsyncContextManager[OpenRun]]
"""Opens a run by its id; BadInput where that cannot be done here."""
Note = Callable[[str], None]


class NameTakenError(Exception):
    """Another worker of that name is at work."""


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """``process`` says where the worker runs, and ``is_gone`` of another's whether it does no more.

    ``most``: targets that are claimed at once. ``until_idle``: leave when nothing is ready, nor worked on.
    """

    name: str
    process: Mapping[str, Any]
    is_gone: Callable[[Mapping[str, Any]], bool]
    most: int
    until_idle: bool = False
    lease: timedelta = LEASE
    beat: float = _BEAT
    clock: Callable[[], float] = since_boot
    now: Now = utc_now


@dataclass(eq=False)
class _Opened:
    """A run that is worked on. ``claimed`` is None until it is open."""

    run: str
    stop: Stop = field(default_factory=Stop)
    claimed: ClaimedRun | None = None
    task: asyncio.Task[None] | None = None

    @property
    def may_have_more(self) -> bool:
        return self.claimed is None or not self.claimed.is_exhausted


class Worker:
    """``serve`` once. ``note`` is told, in a sentence, what its operator should read."""

    def __init__(self, store: Store, open_run: Open, settings: WorkerSettings, note: Note) -> None:
        self._store, self._open, self._settings, self._note = store, open_run, settings, note
        self._id = ""
        self._lease = Lease(settings.lease, settings.clock)
        self._opened: dict[str, _Opened] = {}
        self._refused: dict[str, float] = {}
        self._leaving = asyncio.Event()

    @property
    def left(self) -> frozenset[str]:
        """Runs that could not be opened here, nor since."""
        return frozenset(self._refused)

    def leave(self) -> None:
        """Take no more; what is in work comes to its end, and ``serve`` with it."""
        self._leaving.set()

    def hurry(self) -> None:
        """What is in work is put back at its next step, and waits for another worker."""
        for opened in self._opened.values():
            opened.stop.cancel(Code.DRAINING)

    async def serve(self) -> None:
        """Until ``leave``, or nothing is left where it is to end then. NameTakenError, StoreError at the start.

        Cancelled: at once; what was begun on hosts is undone by whoever claims them next.
        """
        await self._register()
        tasks = [asyncio.create_task(self._keep_the_lease()), asyncio.create_task(self._look_after_the_queue())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _ended(*tasks)
            await _ended(*(one.task for one in self._opened.values() if one.task is not None))
            with contextlib.suppress(StoreError):
                await self._store.leave(self._id)

    # -- the lease -----------------------------------------------------------------------------------------------

    async def _register(self) -> None:
        settings = self._settings
        lease = Lease(settings.lease, settings.clock)
        found = await self._store.register(settings.name, settings.process, settings.lease, settings.is_gone)
        if found is None:
            raise NameTakenError(settings.name)
        self._id, self._lease = found, lease
        _log.info("worker-up", worker=self._id, name=settings.name)

    async def _keep_the_lease(self) -> None:
        beating: asyncio.Task[None] | None = None
        next_beat = self._lease.now() + self._settings.beat
        while True:
            await asyncio.sleep(min(_ROUND, self._settings.beat))
            if self._lease.is_over:
                await _ended(*([beating] if beating is not None else []))
                await self._begin_anew()
                beating, next_beat = None, self._lease.now() + self._settings.beat
            elif self._lease.now() >= next_beat and (beating is None or beating.done()):
                next_beat = self._lease.now() + self._settings.beat
                beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        asked = self._lease.now()
        try:
            if await self._store.beat(self._id, self._settings.lease):
                self._lease.renewed(asked)
            else:
                self._lease.end()
        except StoreError as error:  # the next one may be heard in time
            _log.warning("beat-not-stored", worker=self._id, code=error.problem.code)

    async def _begin_anew(self) -> None:
        """Nothing more is done under the old id, not even put back."""
        self._note("The lease is over (the machine slept, or the store was away): what was in work is left to others.")
        _log.error("lease-over", worker=self._id, runs=sorted(self._opened))
        for opened in self._opened.values():
            if opened.claimed is not None:
                opened.claimed.lose()
        await _ended(*(one.task for one in self._opened.values() if one.task is not None))
        self._opened.clear()
        while True:
            try:
                with contextlib.suppress(StoreError):
                    await self._store.leave(self._id)
                await self._register()
            except (StoreError, NameTakenError) as error:
                _log.warning("worker-not-registered", reason=str(error))
                await asyncio.sleep(self._settings.beat)
            else:
                return

    # -- the queue -----------------------------------------------------------------------------------------------

    async def _look_after_the_queue(self) -> None:
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            pause = _ROUND
            while not leaving.done():
                found = await self._guarded(self._round())
                is_idle = not found and not self._opened
                if is_idle and found == 0 and self._settings.until_idle:
                    return
                pause = min(pause + _ROUND, _IDLE) if is_idle else _ROUND
                await asyncio.wait({leaving}, timeout=pause)
            for opened in list(self._opened.values()):
                if opened.claimed is not None:
                    await self._guarded(opened.claimed.close())
            while tasks := [one.task for one in self._opened.values() if one.task is not None]:
                await asyncio.wait(tasks)
        finally:
            leaving.cancel()

    async def _guarded(self, work: Awaitable[Any]) -> Any:
        """The store may be away: the next round finds out what is to be done."""
        try:
            return await work
        except StoreError as error:
            _log.warning("queue-not-read", worker=self._id, code=error.problem.code)
            return None

    async def _round(self) -> int:
        """How many runs have work that is ready, or may have."""
        store = self._store
        for run in (await store.tidy(self._settings.is_gone)).ended:
            self._note(f"Run {run} has ended.")
        for opened in list(self._opened.values()):
            if opened.stop.code is None and await asyncio.to_thread(store.cancel_asked, opened.run):
                opened.stop.cancel()
        waiting = [run for run in await asyncio.to_thread(store.runs_with_work) if not self._is_refused(run)]
        for run in waiting:
            if run not in self._opened and not any(one.may_have_more for one in self._opened.values()):
                opened = self._opened[run] = _Opened(run)
                if await asyncio.to_thread(store.cancel_asked, run):
                    opened.stop.cancel()
                opened.task = asyncio.create_task(self._work(opened))
        return len(waiting)

    def _is_refused(self, run: str) -> bool:
        return self._refused.get(run, 0.0) > self._lease.now()

    async def _work(self, opened: _Opened) -> None:
        try:
            async with self._open(opened.run) as found:
                claimed = ClaimedRun(
                    self._store, opened.run, self._id, self._settings.most, found.selection, self._settings.now
                )
                opened.claimed = claimed
                self._refused.pop(opened.run, None)
                filling = asyncio.create_task(claimed.fill())
                try:
                    await found.work(claimed, opened.stop)
                finally:
                    await _ended(filling)
                    await claimed.give_back()
        except BadInput as error:
            self._refused[opened.run] = self._lease.now() + _REFUSED_FOR
            self._note(f"Run {opened.run} is left to other workers: {error.sentence}")
        except StoreError as error:
            _log.error("run-left", run=opened.run, code=error.problem.code)
        except Exception as error:  # a fault of ours in one run ends no other
            self._refused[opened.run] = self._lease.now() + _REFUSED_FOR
            _log.exception("internal-error", run=opened.run)
            self._note(f"Run {opened.run} is left by a fault of pusher's own ({type(error).__name__}); see the log.")
        finally:
            if self._opened.get(opened.run) is opened:
                del self._opened[opened.run]


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancelled, and done with whatever they still had to do."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
