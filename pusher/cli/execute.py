"""Driving one run: the view, the signals, the log, and the exit status.

The first Ctrl-C (or SIGTERM, or the end of the session) lets what is in flight finish or undo itself and records the
rest as cancelled; a second one stops at once, and the next push of the same hosts undoes what was left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import structlog

from pusher.cli.signals import heeded
from pusher.cli.streams import OUTPUT_LOST
from pusher.clock import utc_now
from pusher.models import Event, Outcome, Run, Stage, Status
from pusher.problems import CATALOGUE, BadInput, Code, Part, Problem
from pusher.push.context import Stop
from pusher.report import JsonView, LiveView, PlainView, QuietView, Summary, Tally, View, exit_status
from pusher.report.style import console_for
from pusher.report.views import Unfailing
from pusher.store import StoreError
from pusher.wiring.run_plan import RunPlan
from pusher.wiring.run_resources import RunResources

_POLL_CANCEL = 1.0
_NAMED = 3
_START = 30.0
"""Seconds in which the threads must have started."""
INTERRUPTED, FAILURE_LIMIT, NOT_ALL_WELL = 130, 3, 1


def view_for(as_json: bool, quiet: bool) -> View:
    """The view that fits what was asked and what standard output is."""
    if as_json:
        return JsonView(sys.stdout, sys.stderr)
    if quiet:
        return QuietView(sys.stdout)
    if sys.stdout.isatty():
        return LiveView(console_for(sys.stdout), time.monotonic)
    return PlainView(sys.stdout, time.monotonic)


def _started_threads() -> ThreadPoolExecutor:
    """The event loop's own threads, as many as it would start, but all of them now.

    A thread that is started when memory is short may die before it says that it runs, and Python waits for that word
    for ever: in the middle of a run, with hosts in work.
    """
    count = min(32, (os.cpu_count() or 1) + 4)
    pool, all_run = ThreadPoolExecutor(count, thread_name_prefix="loop"), threading.Barrier(count)
    try:
        for running in [pool.submit(all_run.wait, _START) for _ in range(count)]:
            running.result()
    except (RuntimeError, MemoryError) as error:  # a barrier that breaks is one
        all_run.abort()
        found = "this process cannot start its threads"
        raise BadInput(None, found, "more memory, or higher limits (ulimit -v, -u)") from error
    return pool


def execute(plan: RunPlan, view: View) -> int:
    """Run it to its end; the command's exit status."""
    shown = Unfailing(view)
    with RunResources(plan, shown.note) as session, contextlib.closing(session.unstored), contextlib.closing(shown):
        execution = Execution(session, shown)
        status = asyncio.run(execution.go())
    for words in execution.closing_words():
        print(words, file=sys.stderr)
    return status


