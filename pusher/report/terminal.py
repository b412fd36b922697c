"""The live screen of a run on a terminal.

Here live the drawing of a ``Frame`` and ``LiveView``, which redraws it a few times a second. What must not
live here: counting (``progress``), the closing words (``run_summary``), a clock (``now`` is given).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pusher.models import Outcome, Run, Stage
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.report.progress import Frame, Progress
from pusher.report.run_summary import closing
from pusher.report.style import STATUS_STYLE, counts_text, plain
from pusher.report.summary import Summary
from pusher.report.text import STAGE_WORDS, duration, job, number, roughly, visible

_MOST_ROWS = 8
_BUSY_AFTER = 30.0


class Screen:
    """One frame, drawn to the width and height at hand."""

    def __init__(self, run: Run | None, frame: Frame) -> None:
        self._run, self._frame = run, frame

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        frame, height = self._frame, options.height or console.height
        # Title, bar, counts, speed, two headings and blank lines stand anyway; the rest is shared out.
        room = max(2, height - 10)
        failures = frame.failures[-min(len(frame.failures), max(1, room // 3)) :]
        rows = max(1, min(_MOST_ROWS, room - len(failures) - 1))
        parts: list[RenderableType] = []
        if self._run is not None:
            title = Text(job(self._run), style="bold", no_wrap=True, overflow="ellipsis")
            parts.append(title)
        if frame.total:
            parts.append(_bar(frame, options.max_width, ascii_only=options.ascii_only))
        parts += [_done(frame), _speed(frame)]
        if frame.in_work:
            parts += [Text(), _in_work(frame, rows)]
        if failures:
            parts += [Text(), _last_failures(failures)]
        yield Group(*parts)


def _bar(frame: Frame, width: int, *, ascii_only: bool) -> Text:
    """The whole run as one line: a piece for each status in its colour, the rest pale."""
    total = max(frame.total or 1, frame.done, 1)
    cells = max(10, width)
    bar, used, seen = Text(no_wrap=True), 0, 0
    for status, count in frame.counts.items():
        seen += count
        # Cut at the running sum, so that rounding never makes the pieces longer or shorter than the whole.
        upto = cells * seen // total
        bar.append(("#" if ascii_only else "━") * (upto - used), style=STATUS_STYLE[status])
        used = upto
    bar.append(("." if ascii_only else "─") * (cells - used), style="dim")
    return bar


def _done(frame: Frame) -> Text:
    of = f" of {number(frame.total)}" if frame.total is not None else ""
    share = f" ({100 * frame.done // frame.total}%)" if frame.total else ""
    head = Text.assemble((f"{number(frame.done)}{of} done{share}", "bold"))
    return Text("  ").join([head, counts_text(frame.counts)]) if frame.counts else head


def _speed(frame: Frame) -> Text:
    words = [f"running {duration(round(frame.elapsed))}" if frame.elapsed >= 1 else "starting"]
    if frame.rate:
        words.append(f"{frame.rate:,.0f} hosts/min")
    if frame.left:
        words.append(f"about {roughly(frame.left)} left")
    return Text(" · ".join(words), style="dim")


def _in_work(frame: Frame, rows: int) -> RenderableType:
    """The hosts that have been in their stage longest come first: those are the ones to worry about."""
    grid = Table.grid(padding=(0, 2), expand=False)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=None)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    for work in frame.in_work[:rows]:
        slow = "yellow" if work.seconds >= _BUSY_AFTER else "dim"
        grid.add_row(
            _name(work.target),
            Text(STAGE_WORDS[work.stage]),
            Text(duration(round(work.seconds)) if work.seconds >= 1 else "", style=slow),
        )
    hidden = len(frame.in_work) - rows
    parts: list[RenderableType] = [Text(f"In work: {number(len(frame.in_work))}", style="bold"), grid]
    if hidden > 0:
        parts.append(Text(f"  +{number(hidden)} more", style="dim"))
    return Group(*parts)


def _name(target: str) -> Text:
    # A Text, never a str: rich would read markup in a name that a target chose.
    return Text("  " + visible(target))


def _last_failures(failures: tuple[Outcome, ...]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    for outcome in reversed(failures):
        style = STATUS_STYLE[outcome.status]
        grid.add_row(
            _name(outcome.target),
            Text(outcome.stage.value),
            Text(visible(outcome.code or outcome.status.value), style=style),
        )
    return Group(Text("Last failures", style="bold"), grid)


class LiveView:
    """The live screen. ``close`` gives the terminal back; the closing words stay in the scrollback."""

    def __init__(
        self,
        console: Console,
        now: Callable[[], float],
        following: NextCommands = NONE_GIVEN,
        *,
        auto_refresh: bool = True,
    ) -> None:
        self._console, self._following = console, following
        self._progress = Progress(now)
        self._run: Run | None = None
        self._lock = RLock()
        self._live = Live(
            get_renderable=self.screen,
            console=console,
            auto_refresh=auto_refresh,
            refresh_per_second=4,
            transient=True,
            vertical_overflow="crop",
        )

    def screen(self) -> Screen:
        """What the screen shows at this moment."""
        with self._lock:
            return Screen(self._run, self._progress.frame())

    def started(self, run: Run, total: int | None) -> None:
        with self._lock:
            self._run = run
            self._progress.start(total)
        self._live.start()

    def stage(self, target: str, stage: Stage) -> None:
        with self._lock:
            self._progress.stage(target, stage)

    def outcome(self, outcome: Outcome) -> None:
        with self._lock:
            self._progress.outcome(outcome)

    def note(self, text: str) -> None:
        self._console.print(Text.assemble(("note: ", "bold yellow"), plain(text)))

    def finished(self, run: Run, summary: Summary) -> None:
        self.close()
        self._console.print(closing(run, summary, self._following), crop=False)

    def close(self) -> None:
        self._live.stop()
