"""The life of a worker: it registers, beats, takes up the runs that have work, and leaves.

One task keeps the lease and one looks after the queue each second: it frees what gone workers had, makes ready what is
due, ends runs that are done or cancelled, shares its places among the runs with work that can be claimed (``turns``),
and takes those up, the most urgent first. Where the lease is over, whatever this worker
does stops at once, with nothing undone and nothing recorded, for others may be at it; then it begins anew under another
id. What must not live here: what becomes of a run that is taken up (``run_in_hand``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from pusher.clock import Now, utc_now
from pusher.models import ReadyWork, WaveState
from pusher.problems import BadInput, Code
from pusher.store import Store, StoreError
from pusher.worker.cancelled import end_cancelled
from pusher.worker.lease import Lease, since_boot
from pusher.worker.pauses import Pauses
from pusher.worker.rollouts import roll_out
from pusher.worker.run_in_hand import AHEAD, Open, RunInHand
from pusher.worker.run_windows import RunWindows, Standing
from pusher.worker.turns import Share, shares

T = TypeVar("T")

LEASE = timedelta(seconds=90)
_BEAT = 15.0
_ROUND, _IDLE = 1.0, 5.0
"""Seconds between two looks at the queue, and at the lease; and at the queue where there is nothing to do."""
_OPENS = 5.0
"""Seconds for which a run that is being opened keeps others from being taken up."""
_REFUSED_FOR, _NOTHING_FOR = 60.0, 5.0
"""Seconds for which a run that cannot be opened here is left to others at first, and one of which nothing was free, or
that the store did not take."""

_log = structlog.get_logger()

Note = Callable[[str], None]


class NameTakenError(Exception):
    """Another worker of that name is at work."""


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """``process`` says where the worker runs, and ``is_gone`` of another's whether it does no more.

    ``most``: targets that are worked on at once; None: as many as a run has places. ``until_idle``: leave when there is
    nothing to claim, nor worked on here. ``beat``, ``round``, ``idle``: seconds between two beats, two looks, and two
    looks where there is nothing to do.
    """

    name: str
    process: Mapping[str, Any]
    is_gone: Callable[[Mapping[str, Any]], bool]
    most: int | None = None
    until_idle: bool = False
    lease: timedelta = LEASE
    beat: float = _BEAT
    round: float = _ROUND
    idle: float = _IDLE
    clock: Callable[[], float] = since_boot
    now: Now = utc_now
    beaten: Callable[[], None] = lambda: None


class Worker:
    """``serve`` once. ``note`` is told, in a sentence, what its operator should read."""

    def __init__(self, store: Store, open_run: Open, settings: WorkerSettings, note: Note) -> None:
        self._store, self._open, self._settings, self._note = store, open_run, settings, note
        self._id = ""
        self._lease = Lease(settings.lease, settings.clock)
        self._in_hand: dict[str, tuple[RunInHand, asyncio.Task[None]]] = {}
        self._pauses = Pauses(self._lease.now)
        self._windows = RunWindows(store, settings.now)
        self._unreleased: set[tuple[str, str]] = set()
        self._next_roll_out = 0.0
        self.stopped: set[str] = set()
        """Runs that have stopped by themselves while this worker looked."""
        self._leaving = asyncio.Event()

    @property
    def left(self) -> Mapping[str, str]:
        """Runs that could not be worked on here, nor since, and why."""
        return self._pauses.reasons

    @property
    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    def leave(self) -> None:
        """Take no more; what is in work comes to its end, and ``serve`` with it."""
        self._leaving.set()

    def hurry(self) -> None:
        """What is in work is put back at its next step, and waits for another worker."""
        for run, _ in self._in_hand.values():
            run.stop.cancel(Code.DRAINING)

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
            await _ended(*(task for _, task in self._in_hand.values()))
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
        settings.beaten()
        _log.info("worker-up", worker=self._id, name=settings.name)

    async def _keep_the_lease(self) -> None:
        beating: asyncio.Task[None] | None = None
        next_beat = self._lease.now() + self._settings.beat
        try:
            while True:
                await asyncio.sleep(min(self._settings.round, self._settings.beat))
                if self._lease.is_over:
                    await _ended(*([beating] if beating is not None else []))
                    await self._begin_anew()
                    beating, next_beat = None, self._lease.now() + self._settings.beat
                elif self._lease.now() >= next_beat and (beating is None or beating.done()):
                    next_beat = self._lease.now() + self._settings.beat
                    beating = asyncio.create_task(self._beat())
        finally:
            if beating is not None:
                beating.cancel()

    async def _beat(self) -> None:
        asked = self._lease.now()
        try:
            if await self._store.beat(self._id, self._settings.lease):
                self._lease.renewed(asked)
                self._settings.beaten()
            else:
                self._lease.end()
        except StoreError as error:  # the next one may be heard in time
            _log.warning("beat-not-stored", worker=self._id, code=error.problem.code)

    async def _begin_anew(self) -> None:
        """Nothing more is done under the old id, not even put back."""
        self._say("The lease is over (the machine slept, or the store was away): what was in work is left to others.")
        _log.error("lease-over", worker=self._id, runs=sorted(self._in_hand))
        for run, _ in self._in_hand.values():
            if run.claimed is not None:
                run.claimed.lose()
        while self._in_hand:
            await _ended(*(task for _, task in self._in_hand.values()))
        self._unreleased.clear()
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
            pause = self._settings.round
            while not leaving.done():
                found = await self._guarded(self._round())
                is_idle = not found and not self._in_hand
                if is_idle and found == 0 and self._settings.until_idle:
                    if await self._guarded(self._roll_out(at_once=True)):
                        continue  # a wave has opened
                    await self._guarded(self._tidy())  # the last of them may have ended behind this round's back
                    return
                pause = min(pause + self._settings.round, self._settings.idle) if is_idle else self._settings.round
                await asyncio.wait({leaving}, timeout=pause)
            for run, task in list(self._in_hand.values()):
                if run.claimed is not None:
                    run.claimed.close()
                elif run.is_opening:
                    task.cancel()
            while tasks := [task for _, task in self._in_hand.values() if not task.done()]:
                await asyncio.wait(tasks)
            await self._guarded(self._tidy())
        finally:
            leaving.cancel()

    async def _guarded(self, work: Awaitable[T]) -> T | None:
        """The store may be away: the next round finds out what is to be done."""
        try:
            return await work
        except StoreError as error:
            _log.warning("queue-not-read", worker=self._id, code=error.problem.code)
            return None

    async def _round(self) -> int:
        """How many runs have work that can be claimed here."""
        store = self._store
        for run, worker in list(self._unreleased):
            await self._release(run, worker)
        await self._tidy()
        await self._roll_out()
        for in_hand, _ in list(self._in_hand.values()):
            if in_hand.stop.code is None and await asyncio.to_thread(store.cancel_asked, in_hand.run):
                in_hand.stop.cancel()
            elif in_hand.claimed is not None and await asyncio.to_thread(store.is_stopped, in_hand.run):
                in_hand.claimed.begin_no_more()
        seen = await store.look()
        for run in seen.cancelled:
            await asyncio.to_thread(end_cancelled, store, run, self._settings.now())
        for run in self._pauses.reasons.keys() - set(seen.ready):
            self._pauses.end(run)
        self._share_out(await self._while_open(seen.work))
        return len(set(seen.ready) - self._pauses.reasons.keys())

    async def _roll_out(self, *, at_once: bool = False) -> bool:
        """Whether a wave is another one by that. It is looked no more often than the queue of one who is idle, but for
        ``at_once``: all hosts of a wave are counted."""
        if self._lease.now() < self._next_roll_out and not at_once:
            return False
        self._next_roll_out = self._lease.now() + self._settings.idle
        changed = await roll_out(self._store)
        for run, wave in changed:
            if wave.state is WaveState.STOPPED:
                self.stopped.add(run)
                self._say(f"Run {run} is stopped: too many machines of its wave {wave.number} failed.")
        return bool(changed)

    async def _while_open(self, work: Sequence[ReadyWork]) -> list[ReadyWork]:
        """That of which the windows are open. What is in hand of others ends, and what is ready of them waits."""
        runs = dict.fromkeys([*(name for name, _ in self._in_hand.items()), *(one.run for one in work)])
        shut = {run for run in runs if not await self._is_open(run)}
        for run in shut & {one.run for one in work}:
            if run not in self._pauses.reasons:
                await self._windows.wait(run)
        return [one for one in work if one.run not in shut]

    async def _is_open(self, run: str) -> bool:
        """Whether more of the run may be begun on. What is in hand is told where not."""
        try:
            standing = await self._windows.standing(run)
        except BadInput as error:
            self._leave_to_others(run, error.sentence)
            return False
        in_hand, _ = self._in_hand.get(run, (None, None))
        if in_hand is not None and standing is Standing.SHUT:
            in_hand.stop.cancel(Code.WINDOW_CLOSED)
        elif in_hand is not None and in_hand.claimed is not None and standing is Standing.ENDING:
            in_hand.claimed.begin_no_more()
        return standing is Standing.OPEN

    async def _tidy(self) -> None:
        for run in (await self._store.tidy(self._settings.is_gone)).ended:
            self._say(f"Run {run} has ended.")

    def _share_out(self, work: Sequence[ReadyWork]) -> None:
        """Who may claim how much; and a run that may is taken up, the most urgent first."""
        in_hand = {name: run for name, (run, _) in self._in_hand.items()}
        places = max(self._settings.most or max((run.places for run in in_hand.values()), default=0), 1)
        mine = [one for one in work
                if (in_hand[one.run].may_have_more if one.run in in_hand else self._may_take_up(one.run))]  # fmt: skip
        # A few are claimed ahead, where that takes no other run's places.
        room = places if len({*in_hand, *(one.run for one in mine)}) > 1 else AHEAD * places
        found = shares(mine, {name: run.held_by_priority for name, run in in_hand.items()}, room, self._settings.now())
        for name, run in in_hand.items():
            run.allow(found.get(name))
        if any(run.holds_up_others(_OPENS) for run in in_hand.values()):
            return
        for name in dict.fromkeys(one.run for one in mine):
            share = found[name]
            if name not in in_hand and (share is None or any(share.values())):
                self._take_up(name, share)
                return

    def _may_take_up(self, name: str) -> bool:
        is_held_still = name in {run for run, _ in self._unreleased}
        return not (is_held_still or self._lease.is_over or self._pauses.goes_on(name))

    def _take_up(self, name: str, share: Share | None) -> None:
        run = RunInHand(name, self._store, self._id, self._lease, self._open, self._leaving.is_set)
        run.allow(share)
        self._in_hand[name] = (run, asyncio.create_task(self._work(run)))

    async def _work(self, run: RunInHand) -> None:
        try:
            left = await run.work(self._settings.most, self._settings.now)
            if left is None:
                self._pauses.end(run.run)
            elif left.why:
                self._leave_to_others(run.run, left.why)
            else:
                self._pauses.begin(run.run, _NOTHING_FOR)
        finally:
            self._unreleased.add((run.run, run.worker))
            try:
                await self._guarded(self._release(run.run, run.worker))
            finally:
                del self._in_hand[run.run]

    def _leave_to_others(self, run: str, why: str) -> None:
        if self._pauses.begin(run, _REFUSED_FOR, why):
            self._say(f"Run {run} is left to other workers: {why}")

    async def _release(self, run: str, worker: str) -> None:
        """Nobody here works on what is claimed of it still. Until that is stored it is not taken up again."""
        await self._store.release_run(run, worker)
        self._unreleased.discard((run, worker))

    def _say(self, words: str) -> None:
        with contextlib.suppress(Exception):  # who reads it no more costs no host anything
            self._note(words)


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancelled, and done with whatever they still had to do."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
