"""Watching a service start, run and stop: pure verdicts on the statuses that come in.

A service that is starting must move its checkpoint within its own wait hint (SERVICE_STATUS, MS-SCMR 2.2.47);
one that does is given more time, one that does not has hung, whatever the clock says.
"""

from __future__ import annotations

from dataclasses import dataclass

from pusher.problems import Code, Problem, Stage, problem
from pusher.transports.port import ServiceState, ServiceStatus

LEAST_PATIENCE = 5.0
"""Seconds that any service gets between two signs of life, whatever hint it gives."""

SERVICE_SPECIFIC = 1066
"""ERROR_SERVICE_SPECIFIC_ERROR: the code that counts is the service's own (MS-ERREF 2.2)."""


@dataclass(slots=True)
class StartWatch:
    """Feed it statuses with the time in seconds; it says running, failed, or wait."""

    timeout: float
    began: float
    _checkpoint: int = -1
    _moved: float = 0.0

    def feed(self, status: ServiceStatus | None, now: float) -> bool | Problem:
        """True: it runs. A Problem: it will not. False: ask again."""
        if status is None:
            return problem(Code.SERVICE_MISSING, Stage.START, "it vanished while it was started")
        if status.state is ServiceState.RUNNING:
            return True
        if status.state is ServiceState.STOPPED:
            return stopped(status, Stage.START)
        if status.checkpoint != self._checkpoint:
            self._checkpoint, self._moved = status.checkpoint, now
        patience = min(max(status.wait_hint / 1000, LEAST_PATIENCE), self.timeout)
        if now - max(self._moved, self.began) > patience:
            stuck = f"{status.state.name} at checkpoint {status.checkpoint} for {patience:g} s"
            return problem(Code.SERVICE_START_TIMEOUT, Stage.START, stuck)
        return False


def has_told_why(status: ServiceStatus, earlier: ServiceStatus | None) -> bool:
    """Whether a service that has stopped gave an exit code of its own since ``earlier``."""
    told = (status.win32_exit, status.service_exit)
    before = None if earlier is None else (earlier.win32_exit, earlier.service_exit)
    return status.win32_exit == SERVICE_SPECIFIC and told != before


def stopped(status: ServiceStatus, stage: Stage) -> Problem:
    """Why a service that should run is stopped."""
    if status.win32_exit == SERVICE_SPECIFIC:
        return problem(Code.SERVICE_FAILED, stage, f"its own exit code {status.service_exit}")
    if status.win32_exit in (0, 1067, 1077):
        return problem(Code.SERVICE_EXITED, stage, f"Win32 exit code {status.win32_exit}")
    return problem(Code.SERVICE_FAILED, stage, f"Win32 exit code {status.win32_exit}")
