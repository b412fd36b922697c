"""The database under an open store, and what the calls on every noun share: reading, writing, its name in Problems.

Here lives nothing of what is kept: the nouns do, each in a file of its own. Whatever the library raises within
``reading`` and ``write`` is a StoreError; what is handed to ``writer`` is told by its future.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from pusher.problems import Code, problem
from pusher.store import postgresql_server
from pusher.store.faults import StoreError, translated
from pusher.store.sqlite_file import SqliteFile
from pusher.store.transactions import NoneTwice, Transactions
from pusher.store.writer import Writer, in_loop

T = TypeVar("T")
_INSERTS: Mapping[str, Callable[[Table], Any]] = MappingProxyType(
    {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """One that is open. ``name`` is what its Problems call it, ``file`` its file, where it has one.

    ``ledger_writer`` has a connection of its own where there is a server, so that a sign-in waits for no journal.
    ``readers`` are threads for what is read in an event loop.
    """

    engine: Engine
    writer: Writer
    ledger_writer: Writer
    readers: ThreadPoolExecutor
    name: str
    file: SqliteFile | None = None

    @property
    def dialect(self) -> str:
        """The engine's name."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read by, and what is read is made sense of within."""
        with translated(self.name), self.making_sense(), self._to_read_by() as connection:
            yield connection

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` makes of what it reads. A server that goes away meanwhile is waited for, and read again."""
        with translated(self.name), self.making_sense():
            if self.dialect == "postgresql":
                return postgresql_server.read(self.engine, work)
            with self.engine.connect() as connection:
                return work(connection)

    async def aside(self, reading: Callable[[], T]) -> T:
        """What ``reading`` reads, in another thread: the event loop goes on meanwhile."""
        return await in_loop(self.readers.submit(reading))

    @contextmanager
    def reading_at_leisure(self) -> Iterator[Connection]:
        """The same, for a list that is too long to be held, and whose reader takes its time."""
        with translated(self.name), self.making_sense(), self._at_leisure() as connection:
            yield connection

    def _at_leisure(self) -> AbstractContextManager[Connection]:
        return postgresql_server.at_leisure(self.engine) if self.dialect == "postgresql" else self.engine.connect()

    def _to_read_by(self) -> Connection:
        return postgresql_server.to_read_by(self.engine) if self.dialect == "postgresql" else self.engine.connect()

    @contextmanager
    def making_sense(self) -> Iterator[None]:
        """What is found in it is ours, so an entry that makes no sense is damage."""
        try:
            yield
        except (ValueError, LookupError, TypeError) as error:
            raise self.damaged("an entry in it makes no sense") from error

    def write(self, work: Callable[[Connection], None]) -> None:
        """A transaction of the caller's own thread, durable when it returns; for what is too big to be one of a batch.

        ``work`` is done again where a server is away in the middle of it, once it is back.
        """
        with translated(self.name):
            batches = postgresql_server.ServerBatches() if self.dialect == "postgresql" else NoneTwice()
            Transactions(self.engine, batches).do(work)
            if self.file is not None:
                self.file.prove()

    def damaged(self, why: str) -> StoreError:
        return StoreError(problem(Code.STORE_DAMAGED, detail=f"{self.name}: {why}"))

    def close(self) -> None:
        """Commit what is left. Raises nothing: who handed something over has been told what became of it."""
        self.readers.shutdown(cancel_futures=True)
        self.ledger_writer.close()
        self.writer.close()
        self.engine.dispose()


def unless_there(table: Table) -> Mapping[str, Executable]:
    """Inserts a row, unless one of its keys is there already. By the engine's name: each says it in its own way."""
    inserts = {name: insert(table).inline() for name, insert in _INSERTS.items()}
    return MappingProxyType({name: made.on_conflict_do_nothing() for name, made in inserts.items()})


def replacing(table: Table) -> Mapping[str, Executable]:
    """Inserts a row, or gives the one of its key these values. By the engine's name."""
    found = {}
    for name, insert in _INSERTS.items():
        made = insert(table).inline()
        values = {one.name: made.excluded[one.name] for one in table.columns if not one.primary_key}
        found[name] = made.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=values)
    return MappingProxyType(found)


class Repository:
    """The calls on one noun. ``sites``: those whose queued work is seen and claimed; none: that of all."""

    sites: Collection[str] = ()

    def __init__(self, database: Database) -> None:
        self._database = database
