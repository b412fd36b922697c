"""Driving one run to its end, whatever fails of what is recorded or shown.

Here lives the order of it: record the run, do its work, record its end. What stops it is ``interruption``'s, what is
shown of it ``narrator``'s, what it comes to ``verdict``'s.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import structlog

from pusher.cli.garbage import search_as_memory_grows, short_searches_only
from pusher.cli.interruption import Interruption
from pusher.cli.loop_threads import started_threads
from pusher.cli.narrator import Narrator
from pusher.cli.verdict import Verdict
from pusher.cli.window import shut_until, stopped_when_it_closes
from pusher.clock import utc_now
from pusher.models import Run
from pusher.next_commands import NextCommands
from pusher.problems import BadInput, Problem, ProblemError
from pusher.push.context import Stop
from pusher.push.supply import Listed
from pusher.report.style import console_for
from pusher.report.summary import Summary
from pusher.report.terminal import LiveView
from pusher.report.views import JsonView, PlainView, QuietView, Unfailing, View
from pusher.settings import next_commands
from pusher.store import StoreError
from pusher.wiring.engine import Engine
from pusher.wiring.run_plan import RunPlan
from pusher.wiring.run_resources import RunResources, open_run


def view_for(as_json: bool, quiet: bool, following: NextCommands) -> View:
    """The view that fits what was asked and what standard output is."""
    if as_json:
        return JsonView(sys.stdout, sys.stderr)
    if quiet:
        return QuietView(sys.stdout, following)
    if sys.stdout.isatty():
        return LiveView(console_for(sys.stdout), time.monotonic, following)
    return PlainView(sys.stdout, time.monotonic, following)


def execute(plan: RunPlan, view: View, engine: Engine) -> int:
    """Run it to its end; the command's exit status."""
    shown = Unfailing(view)
    with open_run(plan, engine, shown.note) as opened, closing(shown):
        execution = Execution(opened, shown)
        status = asyncio.run(execution.go())
    for words in execution.verdict.closing_words:
        print(words, file=sys.stderr)
    return status


class Execution:
    """One run under asyncio: ``go`` once, then its ``verdict``."""

    def __init__(self, opened: RunResources, view: Unfailing) -> None:
        self._opened, self._stop = opened, Stop()
        self._following = next_commands(opened.plan.options.store)
        self._narrator = Narrator(opened.run, view, opened.plan.no_accounts)
        self._interruption = Interruption(opened.run.id, self._stop, self._narrator.note)
        self._log = structlog.get_logger().bind(run=opened.run.id)
        self._losses: Mapping[str, Problem] = {}
        self._wrong: list[str] = []

    @property
    def verdict(self) -> Verdict:
        """What the run has come to by now; the store may tell of losses to the last."""
        return Verdict(
            run=self._opened.run.id,
            following=self._following,
            interrupted=self._interruption.came,
            stopped=self._stop.code,
            statuses=self._narrator.statuses,
            wrong=tuple(self._wrong),
            losses=self._losses,
            unstored=self._opened.unstored.count,
            unstored_words=self._opened.unstored.closing_words(),
            view_failure=self._narrator.view_failure,
        )

    async def go(self) -> int:
        """The exit status. StoreError where the run could not even be begun."""
        # From before the run is recorded until its end is: no signal costs it either.
        with self._interruption.heeded(asyncio.get_running_loop()):
            asyncio.get_running_loop().set_default_executor(started_threads())
            await self._run()
            return self.verdict.exit_status

    async def _run(self) -> None:
        """From its record to the record of its end, whatever comes between."""
        self._opened.begin()
        try:
            with short_searches_only():
                await self._work()
        except (BadInput, ProblemError):
            raise  # of what is opened for it: nobody has been contacted
        except Exception as error:
            self._log.exception("internal-error")
            self._wrong.append(f"The run ended early by a fault of pusher's own ({type(error).__name__}); see the log.")
        finally:
            summary = self._narrator.summary()
            self._narrator.finished(self._ended(summary), summary)

    async def _work(self) -> None:
        opened, plan, narrator = self._opened, self._opened.plan, self._narrator
        left_out, targets = list(plan.left_out()), plan.targets()
        narrator.started(plan.count() + len(left_out))
        if (shut := shut_until(plan.windows, utc_now())) is not None:
            left_out, targets = [*left_out, *((target, shut) for target in targets)], iter(())
        for note in plan.notes():
            narrator.note(note)
        async with opened.dispatcher(narrator, narrator.outcome, self._stop) as dispatcher:
            self._losses = dispatcher.losses.first
            work = asyncio.create_task(dispatcher.run(Listed(targets), left_out))
            self._interruption.of(work)
            listening = asyncio.create_task(self._interruption.listen(opened.store.cancel_asked))
            searching = asyncio.create_task(search_as_memory_grows())
            closing = asyncio.create_task(stopped_when_it_closes(plan.windows, self._stop, narrator.note))
            try:
                await work
            except asyncio.CancelledError:
                if not self._interruption.came:
                    raise
            finally:
                listening.cancel()
                closing.cancel()
                searching.cancel()

    def _ended(self, summary: Summary) -> Run:
        """The run as the store has it; where that cannot be told of its end, as it is known here."""
        run, store, now = self._opened.run, self._opened.store, utc_now()
        try:
            ended = store.end_run(run.id, now)
            unfinished = store.unfinished(run.id)
        except StoreError as error:
            found = error.problem
            self._log.error("run-end-not-stored", code=found.code, detail=found.message)
            self._wrong.append(
                f"The end of run {run.id} could not be stored ({found.code}: {found.message}). {found.remedy}"
            )
            return replace(run, ended_at=now, counts=summary.counts)
        missing = len(unfinished) - self._opened.unstored.count
        if missing > 0:
            retry = self._following.retry(run.id)
            self._wrong.append(f"{missing:,} targets have no outcome. To take them up: {retry}")
        return ended
