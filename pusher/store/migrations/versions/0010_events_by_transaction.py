"""Events say which transaction wrote them: on a server those of two writers are not committed in their ids' order."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text("ALTER TABLE events ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()"))
    else:
        op.add_column("events", sa.Column("xid", sa.BigInteger, nullable=False, server_default="0"))
    op.drop_index("events_by_run", "events")
    op.create_index("events_by_run", "events", ["run", "xid", "id"])


def downgrade() -> None:
    op.drop_index("events_by_run", "events")
    op.create_index("events_by_run", "events", ["run", "id"])
    op.drop_column("events", "xid")
