"""Maintenance windows against a clock on the wall that is read for a year, and on the nights it jumps."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import Source
from pusher.problems import BadInput
from pusher.queue.windows import ALWAYS, Day, Window, Windows, minutes

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"]
NIGHTLY = ("22:00", "04:00")
EVERY = "mon tue wed thu fri sat sun"
MINUTE = timedelta(minutes=1)
BEGIN, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 365
MARGIN = 3


def window(days: str, start: str, end: str, zone: str) -> Window:
    return Window.from_json({"days": days.split(), "from": start, "to": end, "zone": zone})


def only(*windows: Window) -> Windows:
    return Windows(sets=tuple((one,) for one in windows))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("clock", "takes", "may"), [
    ("21:59", 1, False),
    ("22:00", 1, True),
    ("02:00", 120, True),
    ("02:01", 120, False),
    ("03:59", 1, True),
    ("03:59", 2, False),
    ("04:00", 0, False),
    # Longer than the window: in its first half, or it would never be begun.
    ("22:00", 400, True),
    ("00:59", 400, True),
    ("01:01", 400, False),
    # As long as the window: at its beginning.
    ("22:00", 360, True),
    ("22:01", 360, False),
])  # fmt: skip
def test_what_takes_a_while_is_begun_in_time(clock: str, takes: int, may: bool) -> None:
    nightly = only(window(EVERY, *NIGHTLY, "UTC"))
    at = utc(f"2026-03-03T{clock}")
    assert nightly.may_begin(at, timedelta(minutes=takes)) is may


def test_where_it_never_closes_anything_may_be_begun() -> None:
    assert only(window(EVERY, "00:00", "24:00", "UTC")).may_begin(BEGIN, timedelta(days=3))
    assert ALWAYS.may_begin(BEGIN, timedelta(days=3))


WRITTEN = [
    (EVERY, *NIGHTLY),
    (EVERY, "02:15", "02:45"),
    (EVERY, "01:00", "02:30"),
    (EVERY, "02:30", "02:15"),
    ("sun", "00:30", "03:30"),
    ("mon tue wed thu fri", "09:00", "17:00"),
    ("sat sun", "00:00", "24:00"),
    ("sat", "23:59", "00:01"),
]


class Wall:
    """What a clock on the wall shows in each minute of the year, and of a few days before and after."""

    def __init__(self, zone: str) -> None:
        self.first = BEGIN - timedelta(days=MARGIN)
        count = (DAYS + 2 * MARGIN) * 1440
        seconds, there = int(self.first.timestamp()), ZoneInfo(zone)
        # Read each quarter of an hour and counted on from there: that is when clocks are changed.
        quarters = [self.number(datetime.fromtimestamp(seconds + 900 * q, there)) for q in range(count // 15)]
        self.shown = [quarter + minute for quarter in quarters for minute in range(15)]
        self._furthest = list(accumulate(self.shown, max))
        self._nearest = list(accumulate(reversed(self.shown), min))[::-1]

    def number(self, wall: datetime) -> int:
        return int((wall.replace(tzinfo=None) - self.first.replace(tzinfo=None)) / MINUTE)

    def minutes_of(self, days: str, start: str, end: str) -> bytearray:
        """1 for each minute of the year in which the window is open: from the first minute that shows its start or
        more, to the last one that shows less than its end."""
        is_open = bytearray(len(self.shown))
        long = minutes(end) - minutes(start) + (0 if minutes(end) > minutes(start) else 1440)
        for number in range(DAYS + 2 * MARGIN - 1):
            if (self.first + timedelta(days=number)).strftime("%a").lower() in days:
                begins = number * 1440 + minutes(start)
                opens, closes = bisect_left(self._furthest, begins), bisect_left(self._nearest, begins + long)
                is_open[opens:closes] = b"\1" * (closes - opens)
        return is_open[MARGIN * 1440 : -MARGIN * 1440]


@pytest.fixture(scope="module")
def walls() -> dict[str, Wall]:
    return {zone: Wall(zone) for zone in ZONES}


def year_of(one: Window) -> bytearray:
    is_open = bytearray(DAYS * 1440)
    for start, end in one.pieces(BEGIN):
        assert (start - BEGIN) % MINUTE == (end - BEGIN) % MINUTE == timedelta(0)
        begins, ends = max(0, (start - BEGIN) // MINUTE), max(0, (end - BEGIN) // MINUTE)
        is_open[begins:ends] = b"\1" * (min(ends, len(is_open)) - min(begins, len(is_open)))
    return is_open[: DAYS * 1440]


@pytest.mark.thorough
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("days", "start", "end"), WRITTEN)
def test_a_year_of_minutes(walls: dict[str, Wall], zone: str, days: str, start: str, end: str) -> None:
    expected = walls[zone].minutes_of(days, start, end)
    assert 0 < sum(expected) < len(expected)
    assert year_of(window(days, start, end, zone)) == expected


@pytest.mark.thorough
@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_what_two_zones_have_in_common(walls: dict[str, Wall], zone: str) -> None:
    """Two of a site's, either of which will do, and one of the run's, in New York's time."""
    site, run = [WRITTEN[5], WRITTEN[6]], (EVERY, "20:00", "10:00")
    windows = Windows(sets=(tuple(window(*one, zone) for one in site), (window(*run, "America/New_York"),)))
    one, other = (walls[zone].minutes_of(*one) for one in site)
    last = walls["America/New_York"].minutes_of(*run)
    is_open = bytes((first | second) & third for first, second, third in zip(one, other, last, strict=True))
    assert 0 < sum(is_open) < len(is_open)
    for at in range(0, len(is_open) - 10 * 1440, 787):
        opens = is_open.index(1, at)
        closes = is_open.index(0, at)
        now = BEGIN + at * MINUTE
        assert windows.is_open(now) is (opens == at)
        assert windows.next_opening(now) == BEGIN + opens * MINUTE
        assert windows.closes_at(now) == BEGIN + (closes if opens == at else at) * MINUTE


