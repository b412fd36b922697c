"""The closing words of a run: how many, what went wrong and what to do about it, and where to see more.

Here lives the summary that every text view ends with and that ``pusher show RUN`` begins with. Each remedy is
said once, under all the causes that it mends. What must not live here: progress, tables of hosts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from pusher.models import Run, Status
from pusher.next_commands import NextCommands
from pusher.report.style import STATUS_STYLE, counts_text, facts, indented
from pusher.report.summary import Cause, Summary
from pusher.report.text import AFTER_WORDS, STAGE_WORDS, duration, hosts, job, number, visible

# The statuses of hosts that pusher worked on and could not finish; the others were left out.
WORKED_ON = frozenset({Status.FAILED, Status.UNREACHABLE})

_NAMED = 3
_LISTED = 4


def closing(run: Run, summary: Summary, following: NextCommands | None) -> RenderableType:
    """Counts, then the causes with their remedies, the first cause first, then the commands to see more, if any.

    Printed without being cropped: a command is one line, however narrow the terminal.
    """
    parts: list[RenderableType] = [headline(run, summary), counts_text(summary.counts)]
    if summary.beforehand and any(cause.status in WORKED_ON for cause in summary.causes):
        parts += [Text(), Text(visible(summary.beforehand), style="bold")]
    if summary.causes:
        parts += [Text(), causes(summary.causes)]
    if following is not None:
        parts += [Text(), more(run, summary, following)]
    return Group(*parts)


def headline(run: Run, summary: Summary) -> Text:
    """``push labagent 1.4.2 to hq.yaml: 250 hosts in 3 min 5 s (run 01J…)``."""
    seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at else summary.seconds
    took = f" in {duration(seconds)}" if seconds is not None else ""
    return Text.assemble((job(run), "bold"), f": {hosts(summary.total)}{took} ", (f"(run {visible(run.id)})", "dim"))


def causes(found: Iterable[Cause]) -> RenderableType:
    """The causes, those with the same remedy together."""
    # Two causes with one remedy stand together even where their counts differ: the remedy is done once.
    order: dict[str, int] = {}
    listed = list(found)
    for cause in listed:
        order.setdefault(cause.remedy, len(order))
    listed.sort(key=lambda c: order[c.remedy])
    parts: list[RenderableType] = []
    for _, group in groupby(listed, key=lambda c: c.remedy):
        members = list(group)
        if parts:
            parts.append(Text())
        for cause in members:
            parts.append(_cause(cause))
            parts.append(indented(Text(who(cause), style="dim")))
        rows: list[tuple[str, RenderableType]] = []
        if members[0].remedy:
            rows.append(("Remedy", Text(visible(members[0].remedy))))
        for move in dict.fromkeys(c.next_move for c in members if c.status in WORKED_ON):
            if move:
                rows.append(("pusher", Text(AFTER_WORDS[move])))
        if rows:
            parts.append(indented(facts(rows)))
    return Group(*parts)


def _cause(cause: Cause) -> Text:
    return Text.assemble(
        (hosts(cause.count), f"bold {STATUS_STYLE[cause.status]}"),
        f" {cause.status.value}{while_doing(cause)}: ",
        (cause.code, "bold"),
        f", {visible(cause.message)}",
    )


def while_doing(cause: Cause) -> str:
    """`` while signing in``; nothing for hosts that were left out, where the stage tells nothing."""
    return f" while {STAGE_WORDS[cause.stage]}" if cause.status in WORKED_ON else ""


def who(cause: Cause) -> str:
    """The hosts of a cause and what they have in common: ``ws017, ws018 and 9 more; site paris``."""
    named = [visible(host) for host in cause.hosts[:_NAMED]]
    rest = cause.count - len(named)
    words = ", ".join(named) + (f" and {number(rest)} more" if rest else "")
    if cause.accounts:
        words += f"; account{'s' if len(cause.accounts) > 1 else ''} {_counted(cause.accounts, cause.count)}"
    if cause.sites:
        words += f"; site{'s' if len(cause.sites) > 1 else ''} {_counted(cause.sites, cause.count)}"
    return words


def _counted(ranked: tuple[tuple[str, int], ...], total: int) -> str:
    """Names with their counts; a count that says nothing new is left out, and so is the long tail."""
    if len(ranked) == 1 and ranked[0][1] == total:
        return visible(ranked[0][0])
    words = ", ".join(f"{visible(name)} ({number(count)})" for name, count in ranked[:_LISTED])
    return words + (f" and {len(ranked) - _LISTED} more" if len(ranked) > _LISTED else "")


def commands(run: Run, summary: Summary, following: NextCommands) -> list[tuple[str, str]]:
    """What to type next, with what it is for."""
    name = visible(run.id)
    rows = [
        ("Every host", following.show(name)),
        ("A page to send", following.report(name, "html", "report.html")),
    ]
    if any(status in summary.counts for status in (Status.FAILED, Status.UNREACHABLE, Status.CANCELLED)):
        rows.append(("Try them again", following.retry(name)))
    return rows


def more(run: Run, summary: Summary, following: NextCommands) -> RenderableType:
    rows = commands(run, summary, following)
    width = max(len(purpose) for purpose, _ in rows)
    return Group(
        *(
            Text.assemble((f"{purpose:<{width}}  ", "dim"), command, no_wrap=True, overflow="ignore")
            for purpose, command in rows
        )
    )
