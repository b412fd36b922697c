"""``pusher show RUN HOST``: one host's whole story, from its name to its outcome.

Here lives the page that an administrator reads when one machine is stubborn: the verdict with its remedy
first, then what was tried and proven, then the timeline. What must not live here: reading a store; all is
given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pusher.models import Attempt, CheckResult, Event, Outcome, Run, Stage
from pusher.problems import CATALOGUE
from pusher.report.record import attempt_record, event_record, outcome_record, run_record
from pusher.report.style import CHECK_STYLE, STATUS_STYLE, facts, indented, plain, status_text
from pusher.report.tables import table
from pusher.report.text import CHECK_WORDS, MOVE_WORDS, clock_time, duration, job, size, visible, when

_BAR = 24


def host_story(
    run: Run, outcome: Outcome | None, events: Iterable[Event] = (), attempts: Sequence[Attempt] = ()
) -> RenderableType:
    """The page of one host. ``outcome`` is None while the host is still in work."""
    told = list(events)
    parts: list[RenderableType] = []
    if outcome is None:
        name = next(iter([event.target for event in told] + [one.target for one in attempts]), "this host")
        parts.append(Text.assemble(plain(name, "bold"), ": not ended yet"))
        parts.append(facts([("Run", _run(run))]))
        parts += _attempts(attempts)
    else:
        parts += _verdict(run, outcome)
        parts += _attempts(attempts if len(attempts) > 1 else ())
        parts += _accounts(outcome)
        parts += _checks(outcome)
        parts += _steps(outcome)
    parts += _timeline(told, outcome.started_at if outcome else None)
    return Group(*parts)


def host_story_record(
    run: Run, outcome: Outcome | None, events: Iterable[Event] = (), attempts: Iterable[Attempt] = ()
) -> dict[str, Any]:
    return {
        "run": run_record(run),
        "outcome": outcome_record(outcome) if outcome else None,
        "events": [event_record(event) for event in events],
        "attempts": [attempt_record(attempt) for attempt in attempts],
    }


def _run(run: Run) -> Text:
    return Text.assemble(plain(run.id), f": {job(run)}, by ", plain(run.operator))


def _verdict(run: Run, outcome: Outcome) -> list[RenderableType]:
    title = Text.assemble(plain(outcome.target, "bold"), ": ", status_text(outcome.status))
    if not outcome.status.is_success:
        title.append(f" at {outcome.stage.value}")
        if outcome.code:
            title.append(": ").append(visible(outcome.code), style=f"bold {STATUS_STYLE[outcome.status]}")
    rows: list[tuple[str, RenderableType]] = []
    if outcome.message:
        rows.append(("Problem", plain(outcome.message)))
    if outcome.remedy:
        rows.append(("Remedy", plain(outcome.remedy, "bold")))
    if outcome.next_move:
        rows.append(("Next", Text(MOVE_WORDS[outcome.next_move])))
    rows.append(("Run", _run(run)))
    where = [
        part
        for part in (
            outcome.address,
            f"site {outcome.site}" if outcome.site else None,
            f"says it is {outcome.machine}" if outcome.machine else None,
        )
        if part
    ]
    if where:
        rows.append(("Address", plain(", ".join(where))))
    way = " by ".join(part for part in (outcome.account, outcome.protocol) if part)
    if way:
        rows.append(("Account", plain(way)))
    if outcome.transport:
        rows.append(("Transport", Text(outcome.transport.value)))
    if outcome.agent_version:
        rows.append(("Version", plain(outcome.agent_version)))
    attempts = f", {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    copied = f", {size(outcome.bytes_copied)} copied" if outcome.bytes_copied else ""
    rows.append(("Time", Text(f"{when(outcome.started_at)}, {duration(outcome.seconds)}{attempts}{copied}")))
    return [title, facts(rows)]


def _heading(text: str) -> list[RenderableType]:
    return [Text(), Text(text, style="bold")]


def _attempts(attempts: Sequence[Attempt]) -> list[RenderableType]:
    """Why it was tried again: the verdict tells of the last one alone."""
    if not attempts:
        return []
    made = table("", "time (UTC)", "took", "account", "ended")
    for column in made.columns[:3]:
        column.no_wrap = True
    made.columns[2].justify = "right"
    for one in attempts:
        ended = Text(f"at {one.stage.value}: ").append(_meaning(one.code)) if one.code else Text("well", style="green")
        took = duration((one.ended_at - one.started_at).total_seconds())
        made.add_row(Text(str(one.number)), Text(clock_time(one.started_at)), Text(took), plain(one.account or ""),
                     ended)  # fmt: skip
    return [*_heading("Attempts"), indented(made)]


def _meaning(code: str) -> Text:
    meaning = CATALOGUE[code].meaning if code in CATALOGUE else ""
    return Text.assemble((visible(code), "red"), f", {meaning}" if meaning else "")


def _accounts(outcome: Outcome) -> list[RenderableType]:
    if not outcome.accounts_tried:
        return []
    rows: list[tuple[str, RenderableType]] = []
    for tried in outcome.accounts_tried:
        verdict = _meaning(tried.code) if tried.code is not None else Text("got all it needed", style="green")
        rows.append((visible(tried.account), verdict))
    return [*_heading("Accounts, in the order tried"), indented(_rows(rows))]


def _rows(rows: Sequence[tuple[str, RenderableType]]) -> RenderableType:
    made = table("", "")
    made.show_header = False
    made.box = None
    made.padding = (0, 2, 0, 0)
    made.columns[0].min_width = 12
    for name, value in rows:
        made.add_row(Text(name), value)
    return made


def _checks(outcome: Outcome) -> list[RenderableType]:
    if not outcome.checks:
        return []
    made = table("check", "result", "evidence")
    made.columns[1].no_wrap = True
    # What is missing first: it is what the reader came for.
    first = (CheckResult.FAIL, CheckResult.UNPROVABLE, CheckResult.PASS, CheckResult.NOT_NEEDED)
    for check in sorted(outcome.checks, key=lambda c: first.index(c.result)):
        words = CHECK_WORDS[check.result]
        made.add_row(plain(check.check), Text(words, style=CHECK_STYLE[check.result]), plain(check.evidence))
    return [*_heading("Checks"), indented(made)]


def _steps(outcome: Outcome) -> list[RenderableType]:
    if not outcome.steps:
        return []
    longest = max(max(step.seconds for step in outcome.steps), 1e-9)
    made = table("", "", "")
    made.show_header = False
    made.box = None
    made.padding = (0, 2, 0, 0)
    made.columns[0].min_width = 12
    made.columns[1].justify = "right"
    made.columns[1].no_wrap = True
    for step in outcome.steps:
        cells = round(_BAR * max(0.0, step.seconds) / longest)
        made.add_row(plain(step.step), Text(duration(step.seconds)), Text("#" * cells, style="cyan"))
    return [*_heading("Where the time went"), indented(made)]


def _timeline(events: list[Event], began: datetime | None) -> list[RenderableType]:
    if not events:
        return []
    start = began or events[0].at
    made = table("time (UTC)", "after", "stage", "what")
    made.columns[0].no_wrap = True
    made.columns[1].no_wrap = True
    made.columns[1].justify = "right"
    made.columns[2].no_wrap = True
    before: Stage | None = None
    for event in events:
        stage = Text("" if event.stage is before else event.stage.value)
        before = event.stage
        detail = f": {event.detail}" if event.detail else ""
        after = f"{(event.at - start).total_seconds():.3f}"
        made.add_row(Text(clock_time(event.at)), Text(after), stage, plain(event.kind + detail))
    return [*_heading("Timeline"), indented(made)]
