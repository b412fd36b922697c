"""The last transaction of each process that writes to a server."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "writers",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("batch", sa.BigInteger, nullable=False),
        sa.Column("at", _TEXT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("writers")
