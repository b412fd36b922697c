"""What is held for a wave that is open is found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    held = sa.text("state = 'held'")
    op.create_index("work_held", "work", ["run", "wave"], sqlite_where=held, postgresql_where=held)


def downgrade() -> None:
    op.drop_index("work_held", "work")
