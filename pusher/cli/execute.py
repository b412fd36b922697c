"""Driving one run: the view, the signals, the log, and the exit status.

The first Ctrl-C (or SIGTERM, or the end of the session) lets what is in flight finish or undo itself and records the
rest as cancelled; a second one stops at once, and the next push of the same hosts undoes what was left.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Any

import structlog

from pusher.cli.signals import heeded
from pusher.clock import utc_now
from pusher.models import Event, Outcome, Stage, Status
from pusher.problems import CATALOGUE, Part
from pusher.report import JsonView, LiveView, PlainView, QuietView, Tally, View, exit_status
from pusher.report.style import console_for
from pusher.scheduler.job import Stop
from pusher.wiring.prepared import Prepared
from pusher.wiring.session import Session

_POLL_CANCEL = 1.0
INTERRUPTED, FAILURE_LIMIT = 130, 3


def view_for(as_json: bool, quiet: bool) -> View:
    """The view that fits what was asked and what standard output is."""
    if as_json:
        return JsonView(sys.stdout, sys.stderr)
    if quiet:
        return QuietView(sys.stdout)
    if sys.stdout.isatty():
        return LiveView(console_for(sys.stdout), time.monotonic)
    return PlainView(sys.stdout, time.monotonic)


def execute(prepared: Prepared, view: View) -> int:
    """Run it to its end; the command's exit status."""
    with Session(prepared, view.note) as session, contextlib.closing(view):
        return asyncio.run(_Execution(session, view).go())


class _Execution:
    """One run under asyncio. It is the run's ``Watcher``: what happens goes to the view and the log."""

    def __init__(self, session: Session, view: View) -> None:
        self._session, self._view = session, view
        self._log = structlog.get_logger().bind(run=session.run.id)
        self._stages: dict[str, Stage] = {}
        self._tally = Tally()
        self._statuses: set[Status] = set()
        self._interrupts = 0
        self._stop = Stop()
        self._work: asyncio.Task[None] | None = None

    async def go(self) -> int:
        # From before the run is recorded until its end is: no signal costs it either.
        with heeded(asyncio.get_running_loop(), self._interrupt):
            return await self._run(self._stop)

    async def _run(self, stop: Stop) -> int:
        session, view = self._session, self._view
        session.begin()
        left_out = list(session.prepared.left_out())
        view.started(session.run, session.prepared.count() + len(left_out))
        self._log.info("run-started", verb=session.run.verb, inventory=session.run.inventory)
        for note in session.prepared.notes():
            view.note(note)
        runner = session.runner(self, self._outcome, stop)
        work = self._work = asyncio.create_task(runner.run(session.prepared.targets(), left_out))
        listening = asyncio.create_task(self._listen_for_cancel(stop))
        try:
            await work
        except asyncio.CancelledError:
            if not self._interrupts:
                raise
        finally:
            listening.cancel()
            ended = session.store.end_run(session.run.id, utc_now())
            summary = self._tally.summary()
            self._log.info("run-ended", counts={status.value: count for status, count in summary.counts.items()})
            view.finished(ended, summary)
            await session.leave()
        if self._interrupts or stop.code == "cancelled":
            return INTERRUPTED
        return FAILURE_LIMIT if stop.code == "failure-limit" else exit_status(self._statuses)

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
        while not stop.code:
            await asyncio.sleep(_POLL_CANCEL)
            if await asyncio.to_thread(self._session.store.cancel_asked, self._session.run.id):
                self._view.note("Stopping: the run was cancelled from elsewhere.")
                stop.cancel()
