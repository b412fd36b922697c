"""A store whose n-th call fails, or is done and said to have failed, or fails with all that come after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from pusher.store import Store
from pusher.store.database import Database
from pusher.store.faults import translated
from pusher.store.writer import Change, Row, Work, Writer

T = TypeVar("T")


class How(Enum):
    ONCE = auto()
    """This one call fails."""
    IN_DOUBT = auto()
    """This one is done, and said to have failed: the connection to the database went down with the answer."""
    FROM_THEN_ON = auto()
    """This call fails and all after it."""


class Plan:
    """Counts the calls, and tells which are to fail. ``number`` counts from 1; 0: none fails."""

    def __init__(self, number: int = 0, how: How = How.ONCE) -> None:
        self.number, self.how = number, how
        self.calls = 0

    @property
    def has_struck(self) -> bool:
        return 0 < self.number <= self.calls

    def is_due(self) -> bool:
        self.calls += 1
        return self.calls == self.number or (self.how is How.FROM_THEN_ON and self.has_struck)


def _fail(_: Connection | None = None) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode, full.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
    raise OperationalError("", None, full)


class _FailingWriter(Writer):
    """The same thread and queue as the writer it is made of."""

    def __init__(self, writer: Writer, plan: Plan) -> None:
        self.__dict__.update(writer.__dict__)
        self._plan = plan

    def _put(self, work: Work | Row | Change, *, is_awaited: bool = True) -> Future[Any]:
        if not self._plan.is_due():
            return super()._put(work, is_awaited=is_awaited)
        if self._plan.how is How.IN_DOUBT:
            super()._put(work, is_awaited=is_awaited)
        return super()._put(_fail, is_awaited=is_awaited)


@dataclass(frozen=True, kw_only=True)
class _FailingDatabase(Database):
    plan: Plan

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self._count()
        with super().reading() as connection:
            yield connection

    def read(self, work: Callable[[Connection], T]) -> T:
        self._count()
        return super().read(work)

    def write(self, work: Callable[[Connection], None]) -> None:
        self._count()
        super().write(work)

    def _count(self) -> None:
        with translated(self.name):
            if self.plan.is_due():
                _fail()


class FailingStore(Store):
    """``store``, some of whose calls fail; the ledger of the lockout budget is left out."""

    def __init__(self, store: Store, plan: Plan) -> None:
        under = store._database
        failing = _FailingDatabase(
            engine=under.engine,
            writer=_FailingWriter(under.writer, plan),
            ledger_writer=under.ledger_writer,
            readers=under.readers,
            name=under.name,
            file=under.file,
            plan=plan,
        )
        super().__init__(failing)
        self.plan, self.ledger = plan, store.ledger
