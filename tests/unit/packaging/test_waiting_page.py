"""docs/waiting.md against the catalogue and the rules, and its example of a window against the reader."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from pusher.config.toml_source import parse_toml
from pusher.problems import CATALOGUE, Again, Code
from pusher.queue.again import Ended, Waiting, again
from pusher.queue.window_format import read_windows
from tests.unit.packaging.scripts import ROOT

PAGE = (ROOT / "docs" / "waiting.md").read_text(encoding="utf-8")


def rows() -> list[tuple[Again, set[str]]]:
    """The rows of the first table: the column ``again`` up to a comma, and the codes of the last one."""
    table = PAGE.partition("| again |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()[2:]]
    return [(Again(row[0].partition(",")[0]), set(re.findall("`([a-z-]+)`", row[-1]))) for row in cells]


def test_the_codes_of_the_page_are_complete() -> None:
    said = {value: {code for other, codes in rows() if other is value for code in codes} for value in Again}
    kept = {value: {str(row.code) for row in CATALOGUE.values() if row.again is value} for value in Again}
    assert said == {**kept, Again.NEVER: set()}, "those that never come back are all others"


def test_no_code_stands_in_two_rows() -> None:
    codes = [code for _, row in rows() for code in row]
    assert len(codes) == len(set(codes))


def test_its_example_is_read() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (window,) = read_windows(parse_toml(example, "waiting.md"))
    assert window.to_json()["zone"] == "Europe/Paris"


def told() -> list[tuple[datetime, str | None]]:
    """The rows of the laptop's week: when, and the code that the attempt ended with."""
    table = PAGE.partition("| when |")[2].partition("\n\n")[0]
    monday = datetime(2026, 11, 2, tzinfo=UTC)
    found: list[tuple[datetime, str | None]] = []
    for line in table.splitlines()[2:]:
        when, what = (cell.strip() for cell in line.split("|")[1:3])
        day, clock = when.split()
        hours, minutes = clock.split(":")
        at = monday + timedelta(days=["Mon", "Tue", "Wed"].index(day), hours=int(hours), minutes=int(minutes))
        code = re.search("`([a-z-]+)`", what)
        found.append((at, code[1] if code else None))
    return found


def test_the_laptop_s_week_is_reckoned_as_it_is_told() -> None:
    story = told()
    waiting, tries = Waiting(host="laptop", give_up=story[0][0] + timedelta(days=7)), []
    for (now, code), (then, _) in pairwise(story):
        assert code is not None
        end = Ended(code=Code(code), stage=CATALOGUE[code].stage, free_at=then, opens_at=then)
        due = again(end, waiting, now)
        assert due is not None
        assert due.at is not None
        # Off since Monday: hour after hour, which the page does not list.
        expected = timedelta(hours=1) if then - now > timedelta(days=1) else then - now
        assert abs(due.at - now - expected) <= expected / 10 + timedelta(minutes=1)
        waiting = due.waiting
        tries.append(waiting.tries)
    assert tries == [1, 1, 2, 2, 3, 3]
