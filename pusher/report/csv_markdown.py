"""CSV for spreadsheets and Markdown for tickets.

Here live the columns, and the escaping that keeps a cell a cell: a host name or a message comes from a target
and may be written by someone who wants a spreadsheet to run a formula or a ticket to notify a person. What must
not live here: what counts as a cause (``summary``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import TextIO

from pusher.models import Outcome, Run
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.report.record import outcome_record
from pusher.report.run_summary import WORKED_ON, while_doing, who
from pusher.report.summary import Cause, Tally
from pusher.report.text import AFTER_WORDS, duration, hosts, job, number, visible, when

MOST_ROWS = 200

# A cell that a spreadsheet would take for a formula, also in the wide and small forms that some of them accept; % and |
# begin a command where a cell is handed on (DDE).
_BEGINNING = "[=+\\-@%|＝＋－＠％｜﹢﹣﹦﹫﹪]"
_FORMULA = re.compile(rf"\s*{_BEGINNING}")
# Where the list separator is a semicolon, what follows one may start a cell of its own.
_AFTER_SEMICOLON = re.compile(rf";(\s*)(?={_BEGINNING})")


def cell(text: str) -> str:
    """Text as a CSV cell: visible, on one line, and never a formula.

    >>> cell("=cmd|' /C calc'!A0")
    "'=cmd|' /C calc'!A0"
    """
    clean = _AFTER_SEMICOLON.sub(r";\1'", visible(text))
    return "'" + clean if _FORMULA.match(clean) else clean


def write_csv(run: Run, outcomes: Iterable[Outcome], out: TextIO) -> None:
    """A row a host, in the fields of the JSON outcome; accounts, checks and steps in one cell each."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for outcome in outcomes:
        writer.writerow([_flat(value) for value in outcome_record(outcome).values()])


COLUMNS = (
    "run",
    "target",
    "address",
    "status",
    "stage",
    "code",
    "message",
    "remedy",
    "next_move",
    "account",
    "transport",
    "protocol",
    "attempts",
    "seconds",
    "accounts_tried",
    "checks",
    "bytes_copied",
    "agent_version",
    "started_at",
    "ended_at",
    "machine",
    "site",
    "steps",
    "previous_version",
)


def _flat(value: object) -> object:
    """A field of an outcome record as a cell; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, list):
        return cell("; ".join(_item(item) for item in value))
    return value


def _item(item: dict[str, object]) -> str:
    """``push-2026: ok``, ``admin-share-write: fail (evidence)``, ``sign-in: 0.3``."""
    name, value, *evidence = item.values()
    words = f"{name}: {'ok' if value is None else value}"
    return f"{words} ({evidence[0]})" if evidence and evidence[0] else words


_SPECIAL = re.compile(r"[\\`*_\[\]~#]|[<>&|@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_BY_BACKSLASH = frozenset("\\`*_[]~#")


def prose(text: str) -> str:
    """Text in Markdown that is nothing but text: no markup, no link, no person notified.

    >>> prose("root@vm: <b> | *")
    'root&#64;vm: &lt;b&gt; &#124; \\\\*'
    """
    return _SPECIAL.sub(_escaped, visible(text))


def _escaped(match: re.Match[str]) -> str:
    """Each character once: what one escape is made of is not escaped again."""
    character = match[0]
    if character in _BY_BACKSLASH:
        return "\\" + character
    return _NAMED.get(character) or f"&#{ord(character)};"


def code(text: str) -> str:
    """Text in a Markdown code span, also inside a table. A backtick would end the span: it becomes a quote."""
    return "`" + visible(text).replace("`", "'").replace("|", "\\|") + "`"


def write_markdown(run: Run, outcomes: Iterable[Outcome], out: TextIO, following: NextCommands = NONE_GIVEN) -> None:
    """The summary, the causes with their remedies, and the hosts that need work (200 at most: tickets are short)."""
    tally = Tally()
    rows: list[Outcome] = []
    for outcome in outcomes:
        tally.add(outcome)
        if not outcome.status.is_success and len(rows) < MOST_ROWS:
            rows.append(outcome)
    summary = tally.summary()
    write = out.write
    write(f"# {prose(job(run))}\n\n")
    write(f"Run {code(run.id)} by {code(run.operator)}, started {when(run.started_at)}")
    if run.ended_at:
        write(f", took {duration((run.ended_at - run.started_at).total_seconds())}")
    write(f". {hosts(summary.total).capitalize()}.\n\n")
    write("| status | hosts |\n| --- | ---: |\n")
    for status, count in summary.counts.items():
        write(f"| {status.value} | {number(count)} |\n")
    if not summary.causes:
        return
    write("\n## What went wrong\n")
    for cause in summary.causes:
        write("\n" + _cause(cause))
    write("\n## Hosts\n\n| host | status | stage | code | message |\n| --- | --- | --- | --- | --- |\n")
    for row in rows:
        write(
            f"| {code(row.target)} | {row.status.value} | {row.stage.value} | {code(row.code or '-')} "
            f"| {prose(row.message or '')} |\n"
        )
    if summary.unsuccessful > len(rows):
        write(f"\nand {hosts(summary.unsuccessful - len(rows))} more: ")
        write(f"{code(following.report(run.id, 'csv'))}\n")


def _cause(cause: Cause) -> str:
    lines = [
        f"**{hosts(cause.count)} {cause.status.value}{while_doing(cause)}:** {code(cause.code)}, "
        f"{prose(cause.message)}",
        f"- Hosts: {prose(who(cause))}",
    ]
    if cause.remedy:
        lines.append(f"- Remedy: {prose(cause.remedy)}")
    if cause.next_move and cause.status in WORKED_ON:
        lines.append(f"- pusher {prose(AFTER_WORDS[cause.next_move])}")
    # A list needs a blank line before it in some renderers.
    return "\n".join([lines[0], "", *lines[1:], ""])
