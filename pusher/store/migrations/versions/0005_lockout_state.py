"""Nothing. It renamed ``lockout.standing``, which ends every older pusher that is at work; 0008 takes that back."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
