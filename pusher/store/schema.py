"""The tables. Times are UTC, kept as ISO-8601 text so that every engine orders them alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData()


class Utc(TypeDecorator[datetime]):
    """An aware datetime as ``2026-01-31T12:00:00.000000+00:00``."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("verb", String(16), nullable=False),
    Column("inventory", Text, nullable=False),
    Column("package", Text),
    Column("version", String(64)),
    Column("operator", String(128), nullable=False),
    Column("parent", String(32)),
    Column("options", JSON, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("cancel_at", Utc),
    Column("worker", JSON),
)

targets = Table(
    "targets",
    metadata,
    Column("run", String(32), ForeignKey("runs.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("address", String(64)),
    Column("site", String(64)),
    Column("began_at", Utc),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run", String(32), ForeignKey("runs.id"), primary_key=True),
    Column("target", String(255), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("stage", String(16), nullable=False),
    Column("code", String(64)),
    Column("account", String(128)),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String(32), ForeignKey("runs.id"), nullable=False),
    Column("target", String(255), nullable=False),
    Column("at", Utc, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Index("events_by_target", "run", "target", "id"),
    Index("events_by_run", "run", "id"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("run", String(32), ForeignKey("runs.id"), primary_key=True),
    Column("target", String(255), primary_key=True),
    Column("address", String(64)),
    Column("status", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("code", String(64)),
    Column("message", Text),
    Column("remedy", Text),
    Column("next_move", String(16)),
    Column("account", String(128)),
    Column("transport", String(16)),
    Column("protocol", String(16)),
    Column("attempts", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("accounts_tried", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("bytes_copied", Integer, nullable=False),
    Column("agent_version", String(64)),
    Column("machine", String(255)),
    Column("site", String(64)),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc, nullable=False),
    Index("outcomes_by_status", "run", "status"),
)

journals = Table(
    "journals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("service", String(256), nullable=False),
    Column("run", String(32), ForeignKey("runs.id"), nullable=False),
    Column("target", String(255), nullable=False),
    Column("before", JSON, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("closed_as", String(16)),
    Index("journals_open", "host", "service", "closed_as"),
)

lockout = Table(
    "lockout",
    metadata,
    Column("account", String(640), primary_key=True),
    Column("state", JSON, nullable=False),
    Column("changed_at", Utc, nullable=False),
)

journal_steps = Table(
    "journal_steps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("journal", String(32), ForeignKey("journals.id"), nullable=False),
    Column("step", String(16), nullable=False),
    Column("mark", String(16), nullable=False),
    Column("at", Utc, nullable=False),
    UniqueConstraint("journal", "step", "mark"),
)
