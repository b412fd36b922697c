"""A run's targets as a worker has them: claimed a few at a time, and written of only as long as the claim is good.

It is the run's ``Supply``, the ``RunStore`` that it writes to, and its ``MachineClaims``: so an attempt cannot write
past its claim, and nothing else of a push knows that there is a queue. What must not live here: when a host comes back
(``queue.again``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pusher.clock import Now
from pusher.models import Attempt, Claim, Event, Journal, Mark, Outcome, Stage, Target
from pusher.problems import Code, Problem, problem
from pusher.problems.outcomes import never_tried
from pusher.push.supply import LostError
from pusher.store import Store
from pusher.store.work import ClaimLostError
from pusher.worker.coming_back import coming_back, is_given_back

NOT_LISTED = problem(Code.EXCLUDED, Stage.RESOLVE, "the inventory has it no more")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Targets by their names: those to work on, and why others are spared by now."""

    targets: Mapping[str, Target]
    spared: Mapping[str, Problem]


class ClaimedRun:
    """Of one run and one worker. ``fill`` claims until nothing is left to claim, never more than ``most`` at once."""

    def __init__(self, store: Store, run: str, worker: str, most: int, selection: Selection, now: Now) -> None:
        self._store, self._run, self._worker, self._most = store, run, worker, most
        self._selection, self._now = selection, now
        self._claims: dict[str, Claim] = {}
        self._journals: dict[str, str] = {}
        self._there: deque[Target] = deque()
        self._wake: Callable[[], None] = lambda: None
        self._room = asyncio.Event()
        self.is_exhausted = False

    @property
    def held(self) -> int:
        """How many targets are claimed."""
        return len(self._claims)

    # -- claiming ------------------------------------------------------------------------------------------------

    async def fill(self) -> None:
        """Until there is nothing left to claim, or ``close``."""
        try:
            while not self.is_exhausted:
                self._room.clear()
                if (room := self._most - len(self._claims)) > 0:
                    found = await self._store.claim(self._run, self._worker, room)
                    await self._sort(found)
                    if not found:
                        break
                else:
                    await self._room.wait()
        finally:
            self.is_exhausted = True
            self._wake()

    async def close(self) -> None:
        """Claim no more; what no attempt has begun on is anybody's again."""
        self.is_exhausted = True
        self._room.set()
        while self._there:
            await self._give_back(self._there.popleft().name)
        self._wake()

    async def give_back(self) -> None:
        """All that is still held: nobody works on it any more."""
        self.is_exhausted = True
        for target in list(self._claims):
            await self._give_back(target)

    def lose(self) -> None:
        """The lease is over: nothing is held any more."""
        self.is_exhausted = True
        self._claims.clear()
        self._there.clear()

    async def _sort(self, found: Sequence[Claim]) -> None:
        for claim in found:
            if (target := self._selection.targets.get(claim.target)) is not None:
                self._claims[claim.target] = claim
                self._there.append(target)
            else:
                why, now = self._selection.spared.get(claim.target, NOT_LISTED), self._now()
                spared = never_tried(self._run, Target(name=claim.target), None, why, now, now)
                await self._store.finish(claim, spared)
        if found:
            self._wake()

    async def _give_back(self, target: str) -> None:
        if (claim := self._claims.pop(target, None)) is not None:
            await self._store.give_back(claim)
            self._room.set()

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
            raise LostError from error

    async def hold(self, target: str) -> None:
        if not await self._store.is_good(self._claim_of(target)):
            raise LostError

    def target_began(self, run: str, target: str, at: datetime) -> Future[Any]:
        return self._store.target_began(run, target, at)

    def event(self, event: Event) -> Future[Any]:
        return self._store.event(event)

    def attempt(self, attempt: Attempt) -> Future[Any]:
        """Counted on from those of earlier claims."""
        claim = self._claims.get(attempt.target)
        return self._store.attempt(replace(attempt, number=attempt.number + (claim.tries if claim else 0)))

    async def outcome(self, outcome: Outcome) -> None:
        """The end of the work; or it is put off, where it is worth another try, or given back, where it had none."""
        claim = self._claim_of(outcome.target)
        outcome = replace(outcome, attempts=outcome.attempts + claim.tries)
        if is_given_back(outcome):
            is_mine = await self._store.give_back(claim)
        elif (due := coming_back(outcome, claim, self._now())) is not None:
            is_mine = await self._store.put_off(claim, outcome, due.at, due.kept, due.parked)
        else:
            is_mine = await self._store.finish(claim, outcome)
        self._claims.pop(outcome.target, None)
        self._room.set()
        if not is_mine:
            raise LostError

    async def open_journal(
        self, *, host: str, service: str, run: str, target: str, before: Mapping[str, Any], at: datetime
    ) -> Journal:
        claim = self._claim_of(target)
        try:
            made = await self._store.open_journal(
                host=host, service=service, run=run, target=target, before=before, at=at, claim=claim
            )
        except ClaimLostError as error:
            raise LostError from error
        self._journals[made.id] = target
        return made

    async def mark(self, journal: str, step: str, mark: Mark, at: datetime) -> None:
        claim = self._claim_of(self._journals[journal])
        try:
            await self._store.mark(journal, step, mark, at, claim)
        except ClaimLostError as error:
            raise LostError from error

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
            raise LostError from error

    async def journals(
        self, host: str, service: str, closed_as: str | None, *, target: str = "", under: Collection[str] | None = ()
    ) -> Sequence[Journal]:
        found = await self._store.journals(host, service, closed_as, target=target, under=under)
        # Whoever began them, it is this target's claim by which they are closed.
        self._journals |= dict.fromkeys((journal.id for journal in found), target)
        return found

    def _claim_of(self, target: str) -> Claim:
        claim = self._claims.get(target)
        if claim is None:
            raise LostError
        return claim
