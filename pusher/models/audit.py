"""The audit's entries: who did what to whom, when and from where, by which decision, and what was before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Decision(StrEnum):
    """NOT_ASKED: whoever has the store's file has everything, so a command asks no role."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """``via``: how the actor came (``command``). ``origin``: from where. ``object``: an object's or a person's id.

    ``rule`` and ``grant``: of the decision, where a role was asked. ``before``, ``after``: what was changed; None: it
    was not there.
    """

    at: datetime
    actor: str
    via: str
    origin: str
    act: str
    object: str
    decision: Decision
    rule: str | None = None
    grant: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedEntry:
    """An entry in its place. ``key`` names the key, and nothing of it; ``prev`` is the hash of the entry before."""

    seq: int
    entry: AuditEntry
    key: str
    prev: str
    hash: str
