"""The record of one attempt: what is known so far, what happened and how long it took; in the end one outcome.

The only one to ask whether the push was cancelled or is late, since that is asked at each new stage. Here lives what is
told to the store and to whoever watches; what must not live here: anything that is done to a host.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from pusher.install.executor import Done
from pusher.models import (
    Account,
    AccountTried,
    Attempt,
    Check,
    Event,
    Outcome,
    Protocol,
    Stage,
    Status,
    StepTime,
    Target,
    TransportKind,
)
from pusher.problems import Code, Problem, ProblemError, problem
from pusher.problems.outcomes import never_tried
from pusher.push.context import RunContext

T = TypeVar("T")

_INTERRUPTIBLE = frozenset({Stage.REACH, Stage.IDENTIFY, Stage.SIGN_IN, Stage.RIGHTS, Stage.LOCK})
"""Stages at whose start a cancelled push just ends; later ones have something to undo, which the driver does."""


def _to_nobody() -> None:
    """Nobody wants to know."""


class Recorder:
    """Of attempt ``number`` at ``target``, which began now; it is the driver's ``Listener``.

    ``stage`` raises ProblemError where the push is to end there; nothing else does, and nothing waits for the store.
    ``only_watched`` is called when all that is left to be done on the machine is to look whether it goes well.
    """

    def __init__(
        self,
        context: RunContext,
        target: Target,
        address: str | None,
        number: int,
        started: datetime,
        only_watched: Callable[[], None] = _to_nobody,
    ) -> None:
        self._context, self._target, self._address = context, target, address
        self._number, self._started, self._began = number, started, time.monotonic()
        self._stage = Stage.RESOLVE
        self._machine: str | None = None
        self._account: str | None = None
        self._transport: TransportKind | None = None
        self._protocol: Protocol | None = None
        self._tried: dict[str, AccountTried] = {}
        self._checks: tuple[Check, ...] = ()
        self._steps: list[StepTime] = []
        self._copied = 0
        self._putting_back = False
        self._only_watched = only_watched

    # Where it is, and whether it may go on.

    @property
    def current(self) -> Stage:
        """The stage it is at."""
        return self._stage

    def stage(self, stage: Stage, *, is_shown: bool = True) -> None:
        """``stage`` begins; ProblemError where the push was cancelled, or is late, and nothing is to be undone yet.

        ``is_shown``: whoever watches is told; not of one that is not worked on yet.
        """
        self._stage = stage
        if is_shown:
            with contextlib.suppress(Exception):  # who watches costs no host anything
                self._context.watcher.stage(self._target.name, stage)
        if stage is Stage.VERIFY:
            self._only_watched()
        if stage in _INTERRUPTIBLE and not self._putting_back and (code := self.cancelled()):
            raise ProblemError(problem(code, stage))

    def cancelled(self) -> Code | None:
        """Why the push is to end; None where it goes on."""
        if self._context.stop.code:
            return self._context.stop.code
        late = time.monotonic() - self._began > self._context.deadline
        return Code.DEADLINE if late else None

    def puts_back(self) -> None:
        """From here on nothing is cancelled: that would leave the host half done."""
        self._putting_back = True

    # What happened.

    def note(self, stage: Stage, kind: str, detail: str = "") -> None:
        """An event at ``stage``, where the push is now."""
        self._stage = stage
        self.happened(kind, detail)

    def happened(self, kind: str, detail: str) -> None:
        """An event at the stage it is at."""
        event = Event(
            run=self._context.run, target=self._target.name, at=self._context.now(), stage=self._stage,
            kind=kind, detail=detail,
        )  # fmt: skip
        self._context.losses.watch(self._target.name, self._context.store.event(event))
        with contextlib.suppress(Exception):
            self._context.watcher.event(event)

    def transport_failed(self, kind: TransportKind, why: Problem) -> None:
        """The event of a transport that led nowhere."""
        self.happened("transport-failed", f"{kind}: {why.code}")

    async def timed(self, step: str, awaitable: Awaitable[T], *, is_step: bool = True) -> T:
        """``awaitable``'s result; how long it took is recorded also where it failed, or only there: not ``is_step``."""
        began = time.monotonic()
        try:
            result = await awaitable
        except BaseException:
            is_step = True
            raise
        finally:
            if is_step:
                self._steps.append(StepTime(step=step, seconds=round(time.monotonic() - began, 4)))
        return result

    def took(self, steps: Iterable[StepTime]) -> None:
        """Steps that were timed elsewhere."""
        self._steps.extend(steps)

    def copied(self, count: int) -> None:
        """So many bytes more."""
        self._copied += count

    # What is known.

    def goes_by(self, transport: TransportKind) -> None:
        """The transport that is tried."""
        self._transport = transport

    def answered(self, machine: str) -> None:
        """What the machine calls itself; empty where it does not say it."""
        self._machine = machine or None

    def signs_in_as(self, account: Account) -> None:
        """The account whose turn it is."""
        self._account, self._protocol = account.name, account.protocol

    def tried(self, account: Account, code: str | None) -> None:
        """Once for each account: by a second transport it may come further than by the first."""
        self._tried.pop(account.name, None)
        self._tried[account.name] = AccountTried(account=account.name, code=code)

    def checked(self, checks: tuple[Check, ...]) -> None:
        """What the last account's rights were."""
        self._checks = checks

    # What it came to.

    def ended(self, found: Problem | None, done: Done | None) -> Outcome:
        """The outcome, after which the store is handed the attempt."""
        outcome = self.outcome(found, done)
        attempt = Attempt(
            run=self._context.run, target=self._target.name, number=self._number, stage=outcome.stage,
            code=outcome.code, account=outcome.account, started_at=self._started, ended_at=outcome.ended_at,
        )  # fmt: skip
        self._context.losses.watch(self._target.name, self._context.store.attempt(attempt))
        return outcome

    def outcome(self, found: Problem | None, done: Done | None = None) -> Outcome:
        """One outcome, with everything that was tried."""
        outcome = Outcome(
            run=self._context.run,
            target=self._target.name,
            address=self._address,
            status=done.status if done else Status.FAILED,
            stage=self._stage,
            account=self._account,
            transport=self._transport,
            protocol=self._protocol,
            attempts=self._number,
            seconds=round(time.monotonic() - self._began, 4),
            accounts_tried=tuple(self._tried.values()),
            checks=self._checks,
            steps=tuple(self._steps),
            bytes_copied=self._copied,
            agent_version=done.agent_version if done else None,
            previous_version=done.previous_version if done else None,
            machine=self._machine,
            site=self._target.site,
            started_at=self._started,
            ended_at=self._context.now(),
        )
        if found is None:
            return replace(outcome, stage=Stage.RECORD)
        return replace(
            outcome,
            status=found.status,
            stage=found.stage,
            code=found.code,
            message=found.message,
            remedy=found.remedy,
            next_move=found.next_move,
        )


def failed(context: RunContext, target: Target, address: str | None, found: Problem, started: datetime) -> Outcome:
    """The outcome of a target that ended before an attempt was made on it."""
    return never_tried(context.run, target, address, found, started, context.now())
