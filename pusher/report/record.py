"""Records: the one JSON shape of an outcome, a run and an event, in a field order that only grows at its end.

Every report and every ``--json`` line goes through these functions. What must not live here: wording or
cleaning; a record holds the strings as they were seen, and JSON's own escaping makes them harmless.
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from pusher.models import Attempt, Event, Outcome, Run, Status
from pusher.report.text import iso

Record = dict[str, Any]


def outcome_record(outcome: Outcome) -> Record:
    """An outcome; what came later (``machine``, ``site``, ``steps``) is at its end."""
    return {
        "run": outcome.run,
        "target": outcome.target,
        "address": outcome.address,
        "status": outcome.status.value,
        "stage": outcome.stage.value,
        "code": outcome.code,
        "message": outcome.message,
        "remedy": outcome.remedy,
        "next_move": outcome.next_move.value if outcome.next_move else None,
        "account": outcome.account,
        "transport": outcome.transport.value if outcome.transport else None,
        "protocol": outcome.protocol.value if outcome.protocol else None,
        "attempts": outcome.attempts,
        "seconds": round(outcome.seconds, 3),
        "accounts_tried": [{"account": t.account, "code": t.code} for t in outcome.accounts_tried],
        "checks": [{"check": c.check, "result": c.result.value, "evidence": c.evidence} for c in outcome.checks],
        "bytes_copied": outcome.bytes_copied,
        "agent_version": outcome.agent_version,
        "started_at": iso(outcome.started_at),
        "ended_at": iso(outcome.ended_at),
        "machine": outcome.machine,
        "site": outcome.site,
        "steps": [{"step": s.step, "seconds": round(s.seconds, 3)} for s in outcome.steps],
        "previous_version": outcome.previous_version,
    }


def run_record(run: Run) -> Record:
    """A run; ``run`` is its identifier, as in the outcomes. Every status is counted, also those at 0."""
    return {
        "run": run.id,
        "verb": run.verb.value,
        "inventory": run.inventory,
        "package": run.package,
        "version": run.version,
        "operator": run.operator,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at) if run.ended_at else None,
        "parent": run.parent,
        "counts": {status.value: run.counts.get(status, 0) for status in Status},
        "total": run.total,
        "priority": run.priority,
        "stopped_at": iso(run.stopped_at) if run.stopped_at else None,
    }


def attempt_record(attempt: Attempt) -> Record:
    """One of the tries that led to a target's outcome."""
    return {
        "number": attempt.number,
        "stage": attempt.stage.value,
        "code": attempt.code,
        "account": attempt.account,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
    }


def event_record(event: Event) -> Record:
    """One event of a target's story."""
    return {
        "run": event.run,
        "target": event.target,
        "at": iso(event.at),
        "stage": event.stage.value,
        "kind": event.kind,
        "detail": event.detail,
    }


def write_line(record: Record, out: TextIO) -> None:
    """One JSON object on one line, in ASCII: lone surrogates and terminal escapes stay escaped."""
    out.write(json.dumps(record, separators=(", ", ": ")) + "\n")
