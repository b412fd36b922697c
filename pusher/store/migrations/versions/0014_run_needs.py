"""What else a worker has from the store, so that a run needs no file of whoever submitted it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COLUMNS = ("inventory_digest", "authority_digest", "profile", "profile_digest")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("runs", sa.Column(name, _TEXT))


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.drop_column("runs", name)
