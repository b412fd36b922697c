"""Files are read within bounds and in the encodings that Windows tools write; durations have units."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.durations import parse_duration
from pusher.config.files import read_bytes, read_text
from pusher.config.wording import Wrong, hint, listed, shown
from pusher.problems import BadInput


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é".encode(), "é"),
        (b"\xef\xbb\xbfa", "a"),
        ("a☃".encode("utf-16"), "a☃"),
        (b"\xfe\xff" + "a☃".encode("utf-16-be"), "a☃"),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "f").write_bytes(data)
    assert read_text(tmp_path / "f") == text


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a\nb \xff", "FILE:2:3: a byte that is not UTF-8 text; expected a UTF-8 text file"),
        (b"\xff\xfea", "FILE:1:1: a byte that is not UTF-8 text; expected a UTF-8 text file"),
        (b"a\r\nb\rc\x1b", "FILE:3:2: the control character U+001B; expected a text file"),
        ("a\u2028".encode(), "FILE:1:2: the control character U+2028; expected a text file"),
        (b"x" * 2_000_000, "FILE: the file is too large; expected at most 1 MiB"),
    ],
)
def test_what_is_no_text(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_text(path, 1024 * 1024)
    assert caught.value.sentence.replace(str(path), "FILE") == sentence


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    for path, words in [
        (tmp_path / "none", "does not exist"),
        (tmp_path, "is a folder"),
        (Path("/dev/zero"), "too large"),
        (tmp_path / "a\0b", "cannot be read"),
        (tmp_path / ("x" * 5000), "cannot be read"),
    ]:
        with pytest.raises(BadInput, match=words):
            read_bytes(path, 1024 * 1024)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("2m", 120), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("1d", 86400), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5S", "5s ", "1e3s", "٥s", "5x", "5s\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Wrong, match="is not a duration"):
        parse_duration(text)


@pytest.mark.thorough
@given(st.text(max_size=300))
def test_shown_text_cannot_act_on_a_terminal(text: str) -> None:
    result = shown(text)
    assert result.isprintable()
    assert len(result) <= 80 * 6 + 2


def test_hints_and_lists() -> None:
    assert hint("hots", ["hosts", "site"]) == " (did you mean hosts?)"
    assert hint("zzz", ["hosts"]) == ""
    assert listed(["a", "b", "c"]) == "a, b or c"
    assert listed([]) == ""
    assert listed(f"n{i}" for i in range(40)).endswith("(40 in all)")
