"""``pusher report`` into a file, a pipe and a terminal, whatever their encodings."""

from __future__ import annotations

import csv
import io
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TextIO

import pytest

from pusher.problems import Code, problem
from pusher.store import StoreError
from tests.unit.cli.workplace import Workplace

SITE = "münchen-東京"


@pytest.fixture
def reported(place: Workplace) -> Workplace:
    """A run of which each format says something that no code page of eight bits holds."""
    place.inventory({"all": "ab"}, {"all": f"site: {SITE}"})
    assert place.check().status == 0
    return place


def test_a_spreadsheet_is_told_the_encoding(reported: Workplace) -> None:
    said = reported.run("report", "last", "--format", "csv", "-o", "r.csv")
    assert (said.status, said.out) == (0, "")
    data = Path("r.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfrun,target,")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert {row["site"] for row in rows} == {SITE}
    plain = reported.run("report", "last", "--format", "csv").out
    assert plain.encode() == data[3:], "a pipe gets no mark"


@pytest.mark.parametrize("format", ["json", "junit", "markdown"])
def test_no_other_format_has_a_mark(reported: Workplace, format: str) -> None:
    assert reported.run("report", "last", "--format", format, "-o", "r").status == 0
    assert reported.run("report", "last", "--format", format).out.encode() == Path("r").read_bytes()
    assert not Path("r").read_bytes().startswith(b"\xef\xbb\xbf")


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


ENCODINGS = [("ascii", "surrogateescape"), ("ascii", "strict"), ("latin-1", "strict"), ("cp1252", "strict")]


@pytest.mark.parametrize(("encoding", "errors"), ENCODINGS)
@pytest.mark.parametrize(
    "command", [("show", "last"), ("show", "last", "a.corp.example"), ("runs",), ("report", "last", "--format", "csv")]
)
def test_a_terminal_that_lacks_characters_shows_the_rest(
    reported: Workplace, monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str, command: tuple[str, ...]
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(shown, encoding=encoding, errors=errors, write_through=True))
    said = reported.run(*command)
    monkeypatch.undo()
    assert (said.status, said.err) == (0, "")
    text = shown.getvalue().decode(encoding)
    assert "corp" in text or "check" in text
    assert "東" not in text


@pytest.mark.parametrize("format", ["junit", "html", "csv"])
def test_a_pipe_gets_what_the_document_says_it_is(
    reported: Workplace, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    """XML says that it is UTF-8; a locale does not change that."""
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="latin-1", errors="strict", newline=""))
    assert reported.run("report", "last", "--format", format).status == 0
    data = kept.getvalue()
    monkeypatch.undo()
    assert "\\u" in data.decode() if format == "html" else SITE in data.decode()
    if format == "junit":
        assert SITE in {case.get("classname", "").rpartition(".")[2] for case in ET.fromstring(data).iter("testcase")}


@pytest.mark.parametrize("ends", [StoreError(problem(Code.STORE_LOCKED)), OSError(28, "No space left on device")])
def test_a_report_that_cannot_be_written_to_its_end_leaves_the_one_that_was_there(
    reported: Workplace, monkeypatch: pytest.MonkeyPatch, ends: Exception
) -> None:
    def half(format: str, run: object, outcomes: object, out: TextIO, following: object) -> None:
        out.write("half of it")
        out.flush()
        raise ends

    Path("r.csv").write_text("yesterday's")
    Path("r.csv").chmod(0o640)
    before = sorted(Path().iterdir())
    with monkeypatch.context() as failing:
        failing.setattr("pusher.cli.reading.render", half)
        assert reported.run("report", "last", "--format", "csv", "-o", "r.csv").status == 2
    assert (sorted(Path().iterdir()), Path("r.csv").read_text()) == (before, "yesterday's")
    Path("link.csv").symlink_to("r.csv")
    assert reported.run("report", "last", "--format", "csv", "-o", "link.csv").status == 0
    assert Path("r.csv").read_text(encoding="utf-8-sig").startswith("run,target,")
    assert (Path("r.csv").stat().st_mode & 0o777, Path("link.csv").is_symlink()) == (0o640, True)


def test_a_report_may_go_into_what_is_no_file(reported: Workplace) -> None:
    assert reported.run("report", "last", "--format", "csv", "-o", "/dev/null").status == 0
    assert Path("/dev/null").is_char_device()
