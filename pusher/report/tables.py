"""Tables for the terminal: runs, the hosts of a run, who would be pushed.

Each is a rich renderable that fits 80 columns and says the same without colours, and each row has a record for
``--json``. One host's story is in ``host_report``, the catalogue in ``explain``, accounts in ``accounts``. What must
not live here: reading a store; rows are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pusher.models import Outcome, Run, Status
from pusher.report.record import outcome_record, run_record
from pusher.report.run_summary import closing
from pusher.report.style import STATUS_STYLE, counts_text, plain, status_text
from pusher.report.summary import Summary
from pusher.report.text import duration, hosts, iso, job, number, visible

if TYPE_CHECKING:
    from pusher.report.labels import Asked

__all__ = [
    "ResolvedRow",
    "outcome_record",
    "outcomes_table",
    "resolve_record",
    "resolve_table",
    "run_page",
    "run_record",
    "runs_table",
]

# Success last: whoever asks for a run's hosts looks for the ones that need work.
_ORDER = {
    status: place
    for place, status in enumerate(
        (
            Status.FAILED,
            Status.UNREACHABLE,
            Status.CANCELLED,
            Status.SKIPPED,
            Status.INSTALLED,
            Status.UPGRADED,
            Status.REMOVED,
            Status.READY,
            Status.UNCHANGED,
        )
    )
}


def table(*headings: str) -> Table:
    """An empty table in the house's look: a rule under the headings and no other lines."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        # Folded, never cut: a name that is cut in a pipe cannot be found by grep or copied into a command.
        made.add_column(heading, overflow="fold")
    return made


def keep_whole(made: Table, column: int, texts: Iterable[str], most: int) -> None:
    """Give a column the width of its longest text, up to ``most``: names are the last thing to be folded."""
    widest = max((cell_len(text) for text in texts), default=0)
    made.columns[column].min_width = min(most, widest)


def runs_table(runs: Iterable[Run]) -> RenderableType:
    """The recorded runs, in the order given."""
    made = table("run", "started (UTC)", "what", "result")
    listed = list(runs)
    keep_whole(made, 0, (visible(run.id) for run in listed), 26)
    made.columns[1].no_wrap = True
    for run in listed:
        result = counts_text(run.counts)
        if run.ended_at is None:
            going = Text("stopped" if run.stopped_at is not None else "not ended", style="yellow")
            result = Text(", ").join([going, result]) if run.total else going
        what = Text(job(run)) + Text(f"\nby {visible(run.operator)}", style="dim")
        made.add_row(plain(run.id), Text(iso(run.started_at)[:16].replace("T", " ")), what, result)
    return made if made.rows else Text("No runs are recorded.")


def run_page(run: Run, summary: Summary, outcomes: Sequence[Outcome], *, limit: int | None = None) -> RenderableType:
    """``pusher show RUN``: the closing words of the run, then its hosts, those that need work first."""
    return Group(closing(run, summary, None), Text(), outcomes_table(outcomes, limit=limit))


def outcomes_table(outcomes: Sequence[Outcome], *, limit: int | None = None) -> RenderableType:
    """The hosts of a run, those that need work first; at most ``limit`` of them."""
    ordered = sorted(outcomes, key=lambda o: (_ORDER[o.status], o.stage, o.code or "", o.target))
    # One account for all is said in every host's own page; a column is worth its room where they differ.
    by_account = len({o.account for o in ordered if o.account}) > 1
    made = table("host", "status", "version, or stage: why", *(["account"] if by_account else []), "time")
    keep_whole(made, 0, (visible(o.target) for o in ordered), 30)
    made.columns[1].no_wrap = True
    made.columns[-1].no_wrap = True
    made.columns[-1].justify = "right"
    for outcome in islice(ordered, limit):
        account = [plain(outcome.account)] if by_account else []
        made.add_row(
            plain(outcome.target),
            status_text(outcome.status),
            _why(outcome),
            *account,
            Text(duration(outcome.seconds)),
        )
    if not made.rows:
        return Text("This run has no hosts yet.")
    hidden = len(ordered) - len(made.rows)
    return Group(made, Text(f"and {hosts(hidden)} more", style="dim")) if hidden > 0 else made


def _why(outcome: Outcome) -> Text:
    if outcome.status.is_success:
        return plain(outcome.agent_version)
    return Text.assemble(f"{outcome.stage.value}: ", plain(outcome.code, STATUS_STYLE[outcome.status]))


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedRow:
    """A target of the inventory and how it was decided whether it is pushed.

    ``asked``: what its address says of itself, where it was asked.
    """

    name: str
    address: str | None
    site: str | None
    group: str | None
    pushed: bool
    why: str
    asked: Asked | None = None


def resolve_table(rows: Iterable[ResolvedRow]) -> RenderableType:
    """``pusher resolve``: who would be pushed, and how that was decided."""
    listed = list(rows)
    by_name = any(row.asked is not None for row in listed)
    made = table("host", "address", *(["calls itself"] if by_name else []), "site", "group", "", "why")
    keep_whole(made, 0, (visible(row.name) for row in listed), 26)
    keep_whole(made, 1, (visible(row.address or "") for row in listed), 15)
    pushed = 0
    for row in listed:
        pushed += row.pushed
        verdict = Text("in", style="green") if row.pushed else Text("out", style="blue")
        own = [_own_name(row.asked)] if by_name else []
        made.add_row(
            plain(row.name), plain(row.address), *own, plain(row.site), plain(row.group), verdict, plain(row.why)
        )
    if not made.rows:
        return Text("The inventory has no targets.")
    out = len(made.rows) - pushed
    return Group(made, Text(), Text(f"{hosts(pushed)} in, {number(out)} out", style="bold"))


def _own_name(asked: Asked | None) -> Text:
    if asked is None:
        return Text()
    if asked.machine is None:
        return plain(asked.code, "yellow")
    return plain(asked.machine, "green" if asked.fits else "bold red")


def resolve_record(row: ResolvedRow) -> dict[str, Any]:
    record = {
        "target": row.name,
        "address": row.address,
        "site": row.site,
        "group": row.group,
        "pushed": row.pushed,
        "why": row.why,
    }
    if row.asked is not None:
        record |= {"machine": row.asked.machine, "fits": row.asked.fits, "code": row.asked.code}
    return record
