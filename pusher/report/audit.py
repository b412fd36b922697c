"""The audit as records, as CSV, and what is said of its proof. What must not live here: proving it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import UTC
from typing import TextIO

from pusher.models.audit import SealedEntry
from pusher.report.csv_markdown import cell
from pusher.report.record import Record, write_line

COLUMNS = ("seq", "at", "actor", "via", "origin", "act", "object", "decision", "rule", "grant", "before", "after",
           "key", "prev", "hash")  # fmt: skip


def entry_record(sealed: SealedEntry) -> Record:
    """An entry with all that its hash holds; what comes later will be at its end."""
    entry = sealed.entry
    return {
        "seq": sealed.seq,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "via": entry.via,
        "origin": entry.origin,
        "act": entry.act,
        "object": entry.object,
        "decision": str(entry.decision),
        "rule": entry.rule,
        "grant": entry.grant,
        "before": entry.before,
        "after": entry.after,
        "key": sealed.key,
        "prev": sealed.prev,
        "hash": sealed.hash,
    }


def write_json(entries: Iterable[SealedEntry], out: TextIO) -> None:
    """A line an entry."""
    for one in entries:
        write_line(entry_record(one), out)


def write_csv(entries: Iterable[SealedEntry], out: TextIO) -> None:
    """A row an entry; what was before and after as JSON in one cell, and no cell a formula."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in entries:
        writer.writerow([_flat(value) for value in entry_record(one).values()])


def _flat(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    return cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))
