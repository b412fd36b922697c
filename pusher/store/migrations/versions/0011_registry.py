"""The registry: people, groups, roles and grants, the objects that they are about, and the audit of all changes."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COUNT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _subjects()
    _things()
    version = op.create_table(
        "access_version",
        sa.Column("id", _COUNT, primary_key=True, autoincrement=False),
        sa.Column("number", _COUNT, nullable=False),
        sa.Column("audit", _TEXT),
    )
    op.bulk_insert(version, [{"id": 1, "number": 0}])
    op.create_table(
        "audit",
        sa.Column("seq", _COUNT, primary_key=True, autoincrement=False),
        sa.Column("at", _TEXT, nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("via", _TEXT, nullable=False),
        sa.Column("origin", _TEXT, nullable=False),
        sa.Column("act", _TEXT, nullable=False),
        sa.Column("object", _TEXT, nullable=False),
        sa.Column("decision", _TEXT, nullable=False),
        sa.Column("rule", _TEXT),
        sa.Column("grant_id", _TEXT),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("prev", _TEXT, nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
    )


def _subjects() -> None:
    op.create_table(
        "people",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("standing", _TEXT, nullable=False),
    )
    op.create_table(
        "people_groups",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("sid", _TEXT, unique=True),
    )
    op.create_table(
        "memberships",
        sa.Column("member", _TEXT, primary_key=True),
        sa.Column("in_group", _TEXT, sa.ForeignKey("people_groups.id"), primary_key=True),
    )
    op.create_table(
        "roles",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("version", _COUNT, primary_key=True, autoincrement=False),
        sa.Column("level", _TEXT, nullable=False),
        sa.Column("permissions", sa.JSON, nullable=False),
        sa.Column("includes", sa.JSON, nullable=False),
        sa.Column("capabilities", sa.JSON, nullable=False),
        sa.Column("removed", _COUNT, nullable=False),
    )
    op.create_table(
        "grants",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("effect", _TEXT, nullable=False),
        sa.Column("scope", _TEXT, nullable=False),
        sa.Column("until", _TEXT),
        sa.Column("made_by", _TEXT, nullable=False),
        sa.Column("made_at", _TEXT, nullable=False),
        sa.Column("note", _TEXT, nullable=False),
    )


def _things() -> None:
    op.create_table(
        "objects",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("owner", _TEXT),
        sa.UniqueConstraint("kind", "name"),
    )
    op.create_index("objects_by_owner", "objects", ["owner"])
    op.create_table(
        "known_machines",
        sa.Column("id", _TEXT, sa.ForeignKey("objects.id"), primary_key=True),
        sa.Column("address", _TEXT),
        sa.Column("site", _TEXT),
        sa.Column("gone_at", _TEXT),
    )
    op.create_table(
        "machine_groups",
        sa.Column("id", _TEXT, sa.ForeignKey("objects.id"), primary_key=True),
        sa.Column("origin", _TEXT, nullable=False),
        sa.Column("query", _TEXT),
        sa.Column("within", _TEXT, sa.ForeignKey("machine_groups.id")),
        sa.Column("file", _TEXT),
    )
    op.create_table(
        "members",
        sa.Column("object", _TEXT, sa.ForeignKey("objects.id"), primary_key=True),
        sa.Column("in_group", _TEXT, sa.ForeignKey("machine_groups.id"), primary_key=True),
    )
    op.create_index("members_by_group", "members", ["in_group"])
    op.create_table(
        "covers",
        sa.Column("scope", _TEXT, primary_key=True),
        sa.Column("object", _TEXT, primary_key=True),
    )
    op.create_table(
        "registered_packages",
        sa.Column("id", _TEXT, sa.ForeignKey("objects.id"), primary_key=True),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("sha256", _TEXT, nullable=False, unique=True),
        sa.Column("root", _TEXT, nullable=False),
    )


def downgrade() -> None:
    for table in (
        *("audit", "access_version", "registered_packages", "covers", "members", "machine_groups", "known_machines"),
        *("objects", "grants", "roles", "memberships", "people_groups", "people"),
    ):
        op.drop_table(table)
