"""In which maintenance windows the machines of a run may be touched."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("runs", sa.Column("windows", sa.JSON))


def downgrade() -> None:
    op.drop_column("runs", "windows")
