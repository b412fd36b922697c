"""What a run shows while it goes: one small protocol, and the views that are not a live screen.

Here live ``View``, ``PlainView`` (a log or a pipe), ``JsonView`` (scripts) and ``QuietView`` (scheduled
jobs). The live screen is in ``terminal``. What must not live here: a clock, which is given as ``now``, or the choice of
the view that fits (that is the command line's).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Protocol, TextIO

from pusher.models import Outcome, Run, Stage
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.report.progress import Frame, Progress
from pusher.report.record import outcome_record, write_line
from pusher.report.run_summary import closing
from pusher.report.style import console_for
from pusher.report.summary import Summary
from pusher.report.text import duration, hosts, job, number, roughly, size, visible

PROGRESS_EVERY = 10.0
_KEPT = 100
"""Notes that are kept for the end."""


class View(Protocol):
    """Fed by the run, from any thread. ``close`` may be called at any time and more than once."""

    def started(self, run: Run, total: int | None) -> None:
        """The run begins; ``total`` is None where the number of hosts is not known yet."""

    def stage(self, target: str, stage: Stage) -> None:
        """A host has come to a stage."""

    def outcome(self, outcome: Outcome) -> None:
        """A host has ended; told once a host."""

    def note(self, text: str) -> None:
        """Something about the run as a whole that its operator should read."""

    def finished(self, run: Run, summary: Summary) -> None:
        """The run has ended."""

    def close(self) -> None:
        """Give the terminal back, whatever happened."""


class Unfailing:
    """A view that never raises: one that fails is given up, and costs no host anything. ``failure``: what failed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.failure: str | None = None

    def started(self, run: Run, total: int | None) -> None:
        self._show(lambda: self._view.started(run, total))

    def stage(self, target: str, stage: Stage) -> None:
        self._show(lambda: self._view.stage(target, stage))

    def outcome(self, outcome: Outcome) -> None:
        self._show(lambda: self._view.outcome(outcome))

    def note(self, text: str) -> None:
        self._show(lambda: self._view.note(text))

    def finished(self, run: Run, summary: Summary) -> None:
        self._show(lambda: self._view.finished(run, summary))

    def close(self) -> None:
        """Tried in any case: a live screen has taken the terminal."""
        with suppress(Exception):
            self._view.close()

    def _show(self, say: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            say()
        except Exception as error:
            self.failure = type(error).__name__


def outcome_line(outcome: Outcome) -> str:
    """One outcome on one line, for people and grep."""
    head = f"{outcome.status.value:<11} {visible(outcome.target)}"
    if not outcome.status.is_success:
        code = outcome.code or "no reason was recorded"
        message = f", {visible(outcome.message)}" if outcome.message else ""
        by = f" (account {visible(outcome.account)})" if outcome.account else ""
        return f"{head}  {outcome.stage.value}: {code}{message}{by}"
    words = [visible(outcome.agent_version)] if outcome.agent_version else []
    words.append(f"in {duration(outcome.seconds)}")
    if outcome.bytes_copied:
        words.append(f"{size(outcome.bytes_copied)} copied")
    if outcome.account:
        words.append(f"account {visible(outcome.account)}")
    return f"{head}  {', '.join(words)}"


def progress_line(frame: Frame) -> str:
    """The progress on one line."""
    of = f" of {number(frame.total)}" if frame.total is not None else ""
    words = [f"progress: {number(frame.done)}{of} done"]
    if frame.counts:
        words.append(", ".join(f"{number(count)} {status.value}" for status, count in frame.counts.items()))
    words.append(f"{number(len(frame.in_work))} in work")
    if frame.rate:
        words.append(f"{frame.rate:,.0f} hosts/min")
    if frame.left:
        words.append(f"about {roughly(frame.left)} left")
    return "; ".join(words)


class PlainView:
    """A line an outcome, and a progress line each ten seconds at most. Made for logs and pipes."""

    def __init__(
        self,
        out: TextIO,
        now: Callable[[], float],
        following: NextCommands = NONE_GIVEN,
        *,
        every: float = PROGRESS_EVERY,
    ) -> None:
        self._out, self._now, self._following, self._every = out, now, following, every
        self._progress = Progress(now)
        self._said = now()
        self._lock = Lock()

    def started(self, run: Run, total: int | None) -> None:
        with self._lock:
            self._progress.start(total)
            self._said = self._now()
            count = f" ({hosts(total)})" if total is not None else ""
            self._write(f"run {visible(run.id)}: {job(run)}{count}, by {visible(run.operator)}")

    def stage(self, target: str, stage: Stage) -> None:
        with self._lock:
            self._progress.stage(target, stage)
            self._maybe_say()

    def outcome(self, outcome: Outcome) -> None:
        with self._lock:
            self._progress.outcome(outcome)
            self._write(outcome_line(outcome))
            self._maybe_say()

    def note(self, text: str) -> None:
        with self._lock:
            self._write(f"note: {visible(text)}")

    def finished(self, run: Run, summary: Summary) -> None:
        with self._lock:
            self._write("")
            console_for(self._out).print(closing(run, summary, self._following), crop=False)
            self._out.flush()

    def close(self) -> None:
        """Nothing is held."""

    def _maybe_say(self) -> None:
        now = self._now()
        if now - self._said >= self._every:
            self._said = now
            self._write(progress_line(self._progress.frame()))

    def _write(self, line: str) -> None:
        # Flushed line by line: whoever follows the log with tail sees a host as soon as it has ended.
        self._out.write(line + "\n")
        self._out.flush()


class JsonView:
    """One JSON object a line for each outcome on ``out``, nothing else; notes go to ``aside`` if given."""

    def __init__(self, out: TextIO, aside: TextIO | None = None) -> None:
        self._out, self._aside = out, aside
        self._lock = Lock()

    def started(self, run: Run, total: int | None) -> None:
        """A script learns the run from the outcomes."""

    def stage(self, target: str, stage: Stage) -> None:
        """A stage is no outcome."""

    def outcome(self, outcome: Outcome) -> None:
        with self._lock:
            write_line(outcome_record(outcome), self._out)
            self._out.flush()

    def note(self, text: str) -> None:
        if self._aside is not None:
            with self._lock:
                self._aside.write(f"note: {visible(text)}\n")
                self._aside.flush()

    def finished(self, run: Run, summary: Summary) -> None:
        """The exit status tells a script the rest."""

    def close(self) -> None:
        """Nothing is held."""


class QuietView:
    """Nothing at all where every host ends well; else what was noted and what went wrong, once, at the end."""

    def __init__(self, out: TextIO, following: NextCommands = NONE_GIVEN) -> None:
        self._out, self._following = out, following
        self._notes: dict[str, None] = {}

    def started(self, run: Run, total: int | None) -> None:
        """Quiet."""

    def stage(self, target: str, stage: Stage) -> None:
        """Quiet."""

    def outcome(self, outcome: Outcome) -> None:
        """Quiet."""

    def note(self, text: str) -> None:
        if len(self._notes) < _KEPT:
            self._notes[text] = None

    def finished(self, run: Run, summary: Summary) -> None:
        if summary.unsuccessful:
            self._out.writelines(f"note: {visible(text)}\n" for text in self._notes)
            console_for(self._out).print(closing(run, summary, self._following), crop=False)
            self._out.flush()

    def close(self) -> None:
        """Nothing is held."""
