"""Waves: the parts of a run that go out one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class WaveState(StrEnum):
    HELD = "held"
    OPEN = "open"
    SOAKING = "soaking"
    PASSED = "passed"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """``number`` counts from 1. ``forgiven``: how many of its failures somebody knew of who resumed it."""

    number: int
    state: WaveState = WaveState.HELD
    opened_at: datetime | None = None
    soak_until: datetime | None = None
    forgiven: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class WaveCounts:
    """How the hosts of a wave stand: each is counted once, and who is counted nowhere is waiting or worked on.

    ``unreachable``: who did not answer last, given up or not, and also while the next try goes on: else a wave with
    many of them would never be without one at work. ``left_out``: who ended without a verdict (skipped, cancelled).
    """

    size: int
    succeeded: int = 0
    failed: int = 0
    unreachable: int = 0
    parked: int = 0
    left_out: int = 0

    @property
    def verdicts(self) -> int:
        return self.succeeded + self.failed

    @property
    def to_come(self) -> int:
        """Who may still give a verdict."""
        return self.size - self.verdicts - self.unreachable - self.left_out


@dataclass(frozen=True, kw_only=True, slots=True)
class WavePlan:
    """``rollout``: how a run goes out, in words of ``queue.waves``; ``wave_of``: each target's number; ``count`` of
    waves."""

    rollout: Mapping[str, Any]
    wave_of: Mapping[str, int]
    count: int
