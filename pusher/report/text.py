"""Words and numbers made fit to be read: hostile text made visible, durations, sizes, plates of plain words.

Here lives what every renderer needs to show a string that came from a target, and the tables that put a
stage, a status or a next move into plain words. What must not live here: any format's own escaping (HTML,
CSV, XML, Markdown), which belongs to that format's module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from pusher.config.wording import INVISIBLE
from pusher.models import CheckResult, NextMove, Run, Stage, Status, Verb
from pusher.problems import Again, Charges

_SPACES = re.compile(r"[ \t\r\n]+")


def _name(match: re.Match[str]) -> str:
    return f"[U+{ord(match[0]):04X}]"


def visible(text: str) -> str:
    """``text`` on one line, with every invisible or terminal-controlling character written as ``[U+202E]``.

    >>> visible("a\\x1b[31mb")
    'a[U+001B][31mb'
    """
    # Nearly every string is plain: this halves the time of a report of 100,000 hosts.
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    return INVISIBLE.sub(_name, _SPACES.sub(" ", text))


def clip(text: str, length: int) -> str:
    """``text``, cut with an ellipsis where it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"


def iso(moment: datetime) -> str:
    """ISO-8601 in UTC with ``Z`` and milliseconds; a datetime without a zone is taken as UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(moment: datetime) -> str:
    """A moment for people: ``2026-03-01 14:02:11 UTC``."""
    return iso(moment)[:19].replace("T", " ") + " UTC"


def clock_time(moment: datetime) -> str:
    """The time of day of a moment in UTC, with milliseconds."""
    return iso(moment)[11:23]


def duration(seconds: float) -> str:
    """A duration for people: ``0.41 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, size, unit in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600)):
        limit = {60: 3600, 3600: 86400, 86400: float("inf")}[size]
        if whole < limit:
            rest = whole % size // unit
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("unreachable")


def roughly(seconds: float) -> str:
    """A forecast, no more exact than it can be: ``40 s``, ``4 min``, ``1 h 20 min``."""
    if seconds < 60:
        return f"{max(5, round(seconds / 5) * 5)} s" if seconds < 57.5 else "1 min"
    minutes = round(seconds / 60)
    return duration(60 * (minutes if minutes < 60 else round(minutes / 5) * 5))


def size(count: int) -> str:
    """Bytes for people, in powers of 1024 as Explorer counts: ``512 bytes``, ``4.2 MB``."""
    if count < 1024:
        return f"{count} bytes"
    value = float(count)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1024
        if value < 1023.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


def number(count: int) -> str:
    """A count with thousands separated: ``12,345``."""
    return f"{count:,}"


def failures(count: int) -> str:
    """``1 failure``, ``12 failures``."""
    return f"{count:,} failure{'' if count == 1 else 's'}"


def hosts(count: int) -> str:
    """``1 host``, ``12,345 hosts``."""
    return f"{count:,} host{'' if count == 1 else 's'}"


def job(run: Run) -> str:
    """What a run does, in one phrase: ``push labagent 1.4.2 to hq.yaml``."""
    package = " ".join(part for part in (run.package, run.version) if part)
    preposition = {Verb.PUSH: "to", Verb.CHECK: "for", Verb.REMOVE: "from"}[run.verb]
    middle = f" {package}" if package else ""
    joint = f" {preposition} " if package else " "
    return visible(f"{run.verb}{middle}{joint}{run.inventory}")


STAGE_WORDS: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.RESOLVE: "finding the address",
        Stage.REACH: "connecting",
        Stage.IDENTIFY: "proving who answers",
        Stage.SIGN_IN: "signing in",
        Stage.RIGHTS: "checking rights",
        Stage.LOCK: "taking the lock",
        Stage.STAGE: "copying files",
        Stage.SERVICE: "setting up the service",
        Stage.START: "starting the service",
        Stage.VERIFY: "watching it run",
        Stage.RECORD: "recording",
    }
)

STATUS_WORDS: Mapping[Status, str] = MappingProxyType(
    {
        Status.INSTALLED: "the package was installed and runs",
        Status.UPGRADED: "an older version was replaced and the new one runs",
        Status.UNCHANGED: "this version was already there and runs",
        Status.REMOVED: "the package was removed",
        Status.READY: "every right that a push needs was proven",
        Status.FAILED: "the host was reached, and the work could not be done",
        Status.UNREACHABLE: "the host could not be reached",
        Status.SKIPPED: "the host was left out on purpose",
        Status.CANCELLED: "the run ended before the host was done",
    }
)

MOVE_WORDS: Mapping[NextMove, str] = MappingProxyType(
    {
        NextMove.RETRY: "a passing trouble: pusher tries again where that may help at once; else retry the run",
        NextMove.NEXT_ACCOUNT: "pusher tries the next account of the accounts file",
        NextMove.NEXT_TRANSPORT: "pusher tries the next transport that the inventory allows",
        NextMove.WAIT: "pusher leaves the host until its time comes",
        NextMove.GIVE_UP: "pusher does not try the host again by itself; retry the run after the remedy",
        NextMove.STOP_ACCOUNT: "pusher stops using the account everywhere, so that it is not locked out",
    }
)

# When it is worth trying again after the command has ended.
AGAIN_WORDS: Mapping[Again, str] = MappingProxyType(
    {
        Again.NEVER: "waiting does not help; retry the run after the remedy",
        Again.SOON: "worth it after 1, 5 and 15 minutes, then hourly; ten times at most",
        Again.HOURLY: "worth it every hour, for days: the machine may be back at any time",
        Again.WHEN_FREE: "worth it once whoever has it now is done, or the lockout budget is free again",
        Again.PARKED: "never by time: only after someone has seen to the account",
        Again.WINDOW: "worth it in the host's next window, or as soon as a worker is free: the host was not to blame",
    }
)

CHARGES_WORDS: Mapping[Charges, str] = MappingProxyType(
    {
        Charges.NOWHERE: "costs the account nothing: its password was right, or was not compared",
        Charges.HOSTS: "counts as a failed sign-in of the account where a host has answered so",
        Charges.EVERYWHERE: "counts as a failed sign-in of the account, at hosts and at the domain controller",
        Charges.PERHAPS: "counts as a failed sign-in of the account, since it may have been one",
    }
)

# The same once the run is over: what pusher has done about it.
AFTER_WORDS: Mapping[NextMove, str] = MappingProxyType(
    {
        NextMove.RETRY: "took it for a passing trouble; retry the run when it may have passed",
        NextMove.NEXT_ACCOUNT: "went on to the next account; none was left that works",
        NextMove.NEXT_TRANSPORT: "went on to the next transport; none was left that works",
        NextMove.WAIT: "leaves these hosts until their time comes",
        NextMove.GIVE_UP: "does not retry this by itself; after the remedy, retry the run",
        NextMove.STOP_ACCOUNT: "stopped using the account for the rest of the run, to keep it from lockout",
    }
)

CHECK_WORDS: Mapping[CheckResult, str] = MappingProxyType(
    {
        CheckResult.PASS: "proven",
        CheckResult.FAIL: "missing",
        CheckResult.UNPROVABLE: "could not be proven",
        CheckResult.NOT_NEEDED: "not needed",
    }
)
