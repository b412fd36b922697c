"""The writer: one thread that owns the writing connection and commits what has gathered as one batch.

A caller that needs to know waits for the commit (``write``, or ``submit`` where it wants an answer, too); one that
does not, goes on (``post``). Order is kept: what was handed over first is committed first. One statement that fails
costs only itself, not its batch: the others of it are done again, so work is made of its connection alone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
Work = Callable[[Connection], object]
_BATCH = 256


@dataclass(slots=True)
class _Item:
    work: Work
    done: Future[Any] = field(default_factory=Future)
    answer: object = None


class Writer:
    """Commits work in the order it was given. ``close`` commits what is left and ends the thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: queue.Queue[_Item | None] = queue.Queue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def post(self, work: Work) -> None:
        """Hand over and go on. A failure is raised by the next ``write`` or by ``close``."""
        self._put(work).add_done_callback(self._note_failure)

    async def write(self, work: Work) -> None:
        """Hand over and wait until it is durable."""
        self._raise_failure()
        await asyncio.wrap_future(self._put(work))

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Hand over; the future has the answer once it is durable. Nobody else's failure is told here."""
        return self._put(work)

    def write_now(self, work: Work) -> None:
        """As ``write``, for callers without an event loop."""
        self._raise_failure()
        self._put(work).result()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._raise_failure()

    def _put(self, work: Work) -> Future[Any]:
        item = _Item(work)
        # From now on it cannot be cancelled: a waiting task that is cancelled must not take its work out of a batch.
        item.done.set_running_or_notify_cancel()
        self._queue.put(item)
        return item.done

    def _note_failure(self, done: Future[Any]) -> None:
        self._failure = self._failure or done.exception()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        while batch := self._gather():
            try:
                with self._engine.begin() as connection:
                    for item in batch:
                        item.answer = item.work(connection)
            except BaseException:
                self._one_by_one(batch)
            else:
                for item in batch:
                    item.done.set_result(item.answer)

    def _gather(self) -> list[_Item]:
        """At least one item, or none at the end."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < _BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            batch.append(item)
        return batch

    def _one_by_one(self, batch: list[_Item]) -> None:
        for item in batch:
            try:
                with self._engine.begin() as connection:
                    item.answer = item.work(connection)
            except BaseException as error:
                item.done.set_exception(error)
            else:
                item.done.set_result(item.answer)
