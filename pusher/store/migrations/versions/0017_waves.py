"""Waves: how far a run has gone out, and whether it stopped by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COUNT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("runs", sa.Column("rollout", sa.JSON))
    op.add_column("runs", sa.Column("stopped_at", _TEXT))
    op.add_column("work", sa.Column("wave", _COUNT))
    op.create_index("work_by_wave", "work", ["run", "wave"])
    op.create_table(
        "waves",
        sa.Column("run", _TEXT, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("number", _COUNT, primary_key=True, autoincrement=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("opened_at", _TEXT),
        sa.Column("soak_until", _TEXT),
        sa.Column("forgiven", _COUNT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("waves")
    op.drop_index("work_by_wave", "work")
    op.drop_column("work", "wave")
    op.drop_column("runs", "stopped_at")
    op.drop_column("runs", "rollout")
