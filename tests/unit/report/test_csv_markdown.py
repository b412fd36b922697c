"""CSV and Markdown, read back by real parsers where there is one."""

from __future__ import annotations

import csv
import re
from html import unescape
from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pusher.models import Outcome, Run
from pusher.report.csv_markdown import COLUMNS, MOST_ROWS, cell, code, prose
from pusher.report.record import outcome_record
from pusher.report.render import render
from pusher.report.text import visible
from tests.unit.report import report_samples as samples

MARKED_UP = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "strong", "ul", "li"}
"""The elements of a Markdown report."""


def csv_of(*outcomes: Outcome) -> list[dict[str, str]]:
    out = StringIO()
    render("csv", samples.run(), outcomes, out)
    return list(csv.DictReader(StringIO(out.getvalue()), strict=True))


def markdown_of(outcomes: list[Outcome], run: Run | None = None) -> str:
    out = StringIO()
    render("markdown", run or samples.run(), outcomes, out)
    return out.getvalue()


def test_the_columns_are_the_fields_of_the_json_outcome() -> None:
    assert list(COLUMNS) == list(outcome_record(samples.outcome()))


def test_a_row_tells_the_whole_outcome() -> None:
    (row,) = csv_of(samples.outcome())
    assert row["target"] == "ws001.corp.example"
    assert row["seconds"] == "0.41"
    assert row["code"] == ""
    assert row["accounts_tried"] == "push-2026: ok"
    assert row["checks"] == "admin-share-write: pass (made a file in ADMIN$)"
    assert row["steps"] == "reach: 0.1; stage: 0.31"
    assert row["ended_at"] == "2026-03-01T01:02:03.866Z"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("  =1", "' =1"),
        ("\t=1", "' =1"),
        ("＝1", "'＝1"),
        ("a;=1", "a;'=1"),
        ("a; -1", "a; '-1"),
        ("ws-001=a", "ws-001=a"),
        ("|cmd", "'|cmd"),
        ("%0A=1", "'%0A=1"),
        ("﹢1", "'﹢1"),
        ("a; |b", "a; '|b"),
        ("50 %", "50 %"),
    ],
)
def test_a_cell_is_never_a_formula(text: str, safe: str) -> None:
    assert cell(text) == safe


@samples.unhurried
@given(st.lists(samples.hostile, min_size=1, max_size=4))
def test_hostile_text_stays_in_its_cell(texts: list[str]) -> None:
    rows = csv_of(*(samples.hostile_outcome(text) for text in texts))
    assert len(rows) == len(texts)
    for row in rows:
        assert None not in row
        assert row["status"] == "failed"
        for value in row.values():
            assert not re.match(r"\s*[=+\-@%|]", value)
            assert not re.search(r";\s*[=+\-@%|]", value)
            assert "\x1b" not in value
            assert "\n" not in value


def test_markdown_has_counts_causes_and_the_hosts_that_need_work() -> None:
    text = markdown_of(samples.mixed())
    assert text.startswith("# push labagent 1.4.2 to corp.yaml\n")
    assert "took 3 min 5 s. 40 hosts." in text
    assert "| installed | 10 |" in text
    assert "`account-locked`, the account is locked out" in text
    assert text.count("Unlock it and find what locks it") == 1
    assert "| `ws003.paris.corp.example` | failed | sign-in | `account-locked` |" in text
    assert "ws000" not in text


def test_markdown_of_a_good_run_is_short() -> None:
    text = markdown_of([samples.outcome()])
    assert "What went wrong" not in text
    assert "| installed | 1 |" in text


def test_markdown_is_bounded_and_says_what_it_leaves_out() -> None:
    text = markdown_of([samples.failure("timed-out", f"h{i}") for i in range(MOST_ROWS + 7)])
    assert text.count("| unreachable | reach |") == MOST_ROWS
    assert "and 7 hosts more: `pusher report 01JRUN --format csv`" in text


@samples.unhurried
@given(samples.hostile)
def test_hostile_text_in_markdown_is_text(text: str) -> None:
    made = markdown_of([samples.hostile_outcome(text)], samples.hostile_run(text))
    outside = re.sub(r"`[^`\n]*`", "", made)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)[\[\]*_~]", outside.replace("**", ""))
    assert "://" not in outside
    assert "@" not in outside
    row = next(line for line in made.splitlines() if "| failed | rights |" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert "\x1b" not in made
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(made)
    assert set(re.findall(r"<([^\s/>]+)", html)) <= MARKED_UP, "by a real parser, and one that lets HTML through"


@samples.unhurried
@given(samples.hostile)
def test_a_code_span_cannot_be_left(text: str) -> None:
    span = code(text)
    assert span[0] == span[-1] == "`"
    assert "`" not in span[1:-1]
    assert "\n" not in span


def test_prose_keeps_ordinary_words_readable() -> None:
    assert prose("the account's password has expired (0xC0000071)") == "the account's password has expired (0xC0000071)"
    assert prose("www.evil.test https://evil.test") == "www&#46;evil.test https&#58;//evil.test"
    assert prose("root@vm #1 & <b>") == "root&#64;vm \\#1 &amp; &lt;b&gt;"


@samples.unhurried
@given(samples.hostile)
@example("root@vm a|b #1 &amp; <b> `x` www.a.b http://c \\ [x](y) ~~z~~ *a* _b_ &#64;")
def test_who_reads_markdown_reads_the_text(text: str) -> None:
    """By a real parser: nothing but a paragraph, and in it what was meant, character by character."""
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"x {prose(text)} x")
    found = re.fullmatch(r"<p>(.*)</p>\n", html, re.DOTALL)
    assert found is not None
    assert "<" not in found[1]
    assert unescape(found[1]) == f"x {visible(text)} x"


def test_the_operator_is_notified_by_nobody() -> None:
    assert "by `root@vm`, started" in markdown_of([samples.outcome()], samples.run(operator="root@vm"))
