"""A run while it goes: what is done, how fast, how long still, and what is in work.

Here lives the state behind every live view, fed with events and a ``now`` that the caller gives. What must
not live here: a clock, a thread, or anything drawn.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pusher.models import Outcome, Stage, Status

WINDOW = 60.0
_SETTLED = 5.0
_FAILURES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class InWork:
    """A host being worked on, and how long it has been in its stage."""

    target: str
    stage: Stage
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The progress at one moment. ``left`` is None where it cannot be told yet."""

    total: int | None
    counts: Mapping[Status, int]
    elapsed: float
    rate: float
    left: float | None
    in_work: tuple[InWork, ...]
    failures: tuple[Outcome, ...]

    @property
    def done(self) -> int:
        return sum(self.counts.values())


class Progress:
    """Fed by a view; not thread-safe by itself (the view holds the lock)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._started = now()
        self._total: int | None = None
        self._counts: Counter[Status] = Counter()
        self._stages: dict[str, tuple[Stage, float]] = {}
        self._worked: deque[tuple[int, int]] = deque()
        self._failures: deque[Outcome] = deque(maxlen=_FAILURES)

    def start(self, total: int | None) -> None:
        self._started, self._total = self._now(), total

    def stage(self, target: str, stage: Stage) -> None:
        known = self._stages.get(target)
        if known is None or known[0] is not stage:
            self._stages[target] = (stage, self._now())

    def outcome(self, outcome: Outcome) -> None:
        self._stages.pop(outcome.target, None)
        self._counts[outcome.status] += 1
        if not outcome.status.is_success and outcome.status not in (Status.SKIPPED, Status.CANCELLED):
            self._failures.append(outcome)
        # Hosts left out cost no time: counting them would promise a speed that the others cannot keep.
        if outcome.status is not Status.SKIPPED:
            second = int(self._now())
            if self._worked and self._worked[-1][0] == second:
                self._worked[-1] = (second, self._worked[-1][1] + 1)
            else:
                self._worked.append((second, 1))

    def frame(self) -> Frame:
        now = self._now()
        elapsed = max(0.0, now - self._started)
        while self._worked and self._worked[0][0] < now - WINDOW:
            self._worked.popleft()
        recent = sum(count for _, count in self._worked)
        rate = recent / max(1.0, min(elapsed, WINDOW)) * 60.0
        done = sum(self._counts.values())
        left: float | None = None
        if self._total is not None:
            remaining = max(0, self._total - done)
            if remaining == 0:
                left = 0.0
            elif rate > 0 and elapsed >= _SETTLED:
                left = remaining / rate * 60.0
        in_work = [InWork(target=t, stage=s, seconds=max(0.0, now - at)) for t, (s, at) in self._stages.items()]
        in_work.sort(key=lambda w: (-w.seconds, w.target))
        return Frame(
            total=self._total,
            counts={s: self._counts[s] for s in Status if self._counts[s]},
            elapsed=elapsed,
            rate=rate,
            left=left,
            in_work=tuple(in_work),
            failures=tuple(self._failures),
        )
