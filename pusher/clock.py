"""The clock: the one place that reads the time of day. Everything else is handed a ``Now``, or a ``Clock``.

A ``Moment`` also knows how long the machine has been up, so that the time between two moments of one machine is
right although its clock was set in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A point in time. ``boot`` names one run of one machine (empty: unknown), ``uptime`` its seconds until now."""

    at: datetime
    boot: str = ""
    uptime: float = 0.0

    def since(self, earlier: Moment) -> timedelta:
        """The time that has passed since ``earlier``: by the uptime where it is the same run of a machine."""
        if self.boot and self.boot == earlier.boot:
            return timedelta(seconds=self.uptime - earlier.uptime)
        return self.at - earlier.at

    def after(self, time: timedelta) -> Moment:
        return replace(self, at=self.at + time, uptime=self.uptime + time.total_seconds())


Clock = Callable[[], Moment]


def moment() -> Moment:
    """The present one."""
    return Moment(at=utc_now(), boot=boot_id(), uptime=time.clock_gettime(_UPTIME))


@cache
def boot_id() -> str:
    """What Linux names this run of its kernel; empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts on while the machine sleeps, as a domain controller does."""
