"""When a host that waits is tried anew, after an attempt that did not succeed. Pure; the times are the caller's.

Whether waiting helps at all is the catalogue's column ``again``; here is how long, and when it has been long enough.

========= ============================================ ==============================================
again     comes back                                   ends
========= ============================================ ==============================================
SOON      after 1, 5, 15 minutes, then hourly          with the tenth try, or at ``give_up``
HOURLY    after 2 seconds once, then hourly            at ``give_up``
WHEN_FREE a lock: after 2 minutes, doubling to 30      held for 24 hours, or at ``give_up``
WHEN_FREE the budget: when it is free, or 30 minutes   at ``give_up``
WINDOW    when the window opens, or after a minute     at ``give_up``
PARKED    when someone has seen to the account         at ``give_up``, which whoever keeps it looks after
NEVER                                                  at once
========= ============================================ ==============================================

Only what was tried on a host that answered is a try: a laptop that was off for three days still has its ten.
What must not live here: what an attempt does, who keeps what waits, and any list of codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from pusher.models import Attempt
from pusher.problems import CATALOGUE, Again, Code, Row, Stage
from pusher.queue.jitter import after, around
from pusher.queue.windows import Windows

GIVE_UP_AFTER = timedelta(days=7)
"""How long a host waits unless its run says otherwise."""
MOST_TRIES = 10

_SECONDS, _MINUTE, _HOUR = timedelta(seconds=2), timedelta(minutes=1), timedelta(hours=1)
_SOON = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
_LOCK_FIRST, _LOCK_MOST, _LOCK_ENDS = timedelta(minutes=2), timedelta(minutes=30), timedelta(hours=24)
_BUDGET = timedelta(minutes=30)
_NOT_REACHED = frozenset({Stage.RESOLVE, Stage.REACH})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How an attempt ended that did not succeed.

    ``account``: the one it failed with; None where none did. ``free_at``: when the lockout budget that refused it is
    free again, where that is known. ``opens_at``: when the host's window opens next, where it is closed.
    """

    code: Code
    stage: Stage
    account: str | None = None
    free_at: datetime | None = None
    opens_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What is kept of a host between its attempts. ``tries``: how many counted; ``code``: how the last one ended;
    ``since``: when the first of those in a row that ended so did.
    """

    host: str
    give_up: datetime
    tries: int = 0
    code: Code | None = None
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """When the host is tried anew. ``at`` is None where no time decides: it is parked on the account ``park``.

    ``waiting``: what is kept of it until then.
    """

    at: datetime | None
    why: Again
    park: str | None = None
    waiting: Waiting


def again(ended: Ended, waiting: Waiting, now: datetime) -> Due | None:
    """When the host comes back after an attempt that ended ``now``; None where it was the last one.

    ``at`` is later than ``now`` and not later than ``give_up``. All times are aware.
    """
    since = waiting.since if waiting.code == ended.code and waiting.since is not None else now
    waiting = replace(waiting, code=ended.code, since=min(since, now))
    why = _why(ended)
    if why is Again.PARKED:
        # Nothing would ever release a host that is parked on nobody.
        parks = ended.account is not None and now < waiting.give_up
        return Due(at=None, why=why, park=ended.account, waiting=waiting) if parks else None
    found = _COMES_BACK[why](ended, waiting, now)
    if found is None or found[0] > waiting.give_up:
        return None
    at, tries = found
    return Due(at=at, why=why, waiting=replace(waiting, tries=tries))


def when_open(due: Due | None, windows: Windows) -> Due | None:
    """The same, put off until the host's windows are open; None where that is after ``give_up``.

    Raises BadInput where they never open.
    """
    if due is None or due.at is None:
        return due
    opens = windows.next_opening(due.at)
    if opens == due.at:
        return due
    at = opens + late_after(due.waiting.host)
    return replace(due, at=at) if at <= due.waiting.give_up else None


def late_after(host: str) -> timedelta:
    """How long after a window has opened the host comes: up to a minute, so that not all come at once."""
    return after(_MINUTE, host)


def remembered(host: str, give_up: datetime, attempts: Iterable[Attempt]) -> Waiting:
    """What is kept of a host, from the record of its attempts so far: nothing else need be stored.

    An attempt that succeeded, or ended with a code that this version does not know, says nothing.
    """
    waiting = Waiting(host=host, give_up=give_up)
    for attempt in sorted(attempts, key=lambda one: one.number):
        if attempt.code is not None and attempt.code in CATALOGUE:
            end = Ended(code=Code(attempt.code), stage=attempt.stage, account=attempt.account)
            due = again(end, waiting, attempt.ended_at)
            waiting = waiting if due is None else due.waiting
    return waiting


def _why(ended: Ended) -> Again:
    """The column of its code; but what fell silent on the way was there, and is not merely switched off."""
    why = CATALOGUE[ended.code].again
    return Again.SOON if why is Again.HOURLY and ended.stage not in _NOT_REACHED else why


_Found = tuple[datetime, int] | None
"""When it is due, and the tries that have counted by then."""


def _never(ended: Ended, waiting: Waiting, now: datetime) -> _Found:
    return None


def _soon(ended: Ended, waiting: Waiting, now: datetime) -> _Found:
    tries = waiting.tries + 1
    wait = _SOON[tries - 1] if tries <= len(_SOON) else _HOUR
    return (now + around(wait, waiting.host), tries) if tries < MOST_TRIES else None


def _hourly(ended: Ended, waiting: Waiting, now: datetime) -> _Found:
    wait = _HOUR if waiting.tries else _SECONDS
    return now + around(wait, waiting.host), max(waiting.tries, 1)


def _when_free(ended: Ended, waiting: Waiting, now: datetime) -> _Found:
    row: Row = CATALOGUE[ended.code]
    if row.stage is Stage.SIGN_IN:  # the lockout budget: nothing was tried
        known = ended.free_at if ended.free_at is not None and ended.free_at > now else None
        return (known + after(_MINUTE, waiting.host) if known else now + around(_BUDGET, waiting.host)), waiting.tries
    held = now - (waiting.since or now)
    # As long again as it was held so far, and the first wait more: 2, 4, 8, 16 minutes.
    wait = min(held + _LOCK_FIRST, _LOCK_MOST)
    return (now + around(wait, waiting.host), waiting.tries) if held < _LOCK_ENDS else None


def _window(ended: Ended, waiting: Waiting, now: datetime) -> _Found:
    if ended.opens_at is not None and ended.opens_at > now:
        return ended.opens_at + after(_MINUTE, waiting.host), waiting.tries
    return now + around(_MINUTE, waiting.host), waiting.tries


_COMES_BACK: Mapping[Again, Callable[[Ended, Waiting, datetime], _Found]] = MappingProxyType(
    {
        Again.NEVER: _never,
        Again.SOON: _soon,
        Again.HOURLY: _hourly,
        Again.WHEN_FREE: _when_free,
        Again.WINDOW: _window,
    }
)
