"""The tables. Times are UTC, kept as ISO-8601 text so that every engine orders them alike.

Text is as long as it is, counters have 64 bits, and text is compared and ordered by its characters' numbers, whatever
the server's collation is. What not every engine can hold (NUL, half of a surrogate pair) is replaced on its way in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Double,
    FetchedValue,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

metadata = MetaData()

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_REPLACED = "\N{REPLACEMENT CHARACTER}"
_LOWERED = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""ASCII alone, as the engines lower it."""


def storable(text: str) -> str:
    """As it is stored."""
    return _UNSTORABLE.sub(_REPLACED, text)


class Words(TypeDecorator[str]):
    """Text of any length, in the order of its characters' numbers (which is that of UTF-8's bytes)."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _text(dialect)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def _text(dialect: Dialect) -> TypeEngine[Any]:
    return Text(collation="C") if dialect.name == "postgresql" else Text()


class Document(TypeDecorator[Any]):
    """JSON, every text in it storable."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return _storable(value)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {_storable(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return value


class Utc(TypeDecorator[datetime]):
    """An aware datetime as ``2026-01-31T12:00:00.000000+00:00``."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _text(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


Count = BigInteger().with_variant(Integer, "sqlite")
"""Of 64 bits; SQLite's INTEGER has them, and it counts up no other."""


