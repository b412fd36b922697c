"""A run: find ahead who answers, let in whom the caps allow, attempt, retry what is worth it, record every outcome.

The fan-out is asyncio-pool's; who goes next is ``admission``'s. Targets are resolved and reached before they take a
place, and no further ahead than ``_AHEAD`` times the places, unless there are places for which nobody is found who may
have them: then as far as it takes. Where a turn of the event loop takes long, nobody more is let in beyond
``_AT_EASE``. A target that hangs holds its own place only, one that is silent none, and one that is done but for
watching whether it goes well gives its own to another.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

import structlog
from asyncio_pool import AioPool

from pusher.models import Outcome, Stage, Status, Target
from pusher.problems import Code, Problem, ProblemError, problem
from pusher.problems.shortage import own_fault
from pusher.push.attempt import Reached, attempt, reach, resolve
from pusher.push.context import RunContext
from pusher.push.recorder import failed
from pusher.push.supply import LostError, Supply
from pusher.scheduler.admission import Admission, Caps, Entry
from pusher.scheduler.retry import RetryPolicy

_log = structlog.get_logger()

_AHEAD = 4
"""Targets reached ahead, as a multiple of those worked on at once."""

_PLACES = 1000
"""For how many it is looked ahead where any number may be worked on at once."""

_AT_ONCE = 25
"""Tasks started before the others get their turn."""

_TURN = 0.01
"""Seconds of CPU after which all tasks of the event loop that can go on should have had their turn."""

_AT_EASE = 50
"""Targets in work: so many are let in however long a turn takes."""

_BREATH = 0.01
"""Seconds until it is looked again whether turns have become shorter."""

_BATCH = 250
"""Outcomes of targets on which nothing is done, written down at once."""

Report = Callable[[Outcome], None]
Unstored = Callable[[Outcome, Problem], None]
"""Told of an outcome that the store did not take, and why, before ``Report`` is."""
Place = Callable[[Target, str], Awaitable[Target]]
"""Adds to a target what is known of it by its address and name: its site, whether it is a domain controller."""

Spared = Callable[[Target], Problem | None]
"""Why nothing is done on a target of which the address, site and groups are known by now; None where it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting(Entry):
    """A target of which a port answers."""

    reached: Reached


def _to_nobody(_: Outcome, __: Problem) -> None:
    """Nobody keeps what the store did not take."""


async def _as_it_is(target: Target, _: str) -> Target:
    return target


def _nobody(_: Target) -> None:
    """Nobody is spared any more."""


