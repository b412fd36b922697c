"""Outcomes packed for the HTML page: a short array a host, with every repeated string written once.

The order of ``row`` is known to ``web/page.js`` as well; a test holds the two together. What must not live
here: markup. Strings are made visible and cut here, so the script has nothing to clean.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pusher.models import CheckResult, Outcome, Run, Stage, Status
from pusher.report.text import AFTER_WORDS, CHECK_WORDS, STAGE_WORDS, clip, iso, visible

LONGEST = 2000
_STATUSES, _STAGES, _RESULTS = list(Status), list(Stage), list(CheckResult)

# The places of a packed row, in order. Those in _SHARED hold an index into the table of strings.
FIELDS = (
    "target",
    "address",
    "machine",
    "status",
    "stage",
    "code",
    "message",
    "remedy",
    "next",
    "account",
    "way",
    "site",
    "version",
    "attempts",
    "ms",
    "bytes",
    "start",
    "end",
    "tried",
    "checks",
    "steps",
)


def script_json(value: object) -> str:
    """JSON that can stand inside a script element: no ``<``, ``>`` or ``&``, and nothing outside ASCII."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class Packer:
    """Packs rows one by one; ``tables()`` at the end holds the strings that the rows refer to."""

    def __init__(self, run: Run) -> None:
        self._began = run.started_at
        self._places: dict[str, int] = {}

    def row(self, outcome: Outcome) -> list[Any]:
        share = self._share
        way = ", ".join(part for part in (outcome.transport, outcome.protocol) if part)
        return [
            _clean(outcome.target),
            _clean(outcome.address or ""),
            _clean(outcome.machine or ""),
            _STATUSES.index(outcome.status),
            _STAGES.index(outcome.stage),
            share(outcome.code),
            share(outcome.message),
            share(outcome.remedy),
            share(AFTER_WORDS[outcome.next_move] if outcome.next_move else None),
            share(outcome.account),
            share(way),
            share(outcome.site),
            share(outcome.agent_version),
            outcome.attempts,
            round(outcome.seconds * 1000),
            outcome.bytes_copied,
            self._offset(outcome.started_at),
            self._offset(outcome.ended_at),
            [[share(tried.account), share(tried.code)] for tried in outcome.accounts_tried],
            [[share(c.check), _RESULTS.index(c.result), share(c.evidence)] for c in outcome.checks],
            [[share(step.step), round(step.seconds * 1000)] for step in outcome.steps],
        ]

    def tables(self) -> dict[str, Any]:
        return {
            "fields": FIELDS,
            "strings": list(self._places),
            "statuses": [{"name": s.value, "ok": s.is_success} for s in _STATUSES],
            "stages": [{"name": s.value, "words": STAGE_WORDS[s]} for s in _STAGES],
            "results": [{"name": r.value, "words": CHECK_WORDS[r]} for r in _RESULTS],
            "began": iso(self._began),
        }

    def _share(self, text: str | None) -> int:
        """The place of a string in the table; the empty string is always at 0."""
        if not self._places:
            self._places[""] = 0
        return self._places.setdefault(_clean(text or ""), len(self._places))

    def _offset(self, moment: datetime) -> int:
        """Milliseconds after the run began."""
        return round((moment - self._began).total_seconds() * 1000)


def _clean(text: str) -> str:
    return clip(visible(text), LONGEST)
