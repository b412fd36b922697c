"""The lockout ledger: one document for each account."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "lockout",
        sa.Column("account", sa.String(640), primary_key=True),
        sa.Column("standing", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("lockout")
