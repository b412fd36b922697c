"""Whether a target gets another attempt in this run, and when. Pure.

What is retried is the network's misfortune; a verdict about an account, a right or a package never is. An attempt
that is made again asks the lockout budget again, like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from pusher.problems import NextMove, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """``attempts`` in all; the n-th wait is ``delay`` doubled n-1 times, in seconds, at most ``most``."""

    attempts: int = 2
    delay: float = 2.0
    most: float = 60.0

    def wait(self, found: Problem | None, attempt: int) -> float | None:
        """Seconds until the next attempt after number ``attempt`` (from 1); None where it was the last."""
        if found is None or attempt >= self.attempts:
            return None
        if found.next_move is not NextMove.RETRY or not found.row.again_in_run:
            return None
        return float(min(self.delay * 2 ** min(attempt - 1, 60), self.most))
