"""Every class and every number that the database library can raise is decided on."""

from __future__ import annotations

import errno
import inspect
import sqlite3
from typing import Any

import pytest
from sqlalchemy import Table, exc
from sqlalchemy.dialects import postgresql, sqlite

from pusher.problems import CATALOGUE
from pusher.store import faults, schema
from pusher.store.database import unless_there
from pusher.store.faults import StoreError, store_error, translated

RESULT_CODES = [*range(1, 29), 100, 101]
"""Of sqlite3.h, all primary ones but SQLITE_OK."""
STORE = "/data/pusher.sqlite"


def of_sqlite(number: int, name: str = "SQLITE_X", kind: type[sqlite3.Error] = sqlite3.OperationalError) -> str:
    error = kind("its text, which is not shown")
    error.sqlite_errorcode, error.sqlite_errorname = number, name
    found = store_error(exc.OperationalError("SELECT secret", {"p": "hunter2"}, error), STORE)
    assert found is not None
    assert found.problem.message.endswith(f"{STORE} ({name})")
    return found.problem.code


def of_postgres(state: str) -> str:
    class Error(Exception):
        sqlstate = state

    found = store_error(exc.ProgrammingError("INSERT …", {"p": "hunter2"}, Error("Key (p)=(hunter2) exists")), STORE)
    assert found is not None
    assert "hunter2" not in found.problem.message
    return found.problem.code


def test_the_table_of_result_codes_is_complete() -> None:
    named = {getattr(sqlite3, name) & 0xFF for name in dir(sqlite3) if name.startswith("SQLITE_IOERR")}
    assert named == {10}
    assert set(faults.SQLITE) == set(RESULT_CODES)
    assert {*faults.SQLITE.values(), *faults.SQLITE_EXTENDED.values(), *faults.SQLSTATE.values()} <= set(CATALOGUE)
    for number, name in [
        (sqlite3.SQLITE_IOERR_SHORT_READ, "store-damaged"), (sqlite3.SQLITE_IOERR_SHMSIZE, "store-full"),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, "store-damaged"), (sqlite3.SQLITE_IOERR_DATA, "store-damaged"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "store-damaged"),
    ]:  # fmt: skip
        assert faults.SQLITE_EXTENDED[number] == name


def test_the_table_of_classes_is_complete() -> None:
    """What is no failure is a warning."""
    raised = [
        kind for _, kind in inspect.getmembers(exc, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, Warning)
    ]  # fmt: skip
    assert len(raised) > 30
    for kind in [*raised, sqlite3.Error, sqlite3.Warning, OSError, MemoryError]:
        assert any(above in faults.CLASSES for above in kind.__mro__), kind
    assert set(faults.CLASSES.values()) <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_FULL, "store-full"),
        (sqlite3.SQLITE_BUSY, "store-locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "store-locked"),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, "store-locked"),
        (sqlite3.SQLITE_CORRUPT, "store-damaged"),
        (sqlite3.SQLITE_NOTADB, "store-damaged"),
        (sqlite3.SQLITE_ERROR, "store-damaged"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, "store-damaged"),
        (sqlite3.SQLITE_IOERR_WRITE, "store-unavailable"),
        (sqlite3.SQLITE_CANTOPEN, "store-unavailable"),
        (sqlite3.SQLITE_READONLY, "store-unavailable"),
        (sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, "store-refused"),
    ],
)
def test_what_sqlite_says(number: int, code: str) -> None:
    assert of_sqlite(number) == code


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("53100", "store-full"), ("53300", "store-unavailable"), ("55P03", "store-locked"), ("40P01", "store-locked"),
        ("57014", "store-locked"), ("57P01", "store-unavailable"), ("08006", "store-unavailable"),
        ("42P01", "store-damaged"), ("42601", "store-refused"), ("23505", "store-refused"), ("22001", "store-refused"),
        ("XX001", "store-damaged"), ("XX000", "store-unavailable"),
    ],
)  # fmt: skip
def test_what_postgresql_says(state: str, code: str) -> None:
    assert of_postgres(state) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "no space"), "store-full"),
        (OSError(errno.EIO, "input/output"), "store-unavailable"),
        (MemoryError(), "store-unavailable"),
        (exc.TimeoutError("pool"), "store-unavailable"),
        (exc.DisconnectionError(), "store-unavailable"),
        (exc.ResourceClosedError(), "store-refused"),
    ],
)
def test_what_is_no_word_of_the_database(error: Exception, code: str) -> None:
    found = store_error(error, STORE)
    assert found is not None
    assert found.problem.code == code
    assert found.__cause__ is error


def test_what_is_translated_keeps_its_cause_and_what_is_ours_stays_ours() -> None:
    with pytest.raises(StoreError) as told, translated(STORE):
        raise exc.NoSuchTableError("runs")
    assert isinstance(told.value.__cause__, exc.NoSuchTableError)
    with pytest.raises(ZeroDivisionError), translated(STORE):
        raise ZeroDivisionError
    with pytest.raises(StoreError) as again, translated("elsewhere"):
        raise told.value
    assert again.value is told.value


@pytest.mark.parametrize("table", [schema.targets, schema.journal_steps])
def test_what_is_there_already_is_left_alone_by_every_engine(table: Table) -> None:
    """Where one engine refused it, a mark that is made twice would end a push."""
    engines: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}
    for name, engine in engines.items():
        statement: Any = unless_there(table)[name]
        said = str(statement.compile(dialect=engine.dialect()))
        assert said.endswith("ON CONFLICT DO NOTHING"), name
        assert f"INSERT INTO {table.name} " in said
