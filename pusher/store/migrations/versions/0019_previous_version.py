"""Which version was on a machine before a run upgraded it."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("outcomes", sa.Column("previous_version", _TEXT))


def downgrade() -> None:
    op.drop_column("outcomes", "previous_version")
