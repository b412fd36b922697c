"""What concerns PostgreSQL alone: how a connection to the server is made, and what each begins with.

What an administrator has set for those who ask by hand (isolation, limits of time) is not ours: pusher waits for a lock
as long as it does on SQLite, and what it was told is durable is on the server's disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Executable, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_delay

from pusher.clock import utc_now
from pusher.problems import Code
from pusher.store import transactions
from pusher.store.faults import code_of
from pusher.store.schema import writers
from pusher.store.sqlite_file import LOCK_PATIENCE

T = TypeVar("T")

CONNECTING: Mapping[str, Any] = MappingProxyType(
    {
        "application_name": "pusher",
        "connect_timeout": 10,
        # A server that is cut off is told from a slow one within half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 25_000,
    }
)
"""Parameters of libpq's, where the URL does not say them."""

READERS = 8
"""Threads that read, each on a connection of its own: on a far server each reading takes some round trips."""
_MORE = 4
"""Connections besides: the writers' two, and whatever else reads."""

IDLE_PATIENCE = 30
"""Seconds after which the server ends a transaction in which nothing is asked: the client's machine is gone."""

_LONG_AGO = timedelta(days=1)
_HELD = "55P03"
"""SQLSTATE of a lock that was waited for too long."""
_MIGRATING = 0x70757368
"""The key of an advisory lock: ``push``."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        # No limit that would end a write that waits for another's, a long read, or a connection between two pushes.
        "statement_timeout": "0",
        "transaction_timeout": "0",
        "idle_session_timeout": "0",
        "lock_timeout": str(LOCK_PATIENCE),
        "idle_in_transaction_session_timeout": str(IDLE_PATIENCE * 1000),
        # What is written comes back as it was.
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
        "extra_float_digits": "1",
        "TimeZone": "UTC",
    }
)
"""What a session begins with, as far as its server knows the setting, whatever the server, the database or the role
set. ``default_transaction_read_only`` is not among them: who sets that says that we are not to write."""

_SET = """
SELECT set_config(name, value, false) FROM (VALUES {}) AS ours (name, value)
WHERE current_setting(name, true) IS NOT NULL
UNION ALL
SELECT set_config('synchronous_commit', COALESCE(NULLIF(current_setting('synchronous_commit'), 'off'), 'on'), false)
""".format(", ".join(f"('{name}', '{value}')" for name, value in SETTINGS.items()))

_PASSING = ("08", "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "53300", "25006", "25P03")
"""SQLSTATEs, or their classes, of what passes: a connection that is gone, a transaction that another one was in the way
of, a server that ends, begins, is full, has been idle for too long, or is not yet the one that takes writes."""


def options(address: URL) -> dict[str, Any]:
    """What the library is told of an engine at ``address``; nothing where that is no PostgreSQL server."""
    if address.get_backend_name() != "postgresql":
        return {}
    said = {name: value for name, value in CONNECTING.items() if name not in address.query}
    # Not the server's default: a transaction that another one overtakes waits for it, and then goes on.
    return {"connect_args": said, "isolation_level": "READ COMMITTED", "pool_size": READERS + _MORE}


def is_proven(engine: Engine) -> bool:
    """Whether the server is this machine's, or proves itself before it is told anything and hides what it is told."""
    from psycopg import pq

    defaults = {one.keyword.decode(): one.val.decode() for one in pq.Conninfo.get_defaults() if one.val is not None}
    _, said = engine.dialect.create_connect_args(engine.url)
    return is_proven_by({name: str(value) for name, value in said.items()}, defaults)


def is_proven_by(said: Mapping[str, str], defaults: Mapping[str, str]) -> bool:
    """The same of libpq's parameters: ``said`` of this store, ``defaults`` where they say nothing.

    What a service file says stands between them and is not known here, so with one only ``said`` counts.
    """
    given = {**defaults, **said}
    has_service = bool(given.get("service"))
    known = said if has_service else given
    if known.get("sslmode") == "verify-full" or known.get("gssencmode") == "require":
        return True
    hosts = (known.get("hostaddr") or known.get("host") or "").split(",")
    return not has_service and all(_is_here(host) for host in hosts)


