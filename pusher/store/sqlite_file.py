"""What concerns SQLite alone: its settings, its log, and whether its file is still the one that was opened.

SQLite goes on writing to a file that was deleted, and to one that was cut short while it knows its pages: all of that
is lost, and no call fails. So the file is looked at after each commit, before anybody is told that it is durable.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from pusher.problems import Code, problem
from pusher.store.faults import StoreError

LOCK_PATIENCE = 10_000
"""Milliseconds for which a call waits while another process writes."""


class SqliteFile:
    """The file of an open store. ``pin`` takes it for the right one; ``prove`` says where it is no more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pinned: os.stat_result | None = None

    def pin(self) -> None:
        self._pinned = self.path.stat()

    def prove(self) -> None:
        """StoreError where the file was deleted, replaced or cut short since it was pinned."""
        before = self._pinned
        if before is None:
            return
        try:
            now = self.path.stat()
        except FileNotFoundError as error:
            raise _damaged(self.path, "it is not there any more") from error
        if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
            raise _damaged(self.path, "another file is in its place")
        if now.st_size < before.st_size and not self._is_whole():
            raise _damaged(self.path, "it was cut short")
        self._pinned = now

    def _is_whole(self) -> bool:
        """A VACUUM makes it smaller too. Asked on a connection of its own, which knows no page yet."""
        connection = sqlite3.connect(self.path, timeout=LOCK_PATIENCE / 1000)
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        else:
            return bool(said == "ok") and _has_tables(connection)
        finally:
            connection.close()


def _has_tables(connection: sqlite3.Connection) -> bool:
    """An empty file is a whole database, though not a store."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone() is not None


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(problem(Code.STORE_DAMAGED, detail=f"{path}: {why}"))


def file_of(engine: Engine) -> SqliteFile | None:
    """The file under ``engine``, made where it is missing; None for another engine or one in memory."""
    if engine.dialect.name != "sqlite" or engine.url.database in (None, "", ":memory:"):
        return None
    path = Path(engine.url.database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
    return SqliteFile(path)


def settle(engine: Engine, file: SqliteFile | None) -> None:
    """What each connection to SQLite begins with."""

    @event.listens_for(engine, "do_connect")
    def _proven(*_: Any) -> None:
        # A connection of SQLite's makes a new, empty file where there is none.
        if file is not None:
            file.prove()

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:
        # FULL: a journal's intent must survive a power loss, not only a crash.
        for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={LOCK_PATIENCE}"):
            connection.execute(f"PRAGMA {pragma}")


def _is_busy(error: BaseException) -> bool:
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


@retry(
    retry=retry_if_exception(_is_busy),
    stop=stop_after_delay(30),
    wait=wait_random(max=0.1),
    reraise=True,
)
def keep_a_log(engine: Engine) -> None:
    """WAL is kept in the file, so it is set only once the file is known to be a store.

    SQLite does not wait for its lock here, whatever the timeout: another command may set it in the same moment.
    """
    with engine.connect() as connection:
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
