"""The first schema: runs, targets, attempts, events, outcomes, journals."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.String(32)


def _run(**options: bool) -> sa.Column[str]:
    return sa.Column("run", sa.String(32), sa.ForeignKey("runs.id"), **options)  # type: ignore[arg-type]


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("inventory", sa.Text, nullable=False),
        sa.Column("package", sa.Text),
        sa.Column("version", sa.String(64)),
        sa.Column("operator", sa.String(128), nullable=False),
        sa.Column("parent", sa.String(32)),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("cancel_at", _TIME),
    )
    op.create_table(
        "targets",
        _run(primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("address", sa.String(64)),
        sa.Column("site", sa.String(64)),
        sa.Column("began_at", _TIME),
    )
    op.create_table(
        "attempts",
        _run(primary_key=True),
        sa.Column("target", sa.String(255), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("account", sa.String(128)),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _run(nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("events_by_target", "events", ["run", "target", "id"])
    op.create_table(
        "outcomes",
        _run(primary_key=True),
        sa.Column("target", sa.String(255), primary_key=True),
        sa.Column("address", sa.String(64)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("message", sa.Text),
        sa.Column("remedy", sa.Text),
        sa.Column("next_move", sa.String(16)),
        sa.Column("account", sa.String(128)),
        sa.Column("transport", sa.String(16)),
        sa.Column("protocol", sa.String(16)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("accounts_tried", sa.JSON, nullable=False),
        sa.Column("checks", sa.JSON, nullable=False),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Column("bytes_copied", sa.Integer, nullable=False),
        sa.Column("agent_version", sa.String(64)),
        sa.Column("machine", sa.String(255)),
        sa.Column("site", sa.String(64)),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=False),
    )
    op.create_index("outcomes_by_status", "outcomes", ["run", "status"])
    op.create_table(
        "journals",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("service", sa.String(256), nullable=False),
        _run(nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("closed_as", sa.String(16)),
    )
    op.create_index("journals_open", "journals", ["host", "service", "closed_as"])
    op.create_table(
        "journal_steps",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("journal", sa.String(32), sa.ForeignKey("journals.id"), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("mark", sa.String(16), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.UniqueConstraint("journal", "step", "mark"),
    )


def downgrade() -> None:
    for table in ("journal_steps", "journals", "outcomes", "events", "attempts", "targets", "runs"):
        op.drop_table(table)
