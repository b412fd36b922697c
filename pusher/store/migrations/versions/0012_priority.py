"""Which runs come first, and since when work has been ready."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COUNT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("runs", sa.Column("priority", _COUNT))
    op.execute("UPDATE runs SET priority = 100 WHERE queued_at IS NOT NULL")
    op.add_column("work", sa.Column("ready_at", _TEXT))
    op.execute("UPDATE work SET ready_at = (SELECT queued_at FROM runs WHERE runs.id = work.run)")


def downgrade() -> None:
    op.drop_column("work", "ready_at")
    op.drop_column("runs", "priority")
