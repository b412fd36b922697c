"""A run's targets as a worker has them: claimed a few at a time, and written of only as long as the claim is good.

It is the run's ``Supply``, the ``RunStore`` that it writes to, and its ``MachineClaims``: so an attempt cannot write
past its claim, and nothing else of a push knows that there is a queue. What must not live here: when a host comes back
(``queue.again``).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pusher.clock import Now
from pusher.models import Attempt, Claim, Event, Journal, Mark, Outcome, Stage, Status, Target
from pusher.problems import CATALOGUE, Again, Code, Problem, ProblemError, problem
from pusher.problems.outcomes import never_tried
from pusher.push.context import Stop
from pusher.push.supply import LostError
from pusher.queue.windows import ALWAYS, Windows
from pusher.store import Store, StoreError
from pusher.store.claims import ClaimLostError
from pusher.worker.coming_back import coming_back, is_given_back
from pusher.worker.lease import Lease
from pusher.worker.turns import Share

NOT_LISTED = problem(Code.EXCLUDED, Stage.RESOLVE, "the inventory has it no more")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Targets by their names: those to work on, and why others are spared by now."""

    targets: Mapping[str, Target]
    spared: Mapping[str, Problem]


class ClaimedRun:
    """Of one run and one worker. ``fill`` claims until nothing is left to claim, never more than ``most`` at once, nor
    more than it is allowed (``allow``).

    Where the store takes an outcome no more, ``stop`` is pulled: what is in work is put back, and ``failure`` says why.
    Whatever is claimed still when the run has ended, known here or not, is the worker's to free.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        worker: str,
        most: int,
        selection: Selection,
        lease: Lease,
        stop: Stop,
        now: Now,
        windows: Windows = ALWAYS,
    ) -> None:
        self._store, self._run, self._worker, self._most = store, run, worker, most
        self._selection, self._lease, self._stop, self._now = selection, lease, stop, now
        self._windows = windows
        self._begins_no_more = False
        self._claims: dict[str, Claim] = {}
        self._journals: dict[str, str] = {}
        self._there: deque[Target] = deque()
        self._wake: Callable[[], None] = lambda: None
        self._room = asyncio.Event()
        self._allowed: dict[int, int] | None = None
        self.is_exhausted = self.has_claimed = False
        self.failure: ProblemError | None = None

    # -- claiming ------------------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """How many targets are claimed."""
        return len(self._claims)

    @property
    def held_by_priority(self) -> Counter[int]:
        return Counter(claim.priority for claim in self._claims.values())

    def allow(self, share: Share | None) -> None:
        """From now on no more than that many targets are claimed, by their priority; None: as many as there is room
        for. What is claimed already stays so."""
        self._allowed = dict(share) if share is not None else None
        self._room.set()

    async def fill(self) -> None:
        """Until there is nothing left to claim, or ``close``, or the run is stopped by what ends with its worker."""
        try:
            while not self._is_closed:
                self._room.clear()
                room, priority = self._wanted()
                if room <= 0:
                    await self._room.wait()
                    continue
                found = await self._store.claim(self._run, self._worker, room, priority)
                if self._is_closed:
                    break  # what came too late is freed with the rest
                if found:
                    self.has_claimed = True
                    await self._sort(found)
                elif priority is None:
                    break
                elif self._allowed is not None:
                    self._allowed[priority] = 0  # until it is known anew what there is
        except StoreError as error:
            self._fail(error)
        finally:
            self.is_exhausted = True  # what is claimed by now is begun on yet
            self._wake()

    def _wanted(self) -> tuple[int, int | None]:
        """How many may be claimed next, and of which priority; None: of any."""
        room = self._most - len(self._claims)
        if self._allowed is None:
            return room, None
        held = self.held_by_priority
        free = ((min(room, most - held[priority]), priority) for priority, most in sorted(self._allowed.items()))
        return next(((count, priority) for count, priority in free if count > 0), (0, None))

    @property
    def _is_closed(self) -> bool:
        code = self._stop.code
        return self.is_exhausted or (code is not None and CATALOGUE[code].given_back)

    def close(self) -> None:
        """Claim no more, and begin on nothing more."""
        self.is_exhausted = True
        self._there.clear()
        self._room.set()
        self._wake()

    def begin_no_more(self) -> None:
        """What is begun on goes on; all else that is claimed is freed when the run has ended here."""
        self._begins_no_more = True
        self.close()

    def lose(self) -> None:
        """The lease is over: nothing is held any more."""
        self._claims.clear()
        self.close()

    async def _sort(self, found: Sequence[Claim]) -> None:
        """Those to work on, and those that end here, since the inventory spares or lacks them by now."""
        spared = list[Claim]()
        for claim in found:
            if (target := self._selection.targets.get(claim.target)) is not None:
                self._claims[claim.target] = claim
                self._there.append(target)
            else:
                spared.append(claim)
        self._wake()
        for claim in spared:
            why, now = self._selection.spared.get(claim.target, NOT_LISTED), self._now()
            outcome = never_tried(self._run, Target(name=claim.target), None, why, now, now)
            await self._store.finish(claim, outcome)

    def _fail(self, error: ProblemError) -> None:
        """The store cannot be written: what is in work is put back, and done anew once it can."""
        self.failure = self.failure or error
        self._stop.cancel(Code.STORE_AWAY)
        self.close()

    # -- the run's supply ----------------------------------------------------------------------------------------

    def take(self) -> Target | None:
        return self._there.popleft() if self._there else None

    def watch(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    # -- what the run writes -------------------------------------------------------------------------------------

    async def claim(self, key: str, target: str) -> str | None:
        """As ``MachineClaims``: of all workers of the run."""
        try:
            return await self._store.claim_machine(self._claim_of(target), key.lower())
        except ClaimLostError as error:
            raise self._lost(target) from error

    async def hold(self, target: str) -> None:
        if not await self._store.is_good(self._claim_of(target)):
            raise self._lost(target)

    def require(self, target: str) -> None:
        self._claim_of(target)

    def target_began(self, run: str, target: str, at: datetime) -> Future[Any]:
        if self._begins_no_more:
            raise self._lost(target)
        return self._store.target_began(run, target, at)

    def event(self, event: Event) -> Future[Any]:
        return self._store.event(event) if event.target in self._claims else _nothing()

    def attempt(self, attempt: Attempt) -> Future[Any]:
        """Counted on from those of earlier claims."""
        claim = self._claims.get(attempt.target)
        if claim is None:
            return _nothing()
        return self._store.attempt(replace(attempt, number=attempt.number + claim.tries))

    async def outcome(self, outcome: Outcome) -> None:
        """The end of the work; or it is put off, where it is worth another try, or freed, where it had none.

        One that the store does not take is no outcome: the work is done anew.
        """
        claim = self._claim_of(outcome.target)
        try:
            is_recorded = await self._record(claim, replace(outcome, attempts=outcome.attempts + claim.tries))
        except StoreError as error:
            self._fail(error)
            raise LostError from error
        finally:
            self._claims.pop(outcome.target, None)
            self._room.set()
        if not is_recorded:
            raise LostError

    async def _record(self, claim: Claim, outcome: Outcome) -> bool:
        if is_given_back(outcome):
            if self._stop.code is None:  # nobody has told it to end: something is wrong here
                found = problem(Code(outcome.code or ""), outcome.stage)
                self._fail(ProblemError(replace(found, message=outcome.message or found.message)))
            await self._store.give_back(claim)
            return False
        is_never_tried = outcome.status is Status.CANCELLED and outcome.attempts == claim.tries
        if is_never_tried and CATALOGUE[outcome.code or ""].again is Again.WINDOW:
            await self._store.give_back(claim)  # the run waits, and what an earlier attempt has come to stays
            return False
        if (due := coming_back(outcome, claim, self._now(), self._windows)) is not None:
            return await self._store.put_off(claim, outcome, due.at, due.kept, due.parked, due.priority)
        # What an earlier attempt has come to is not taken back by a run that ends before the next one.
        return await self._store.finish(claim, outcome, unless_there=is_never_tried)

    async def open_journal(
        self, *, host: str, service: str, run: str, target: str, before: Mapping[str, Any], at: datetime
    ) -> Journal:
        claim = self._claim_of(target)
        try:
            made = await self._store.open_journal(
                host=host, service=service, run=run, target=target, before=before, at=at, claim=claim
            )
        except ClaimLostError as error:
            raise self._lost(target) from error
        self._journals[made.id] = target
        return made

    async def mark(self, journal: str, step: str, mark: Mark, at: datetime) -> None:
        claim = self._claim_of(self._journals[journal])
        try:
            await self._store.mark(journal, step, mark, at, claim)
        except ClaimLostError as error:
            raise self._lost(claim.target) from error

    def mark_done(self, journal: str, step: str, at: datetime) -> Future[Any]:
        """Where it is lost, the next thing that is waited for says so."""
        told: Future[Any] = Future()

        def tell(done: Future[Any]) -> None:
            error = done.exception()
            if error is None or isinstance(error, ClaimLostError):
                told.set_result(None)
            else:
                told.set_exception(error)

        claim = self._claim_of(self._journals[journal])
        self._store.mark_done(journal, step, at, claim).add_done_callback(tell)
        return told

    async def close_journal(self, journal: str, closed_as: str) -> None:
        claim = self._claim_of(self._journals[journal])
        try:
            await self._store.close_journal(journal, closed_as, claim)
        except ClaimLostError as error:
            raise self._lost(claim.target) from error

    async def journals(
        self, host: str, service: str, closed_as: str | None, *, target: str = "", under: Collection[str] | None = ()
    ) -> Sequence[Journal]:
        found = await self._store.journals(host, service, closed_as, target=target, under=under)
        # Whoever began them, it is this target's claim by which they are closed.
        self._journals |= dict.fromkeys((journal.id for journal in found), target)
        return found

    def _claim_of(self, target: str) -> Claim:
        claim = self._claims.get(target)
        if claim is None or self._lease.is_over:
            raise self._lost(target)
        return claim

    def _lost(self, target: str) -> LostError:
        """It is somebody else's, and takes up no room here any more."""
        self._claims.pop(target, None)
        self._room.set()
        return LostError()


def _nothing() -> Future[Any]:
    """Posted by one to whom the target belongs no more: it is not written."""
    done: Future[Any] = Future()
    done.set_result(None)
    return done
