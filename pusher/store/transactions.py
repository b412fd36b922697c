"""Transactions that are done again while a server is away, each of them once all the same.

Here: for how long, what may be tried again, and by what a transaction whose answer was lost is known. Not here: what is
done in one (``writer``), nor what is particular to a server (``postgresql_server``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from sqlalchemy import Connection, Engine
from tenacity import Retrying, retry_if_exception, stop_never, wait_exponential, wait_random

AWAY = 45.0
"""Seconds for which a server may be away before what was handed over fails."""
PAUSE = wait_exponential(multiplier=0.05, max=1) + wait_random(0, 0.1)
"""Between two attempts to reach it."""


class Batches(Protocol):
    """What is needed to ride out a server that is away."""

    def is_passing(self, error: BaseException) -> bool:
        """Whether what was asked may be taken later: the server is away, or another transaction was in the way."""

    def number(self) -> int:
        """The next transaction's."""

    def is_done(self, connection: Connection, number: int) -> bool:
        """Enter it in its transaction; True where one of that number was committed already, its answer lost."""

    def together(self, connection: Connection) -> AbstractContextManager[None]:
        """Within it, statements that answer nothing leave without waiting for each other; at its end all are done."""


class NoneTwice:
    """Of an engine without a server: what fails has failed, and what was not answered was not done."""

    def is_passing(self, error: BaseException) -> bool:
        return False

    def number(self) -> int:
        return 0

    def is_done(self, connection: Connection, number: int) -> bool:
        return False

    def together(self, connection: Connection) -> AbstractContextManager[None]:
        return nullcontext()


class Transactions:
    """Those of one thread, one after the other.

    ``is_connected``: the last attempt had a connection. ``is_undone``: the last one that failed has left nothing behind
    and no earlier attempt at it has, so its work may be done in other transactions.
    """

    def __init__(self, engine: Engine, batches: Batches) -> None:
        self._engine, self._batches = engine, batches
        self._lost_at: float | None = None
        # One for all: each is a cycle of its own, and a run has tens of thousands of transactions.
        self._trying = Retrying(retry=retry_if_exception(self._may_pass), stop=stop_never, wait=PAUSE, reraise=True)
        self.is_connected = self.is_undone = False

    def do(self, work: Callable[[Connection], None]) -> None:
        """``work`` in one transaction, done again while a server is away, for ``AWAY`` seconds since it was missed."""
        number = self._batches.number()
        self._trying(self._in_one, work, number)
        self._lost_at = None

    def together(self, connection: Connection) -> AbstractContextManager[None]:
        """As of ``Batches``."""
        return self._batches.together(connection)

    def _may_pass(self, error: BaseException) -> bool:
        if not self._batches.is_passing(error):
            self._lost_at = None
            return False
        # What may have been committed, its answer lost, is not done under another number.
        self.is_undone = False
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        return now - self._lost_at < AWAY

    def _in_one(self, work: Callable[[Connection], None], number: int) -> None:
        self.is_connected = self.is_undone = False
        with self._engine.begin() as connection:
            self.is_connected = True
            if not self._batches.is_done(connection, number):
                self.is_undone = True
                work(connection)
