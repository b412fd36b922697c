"""Opening a store: created, brought to the newest schema, or refused with a sentence that says why."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from pusher import installation
from pusher.next_commands import NextCommands
from pusher.problems import BadInput
from pusher.store import postgresql_server, sqlite_file
from pusher.store.database import Database
from pusher.store.faults import StoreError, StoreNotThereError
from pusher.store.postgresql_server import READERS, ServerBatches
from pusher.store.sqlite_file import SqliteFile
from pusher.store.store import Store
from pusher.store.urls import address_of, shown_url, url_to_paste
from pusher.store.writer import Writer

HEAD = "0019"
_VERSION = "alembic_version"
_MIGRATIONS = Path(__file__).parent / "migrations"


def open_store(url: str, *, upgrade: bool = False) -> Store:
    """Open (and where needed create) the store at ``url``, a SQLAlchemy URL or a file's path.

    A file of an older version is migrated; a server's store, which others are at work with, only for an ``upgrade``.
    BadInput where it cannot be opened, or is of another version.
    """
    address = address_of(url)
    # What its pool would print of a connection that went wrong is told as a Problem.
    for library in ("sqlalchemy", "psycopg"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack:
        try:
            engine = create_engine(address, **postgresql_server.options(address))
            stack.callback(engine.dispose)
            file = sqlite_file.file_of(engine)
            if engine.dialect.name == "sqlite":
                sqlite_file.settle(engine, file)
            else:
                _refuse_unproven(engine, url)
                postgresql_server.settle(engine)
            _migrate(engine, url, upgrade or engine.dialect.name == "sqlite")
            if engine.dialect.name == "sqlite":
                sqlite_file.keep_a_log(engine)
            if file is not None:
                file.pin()
            name = shown_url(url)
            opened = Store(_database(engine, name, file))
        except ModuleNotFoundError as error:
            found = f"the store {shown_url(url)} needs {error.name}, which is not installed"
            if error.name != "psycopg":
                raise BadInput(None, found, "a file, or a URL such as sqlite:///FILE") from error
            found = f"the store {shown_url(url)} needs the library of PostgreSQL, which is not installed"
            raise BadInput(None, found, f"the extra postgresql: {installation.add('postgresql')}") from error
        except (SQLAlchemyError, OSError, ImportError, StoreError, RuntimeError, MemoryError) as error:
            reason = (str(getattr(error, "orig", None) or error) or type(error).__name__).splitlines()[0]
            found = f"the store {shown_url(url)} cannot be opened: {reason}"
            is_away = postgresql_server.is_passing(error)
            raise (StoreNotThereError if is_away else BadInput)(None, found, "a writable database") from error
        stack.pop_all()
    return opened


def _refuse_unproven(engine: Engine, url: str) -> None:
    """Before anything is sent: who is between us and the store could change what was counted and what is to be done."""
    if not postgresql_server.is_proven(engine):
        raise BadInput(
            None,
            f"the store {shown_url(url)} is on another machine, and nothing would prove it or hide what it is sent",
            "sslmode=verify-full (in the URL or PGSSLMODE) with the authority of its certificate in sslrootcert, "
            "or gssencmode=require",
        )


def _database(engine: Engine, name: str, file: SqliteFile | None) -> Database:
    if engine.dialect.name == "postgresql":
        postgresql_server.forget_ended(engine)
        writer, ledger = (Writer(engine, name, batches=ServerBatches()) for _ in range(2))
    else:
        writer = ledger = Writer(engine, name, file.prove if file is not None else lambda: None)
    readers = ThreadPoolExecutor(READERS, "store-reader")
    return Database(engine=engine, writer=writer, ledger_writer=ledger, readers=readers, name=name, file=file)


def _migrate(engine: Engine, url: str, upgrade: bool) -> None:
    with engine.begin() as connection:
        if _is_current(connection, url):
            return
        if engine.dialect.name == "sqlite":
            # Alone, and all or nothing: Python's sqlite3 begins no transaction for a CREATE TABLE.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            postgresql_server.lock_to_migrate(connection)
        if _is_current(connection, url):
            return
        if not upgrade and (version := _version(connection)) is not None:
            found = f"the store {shown_url(url)} was written by an older pusher (schema {version})"
            raise BadInput(None, found, f"{HEAD}: {NextCommands(store=url_to_paste(url)).upgrade()}")
        # Loaded only where there is something to migrate.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def _is_current(connection: Connection, url: str) -> bool:
    """False where there is something to migrate; BadInput where it is not for us to touch."""
    # One look: between two, another process that makes the store may have ended.
    tables = inspect(connection).get_table_names()
    if _VERSION in tables:
        version = _version(connection)
        if version is not None and version > HEAD:
            raise BadInput(None, f"the store {shown_url(url)} was written by a newer pusher (schema {version})", HEAD)
        return bool(version == HEAD)
    if tables:
        raise BadInput(None, f"{shown_url(url)} is another program's database", "a store of pusher, or a new file")
    return False


def _version(connection: Connection) -> str | None:
    """The schema that the store has; None where it is empty."""
    if not inspect(connection).has_table(_VERSION):
        return None
    version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(version) if version is not None else None


def schema_of(url: str) -> str | None:
    """What ``_version`` says of the store at ``url``, before it is opened; None where it cannot be told, too."""
    try:
        engine = create_engine(address_of(url), **postgresql_server.options(address_of(url)))
        file = sqlite_file.file_of(engine)
        if file is not None and not file.path.exists():
            return None
        with engine.connect() as connection:
            return _version(connection)
    except (SQLAlchemyError, ImportError, OSError, RuntimeError):
        return None
