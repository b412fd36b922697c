"""How things look on a terminal: a colour for each status, the consoles, and lines that several views share.

What must not live here: what is said (``run_summary``, ``tables``, ``host_report``). Colour never carries a
meaning alone: the word always stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pusher.models import CheckResult, Status
from pusher.report.text import number, visible

STATUS_STYLE: Mapping[Status, str] = MappingProxyType(
    {
        Status.INSTALLED: "green",
        Status.UPGRADED: "green",
        Status.UNCHANGED: "cyan",
        Status.REMOVED: "green",
        Status.READY: "green",
        Status.FAILED: "bold red",
        Status.UNREACHABLE: "yellow",
        Status.SKIPPED: "blue",
        Status.CANCELLED: "magenta",
    }
)

CHECK_STYLE: Mapping[CheckResult, str] = MappingProxyType(
    {
        CheckResult.PASS: "green",
        CheckResult.FAIL: "bold red",
        CheckResult.UNPROVABLE: "yellow",
        CheckResult.NOT_NEEDED: "dim",
    }
)

PIPED_WIDTH = 120


def console_for(out: TextIO, *, colour: bool | None = None, width: int | None = None) -> Console:
    """A console on ``out``. On a pipe or a file: no colours, and a width that does not depend on who looks.

    ``colour`` False turns colours off on a terminal too (NO_COLOR does so by itself).
    """
    if not out.isatty():
        return Console(
            file=out,
            width=width or PIPED_WIDTH,
            color_system=None,
            force_terminal=False,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
    return Console(
        file=out,
        width=width,
        no_color=True if colour is False else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def plain(text: str | None, style: str = "") -> Text:
    """Text of any origin, harmless on a terminal; an absent one is a dash."""
    return Text(visible(text) if text else "-", style=style if text else "dim")


def status_text(status: Status) -> Text:
    return Text(status.value, style=STATUS_STYLE[status])


def counts_text(counts: Mapping[Status, int]) -> Text:
    """``11,900 installed · 120 failed``; statuses that did not occur are not named."""
    parts = [
        Text.assemble((number(counts[status]), f"bold {STATUS_STYLE[status]}"), " ", status.value)
        for status in Status
        if counts.get(status)
    ]
    return Text(" · ").join(parts) if parts else Text("no hosts", style="dim")


def facts(rows: list[tuple[str, RenderableType]]) -> Table:
    """Names and values in two columns, without lines."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def indented(renderable: RenderableType, by: int = 2) -> Padding:
    return Padding(renderable, (0, 0, 0, by))
