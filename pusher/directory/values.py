"""What the values of Active Directory's attributes say (MS-ADTS 3.1.1.2.2, 2.2.16). Pure.

A value that is not what its attribute promises is as good as none: a directory is read, never trusted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pusher.directory.port import Entry

DISABLED = 0x2  # ADS_UF_ACCOUNT_DISABLE
LOCKED = 0x10  # ADS_UF_LOCKOUT, of msDS-User-Account-Control-Computed
PASSWORD_EXPIRED = 0x800000  # ADS_UF_PASSWORD_EXPIRED, of the same
DOMAIN_CONTROLLER = 0x2000 | 0x04000000  # SERVER_TRUST_ACCOUNT, PARTIAL_SECRETS_ACCOUNT: a read-only one too

ENDLESS = 100 * 365 * 86_400.0
"""Seconds of a duration without end: a hundred years, which a calendar still holds."""

_NEVER = 0x7FFF_FFFF_FFFF_FFFF
_BEGINNING = datetime(1601, 1, 1, tzinfo=UTC)
_TICKS = 10_000_000
_MAX_TEXT = 4096
_INTEGER = re.compile(rb"-?[0-9]{1,20}")
_GENERALIZED = re.compile(r"([0-9]{14})(?:\.[0-9]{1,6})?Z", re.ASCII)


def text(entry: Entry, attribute: str) -> str | None:
    """The first value as text; None for what is no text of printable characters, or too long."""
    values = entry.attributes.get(attribute.lower(), ())
    if not values or len(values[0]) > _MAX_TEXT:
        return None
    try:
        found = values[0].decode()
    except UnicodeDecodeError:
        return None
    return found if found and found.isprintable() else None


def integer(entry: Entry, attribute: str) -> int | None:
    values = entry.attributes.get(attribute.lower(), ())
    return int(values[0]) if values and _INTEGER.fullmatch(values[0]) else None


def filetime(entry: Entry, attribute: str) -> datetime | None:
    """A point in time, in 100 ns since 1601; None for never, and for what no calendar holds."""
    ticks = integer(entry, attribute)
    if ticks is None or not 0 < ticks < _NEVER:
        return None
    try:
        return _BEGINNING + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def interval(entry: Entry, attribute: str) -> float | None:
    """Seconds of a duration, which is stored as a negative number of 100 ns; ``ENDLESS`` for "never"."""
    ticks = integer(entry, attribute)
    if ticks is None:
        return None
    return min(abs(ticks) / _TICKS, ENDLESS)


def generalized_time(entry: Entry, attribute: str) -> datetime | None:
    """``20260101120000.0Z``."""
    found = _GENERALIZED.fullmatch(text(entry, attribute) or "")
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
