"""Whether a target of a queued run comes back after an attempt, and what is kept of it until then. Pure.

The rules are ``queue.again``'s; here is what they are told of an outcome, and how what they keep is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pusher.models import Claim, Outcome
from pusher.problems import CATALOGUE, Again, Code
from pusher.queue.again import GIVE_UP_AFTER, Ended, Waiting, again, when_open
from pusher.queue.priority import BACKGROUND_RETRY
from pusher.queue.windows import ALWAYS, Windows


@dataclass(frozen=True, kw_only=True, slots=True)
class Delay:
    """``kept``: what the next claim is to know. ``priority``: that of the next try. ``parked``: the account that
    somebody may see to before ``at``."""

    at: datetime
    kept: Mapping[str, Any]
    priority: int
    parked: str | None = None


def is_given_back(outcome: Outcome) -> bool:
    """Whether the attempt ended since its worker did."""
    return outcome.code is not None and CATALOGUE[outcome.code].given_back


def coming_back(outcome: Outcome, claim: Claim, now: datetime, windows: Windows = ALWAYS) -> Delay | None:
    """When, after an attempt that ended ``now``; None where ``outcome`` is the target's last word."""
    if outcome.code is None or outcome.code == Code.CANCELLED:
        return None
    opens_at = windows.next_opening(now)
    ended = Ended(code=Code(outcome.code), stage=outcome.stage, account=outcome.account, opens_at=opens_at)
    before = _waiting(claim)
    due = when_open(again(ended, before, now), windows)
    if due is None:
        return None
    waiting = due.waiting
    kept = {
        "tries": waiting.tries,
        "code": waiting.code.value if waiting.code is not None else None,
        "since": waiting.since.isoformat() if waiting.since is not None else None,
    }
    # What is parked is tried a last time when it would be given up.
    # Whoever has had a turn lets others have theirs first; who had none, for no fault of its own, keeps its place.
    had_a_turn = due.why in (Again.SOON, Again.HOURLY)
    priority = max(claim.priority, BACKGROUND_RETRY) if had_a_turn else claim.priority
    return Delay(at=due.at or before.give_up, kept=kept, priority=priority, parked=due.park)


def _waiting(claim: Claim) -> Waiting:
    kept = claim.waiting or {}
    code, since = kept.get("code"), kept.get("since")
    return Waiting(
        host=claim.target,
        give_up=claim.queued_at + GIVE_UP_AFTER,
        tries=int(kept.get("tries", 0)),
        code=Code(code) if code in frozenset(Code) else None,
        since=datetime.fromisoformat(since) if since else None,
    )
