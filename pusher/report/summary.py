"""The sum of a run: counts by status, and what went wrong grouped by cause, with one remedy each.

Here lives pure aggregation that every renderer uses, in memory that does not grow with the number of hosts,
and the exit status. What must not live here: layout, colours, or a decision about what is retried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pusher.models import NextMove, Outcome, Stage, Status
from pusher.problems import CATALOGUE
from pusher.report.text import iso

SAMPLE = 10
NO_CODE = "no-code"
# The order in which causes matter to whoever mends them: what broke before what was left out on purpose.
_WEIGHT: Mapping[Status, int] = {
    Status.FAILED: 0,
    Status.UNREACHABLE: 0,
    Status.CANCELLED: 1,
    Status.SKIPPED: 2,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Every host that ended with one code. ``hosts`` is a sample; ``accounts`` and ``sites`` are complete.

    ``message`` is the catalogue's meaning of the code, ``example`` what one of the hosts said.
    """

    code: str
    status: Status
    stage: Stage
    count: int
    message: str
    example: str
    remedy: str
    next_move: NextMove | None
    hosts: tuple[str, ...]
    accounts: tuple[tuple[str, int], ...] = ()
    sites: tuple[tuple[str, int], ...] = ()

    @property
    def unnamed(self) -> int:
        """How many hosts the sample leaves out."""
        return self.count - len(self.hosts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Counts and causes of a run. ``counts`` holds the statuses that occurred, in the order of ``Status``."""

    counts: Mapping[Status, int] = field(default_factory=dict, hash=False)
    causes: tuple[Cause, ...] = ()
    bytes_copied: int = 0
    first: datetime | None = None
    last: datetime | None = None
    beforehand: str | None = None
    """What was said before the run began that may be the cause of all causes."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def succeeded(self) -> int:
        return sum(count for status, count in self.counts.items() if status.is_success)

    @property
    def unsuccessful(self) -> int:
        return self.total - self.succeeded

    @property
    def seconds(self) -> float | None:
        """From the first host's start to the last host's end."""
        return (self.last - self.first).total_seconds() if self.first and self.last else None


class _Group:
    """A cause while it grows."""

    def __init__(self, outcome: Outcome, code: str) -> None:
        row = CATALOGUE.get(code)
        self.code = code
        self.status, self.stage = outcome.status, outcome.stage
        self.message = row.meaning if row else (outcome.message or "no reason was recorded")
        self.example = outcome.message or ""
        self.remedy = outcome.remedy or (row.remedy if row else "")
        self.next_move = outcome.next_move or (row.next_move if row else None)
        self.count = 0
        self.hosts: list[str] = []
        self.accounts: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()

    def add(self, outcome: Outcome, sample: int) -> None:
        self.count += 1
        if len(self.hosts) < sample:
            self.hosts.append(outcome.target)
        # The account to blame is the one refused with this very code; failing that, the one in use.
        blamed = {tried.account for tried in outcome.accounts_tried if tried.code == self.code}
        if not blamed and outcome.account:
            blamed = {outcome.account}
        self.accounts.update(blamed)
        if outcome.site:
            self.sites[outcome.site] += 1

    def cause(self) -> Cause:
        return Cause(
            code=self.code,
            status=self.status,
            stage=self.stage,
            count=self.count,
            message=self.message,
            example=self.example,
            remedy=self.remedy,
            next_move=self.next_move,
            hosts=tuple(self.hosts),
            accounts=_ranked(self.accounts),
            sites=_ranked(self.sites),
        )


class Tally:
    """Adds outcomes up one by one; ``summary()`` may be asked for at any time."""

    def __init__(self, sample: int = SAMPLE, beforehand: str | None = None) -> None:
        self._sample, self._beforehand = sample, beforehand
        self._counts: Counter[Status] = Counter()
        self._groups: dict[str, _Group] = {}
        self._bytes = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        self._bytes += outcome.bytes_copied
        if self._first is None or outcome.started_at < self._first:
            self._first = outcome.started_at
        if self._last is None or outcome.ended_at > self._last:
            self._last = outcome.ended_at
        if outcome.status.is_success:
            return
        code = outcome.code or NO_CODE
        group = self._groups.get(code)
        if group is None:
            group = self._groups[code] = _Group(outcome, code)
        group.add(outcome, self._sample)

    def summary(self) -> Summary:
        causes = [group.cause() for group in self._groups.values()]
        causes.sort(key=lambda c: (_WEIGHT.get(c.status, 0), -c.count, c.code))
        return Summary(
            counts={status: self._counts[status] for status in Status if self._counts[status]},
            causes=tuple(causes),
            bytes_copied=self._bytes,
            first=self._first,
            last=self._last,
            beforehand=self._beforehand,
        )


def summarise(outcomes: Iterable[Outcome], sample: int = SAMPLE) -> Summary:
    """The summary of some outcomes, with at most ``sample`` hosts named for each cause."""
    tally = Tally(sample)
    for outcome in outcomes:
        tally.add(outcome)
    return tally.summary()


def exit_status(statuses: Iterable[Status]) -> int:
    """0 where every target ended well, 1 where some target did not.

    Bad input (2), a failure limit (3) and an interruption (130) are known to the caller, not to the statuses.
    """
    return 0 if all(status.is_success for status in statuses) else 1


def summary_record(summary: Summary) -> dict[str, Any]:
    """The summary as JSON: counts of every status, and the causes in the order in which to mend them."""
    return {
        "total": summary.total,
        "succeeded": summary.succeeded,
        "counts": {status.value: summary.counts.get(status, 0) for status in Status},
        "bytes_copied": summary.bytes_copied,
        "first_started_at": iso(summary.first) if summary.first else None,
        "last_ended_at": iso(summary.last) if summary.last else None,
        "causes": [cause_record(cause) for cause in summary.causes],
    }


def cause_record(cause: Cause) -> dict[str, Any]:
    """One cause as JSON."""
    return {
        "code": cause.code,
        "count": cause.count,
        "status": cause.status.value,
        "stage": cause.stage.value,
        "message": cause.message,
        "remedy": cause.remedy,
        "next_move": cause.next_move.value if cause.next_move else None,
        "hosts": list(cause.hosts),
        "accounts": dict(cause.accounts),
        "sites": dict(cause.sites),
    }


def _ranked(counter: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
