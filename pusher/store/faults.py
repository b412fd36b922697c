"""What the database library raises → Problem: tables by number and by class, and how an exception is looked up.

Here lives the only translation of SQLAlchemy's exceptions and of those of the engines under it. Neither a statement
nor its values are ever shown: only which store it was and what the engine calls the failure. SQLite's result codes
are those of sqlite3.h (https://sqlite.org/rescode.html), PostgreSQL's are the SQLSTATE classes of its Appendix A.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import exc

from pusher.problems import BadInput, Code, ProblemError, problem

_FULL, _LOCKED, _DAMAGED = Code.STORE_FULL, Code.STORE_LOCKED, Code.STORE_DAMAGED
_AWAY, _REFUSED = Code.STORE_UNAVAILABLE, Code.STORE_REFUSED

SQLITE: Mapping[int, Code] = {
    1: _DAMAGED,  # SQLITE_ERROR: "no such table", since what we ask is right where the tables are
    2: _AWAY,  # INTERNAL
    3: _AWAY, 4: _AWAY,  # PERM, ABORT
    5: _LOCKED, 6: _LOCKED,  # BUSY, LOCKED
    7: _AWAY,  # NOMEM
    8: _AWAY,  # READONLY
    9: _AWAY,  # INTERRUPT
    10: _AWAY,  # IOERR
    11: _DAMAGED,  # CORRUPT
    12: _AWAY,  # NOTFOUND
    13: _FULL,  # FULL
    14: _AWAY,  # CANTOPEN
    15: _LOCKED,  # PROTOCOL: the locks of its log
    16: _AWAY,  # EMPTY
    17: _DAMAGED,  # SCHEMA
    18: _REFUSED, 19: _REFUSED, 20: _REFUSED,  # TOOBIG, CONSTRAINT, MISMATCH
    21: _AWAY, 22: _AWAY, 23: _AWAY, 24: _AWAY,  # MISUSE, NOLFS, AUTH, FORMAT
    25: _REFUSED,  # RANGE
    26: _DAMAGED,  # NOTADB
    27: _AWAY, 28: _AWAY, 100: _AWAY, 101: _AWAY,  # NOTICE, WARNING, ROW, DONE
}  # fmt: skip
"""By primary result code."""

SQLITE_EXTENDED: Mapping[int, Code] = {
    10 | 2 << 8: _DAMAGED,  # IOERR_SHORT_READ: the file is shorter than it says
    10 | 19 << 8: _FULL,  # IOERR_SHMSIZE: no room for the index of its log
    10 | 32 << 8: _DAMAGED,  # IOERR_DATA
    10 | 33 << 8: _DAMAGED,  # IOERR_CORRUPTFS
    8 | 4 << 8: _DAMAGED,  # READONLY_DBMOVED: deleted or renamed
}
"""By extended result code, where it says more than the primary one."""

SQLSTATE: Mapping[str, Code] = {
    "22": _REFUSED, "23": _REFUSED, "42": _REFUSED, "0A": _REFUSED,  # data, constraint, statement, not supported
    "54": _REFUSED,  # a limit of the program's: a key that no index can hold
    "42P01": _DAMAGED, "42703": _DAMAGED, "3F": _DAMAGED, "3D": _DAMAGED, "XX001": _DAMAGED, "XX002": _DAMAGED,
    "53100": _FULL,
    "55": _LOCKED, "40": _LOCKED, "57014": _LOCKED,  # not available now, deadlock, a statement's time is over
}  # fmt: skip
"""By SQLSTATE or its class, the longer one first; any other means that the server is away."""

CLASSES: Mapping[type[BaseException], Code] = {
    exc.IntegrityError: _REFUSED,
    exc.DataError: _REFUSED,
    exc.ProgrammingError: _REFUSED,
    exc.NotSupportedError: _REFUSED,
    exc.OperationalError: _AWAY,
    exc.InterfaceError: _AWAY,
    exc.InternalError: _AWAY,
    exc.DatabaseError: _AWAY,
    exc.DBAPIError: _AWAY,
    exc.StatementError: _REFUSED,  # a value that cannot be bound
    exc.DisconnectionError: _AWAY,
    exc.TimeoutError: _AWAY,  # no connection is free
    exc.NoDBAPILoaded: _AWAY,
    exc.SQLAlchemyError: _REFUSED,  # a statement that cannot be made: a fault of ours
    exc.EmulatedDBAPIException: _AWAY,
    sqlite3.Error: _AWAY,
    sqlite3.Warning: _AWAY,
    OSError: _AWAY,
    MemoryError: _AWAY,
}
"""By class, its own or the nearest above it."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class StoreNotThereError(BadInput):
    """The server that a URL names does not answer: it may, later."""


class StoreError(ProblemError):
    """The store could not be read or written: one of the codes ``store-…``."""


def store_error(error: BaseException, store: str) -> StoreError | None:
    """What ``error`` means for the store named ``store``; None where it is no exception of the library's."""
    if isinstance(error, StoreError):
        return error
    code = code_of(error)
    if code is None:
        return None
    found = StoreError(problem(code, detail=f"{store} ({name_of(error)})"))
    found.__cause__ = error
    return found


def name_of(error: BaseException) -> str:
    """What the engine itself calls the failure: a name or a number, never its text, which may hold values."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, OSError) and cause.errno:
        return errno.errorcode.get(cause.errno, str(cause.errno))
    return str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or type(cause).__name__)


@contextmanager
def translated(store: str) -> Iterator[None]:
    """Within it, what the library raises is a ProblemError."""
    try:
        yield
    except Exception as error:
        found = store_error(error, store)
        if found is None or found is error:
            raise
        raise found from error


def code_of(error: BaseException) -> Code | None:
    """What it means; None where it is no exception of the library's."""
    cause = getattr(error, "orig", None) or error
    number = getattr(cause, "sqlite_errorcode", None)
    if isinstance(number, int):
        return SQLITE_EXTENDED.get(number) or SQLITE.get(number & 0xFF, _AWAY)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return SQLSTATE.get(state) or SQLSTATE.get(state[:2], _AWAY)
    if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
        return _FULL
    return next((CLASSES[kind] for kind in type(error).__mro__ if kind in CLASSES), None)
