"""An account's state is in the column that every version knows, where 0005 had renamed it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    if "state" in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("lockout")}:
        op.execute("ALTER TABLE lockout RENAME COLUMN state TO standing")


def downgrade() -> None:
    """What 0007 was in its last form, too."""
