"""The one clock that all who use a store have: the database's own, where a server has one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from pusher.clock import utc_now


def now_of(connection: Connection) -> datetime:
    if connection.dialect.name == "sqlite":
        return utc_now()
    told: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return told
