"""The queue: work that waits, and the workers that take it."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COUNT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _only(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.add_column("runs", sa.Column("queued_at", _TEXT))
    op.create_table(
        "work",
        sa.Column("id", _COUNT, primary_key=True, autoincrement=True),
        sa.Column("run", _TEXT, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("target", _TEXT, nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("priority", _COUNT, nullable=False),
        sa.Column("epoch", _COUNT, nullable=False),
        sa.Column("due", _TEXT),
        sa.Column("worker", _TEXT),
        sa.Column("parked", _TEXT),
        sa.Column("waiting", sa.JSON),
        sa.UniqueConstraint("run", "target"),
    )
    op.create_index("work_ready", "work", ["run", "priority", "id"], **_only("state = 'ready'"))
    op.create_index("work_waiting", "work", ["due"], **_only("state = 'waiting'"))
    op.create_index("work_parked", "work", ["parked"], **_only("parked IS NOT NULL"))
    op.create_index("work_running", "work", ["worker"], **_only("state = 'running'"))
    op.create_index("work_running_on_host", "work", ["host"], unique=True, **_only("state = 'running'"))
    op.create_table(
        "machines",
        sa.Column("run", _TEXT, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("target", _TEXT, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("process", sa.JSON, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("since", _TEXT, nullable=False),
        sa.Column("lease_until", _TEXT, nullable=False),
    )
    op.create_index("workers_up", "workers", ["name"], unique=True, **_only("state = 'up'"))


def downgrade() -> None:
    op.drop_table("workers")
    op.drop_table("machines")
    op.drop_table("work")
    op.drop_column("runs", "queued_at")