class Dispatcher:
    """Works through targets; ``report`` is told of each outcome after it is durable in the store.

    One that the store does not take goes to ``unstored``, and the run begins nothing more: who knows what it would do
    that nobody writes down. ``losses`` are all that could not be written.
    """

    def __init__(
        self,
        context: RunContext,
        caps: Caps,
        retry: RetryPolicy,
        report: Report,
        place: Place = _as_it_is,
        max_failures: int = 0,
        unstored: Unstored = _to_nobody,
        spared: Spared = _nobody,
        probes: int = 0,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """``probes``: how many targets at once may be asked whether they answer; 0: as many as are looked ahead.

        ``cpu``: seconds that this thread has worked.
        """
        self._context, self._caps, self._retry, self._report = context, caps, retry, report
        self._unstored, self.losses = unstored, context.losses
        self._place, self._spared, self._max_failures = place, spared, max_failures
        self._admission: Admission[Entry] = Admission(caps)
        self._failures = 0
        self._ended: set[str] = set()
        self._places = caps.total or _PLACES
        self._probes = probes or _AHEAD * self._places
        self._reaching = self._watched = 0
        self._none_may_go = False
        self._cpu, self._turn = cpu, 0.0
        self._changed = asyncio.Event()
        self._pool = AioPool(size=self._probes + 2 * self._places if caps.total else sys.maxsize)

    async def run(self, supply: Supply, left_out: Iterable[tuple[Target, Problem]] = ()) -> None:
        """Until ``supply`` is exhausted and every target has its outcome, those that are left out included.

        Cancelled: each target under way ends at its next await.
        """
        await self._finish_all(
            failed(self._context, target, target.address, why, self._context.now()) for target, why in left_out
        )
        watch = asyncio.create_task(self._wake_on_stop())
        supply.watch(self._changed.set)
        try:
            while True:
                await self._let_in()
                await self._look_ahead(supply)
                if self._context.stop.code:
                    await self._end_all((target, target.address) for target in iter(supply.take, None))
                if supply.is_exhausted and self._is_over():
                    break
                await self._wait()
            await self._pool.join()
        except asyncio.CancelledError:
            await self._pool.cancel()
            await self._pool.join()
            raise
        except Exception:
            # A fault of ours, here or in the inventory: what is in work finishes or is put back.
            self._context.stop.cancel(Code.INTERNAL_ERROR)
            await self._pool.join()
            await self._end_waiting()
            raise
        finally:
            watch.cancel()
            await self._context.tickets.close()

    async def _look_ahead(self, supply: Supply) -> None:
        """Begin to reach as many as are wanted and there are, retries first."""
        started = 0
        while self._reaching < self._probes and not self._context.stop.code and not self._is_crowded:
            if (due := self._admission.back(time.monotonic())) is not None:
                await self._begin_to_reach(self._reach(due), due.target)
            elif self._wants_more():
                target = supply.take()
                if target is None:
                    return
                await self._begin_to_reach(self._resolve(target), target)
            else:
                break
            started += 1
            if not started % _AT_ONCE:
                await self._let_in()

    def _wants_more(self) -> bool:
        """Whether fewer are reached, or about to be, than are looked ahead; or nobody who waits may have a place."""
        ahead = self._reaching + self._admission.waiting
        return ahead < _AHEAD * self._places or (self._none_may_go and self._admission.running < self._places)

    async def _begin_to_reach(self, work: Awaitable[None], target: Target) -> None:
        self._reaching += 1
        await self._pool.spawn(self._guarded(self._reached(work), target))

    async def _reached(self, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            self._reaching -= 1
            self._changed.set()

    async def _resolve(self, target: Target) -> None:
        started = self._context.now()
        try:
            address = await resolve(self._context, target)
        except ProblemError as error:
            await self._finish(failed(self._context, target, None, error.problem, started))
            return
        placed = await self._place(target, address)
        if (why := self._spared(replace(placed, address=address))) is not None:
            await self._finish(failed(self._context, placed, address, why, started))
            return
        await self._reach(Entry(target=placed, address=address))

    async def _reach(self, entry: Entry) -> None:
        found = await reach(self._context, entry.target, entry.address, entry.attempt)
        if self._context.stop.code:
            self._admission.arrive(entry)  # nothing was begun on it: it ends as those do who wait
        elif isinstance(found, Outcome):
            await self._ended_as(entry, found)
        else:
            waiting = _Waiting(
                target=entry.target, address=entry.address, attempt=entry.attempt, last=entry.last, reached=found
            )
            self._admission.arrive(waiting)

    async def _let_in(self) -> None:
        """As many as may go; others get their turn in between."""
        started, self._none_may_go = 0, False
        while not (self._context.stop.code or self._is_crowded) and (admitted := self._admission.take()) is not None:
            await self._pool.spawn(self._guarded(self._attempt(admitted), admitted.target))
            started += 1
            if not started % _AT_ONCE:
                await self._give_turn()
        if self._is_crowded:
            asyncio.get_running_loop().call_later(_BREATH, self._changed.set)
        self._none_may_go = not self._is_crowded
        await self._give_turn()
        if self._context.stop.code:
            await self._end_waiting()

    @property
    def _is_crowded(self) -> bool:
        """More in work would be no faster: this thread has its hands full, and each would wait longer for its turn."""
        return self._turn > _TURN and self._admission.running >= _AT_EASE

    async def _give_turn(self) -> None:
        began = self._cpu()
        await asyncio.sleep(0)
        self._turn = self._cpu() - began

    async def _attempt(self, entry: Entry) -> None:
        is_in, is_watched = True, False

        def only_watched() -> None:
            """Its place is another's; but no more are watched than are worked on, since each has a connection."""
            nonlocal is_in, is_watched
            if is_in and self._watched < self._places:
                is_in, is_watched = False, True
                self._watched += 1
                self._leave(entry)

        try:
            began = self._context.store.target_began(self._context.run, entry.target.name, self._context.now())
            self._context.losses.watch(entry.target.name, began)
            reached = entry.reached if isinstance(entry, _Waiting) else None
            outcome = await attempt(self._context, entry.target, entry.address, entry.attempt, reached, only_watched)
            await self._ended_as(entry, outcome)
        finally:
            self._watched -= is_watched
            if is_in:
                self._leave(entry)
            self._changed.set()

    def _leave(self, entry: Entry) -> None:
        self._admission.leave(entry)
        self._none_may_go = False
        self._changed.set()

    async def _ended_as(self, entry: Entry, outcome: Outcome) -> None:
        """Of one of its attempts: there is another one, or that is its outcome."""
        wait = self._retry.wait(_problem_of(outcome), entry.attempt)
        if wait is not None and not self._context.stop.code:
            again = Entry(target=entry.target, address=entry.address, attempt=entry.attempt + 1, last=outcome)
            self._admission.come_back(again, time.monotonic() + wait)
        else:
            await self._finish(outcome)

    def _is_over(self) -> bool:
        return not (self._reaching or self._admission.waiting or self._admission.running or self._watched)

    async def _guarded(self, work: Awaitable[None], target: Target) -> None:
        """No failure of ours may cost a target its outcome."""
        try:
            await work
        except LostError:
            _log.warning("target-lost", run=self._context.run, target=target.name)
        except asyncio.CancelledError:
            if target.name not in self._ended:
                found = problem(Code.INTERRUPTED, Stage.RECORD, "it was stopped at once")
                await self._finish(failed(self._context, target, target.address, found, self._context.now()))
            raise
        except Exception as error:  # whatever it is, the target gets an outcome and the run goes on
            found = own_fault(error, Stage.RECORD)
            _log.exception(found.code, run=self._context.run, target=target.name, stage=Stage.RECORD.value)
            if target.name not in self._ended:
                await self._finish(failed(self._context, target, target.address, found, self._context.now()))
        finally:
            self._ended.discard(target.name)

    async def _finish(self, outcome: Outcome) -> None:
        """To its end, once begun, even by a task that is cancelled: what has ended keeps the outcome that it had."""
        writing = asyncio.create_task(self._record(outcome))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise

    async def _finish_all(self, outcomes: Iterable[Outcome]) -> None:
        """Many at once: each alone would wait for the disk."""
        left = iter(outcomes)
        while batch := list(islice(left, _BATCH)):
            await asyncio.gather(*(self._finish(outcome) for outcome in batch))

    async def _record(self, outcome: Outcome) -> None:
        try:
            await self._context.store.outcome(outcome)
        except LostError:
            self._ended.add(outcome.target)
            return
        except Exception as error:
            self._keep_elsewhere(outcome, error)
        self._ended.add(outcome.target)
        try:
            self._report(outcome)
        except Exception:  # who is told of it costs no outcome, and no other target anything
            _log.exception("internal-error", run=self._context.run, target=outcome.target, stage=Stage.RECORD.value)
        self._failures += outcome.status in (Status.FAILED, Status.UNREACHABLE)
        if self._max_failures and self._failures >= self._max_failures:
            self._context.stop.cancel(Code.FAILURE_LIMIT)

    def _keep_elsewhere(self, outcome: Outcome, error: Exception) -> None:
        why = self._context.losses.note(outcome.target, error)
        _log.error("outcome-not-stored", run=self._context.run, target=outcome.target, code=why.code, exc_info=error)
        self._unstored(outcome, why)
        if not why.row.passing:
            self._context.stop.cancel(Code.STORE_LOST)

    async def _end_waiting(self) -> None:
        """Who waits for another attempt keeps what the last one came to: a host may have been left half done."""
        waiting = self._admission.drain()
        await self._finish_all(entry.last for entry in waiting if entry.last is not None)
        await self._end_all((entry.target, entry.address) for entry in waiting if entry.last is None)

    async def _end_all(self, places: Iterable[tuple[Target, str | None]]) -> None:
        found = problem(self._context.stop.code or Code.CANCELLED, Stage.RECORD)
        await self._finish_all(
            failed(self._context, target, address, found, self._context.now()) for target, address in places
        )

    async def _wait(self) -> None:
        due = self._admission.next_due()
        try:
            async with asyncio.timeout(None if due is None else max(due - time.monotonic(), 0.01)):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def _wake_on_stop(self) -> None:
        await self._context.stop.wait()
        self._changed.set()


def _problem_of(outcome: Outcome) -> Problem | None:
    if outcome.code is None:
        return None
    return problem(Code(outcome.code), outcome.stage)