@pytest.mark.parametrize(
    ("zone", "start", "end", "at", "opens", "closes"),
    [
        # Berlin, 29 March 2026: 01:59 is followed by 03:00, at 01:00 UTC.
        ("Europe/Berlin", "02:30", "05:00", "2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T03:00"),
        ("Europe/Berlin", "01:00", "02:30", "2026-03-29T00:00", "2026-03-29T00:00", "2026-03-29T01:00"),
        ("Europe/Berlin", "02:10", "02:50", "2026-03-29T00:00", "2026-03-30T00:10", "2026-03-30T00:50"),
        ("Europe/Berlin", *NIGHTLY, "2026-03-28T20:00", "2026-03-28T21:00", "2026-03-29T02:00"),
        # 25 October 2026: 02:59 is followed by 02:00, at 01:00 UTC.
        ("Europe/Berlin", "02:30", "05:00", "2026-10-24T23:00", "2026-10-25T00:30", "2026-10-25T04:00"),
        ("Europe/Berlin", "01:00", "02:30", "2026-10-24T22:00", "2026-10-24T23:00", "2026-10-25T01:30"),
        ("Europe/Berlin", "02:10", "02:50", "2026-10-24T22:00", "2026-10-25T00:10", "2026-10-25T01:50"),
        ("Europe/Berlin", *NIGHTLY, "2026-10-24T19:00", "2026-10-24T20:00", "2026-10-25T03:00"),
        # Lord Howe, 5 April 2026: half an hour, from 02:00 back to 01:30, at 15:00 UTC of the 4th.
        ("Australia/Lord_Howe", "01:40", "01:50", "2026-04-04T12:00", "2026-04-04T14:40", "2026-04-04T15:20"),
        ("Asia/Kolkata", *NIGHTLY, "2026-03-29T00:00", "2026-03-29T16:30", "2026-03-29T22:30"),
    ],
)  # fmt: skip
def test_nights_on_which_the_clock_changes(zone: str, start: str, end: str, at: str, opens: str, closes: str) -> None:
    windows = only(window(EVERY, start, end, zone))
    opening = windows.next_opening(utc(at))
    assert (opening, windows.closes_at(opening)) == (utc(opens), utc(closes))


def test_a_night_belongs_to_the_day_on_which_it_starts() -> None:
    windows = only(window("fri", *NIGHTLY, "UTC"))
    friday = utc("2026-11-06T22:00")
    assert windows.next_opening(utc("2026-11-02T00:00")) == friday
    assert windows.closes_at(friday) == utc("2026-11-07T04:00")
    assert windows.is_open(utc("2026-11-07T03:59"))
    assert not windows.is_open(utc("2026-11-06T03:59")), "that is Thursday's night"


def test_open_from_its_start_on_and_closed_from_its_end_on() -> None:
    windows = only(window(EVERY, "09:00", "17:00", "UTC"))
    for at, is_open in (("08:59:59", False), ("09:00", True), ("16:59:59", True), ("17:00", False)):
        assert windows.is_open(utc(f"2026-11-02T{at}")) is is_open
    five = utc("2026-11-02T17:00")
    assert windows.closes_at(five) == five, "no time is left"


def test_nothing_is_begun_that_cannot_be_ended() -> None:
    windows = only(window(EVERY, *NIGHTLY, "Europe/Berlin"))
    late = utc("2026-10-25T02:50")
    assert windows.has_time(late, 10 * MINUTE)
    assert not windows.has_time(late, 11 * MINUTE)
    assert not windows.has_time(utc("2026-10-25T03:00"), timedelta(0)), "it is closed"
    assert Windows().has_time(late, timedelta(days=30))


