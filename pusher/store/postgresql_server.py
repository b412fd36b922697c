"""What concerns PostgreSQL alone: how a connection to the server is made, and what each begins with.

What an administrator has set for those who ask by hand (isolation, limits of time) is not ours: pusher waits for a lock
as long as it does on SQLite, and what it was told is durable is on the server's disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

from pusher.store.sqlite_file import LOCK_PATIENCE

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

IDLE_PATIENCE = 60
"""Seconds after which the server ends a transaction in which nothing is asked: the client's machine is gone."""

_MIGRATING = 0x70757368
"""The key of an advisory lock: ``push``."""

_SETTINGS = f"""
SELECT set_config('statement_timeout', '0', false),
       set_config('lock_timeout', '{LOCK_PATIENCE}', false),
       set_config('idle_in_transaction_session_timeout', '{IDLE_PATIENCE * 1000}', false),
       set_config('synchronous_commit', COALESCE(NULLIF(current_setting('synchronous_commit'), 'off'), 'on'), false)
"""


def options(address: URL) -> dict[str, Any]:
    """What the library is told of an engine at ``address``; nothing where that is no PostgreSQL server."""
    if address.get_backend_name() != "postgresql":
        return {}
    said = {name: value for name, value in CONNECTING.items() if name not in address.query}
    # Not the server's default: a transaction that another one overtakes waits for it, and then goes on.
    return {"connect_args": said, "isolation_level": "READ COMMITTED"}


def settle(engine: Engine) -> None:
    """What each connection begins with."""

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SETTINGS)
        connection.commit()


def lock_to_migrate(connection: Connection) -> None:
    """Until the transaction ends nobody else migrates; waits for whoever does, however large the store is."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
    # Of the migration itself: what works on a run by an older version is not waited for without end.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_PATIENCE}")
