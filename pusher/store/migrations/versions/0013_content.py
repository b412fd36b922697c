"""Packages by content, so that a worker needs no folder of whoever submitted a run."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COUNT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _only(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.add_column("runs", sa.Column("package_digest", _TEXT))
    op.create_table(
        "blobs",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("sha256", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("size", _COUNT, nullable=False),
        sa.Column("begun_at", _TEXT, nullable=False),
        sa.Column("stored_at", _TEXT),
    )
    op.create_index("blobs_stored", "blobs", ["sha256"], unique=True, **_only("stored_at IS NOT NULL"))
    op.create_table(
        "chunks",
        sa.Column("blob", _TEXT, sa.ForeignKey("blobs.id"), primary_key=True),
        sa.Column("number", _COUNT, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table("parts", sa.Column("whole", _TEXT, primary_key=True), sa.Column("part", _TEXT, primary_key=True))
    op.create_index("parts_by_part", "parts", ["part"])


def downgrade() -> None:
    for table in ("parts", "chunks", "blobs"):
        op.drop_table(table)
    op.drop_column("runs", "package_digest")
