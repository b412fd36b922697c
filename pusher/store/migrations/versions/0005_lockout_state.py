"""An account's state is in a column of that name."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE lockout RENAME COLUMN standing TO state")


def downgrade() -> None:
    op.execute("ALTER TABLE lockout RENAME COLUMN state TO standing")
