"""Carrying out steps: journal the intent of a step, then act; on a failure put back what was begun.

What is common to packages of files with a service (``driver``) and to installers (``installing``): the journal, the
cancellation between steps, the fresh session after a lost one, and the words for what could not be put back. Whatever
fails, a store that cannot be written or a fault of pusher's own too, the host is put back; only being stopped at once
leaves that to the next push.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Protocol, TypeVar

from pusher.install import machine
from pusher.models import Journal, Mark, Stage, Status, StepTime
from pusher.problems import Code, Problem, ProblemError, problem
from pusher.problems.shortage import own_fault
from pusher.transports.port import RunAs, Session

T = TypeVar("T")


class HostJournal(Protocol):
    """The journal as one host's push sees it; each call is durable when it returns, ``DONE`` when the next one does."""

    async def open(self, before: dict[str, object]) -> Journal: ...

    async def mark(self, journal: Journal, step: StrEnum, mark: Mark) -> None: ...

    async def close(self, journal: Journal, closed_as: str) -> None: ...

    async def left_open(self) -> Sequence[Journal]: ...

    async def committed(self) -> Sequence[Journal]: ...


class Listener(Protocol):
    """Who wants to know how it goes: the live view and the log."""

    def stage(self, stage: Stage) -> None: ...

    def note(self, stage: Stage, kind: str, detail: str = "") -> None: ...


Reopen = Callable[[], Awaitable[Session]]
"""Gives a fresh session to the same host, under its lock, after a connection was lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How an install or a removal ended well. ``previous_version``: what was there before an upgrade, if known."""

    status: Status
    steps: tuple[StepTime, ...]
    agent_version: str | None
    previous_version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlan:
    """Steps to be carried out, what each does, and how what was begun is put back (on the session there is then).

    ``before`` goes into the journal; a cancelled push ends before any of the ``cancellable`` steps.
    """

    before: dict[str, Any]
    steps: Sequence[StrEnum]
    table: machine.Table
    stages: Mapping[Any, Stage]
    cancellable: frozenset[StrEnum]
    effect: Callable[[Any], Awaitable[None]]
    put_back: Callable[[Journal, Sequence[Any]], Awaitable[None]]


class Executor:
    """One host's push. ``cancelled`` is asked between steps, and answers with the code to end with.

    ``run_as``: whom the package's service, or its installer, runs as.
    """

    _made_up_for: ProblemError | None = None
    """The loss of a session in whose place there is a fresh one already."""

    def __init__(
        self,
        *,
        session: Session,
        host_journal: HostJournal,
        listener: Listener,
        reopen: Reopen,
        cancelled: Callable[[], Code | None],
        now: Callable[[], datetime],
        run_as: RunAs,
    ) -> None:
        self._run_as = run_as
        self._session, self._host_journal, self._listener = session, host_journal, listener
        self._reopen, self._cancelled, self._now = reopen, cancelled, now
        self.times: list[StepTime] = []

    async def _carry_out(self, step_plan: StepPlan) -> None:
        journal = await self._host_journal.open(step_plan.before)
        state, begun = machine.PLANNED, list[StrEnum]()
        try:
            for step in step_plan.steps:
                if step in step_plan.cancellable and (code := self._cancelled()):
                    raise ProblemError(problem(code, step_plan.stages[step], f"before {step}"))
                self._listener.stage(step_plan.stages[step])
                await self._host_journal.mark(journal, step, Mark.INTENT)
                state = machine.advance(state, f"{step}-begin", step_plan.table)
                begun.append(step)
                await self._timed(step.value, partial(step_plan.effect, step))
                await self._host_journal.mark(journal, step, Mark.DONE)
                state = machine.advance(state, f"{step}-done", step_plan.table)
        except (Exception, asyncio.CancelledError) as error:
            state = machine.advance(state, machine.FAILED, step_plan.table)
            if state == machine.COMMITTED:
                # Only an old file would not go, or the journal not be told; open, it lets the next push finish.
                self._listener.note(Stage.VERIFY, "left-behind", str(error))
                return
            if isinstance(error, asyncio.CancelledError):
                raise  # stopped at once: the journal stays open, and the next push undoes it
            cause = _cause(error, step_plan.stages[begun[-1]] if begun else Stage.RECORD)
            lost = cause.row.session_gone and error is not self._made_up_for
            await self._undo(journal, step_plan, begun, error, cause, lost)
            if isinstance(error, ProblemError):
                raise
            raise ProblemError(cause) from error
        with self._unwritten():
            await self._host_journal.close(journal, state)

    async def _undo(
        self, journal: Journal, step_plan: StepPlan, begun: list[StrEnum], error: Exception, cause: Problem, lost: bool
    ) -> None:
        """Undo what was begun. What cannot be undone is said."""
        self._listener.note(cause.stage, "undo", f"after {cause.code}: {', '.join(begun) or 'nothing'}")
        try:
            await self._timed("undo", lambda: self._put_back(journal, step_plan, begun, lost))
        except Exception as second:
            why = _cause(second, cause.stage)
            left = replace(cause, message=f"{cause.message}; what was begun is still on the host "
                           f"({why.code}), the next push undoes it first")  # fmt: skip
            self._listener.note(cause.stage, machine.STRANDED, why.message)
            second.__context__ = error
            raise ProblemError(left) from second
        with self._unwritten():
            await self._host_journal.close(journal, machine.UNDONE)

    @contextlib.contextmanager
    def _unwritten(self) -> Iterator[None]:
        """Within it the journal is told what the host has come to already.

        Where it cannot be told it says less than the truth, and the next push does once more what has been done: it
        looks before it acts, so that changes nothing. The run knows from its losses that its record is not whole.
        """
        try:
            yield
        except Exception as error:
            self._listener.note(Stage.RECORD, "journal-behind", _cause(error, Stage.RECORD).message)

    async def _put_back(self, journal: Journal, step_plan: StepPlan, begun: list[StrEnum], lost: bool) -> None:
        """On this session, or where that is lost (now or while undoing) on a fresh one: an undo may be done twice."""
        if not lost:
            try:
                await step_plan.put_back(journal, begun)
            except Exception as error:
                # A fault of ours tells nothing about the session, so that is tried on a fresh one too.
                if isinstance(error, ProblemError) and not error.problem.row.session_gone:
                    raise
            else:
                return
        self._session = await self._reopen()
        await step_plan.put_back(journal, begun)

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call that may be made twice: once more on a fresh session where this one is lost."""
        try:
            return await call()
        except ProblemError as error:
            if not error.problem.row.session_gone:
                raise
            self._session = await self._reopen()
            return await call()

    async def _timed(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            return await call()
        finally:
            self.times.append(StepTime(step=name, seconds=round(time.monotonic() - began, 4)))


def _cause(error: Exception, stage: Stage) -> Problem:
    """What failed; a fault of pusher's own is one too, and its text may hold anything."""
    return error.problem if isinstance(error, ProblemError) else own_fault(error, stage)
