"""A run's events in the order of their ids, for whoever follows it: by target alone, each look would sort them all."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("events_by_run", "events", ["run", "id"])


def downgrade() -> None:
    op.drop_index("events_by_run", "events")
