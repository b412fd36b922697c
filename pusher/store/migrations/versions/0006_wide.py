"""On a server: text of any length, ordered by its characters' numbers, and counters of 64 bits.

SQLite has them already, whatever a column's type says.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TEXT: dict[str, tuple[str, ...]] = {
    "runs": (
        "id", "verb", "inventory", "package", "version", "operator", "parent", "started_at", "ended_at", "cancel_at",
    ),
    "targets": ("run", "name", "address", "site", "began_at"),
    "attempts": ("run", "target", "stage", "code", "account", "started_at", "ended_at"),
    "events": ("run", "target", "at", "stage", "kind", "detail"),
    "outcomes": (
        "run", "target", "address", "status", "stage", "code", "message", "remedy", "next_move", "account", "transport",
        "protocol", "agent_version", "machine", "site", "started_at", "ended_at",
    ),
    "journals": ("id", "host", "service", "run", "target", "opened_at", "closed_as"),
    "journal_steps": ("journal", "step", "mark", "at"),
    "lockout": ("account", "changed_at"),
}  # fmt: skip
_COUNTS: dict[str, tuple[str, ...]] = {
    "attempts": ("number",),
    "events": ("id",),
    "outcomes": ("attempts", "bytes_copied"),
    "journal_steps": ("id",),
}
_COUNTED_BY = ("events_id_seq", "journal_steps_id_seq")


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _TEXT.items():
        changes = [f'ALTER COLUMN "{column}" TYPE TEXT COLLATE "C"' for column in columns]
        changes += [f'ALTER COLUMN "{column}" TYPE BIGINT' for column in _COUNTS.get(table, ())]
        # One statement a table: it is written anew once.
        op.execute(sa.text(f"ALTER TABLE {table} {', '.join(changes)}"))
    for sequence in _COUNTED_BY:
        op.execute(sa.text(f"ALTER SEQUENCE {sequence} AS BIGINT"))


def downgrade() -> None:
    """What an older version wrote fits as well."""
