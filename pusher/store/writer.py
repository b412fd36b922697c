"""The writer: one thread that owns the writing connection and commits what has gathered as one batch.

A caller that needs to know waits for the commit (``write``, or ``submit`` where it wants an answer, too); one that
does not, goes on (``post``) and is told by the future how it went. Order is kept: what was handed over first is
committed first. Within a batch, rows for one statement go together, before any work that was handed over after them:
so a row that needs another one to be there is handed over when that is durable. Changes of what several processes
change come last, in the order of their keys, so that no two processes wait for each other. One statement that fails
costs only itself, not its batch: the others of it are done again, so work is made of its connection alone. A server
that is away is waited for: the batch is done again when it is back, unless it was done before (``transactions``). What
the database does not do is a StoreError, and nobody waits for ever: not for one that does not answer, nor for a thread
that has ended.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.exc import DBAPIError

from pusher.problems import Code, problem
from pusher.store.faults import StoreError, store_error
from pusher.store.transactions import Batches, NoneTwice, Transactions

T = TypeVar("T")
Work = Callable[[Connection], object]
_BATCH = 256

_LINGER = 0.05
"""Seconds for which what nobody waits for may wait for company: a commit of its own costs more than it does."""

PATIENCE = 60.0
"""Seconds for which a commit is waited for. It may come later all the same: the journal is made for that."""


@dataclass(frozen=True, slots=True)
class Row:
    """One for ``statement``, which answers nothing. It is made once: the library looks a statement up by what it is."""

    statement: Executable
    values: Mapping[str, Any]


class Shelf(Protocol):
    """Where documents lie that several processes change, each under its key."""

    def take(self, connection: Connection, key: str) -> Any:
        """The document, or None, locked until the transaction ends."""

    def put(self, connection: Connection, key: str, document: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Change:
    """Of one document: ``decide`` gets it and returns what becomes of it, and an answer. It changes nothing itself;
    where it raises, nothing is changed, and only who handed it over is told."""

    shelf: Shelf
    key: str
    decide: Callable[[Any], tuple[Any, object]]


@dataclass(eq=False, slots=True)
class _Item:
    work: Work | Row | Change
    is_awaited: bool
    done: Future[Any] = field(default_factory=Future)
    answer: object = None
    failure: BaseException | None = None


class Writer:
    """Commits work in the order it was given. ``close`` commits what is left and ends the thread.

    ``store`` is what its Problems call it; ``prove`` raises where a commit did not reach what was opened.
    """

    def __init__(
        self,
        engine: Engine,
        store: str = "the store",
        prove: Callable[[], None] = lambda: None,
        batches: Batches | None = None,
    ) -> None:
        self.store, self._prove = store, prove
        self._transactions = Transactions(engine, batches or NoneTwice())
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._batch: list[_Item] = []
        self._ended: StoreError | None = None
        # Made now: a thread that dies for want of memory has none to make it of.
        self._late = StoreError(problem(Code.STORE_UNAVAILABLE, detail=f"{store}: no answer for {PATIENCE:g} s"))
        self._gone = StoreError(problem(Code.STORE_UNAVAILABLE, detail=f"{store}: the thread that writes has ended"))
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def post(self, work: Work | Row | Change) -> Future[Any]:
        """Hand over and go on; the future tells how it went."""
        return self._put(work, is_awaited=False)

    async def write(self, work: Work | Row | Change) -> None:
        """Hand over and wait until it is durable."""
        await self._durable(self._put(work))

    async def ask(self, work: Callable[[Connection], T]) -> T:
        """Hand over and wait for the answer, which is durable."""
        return await self._durable(self.submit(work))

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Hand over; the future has the answer once it is durable."""
        return self._put(work)

    def change(self, shelf: Shelf, key: str, decide: Callable[[Any], tuple[Any, T]]) -> Future[T]:
        """Hand over; the future has the answer of ``decide`` once what it decided is durable."""
        return self._put(Change(shelf, key, decide))

    def write_now(self, work: Work) -> None:
        """As ``write``, for callers without an event loop."""
        self._durable_now(self._put(work))

    def ask_now(self, work: Callable[[Connection], T]) -> T:
        """As ``ask``, for callers without an event loop."""
        return self._durable_now(self.submit(work))

    async def _durable(self, handed: Future[T]) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                return await in_loop(handed)
        except TimeoutError as error:
            raise self._late from error

    def _durable_now(self, handed: Future[T]) -> T:
        try:
            return handed.result(PATIENCE)
        except TimeoutError as error:
            raise self._late from error

    def close(self) -> None:
        """Never raises: who handed something over has been told what became of it."""
        self._queue.put(None)
        self._thread.join(PATIENCE)

    def _put(self, work: Work | Row | Change, *, is_awaited: bool = True) -> Future[Any]:
        item = _Item(work, is_awaited)
        # From now on it cannot be cancelled: a waiting task that is cancelled must not take its work out of a batch.
        item.done.set_running_or_notify_cancel()
        with self._lock:
            if self._ended is None:
                self._queue.put(item)
                return item.done
        item.done.set_exception(self._ended)
        return item.done

    # The thread

    def _run(self) -> None:
        try:
            while self._gather():
                self._commit()
        except BaseException as error:
            # What nobody foresaw (no memory, say). Told to all who wait, and not to the terminal.
            self._gone.__cause__ = error
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._ended = self._gone
        while True:
            for item in self._batch:
                if not item.done.done():
                    item.done.set_exception(self._gone)
            try:
                left = self._queue.get_nowait()
            except queue.Empty:
                return
            self._batch = [left] if left is not None else []

    def _gather(self) -> bool:
        """Fill the batch with one item at least; False at the end."""
        self._batch.clear()
        first = self._queue.get()
        if first is None:
            return False
        self._batch.append(first)
        is_awaited, until = first.is_awaited, time.monotonic() + _LINGER
        while len(self._batch) < _BATCH:
            try:
                item = self._queue.get(not is_awaited, max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            self._batch.append(item)
            is_awaited = is_awaited or item.is_awaited
        return True

    def _commit(self) -> None:
        try:
            self._transactions.is_connected = False
            self._prove()
            self._to_its_end(self._batch)
        except BaseException as error:
            failure = self._translated(error)
            if len(self._batch) > 1 and self._transactions.is_undone and not self._is_of_all(failure):
                self._one_by_one()
            else:
                _fail(self._batch, failure)
        else:
            self._tell(self._batch)

    def _one_by_one(self) -> None:
        for number, item in enumerate(self._batch):
            try:
                self._to_its_end([item])
            except BaseException as error:
                failure = self._translated(error)
                _fail([item], failure)
                if self._is_of_all(failure):
                    _fail(self._batch[number + 1 :], failure)
                    return
            else:
                self._tell([item])

    def _to_its_end(self, items: list[_Item]) -> None:
        self._transactions.do(lambda connection: _do_all(connection, items, self._transactions.together))

    def _tell(self, items: list[_Item]) -> None:
        """Durable, if what was written to is still what was opened."""
        try:
            self._prove()
        except BaseException as error:
            _fail(items, self._translated(error))
            return
        for item in items:
            if item.failure is not None:
                item.done.set_exception(item.failure)
            else:
                item.done.set_result(item.answer)

    def _is_of_all(self, failure: BaseException) -> bool:
        """The rest of the batch would meet it too, and each would wait for its own."""
        if not isinstance(failure, StoreError):
            return False
        dropped = isinstance(failure.__cause__, DBAPIError) and failure.__cause__.connection_invalidated
        return dropped or not self._transactions.is_connected or failure.problem.code == Code.STORE_LOCKED

    def _translated(self, error: BaseException) -> BaseException:
        return store_error(error, self.store) or error


Together = Callable[[Connection], AbstractContextManager[None]]


def _do_all(connection: Connection, items: list[_Item], together: Together) -> None:
    rows: dict[Executable, list[Mapping[str, Any]]] = {}
    changes: dict[str, list[_Item]] = {}
    for item in items:
        if isinstance(item.work, Row):
            rows.setdefault(item.work.statement, []).append(item.work.values)
        elif isinstance(item.work, Change):
            changes.setdefault(item.work.key, []).append(item)
        else:
            _insert(connection, rows, together)
            item.answer = item.work(connection)
    _insert(connection, rows, together)
    for key in sorted(changes):
        _change(connection, key, changes[key])


def _change(connection: Connection, key: str, items: list[_Item]) -> None:
    """All changes of one document, which is read and written once."""
    shelves: dict[Shelf, list[tuple[_Item, Change]]] = {}
    for item in items:
        if isinstance(item.work, Change):
            shelves.setdefault(item.work.shelf, []).append((item, item.work))
    for shelf, those in shelves.items():
        taken = document = shelf.take(connection, key)
        for item, change in those:
            item.failure = None
            try:
                document, item.answer = change.decide(document)
            except Exception as error:
                item.failure = error
        if document is None or document != taken:
            shelf.put(connection, key, document)


def _insert(connection: Connection, rows: dict[Executable, list[Mapping[str, Any]]], together: Together) -> None:
    if rows:
        with together(connection):
            for statement, those in rows.items():
                connection.execute(statement, those)
    rows.clear()


def _fail(items: list[_Item], failure: BaseException) -> None:
    for item in items:
        item.done.set_exception(failure)


def in_loop(handed: Future[T]) -> asyncio.Future[T]:
    """The same for the running loop, which may have ended by the time it is done: then nobody waits any more."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T] = loop.create_future()

    def tell(done: Future[T]) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_copy, done, told)

    handed.add_done_callback(tell)
    return told


def _copy(done: Future[T], told: asyncio.Future[T]) -> None:
    if told.done():
        return
    if (error := done.exception()) is not None:
        told.set_exception(error)
    else:
        told.set_result(done.result())
