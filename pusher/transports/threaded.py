"""Blocking libraries under asyncio: a bounded pool of threads of our own, and a deadline on every call.

A library that waits on a stalled socket does not come back by itself: when a call's time is over (or its task is
cancelled) the bridge calls ``abort``, which must shut the socket down from outside, so that the thread returns.
A copy is bounded by lack of progress instead: each ``made`` of the ``CallProgress`` starts its time anew.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pusher.problems import Code, ProblemError, Stage, problem
from pusher.problems.shortage import CODE, shortage

T = TypeVar("T")

_GRACE = 5.0
"""Seconds a thread gets to come back after its socket was shut down."""


class Pool:
    """The threads that blocking transports run in; one pool a process, closed by ``close``."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="transport")

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """ProblemError where this machine gives no thread; then the call is not made."""
        first = threading.Lock()  # whoever takes it decides: the executor keeps what it could not start a thread for

        def made() -> T:
            if not first.acquire(blocking=False):
                raise RuntimeError("taken back")
            return call()

        try:
            return self._executor.submit(made)
        except RuntimeError as error:
            short = shortage(error)
            if short is None or not first.acquire(blocking=False):
                raise
            raise ProblemError(problem(CODE, Stage.REACH, short)) from error

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class CallProgress:
    """Progress, as seen from the event loop: ``made`` is called by the worker thread."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def made(self) -> None:
        self.last = time.monotonic()


class ThreadedCalls:
    """Runs the calls of one connection, one at a time; ``abort`` ends whatever call is in progress."""

    def __init__(self, pool: Pool, abort: Callable[[], None]) -> None:
        self._pool = pool
        self._abort = abort
        self._turn = asyncio.Lock()

    async def call(
        self,
        work: Callable[[], T],
        *,
        deadline: float,
        stage: Stage,
        what: str,
        code: Code = Code.TIMED_OUT,
        call_progress: CallProgress | None = None,
    ) -> T:
        """Run ``work`` in the pool. Past ``deadline`` seconds (without a beat, where there is a pulse): ``code``."""
        async with self._turn:
            job = self._pool.submit(work)
            future = asyncio.wrap_future(job)
            future.add_done_callback(_seen)
            try:
                await self._wait(future, deadline, call_progress)
            except asyncio.CancelledError:
                await self._give_up(job, future)
                raise
            if not future.done():
                await self._give_up(job, future)
                raise ProblemError(problem(code, stage, f"{what}: nothing for {deadline:g} s"))
            return future.result()

    async def _wait(self, future: asyncio.Future[T], deadline: float, call_progress: CallProgress | None) -> None:
        left = deadline
        while left > 0:
            await asyncio.wait({future}, timeout=left)
            if future.done() or call_progress is None:
                return
            left = call_progress.last + deadline - time.monotonic()

    async def _give_up(self, job: Future[T], future: asyncio.Future[T]) -> None:
        self._abort()
        if job.cancel():
            return  # no thread was free for it; it must not begin now
        # The thread comes back with the library's own "closed"; its error is of no interest any more.
        await asyncio.wait({future}, timeout=_GRACE)


def _seen(future: asyncio.Future[T]) -> None:
    """A thread may come back after everybody has gone; asyncio would complain of what it brings on standard error."""
    if not future.cancelled():
        future.exception()
