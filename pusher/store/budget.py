"""The lockout ledger in the store: one document for each account, changed in one transaction. It decides nothing.

What a document means, and what may become of it, is the caller's (``credentials``): ``decide`` is called inside the
transaction, with the account's row locked against every other process. On SQLite that lock is the database's own
writing lock, on PostgreSQL the row's. What stands there and is no document is the caller's to judge, too: it is read as
the text that it is, and handed over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Text, bindparam, cast, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pusher.clock import Now, utc_now
from pusher.problems import Code, ProblemError, Stage, problem
from pusher.store.database import Database
from pusher.store.faults import StoreError
from pusher.store.schema import lockout
from pusher.store.writer import in_loop

T = TypeVar("T")
_NEW: dict[str, Any] = {}
"""What stands in a row between its being made and its first document."""
_AS_TEXT = cast(lockout.c.state, Text)


class BudgetLedger:
    """``credentials.lockout.ledger.Ledger`` over the store's database."""

    def __init__(self, database: Database, now: Now = utc_now) -> None:
        self._database, self._now = database, now

    def change(self, account: str, decide: Callable[[Any], tuple[Mapping[str, Any] | None, T]]) -> asyncio.Future[T]:
        """Handed to the writer at once, so that it is in its place whatever becomes of the caller."""

        def change(found: str | None) -> tuple[str | None, T]:
            # Each has a document of its own to spoil.
            document, answer = decide(_found(found))
            return None if document is None else json.dumps(dict(document)), answer

        return in_loop(_of_the_budget(self._database.ledger_writer.change(self, account, change)))

    async def look(self, account: str) -> Any:
        return await self._database.aside(partial(self.read, account))

    def read(self, account: str) -> Any:
        query = select(_AS_TEXT).where(lockout.c.account == account)
        with self._reading() as connection:
            return _found(connection.execute(query).scalar())

    def accounts(self) -> Mapping[str, Any]:
        query = select(lockout.c.account, _AS_TEXT).order_by(lockout.c.account)
        with self._reading() as connection:
            every = ((account, _found(text)) for account, text in connection.execute(query))
            return {account: found for account, found in every if found is not None}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._database.reading() as connection:
                yield connection
        except StoreError as error:
            raise _unavailable(error) from error

    def take(self, connection: Connection, account: str) -> str | None:
        """What stands in the account's row, as text, locked until the transaction ends.

        One statement that writes and reads: SQLite begins no transaction for a SELECT, and a row that is not there
        cannot be locked.
        """
        row = {"account": account, "state": _NEW, "changed_at": self._now()}
        text: str = connection.execute(_LOCKING[connection.dialect.name], row).scalar_one()
        return None if _found(text) is None else text

    def put(self, connection: Connection, account: str, document: str | None) -> None:
        """The same row, from now on; none where there is no document."""
        if document is None:
            connection.execute(_FORGOTTEN, {"its_account": account})
        else:
            row = {"its_account": account, "state": json.loads(document), "changed_at": self._now()}
            connection.execute(_CHANGED, row)


def _locking(dialect: Callable[[Any], Any]) -> Executable:
    made = dialect(lockout)
    touched = {"account": made.excluded.account}
    statement: Executable = made.on_conflict_do_update(index_elements=[lockout.c.account], set_=touched).returning(
        _AS_TEXT
    )
    return statement


_LOCKING: Mapping[str, Executable] = MappingProxyType(
    {"sqlite": _locking(sqlite.insert), "postgresql": _locking(postgresql.insert)}
)
"""By the engine's name: each has a way of its own to say it."""
_MINE = lockout.c.account == bindparam("its_account")
_FORGOTTEN = lockout.delete().where(_MINE)
_CHANGED = update(lockout).where(_MINE).values(state=bindparam("state"), changed_at=bindparam("changed_at"))


def _found(text: Any) -> Any:
    """What a row says; None where there is no row, or a new one. What is no JSON is given as it is, not as nothing."""
    if text is None:
        return None
    try:
        said = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text
    if said is None:
        return text
    return None if said == _NEW else said


def _of_the_budget(handed: Future[T]) -> Future[T]:
    """The same, with a failure of the store said as what it means here. It cannot be cancelled."""
    told: Future[T] = Future()
    told.set_running_or_notify_cancel()

    def tell(done: Future[T]) -> None:
        error = done.exception()
        if error is None:
            told.set_result(done.result())
        elif isinstance(error, StoreError):
            problem_error = _unavailable(error)
            problem_error.__cause__ = error
            told.set_exception(problem_error)
        else:
            told.set_exception(error)

    handed.add_done_callback(tell)
    return told


def _unavailable(failure: StoreError) -> ProblemError:
    return ProblemError(problem(Code.BUDGET_UNAVAILABLE, Stage.SIGN_IN, failure.problem.message))
