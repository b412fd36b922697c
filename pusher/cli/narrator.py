"""The narrator of a run: what happens goes to the view and to the log, and is added up for the end.

What must not live here: how it looks (``report``), what it means for the exit status (``verdict``).
"""

from __future__ import annotations

import structlog

from pusher.models import Event, Outcome, Run, Stage, Status
from pusher.problems import CATALOGUE, Part
from pusher.report.summary import Summary, Tally
from pusher.report.views import Unfailing


class Narrator:
    """The run's ``Watcher``; ``outcome`` is who its outcomes are reported to."""

    def __init__(self, run: Run, view: Unfailing, beforehand: str | None) -> None:
        """``beforehand``: what explains whatever goes wrong, if anything does."""
        self._run, self._view, self._tally = run, view, Tally(beforehand=beforehand)
        self._log = structlog.get_logger().bind(run=run.id)
        self._statuses: set[Status] = set()

    @property
    def statuses(self) -> frozenset[Status]:
        """Of the targets that the run was to do something on."""
        return frozenset(self._statuses)

    @property
    def view_failure(self) -> str | None:
        """What ended the showing before the run ended; None where nothing did."""
        return self._view.failure

    def started(self, total: int) -> None:
        self._view.started(self._run, total)
        self._log.info("run-started", verb=self._run.verb, inventory=self._run.inventory)

    def note(self, text: str) -> None:
        self._view.note(text)

    def stage(self, target: str, stage: Stage) -> None:
        self._view.stage(target, stage)

    def event(self, happened: Event) -> None:
        self._log.info(happened.kind, target=happened.target, stage=happened.stage.value, detail=happened.detail)

    def outcome(self, outcome: Outcome) -> None:
        self._tally.add(outcome)
        if outcome.code is None or CATALOGUE[outcome.code].part is not Part.LEFT_OUT:
            self._statuses.add(outcome.status)
        self._log.info(
            "outcome", target=outcome.target, stage=outcome.stage.value, seconds=outcome.seconds,
            status=outcome.status.value, code=outcome.code, account=outcome.account,
        )  # fmt: skip
        self._view.outcome(outcome)

    def summary(self) -> Summary:
        return self._tally.summary()

    def finished(self, ended: Run, summary: Summary) -> None:
        self._log.info("run-ended", counts={status.value: count for status, count in summary.counts.items()})
        self._view.finished(ended, summary)
