"""Which worker does not take up which run, so that it is told where the run is shown."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "refusals",
        sa.Column("run", _TEXT, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("worker", _TEXT, primary_key=True),
        sa.Column("sites", sa.JSON, nullable=False),
        sa.Column("code", _TEXT, nullable=False),
        sa.Column("at", _TEXT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("refusals")
