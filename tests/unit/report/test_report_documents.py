"""What holds for every format: the JSON document, streaming, and the choice by name."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from io import StringIO

import pytest
from hypothesis import given

from pusher.models import Outcome
from pusher.report.record import outcome_record, run_record
from pusher.report.render import Format, render
from tests.unit.report import report_samples as samples


class Counter(StringIO):
    """A sink that counts lines and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def test_the_json_document_holds_run_outcomes_and_summary() -> None:
    out = StringIO()
    outcomes = samples.mixed()
    render(Format.JSON, samples.run(), iter(outcomes), out)
    document = json.loads(out.getvalue())
    assert list(document) == ["run", "outcomes", "summary"]
    assert document["run"] == run_record(samples.run())
    assert document["outcomes"] == [outcome_record(o) for o in outcomes]
    assert document["summary"]["total"] == 40


@samples.unhurried
@given(samples.hostile)
def test_hostile_text_in_the_json_document_reads_back(text: str) -> None:
    out = StringIO()
    render("json", samples.hostile_run(text), [samples.hostile_outcome(text)] * 2, out)
    assert out.getvalue().isascii()
    assert [o["message"] for o in json.loads(out.getvalue())["outcomes"]] == [text, text]


@pytest.mark.parametrize("name", list(Format))
def test_a_run_without_hosts_is_a_document_too(name: Format) -> None:
    out = StringIO()
    render(name, samples.run(ended_at=None), [], out)
    assert out.getvalue().endswith("\n")


@pytest.mark.parametrize("name", [Format.CSV, Format.JSON])
def test_a_row_is_written_before_the_next_outcome_is_read(name: Format) -> None:
    out = Counter()

    def watched() -> Iterator[Outcome]:
        for place, outcome in enumerate(samples.endless(50)):
            # A header line stands before the first row; JSON ends a row when it begins the next.
            assert out.lines >= place
            yield outcome

    render(name, samples.run(), watched(), out)
    assert out.lines > 50


@pytest.mark.thorough
@pytest.mark.parametrize("name", [Format.CSV, Format.JSON, Format.JUNIT, Format.MARKDOWN])
def test_memory_does_not_grow_with_the_run(name: Format) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        render(name, samples.run(), samples.endless(count), Counter())
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    # 1,500 outcomes kept would be a megabyte or more.
    assert peak(3000) - peak(1500) < 60_000


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="pdf"):
        render("pdf", samples.run(), [], StringIO())
