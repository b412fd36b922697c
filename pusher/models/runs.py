"""One invocation over an inventory, and what happened in it as it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pusher.models.common import Stage, Status, Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One invocation over an inventory. ``counts`` maps a status to how many targets ended so.

    ``priority``: of a run in the queue, from 0; the lower comes first. ``stopped_at``: since when it is stopped,
    too many of a wave having failed.
    """

    id: str
    verb: Verb
    inventory: str
    package: str | None
    version: str | None
    operator: str
    started_at: datetime
    ended_at: datetime | None = None
    parent: str | None = None
    priority: int | None = None
    stopped_at: datetime | None = None
    counts: Mapping[Status, int] = field(default_factory=dict, hash=False)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a target during a run, in the order it happened."""

    run: str
    target: str
    at: datetime
    stage: Stage
    kind: str
    detail: str = ""
