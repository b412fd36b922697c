"""Carrying out steps: journal the intent of a step, then act; on a failure put back what was begun.

What is common to packages of files with a service (``driver``) and to installers (``installing``): the journal, the
cancellation between steps, the fresh session after a lost one, and the words for what could not be put back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Protocol, TypeVar

from pusher.install import machine
from pusher.models import Stage, Status, StepTime
from pusher.problems import ProblemError, problem
from pusher.store import Journal, Mark
from pusher.transports.port import Session

SESSION_GONE = frozenset({"connection-lost", "transfer-stalled", "timed-out", "protocol-error", "tampered"})
"""Problems after which nothing more can be asked on the same session."""

T = TypeVar("T")


class Book(Protocol):
    """The journal as one host's push sees it; each call is durable when it returns."""

    async def open(self, before: dict[str, object]) -> Journal: ...

    async def mark(self, journal: Journal, step: StrEnum, mark: Mark) -> None: ...

    async def close(self, journal: Journal, closed_as: str) -> None: ...

    async def left_open(self) -> Sequence[Journal]: ...


class Listener(Protocol):
    """Who wants to know how it goes: the live view and the log."""

    def stage(self, stage: Stage) -> None: ...

    def note(self, stage: Stage, kind: str, detail: str = "") -> None: ...


Reopen = Callable[[], Awaitable[Session]]
"""Gives a fresh session to the same host, under its lock, after a connection was lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How an install or a removal ended well."""

    status: Status
    steps: tuple[StepTime, ...]
    agent_version: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
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


class Carrier:
    """One host's push. ``cancelled`` is asked between steps, and answers with the code to end with."""

    _made_up_for: ProblemError | None = None
    """The loss of a session in whose place there is a fresh one already."""

    def __init__(
        self,
        *,
        session: Session,
        book: Book,
        listener: Listener,
        reopen: Reopen,
        cancelled: Callable[[], str | None],
        now: Callable[[], datetime],
    ) -> None:
        self._session, self._book, self._listener = session, book, listener
        self._reopen, self._cancelled, self._now = reopen, cancelled, now
        self.times: list[StepTime] = []

    async def _carry_out(self, course: Course) -> None:
        journal = await self._book.open(course.before)
        state, begun = machine.PLANNED, list[StrEnum]()
        try:
            for step in course.steps:
                if step in course.cancellable and (code := self._cancelled()):
                    raise ProblemError(problem(code, course.stages[step], f"before {step}"))
                self._listener.stage(course.stages[step])
                await self._book.mark(journal, step, Mark.INTENT)
                state = machine.advance(state, f"{step}-begin", course.table)
                begun.append(step)
                await self._timed(step.value, partial(course.effect, step))
                await self._book.mark(journal, step, Mark.DONE)
                state = machine.advance(state, f"{step}-done", course.table)
        except (ProblemError, asyncio.CancelledError) as error:
            state = machine.advance(state, machine.FAILED, course.table)
            if state == machine.COMMITTED:
                # Only an old file would not go; the open journal lets the next push remove it.
                self._listener.note(Stage.VERIFY, "left-behind", str(error))
                return
            if isinstance(error, asyncio.CancelledError):
                raise  # stopped at once: the journal stays open, and the next push undoes it
            lost = error.problem.code in SESSION_GONE and error is not self._made_up_for
            await self._undo(journal, course, begun, error, lost)
            raise
        await self._book.close(journal, state)

    async def _undo(
        self, journal: Journal, course: Course, begun: list[StrEnum], cause: ProblemError, lost: bool
    ) -> None:
        """Undo what was begun. What cannot be undone is said."""
        self._listener.note(cause.problem.stage, "undo", f"after {cause.problem.code}: {', '.join(begun) or 'nothing'}")
        try:
            await self._timed("undo", lambda: self._put_back(journal, course, begun, lost))
        except ProblemError as error:
            left = replace(cause.problem, message=f"{cause.problem.message}; what was begun is still on the host "
                           f"({error.problem.code}), the next push undoes it first")  # fmt: skip
            self._listener.note(cause.problem.stage, machine.STRANDED, error.problem.message)
            raise ProblemError(left) from error
        await self._book.close(journal, machine.UNDONE)

    async def _put_back(self, journal: Journal, course: Course, begun: list[StrEnum], lost: bool) -> None:
        """On this session, or where that is lost (now or while undoing) on a fresh one: an undo may be done twice."""
        if not lost:
            try:
                await course.put_back(journal, begun)
            except ProblemError as error:
                if error.problem.code not in SESSION_GONE:
                    raise
            else:
                return
        self._session = await self._reopen()
        await course.put_back(journal, begun)

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call that may be made twice: once more on a fresh session where this one is lost."""
        try:
            return await call()
        except ProblemError as error:
            if error.problem.code not in SESSION_GONE:
                raise
            self._session = await self._reopen()
            return await call()

    async def _timed(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            return await call()
        finally:
            self.times.append(StepTime(step=name, seconds=round(time.monotonic() - began, 4)))