class _Xid8(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class TransactionNumber(TypeDecorator[int]):
    """PostgreSQL's number of a transaction, of 64 bits."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _Xid8() if dialect.name == "postgresql" else BigInteger()

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


def is_named(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """The same name in whatever case of ASCII."""
    return func.lower(column) == storable(name).translate(_LOWERED)


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    """Of an index that holds some rows alone, on every engine."""
    return {"sqlite_where": condition, "postgresql_where": condition}


runs = Table(
    "runs",
    metadata,
    Column("id", Words, primary_key=True),
    Column("verb", Words, nullable=False),
    Column("inventory", Words, nullable=False),
    Column("package", Words),
    Column("version", Words),
    Column("operator", Words, nullable=False),
    Column("parent", Words),
    Column("options", Document, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("cancel_at", Utc),
    Column("worker", Document),
    Column("queued_at", Utc),
    Column("priority", Count),
    Column("package_digest", Words),
    Column("inventory_digest", Words),
    Column("authority_digest", Words),
    Column("profile", Words),
    Column("profile_digest", Words),
    Column("windows", Document),
    Column("rollout", Document),
    Column("stopped_at", Utc),
)

targets = Table(
    "targets",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("name", Words, primary_key=True),
    Column("address", Words),
    Column("site", Words),
    Column("began_at", Utc),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("target", Words, primary_key=True),
    Column("number", Count, primary_key=True),
    Column("stage", Words, nullable=False),
    Column("code", Words),
    Column("account", Words),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Count, primary_key=True, autoincrement=True),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("target", Words, nullable=False),
    Column("at", Utc, nullable=False),
    Column("stage", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("detail", Words, nullable=False),
    # The transaction that wrote it, by which a server's are followed; 0 in a file, where they come one after the other.
    Column("xid", TransactionNumber, nullable=False, server_default=FetchedValue()),
    Index("events_by_target", "run", "target", "id"),
    Index("events_by_run", "run", "xid", "id"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("target", Words, primary_key=True),
    Column("address", Words),
    Column("status", Words, nullable=False),
    Column("stage", Words, nullable=False),
    Column("code", Words),
    Column("message", Words),
    Column("remedy", Words),
    Column("next_move", Words),
    Column("account", Words),
    Column("transport", Words),
    Column("protocol", Words),
    Column("attempts", Count, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("accounts_tried", Document, nullable=False),
    Column("checks", Document, nullable=False),
    Column("steps", Document, nullable=False),
    Column("bytes_copied", Count, nullable=False),
    Column("agent_version", Words),
    Column("machine", Words),
    Column("site", Words),
    Column("previous_version", Words),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc, nullable=False),
    Index("outcomes_by_status", "run", "status"),
)

journals = Table(
    "journals",
    metadata,
    Column("id", Words, primary_key=True),
    Column("host", Words, nullable=False),
    Column("service", Words, nullable=False),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("target", Words, nullable=False),
    Column("before", Document, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("closed_as", Words),
    Index("journals_open", "host", "service", "closed_as"),
)

lockout = Table(
    "lockout",
    metadata,
    Column("account", Words, primary_key=True),
    # As it was first called: renamed, it would end every older pusher that is at work.
    Column("standing", Document, key="state", nullable=False),
    Column("changed_at", Utc, nullable=False),
)

journal_steps = Table(
    "journal_steps",
    metadata,
    Column("id", Count, primary_key=True, autoincrement=True),
    Column("journal", Words, ForeignKey("journals.id"), nullable=False),
    Column("step", Words, nullable=False),
    Column("mark", Words, nullable=False),
    Column("at", Utc, nullable=False),
    UniqueConstraint("journal", "step", "mark"),
)

writers = Table(
    "writers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("batch", Count, nullable=False),
    Column("at", Utc, nullable=False),
)
"""The last transaction of each process that writes to a server, by which it knows one whose commit was not answered."""

work = Table(
    "work",
    metadata,
    Column("id", Count, primary_key=True, autoincrement=True),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("target", Words, nullable=False),
    Column("host", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("priority", Count, nullable=False),
    Column("epoch", Count, nullable=False),
    Column("due", Utc),
    Column("worker", Words),
    Column("parked", Words),
    Column("waiting", Document),
    Column("ready_at", Utc),
    Column("wave", Count),
    UniqueConstraint("run", "target"),
    Index("work_by_wave", "run", "wave"),
)
"""What waits to be done: a row a target of a queued run. ``host`` is the target's name in lower case; ``parked``, the
account that somebody has to see to before it is tried again; ``ready_at``, since when nothing but room is wanted."""

# Of those that wait, or run, alone: a claim looks at no row of the many that are due later, or done.
Index("work_ready", work.c.run, work.c.priority, work.c.id, **_where(work.c.state == "ready"))
Index("work_held", work.c.run, work.c.wave, **_where(work.c.state == "held"))
Index("work_waiting", work.c.due, **_where(work.c.state == "waiting"))
Index("work_parked", work.c.parked, **_where(work.c.parked.is_not(None)))
Index("work_running", work.c.worker, **_where(work.c.state == "running"))
Index("work_running_on_host", work.c.host, unique=True, **_where(work.c.state == "running"))
"""At most one a host, whatever runs want it."""

waves = Table(
    "waves",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("number", Count, primary_key=True, autoincrement=False),
    Column("state", Words, nullable=False),
    Column("opened_at", Utc),
    Column("soak_until", Utc),
    Column("forgiven", Count, nullable=False),
)
"""How far a run has gone out; none of a run that goes out at once."""

machines = Table(
    "machines",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("key", Words, primary_key=True),
    Column("target", Words, nullable=False),
)
"""Which machine is worked on under which name in a queued run, whichever worker has it."""

workers = Table(
    "workers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("process", Document, nullable=False),
    Column("state", Words, nullable=False),
    Column("since", Utc, nullable=False),
    Column("lease_until", Utc, nullable=False),
)
Index("workers_up", workers.c.name, unique=True, **_where(workers.c.state == "up"))
"""Who takes work: a row each time that one starts. ``state``: ``up`` or ``gone``; who is gone never comes back."""

refusals = Table(
    "refusals",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("worker", Words, primary_key=True),
    Column("sites", Document, nullable=False),
    Column("code", Words, nullable=False),
    Column("at", Utc, nullable=False),
)
"""Runs that a worker of that name does not take up."""

blobs = Table(
    "blobs",
    metadata,
    Column("id", Words, primary_key=True),
    Column("sha256", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("size", Count, nullable=False),
    Column("begun_at", Utc, nullable=False),
    Column("stored_at", Utc),
)
Index("blobs_stored", blobs.c.sha256, unique=True, **_where(blobs.c.stored_at.is_not(None)))
"""Content by its hash: a row each time that somebody begins to store some. Once it is whole, and hashed, it is
``stored_at``; of two who store the same, one comes first, and the other's goes."""

chunks = Table(
    "chunks",
    metadata,
    Column("blob", Words, ForeignKey("blobs.id"), primary_key=True),
    Column("number", Count, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)
"""The bytes of a blob, in pieces of a megabyte at most."""

parts = Table(
    "parts",
    metadata,
    Column("whole", Words, primary_key=True),
    Column("part", Words, primary_key=True),
    Index("parts_by_part", "part"),
)
"""Which content names which other (a package its files): both by their hashes."""