def test_days_that_follow_each_other_are_one_stretch() -> None:
    weekend = only(window("sat sun", "00:00", "24:00", "Europe/Berlin"))
    assert weekend.closes_at(utc("2026-10-24T12:00")) == utc("2026-10-25T23:00")
    assert only(window(EVERY, "00:00", "24:00", "Europe/Berlin")).closes_at(utc("2026-10-24T12:00")) is None


def test_what_falls_into_the_hour_that_is_skipped_is_nothing() -> None:
    nights = list(window(EVERY, "02:10", "02:50", "Europe/Berlin").pieces(utc("2026-03-27T00:00")))
    assert [start.date().day for start, _ in nights[:4]] == [27, 28, 30, 31]
    assert all(start < end for start, end in nights)


def test_without_windows_it_is_always_open() -> None:
    at = utc("2026-11-02T08:00")
    for windows in (Windows(), Windows(sets=((),))):
        assert windows.is_open(at)
        assert windows.next_opening(at) == at
        assert windows.closes_at(at) is None


def test_a_day_that_an_island_skipped() -> None:
    """Samoa had no 30 December 2011, a Friday."""
    fridays = only(window("fri", "00:00", "24:00", "Pacific/Apia"))
    assert fridays.next_opening(utc("2011-12-26T00:00")) == utc("2012-01-05T10:00")
    opened = only(window("thu", "22:00", "04:00", "Pacific/Apia"))
    assert opened.closes_at(utc("2011-12-30T09:00")) == utc("2011-12-30T10:00")


def test_what_excludes_itself_never_opens() -> None:
    day, night = window(EVERY, "09:00", "17:00", "UTC"), window(EVERY, "18:00", "06:00", "UTC")
    with pytest.raises(BadInput, match="never opens"):
        only(day, night).next_opening(BEGIN)
    assert not only(day, night).is_open(BEGIN)
    assert Windows(sets=((day, night),)).is_open(BEGIN), "either will do"


def test_who_never_opens_is_told_where_it_is_written() -> None:
    first = replace(window("mon", "09:00", "17:00", "UTC"), source=Source(file="site.toml", line=3, column=1))
    second = replace(window("tue", "09:00", "17:00", "UTC"), source=Source(file="run.toml", line=9, column=1))
    with pytest.raises(BadInput) as error:
        only(first, second).next_opening(BEGIN)
    assert error.value.sentence.startswith("site.toml:3:1: the maintenance window never opens")
    assert "run.toml:9" in error.value.sentence


def test_a_time_without_a_zone_is_no_moment() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        Windows().is_open(datetime(2026, 1, 1))


@pytest.mark.parametrize("text", ["24:01", "12:60", "9:00", "0900", "", "09:00:00", "٠٩:٠٠", "+9:00", "09:0x"])
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(ValueError, match="is n"):
        minutes(text)


days = st.sets(st.sampled_from(Day), min_size=1).map(frozenset)
drawn = st.builds(
    lambda days, start, span, zone: Window(days=days, start=start, end=(start + span - 1) % 1440 + 1, zone=zone),
    days,
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.sampled_from([*ZONES, "UTC", "Pacific/Apia", "America/St_Johns"]),
)
sets = st.lists(st.lists(drawn, max_size=2).map(tuple), max_size=3).map(tuple)
moments = st.integers(0, 5 * 365 * 86_400).map(lambda seconds: BEGIN + timedelta(seconds=seconds))


@given(sets, moments)
def test_an_opening_is_the_first_moment_and_its_end_the_last(
    sets: tuple[tuple[Window, ...], ...], at: datetime
) -> None:
    windows = Windows(sets=sets)
    tick = timedelta(microseconds=1)
    try:
        opens = windows.next_opening(at)
    except BadInput:
        assert not windows.is_open(at)
        assert windows.closes_at(at) == at
        return
    assert opens >= at
    assert windows.is_open(opens)
    assert windows.next_opening(opens) == opens
    assert windows.is_open(at) is (opens == at)
    assert opens == at or not windows.is_open(opens - tick)
    closes = windows.closes_at(opens)
    assert closes is None or (closes > opens and windows.is_open(closes - tick) and not windows.is_open(closes))
    for one in sets:
        assert not one or any(Windows(sets=((only,),)).is_open(opens) for only in one)


@given(drawn)
def test_json_there_and_back(one: Window) -> None:
    assert Window.from_json(one.to_json()) == one


def test_a_window_knows_its_own_length() -> None:
    """Over the autumn night six hours on the wall are seven."""
    (piece,) = [piece for piece in window("sat", *NIGHTLY, "Europe/Berlin").pieces(utc("2026-10-24T00:00"))
                if piece[0].date() == date(2026, 10, 24)]  # fmt: skip
    assert piece[1] - piece[0] == timedelta(hours=7)