def _is_here(host: str) -> bool:
    """A socket's folder, the default one, or a name or address of loopback."""
    if host == "" or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def settle(engine: Engine) -> None:
    """What each connection begins with."""

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SET)
        connection.commit()


def lock_to_migrate(connection: Connection) -> None:
    """Until the transaction ends nobody else migrates; waits for whoever does, however large the store is."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
    # Of the migration itself: what works on a run by an older version is not waited for without end.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_PATIENCE}")


def is_passing(error: BaseException) -> bool:
    """Whether the server may take later what it did not take now."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return code_of(error) is Code.STORE_UNAVAILABLE
    return str(state).startswith(_PASSING)


def to_read_by(engine: Engine) -> Connection:
    """A connection that is alive: a server that is away is waited for. Each statement on it is by itself."""
    stop, wait = stop_after_delay(transactions.AWAY), transactions.PAUSE
    for attempt in Retrying(retry=retry_if_exception(is_passing), stop=stop, wait=wait, reraise=True):
        with attempt:
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                connection.exec_driver_sql("SELECT 1")
            except BaseException:
                connection.close()
                raise
    return connection


def read(engine: Engine, work: Callable[[Connection], T]) -> T:
    """What ``work`` makes of what it reads, each statement by itself; done again where the server was away."""

    def once() -> T:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return work(connection)

    stop, wait = stop_after_delay(transactions.AWAY), transactions.PAUSE
    return Retrying(retry=retry_if_exception(is_passing), stop=stop, wait=wait, reraise=True)(once)


@contextmanager
def at_leisure(engine: Engine) -> Iterator[Connection]:
    """A transaction in which a long list is read, however long its reader takes from one row to the next."""
    to_read_by(engine).close()
    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield connection


class ServerBatches:
    """One thread's transactions, numbered in a row of its own that each of them changes.

    Whoever does one again waits, at that row, for the first one's end, which the server may still be about: the session
    of a connection that was lost lives on until the server misses its client.
    """

    def __init__(self) -> None:
        self._writer, self._number = secrets.token_hex(16), 0
        self._held: BaseException | None = None

    def is_passing(self, error: BaseException) -> bool:
        return error is self._held or is_passing(error)

    def number(self) -> int:
        self._number += 1
        return self._number

    def is_done(self, connection: Connection, number: int) -> bool:
        row = {"id": self._writer, "batch": number, "at": utc_now()}
        try:
            return connection.execute(_NUMBERED, row).first() is None
        except DBAPIError as error:
            # Nobody else takes this row: what holds it is our own, and passes.
            self._held = error if getattr(error.orig, "sqlstate", None) == _HELD else None
            raise

    @contextmanager
    def together(self, connection: Connection) -> Iterator[None]:
        """In the driver's pipeline: one round trip, whatever the number of statements."""
        driver: Any = connection.connection.driver_connection
        try:
            with driver.pipeline():
                yield
        except connection.dialect.loaded_dbapi.Error as error:
            raise _said_by_the_library(connection, error) from error


def _said_by_the_library(connection: Connection, error: Exception) -> DBAPIError:
    """What the driver raised by itself, as the library would have: a connection that is gone is not used again."""
    dialect = connection.dialect
    is_gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    if is_gone:
        connection.invalidate(error)
    told = DBAPIError.instance(
        None, None, error, dialect.loaded_dbapi.Error, connection_invalidated=is_gone, dialect=dialect
    )
    assert isinstance(told, DBAPIError)
    return told


def forget_ended(engine: Engine) -> None:
    """Writers silent for a day wait for no answer any more. Left to others where we may only read."""
    with suppress(DBAPIError), engine.begin() as connection:
        connection.execute(writers.delete().where(writers.c.at < utc_now() - _LONG_AGO))


def _numbered() -> Executable:
    made = insert(writers)
    changed = {"batch": made.excluded.batch, "at": made.excluded.at}
    return made.on_conflict_do_update(
        index_elements=[writers.c.id], set_=changed, where=writers.c.batch < made.excluded.batch
    ).returning(writers.c.batch)


_NUMBERED = _numbered()
