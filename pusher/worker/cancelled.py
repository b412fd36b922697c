"""What is left of a cancelled run: ended without being claimed, so that no worker need be able to open it."""

from __future__ import annotations

from datetime import datetime

from pusher.models import Outcome, Stage, Target
from pusher.problems import Code, problem
from pusher.problems.outcomes import never_tried
from pusher.store import Store


def end_cancelled(store: Store, run: str, at: datetime) -> int:
    """End what nobody has claimed of the run; how much that was. Whoever has the rest ends it."""

    def outcome_of(target: str, is_begun: bool) -> Outcome:
        found = problem(Code.INTERRUPTED if is_begun else Code.CANCELLED, Stage.RECORD)
        return never_tried(run, Target(name=target), None, found, at, at)

    ended = 0
    while more := store.end_unclaimed(run, outcome_of):
        ended += more
    return ended
