"""Reports as documents: one function a format, behind ``render``.

Here live the table of formats, and JSON. CSV and Markdown are in ``csv_markdown``, JUnit XML in ``junit``,
HTML in ``page``. All take outcomes one by one, so a run of any size can be read straight from the store. What must not
live here: opening the file (``out`` is given; ``encoding_of`` says how a file is to be written).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TextIO

from pusher.models import Outcome, Run
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.report.csv_markdown import write_csv, write_markdown
from pusher.report.junit import write_junit
from pusher.report.page import write_html
from pusher.report.record import outcome_record, run_record
from pusher.report.summary import Tally, summary_record


class Format(StrEnum):
    """The formats of ``pusher report --format``."""

    HTML = "html"
    CSV = "csv"
    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "markdown"


def write_json(run: Run, outcomes: Iterable[Outcome], out: TextIO) -> None:
    """One JSON document: the run, its outcomes one on a line, and at the end the summary."""
    tally = Tally()
    out.write('{"run": ' + json.dumps(run_record(run)) + ',\n"outcomes": [')
    for place, outcome in enumerate(outcomes):
        tally.add(outcome)
        out.write(("\n" if place == 0 else ",\n") + json.dumps(outcome_record(outcome)))
    out.write('\n],\n"summary": ' + json.dumps(summary_record(tally.summary())) + "}\n")


_Writer = Callable[[Run, Iterable[Outcome], TextIO, NextCommands], None]


def _without_commands(write: Callable[[Run, Iterable[Outcome], TextIO], None]) -> _Writer:
    """Of a format that suggests none."""
    return lambda run, outcomes, out, _: write(run, outcomes, out)


_WRITERS: Mapping[Format, _Writer] = MappingProxyType(
    {
        Format.HTML: write_html,
        Format.CSV: _without_commands(write_csv),
        Format.JSON: _without_commands(write_json),
        Format.JUNIT: _without_commands(write_junit),
        Format.MARKDOWN: write_markdown,
    }
)


def encoding_of(format: Format | str) -> str:
    """What a file of the format is written in. Excel takes CSV for the machine's code page unless a mark says UTF-8."""
    return "utf-8-sig" if Format(format) is Format.CSV else "utf-8"


def render(
    format: Format | str, run: Run, outcomes: Iterable[Outcome], out: TextIO, following: NextCommands = NONE_GIVEN
) -> None:
    """Write the report of a run. ``out`` is a UTF-8 text stream; raises ValueError for an unknown format."""
    _WRITERS[Format(format)](run, outcomes, out, following)
