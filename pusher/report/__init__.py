"""Reports: everything that a reader sees of a run.

Here live the records of ``--json``, the summary with causes, the live and plain views, the tables, and the
renderers of HTML, CSV, JSON, JUnit XML and Markdown. What must not live here: network, store or clock; runs,
outcomes and the time are passed in. Implements the design's room ``report`` and SURFACE's outcome.
"""

from __future__ import annotations

from pusher.report.record import event_record, outcome_record, run_record
from pusher.report.summary import Cause, Summary, Tally, exit_status, summarise
from pusher.report.terminal import LiveView
from pusher.report.views import JsonView, PlainView, QuietView, View

__all__ = [
    "Cause",
    "JsonView",
    "LiveView",
    "PlainView",
    "QuietView",
    "Summary",
    "Tally",
    "View",
    "event_record",
    "exit_status",
    "outcome_record",
    "run_record",
    "summarise",
]
