"""What attribute values say; nonsense says nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pusher.directory import values
from pusher.directory.memory import Value, entry
from pusher.directory.port import Entry


def holding(value: Value) -> Entry:
    return entry("CN=x", {"a": value})


@pytest.mark.parametrize("nonsense", ["", "x", "0x10", "1 2", "-", "9" * 40, b"\xff", " 1"])
def test_nonsense_is_none(nonsense: str | bytes) -> None:
    found = holding(nonsense)
    assert (values.integer(found, "a"), values.filetime(found, "a"), values.interval(found, "a")) == (None,) * 3
    assert values.generalized_time(found, "a") is None


def test_times() -> None:
    assert values.filetime(holding(132223104000000000), "A") == datetime(2020, 1, 1, tzinfo=UTC)
    for never in (0, -1, 0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFE):
        assert values.filetime(holding(never), "a") is None, never
    assert values.generalized_time(holding("20260102030405.0Z"), "a") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert values.generalized_time(holding("20261302030405.0Z"), "a") is None


def test_durations() -> None:
    assert values.interval(holding(-18_000_000_000), "a") == 1800
    assert values.interval(holding(-(2**63)), "a") == values.ENDLESS


def test_text_is_printable() -> None:
    assert values.text(holding("pc1.corp.example"), "a") == "pc1.corp.example"
    for bad in (b"\xff", "a\x1b[2J", "a\nb", "x" * 5000):
        assert values.text(holding(bad), "a") is None
    assert values.text(entry("CN=x"), "a") is None
