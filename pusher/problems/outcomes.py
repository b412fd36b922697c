"""The outcome of a target that ended before it was tried. Not here: that of an attempt (``push.recorder``)."""

from __future__ import annotations

from datetime import datetime

from pusher.models import Outcome, Target
from pusher.problems import Problem


def never_tried(
    run: str, target: Target, address: str | None, found: Problem, started: datetime, ended: datetime
) -> Outcome:
    """As ``found`` has it; no attempt was made."""
    return Outcome(
        run=run,
        target=target.name,
        address=address,
        status=found.status,
        stage=found.stage,
        code=found.code,
        message=found.message,
        remedy=found.remedy,
        next_move=found.next_move,
        site=target.site,
        started_at=started,
        ended_at=ended,
    )
