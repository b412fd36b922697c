"""How a target ended, and what was tried and proven on the way there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pusher.models.common import NextMove, Protocol, Stage, Status, TransportKind


class CheckResult(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNPROVABLE = "unprovable"
    NOT_NEEDED = "not-needed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One right or readiness proof and what proved it."""

    check: str
    result: CheckResult
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """How long one step of the story took, in seconds."""

    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountTried:
    """An account that was tried on a target; ``code`` is None where it got all it needed."""

    account: str
    code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One of the tries that led to a target's outcome, and where and why it ended. ``number`` counts from 1."""

    run: str
    target: str
    number: int
    stage: Stage
    code: str | None
    account: str | None
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is recorded of one target: a line of ``--json``, a row of the store and of every report.

    ``previous_version``: what was there before an upgrade, where that is known.
    """

    run: str
    target: str
    address: str | None
    status: Status
    stage: Stage
    code: str | None = None
    message: str | None = None
    remedy: str | None = None
    next_move: NextMove | None = None
    account: str | None = None
    transport: TransportKind | None = None
    protocol: Protocol | None = None
    attempts: int = 0
    seconds: float = 0.0
    accounts_tried: tuple[AccountTried, ...] = ()
    checks: tuple[Check, ...] = ()
    steps: tuple[StepTime, ...] = ()
    bytes_copied: int = 0
    agent_version: str | None = None
    machine: str | None = None
    site: str | None = None
    previous_version: str | None = None
    started_at: datetime
    ended_at: datetime