class Execution:
    """One run under asyncio. It is the run's ``Watcher``: what happens goes to the view and the log.

    Whatever fails of what is recorded or shown, the run goes to its end; then ``closing_words`` say so, and the exit
    status is not 0.
    """

    def __init__(self, session: RunResources, view: Unfailing) -> None:
        self._session, self._view = session, view
        self._log = structlog.get_logger().bind(run=session.run.id)
        self._stages: dict[str, Stage] = {}
        self._tally = Tally(beforehand=session.plan.no_accounts)
        self._statuses: set[Status] = set()
        self._interrupts = 0
        self._stop = Stop()
        self._work: asyncio.Task[None] | None = None
        self._losses: Mapping[str, Problem] = {}
        self._wrong: list[str] = []
        """What went wrong with the run as a whole, in sentences."""

    async def go(self) -> int:
        # From before the run is recorded until its end is: no signal costs it either.
        with heeded(asyncio.get_running_loop(), self._interrupt):
            asyncio.get_running_loop().set_default_executor(_started_threads())
            return await self._run(self._stop)

    def closing_words(self) -> list[str]:
        """What the operator has to be told at the end, whatever the view; empty where all is as it should be."""
        words = [*self._session.unstored.closing_words(), *self._wrong]
        if len(self._losses) > self._session.unstored.count:
            names, first = sorted(self._losses), next(iter(self._losses.values()))
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            words.append(
                f"Not all that happened to {', '.join(names[:_NAMED])}{more} could be stored ({first.code}: "
                f"{first.message}). {first.remedy}"
            )
        if self._view.failure is not None:
            words.append(f"The run could not be shown to its end ({self._view.failure}); 'pusher show last' shows it.")
        return words

    async def _run(self, stop: Stop) -> int:
        session, view = self._session, self._view
        session.begin()
        left_out = list(session.plan.left_out())
        view.started(session.run, session.plan.count() + len(left_out))
        self._log.info("run-started", verb=session.run.verb, inventory=session.run.inventory)
        for note in session.plan.notes():
            view.note(note)
        runner = session.runner(self, self._outcome, stop)
        self._losses = runner.losses.first
        work = self._work = asyncio.create_task(runner.run(session.plan.targets(), left_out))
        listening = asyncio.create_task(self._listen_for_cancel(stop))
        try:
            await work
        except asyncio.CancelledError:
            if not self._interrupts:
                raise
        except Exception as error:
            self._log.exception("internal-error")
            self._wrong.append(f"The run ended early by a fault of pusher's own ({type(error).__name__}); see the log.")
        finally:
            listening.cancel()
            summary = self._tally.summary()
            ended = self._ended(summary)
            self._log.info("run-ended", counts={status.value: count for status, count in summary.counts.items()})
            view.finished(ended, summary)
            await session.leave()
        if self._interrupts or stop.code == Code.CANCELLED:
            return INTERRUPTED
        if stop.code == Code.FAILURE_LIMIT:
            return FAILURE_LIMIT
        return self._status()

    def _ended(self, summary: Summary) -> Run:
        """The run as the store has it; where that cannot be told of its end, as it is known here."""
        run, now = self._session.run, utc_now()
        try:
            ended = self._session.store.end_run(run.id, now)
            unfinished = self._session.store.unfinished(run.id)
        except StoreError as error:
            found = error.problem
            self._log.error("run-end-not-stored", code=found.code, detail=found.message)
            self._wrong.append(
                f"The end of run {run.id} could not be stored ({found.code}: {found.message}). {found.remedy}"
            )
            return replace(run, ended_at=now, counts=summary.counts)
        if len(unfinished) > self._session.unstored.count:
            missing = len(unfinished) - self._session.unstored.count
            self._wrong.append(f"{missing:,} targets have no outcome; 'pusher retry {run.id}' takes them up.")
        return ended

    def _status(self) -> int:
        """0 only where every target ended well, and all of it was stored and shown."""
        if self._wrong or self._losses or self._session.unstored.count:
            return NOT_ALL_WELL
        status = exit_status(self._statuses)
        return OUTPUT_LOST if status == 0 and self._view.failure is not None else status

    # Watcher

    def stage(self, target: str, stage: Stage) -> None:
        self._stages[target] = stage
        self._view.stage(target, stage)

    def event(self, happened: Event) -> None:
        self._log.info(happened.kind, target=happened.target, stage=happened.stage.value, detail=happened.detail)

    def _outcome(self, outcome: Outcome) -> None:
        self._stages.pop(outcome.target, None)
        self._tally.add(outcome)
        if outcome.code is None or CATALOGUE[outcome.code].part is not Part.LEFT_OUT:
            self._statuses.add(outcome.status)
        entry: dict[str, Any] = {"status": outcome.status.value, "code": outcome.code, "account": outcome.account}
        self._log.info("outcome", target=outcome.target, stage=outcome.stage.value, seconds=outcome.seconds, **entry)
        self._view.outcome(outcome)

    # Stopping

    def _interrupt(self, insists: bool) -> None:
        if self._work is not None and self._work.done():
            return  # it came too late to interrupt anything
        self._interrupts += 1
        if self._interrupts == 1:
            self._view.note("Stopping: hosts in work finish or are put back; press Ctrl-C again to stop at once.")
            self._stop.cancel()
        elif insists and self._work is not None:
            self._work.cancel()

    async def _listen_for_cancel(self, stop: Stop) -> None:
        """``pusher cancel RUN`` from another terminal arrives by way of the store."""
        failed = False
        while not stop.code:
            await asyncio.sleep(_POLL_CANCEL)
            try:
                asked = await asyncio.to_thread(self._session.store.cancel_asked, self._session.run.id)
            except Exception as error:  # the run goes on, and may be stopped by Ctrl-C; the next look may be better
                if not failed:
                    self._log.warning("cancel-not-readable", detail=str(error))
                failed, asked = True, False
            if asked:
                self._view.note("Stopping: the run was cancelled from elsewhere.")
                stop.cancel()
