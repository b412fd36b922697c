"""Which process works on a run."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("worker", sa.JSON))


def downgrade() -> None:
    op.drop_column("runs", "worker")
