"""Hostile text made visible; durations, sizes and the tables of plain words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given

from pusher.models import CheckResult, NextMove, Stage, Status, Verb
from pusher.problems import Again, Charges
from pusher.report.text import (
    AFTER_WORDS,
    AGAIN_WORDS,
    CHARGES_WORDS,
    CHECK_WORDS,
    MOVE_WORDS,
    STAGE_WORDS,
    STATUS_WORDS,
    clip,
    duration,
    job,
    roughly,
    size,
    visible,
)
from tests.unit.report import report_samples as samples


@samples.unhurried
@given(samples.hostile)
def test_nothing_invisible_is_left(text: str) -> None:
    seen = visible(text)
    seen.encode()
    for character in seen:
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}, hex(ord(character))
        assert unicodedata.bidirectional(character) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
    assert visible(seen) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ws001.corp.example", "ws001.corp.example"),
        ("a\x1b[31mb", "a[U+001B][31mb"),
        ("safe\u202egnp.exe", "safe[U+202E]gnp.exe"),
        ("two\r\nlines\tand  more", "two lines and more"),
        ("\ud800", "[U+D800]"),
        ("Zürich-Büro-ש", "Zürich-Büro-ש"),
    ],
)
def test_visible(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.00 s"),
        (0.414, "0.41 s"),
        (9.99, "9.99 s"),
        (9.999, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3599.7, "1 h"),
        (7800, "2 h 10 min"),
        (90000, "1 d 1 h"),
        (-3, "-3.00 s"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "5 s"), (42, "40 s"), (58, "1 min"), (200, "3 min"), (3570, "1 h"), (4700, "1 h 20 min")],
)
def test_a_forecast_is_not_more_exact_than_it_can_be(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (254_000, "248.0 KB"), (1024**2 - 1, "1.0 MB"), (64 * 1024**2, "64.0 MB")],
)
def test_size(count: int, words: str) -> None:
    assert size(count) == words


def test_clip() -> None:
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize(
    ("verb", "package", "words"),
    [
        (Verb.PUSH, "labagent", "push labagent 1.4.2 to corp.yaml"),
        (Verb.REMOVE, "labagent", "remove labagent 1.4.2 from corp.yaml"),
        (Verb.CHECK, "labagent", "check labagent 1.4.2 for corp.yaml"),
        (Verb.CHECK, None, "check corp.yaml"),
    ],
)
def test_job(verb: Verb, package: str | None, words: str) -> None:
    assert job(samples.run(verb=verb, package=package, version="1.4.2" if package else None)) == words


def test_every_stage_status_move_and_result_has_words() -> None:
    assert set(STAGE_WORDS) == set(Stage)
    assert set(STATUS_WORDS) == set(Status)
    assert set(MOVE_WORDS) == set(AFTER_WORDS) == set(NextMove)
    assert set(AGAIN_WORDS) == set(Again)
    assert set(CHARGES_WORDS) == set(Charges)
    assert set(CHECK_WORDS) == set(CheckResult)
