"""What may be a password, whatever it was read from."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.wording import Wrong
from pusher.credentials.secrets.passwords import password_in, text_of

VALUE = "Pässwörd 1"
typed = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_categories=["Cc", "Cf"]), min_size=1)


@given(typed.filter(lambda text: len(text) < 250), st.sampled_from(["", "\ufeff"]), st.text("\r\n", max_size=4))
def test_a_mark_before_and_line_ends_behind_are_no_part_of_it(password: str, mark: str, ends: str) -> None:
    assert password_in(mark + password + ends) == password


@pytest.mark.parametrize(
    "password", [" x", "x ", " ", "a  b", "\u00a0x", "مي\u200cخواهم", "👩\u200d💻", "Ω", "\U0001f600", "\u06dd"]
)
def test_what_is_typed_is_kept(password: str) -> None:
    assert password_in(f"{password}\r\n") == password


@pytest.mark.parametrize("text", ["", "\ufeff", "\r\n", "\ufeff\n", "\n\n"])
def test_nothing_is_no_password(text: str) -> None:
    with pytest.raises(Wrong, match="is empty"):
        password_in(text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_a_second_line_is_refused(end: str) -> None:
    with pytest.raises(Wrong, match="has more than one line; expected one line"):
        password_in(f"-----BEGIN{end}{VALUE}\n")


@pytest.mark.parametrize(
    ("character", "found"),
    [
        *((chr(code), f"control character U+{code:04X}") for code in (1, 8, 9, 11, 12, 27, 31, 127, 128, 155, 159)),
        ("\0", "U+0000 (is it UTF-16"),
        ("\ufffe", "control character U+FFFE"),
        ("\uffff", "control character U+FFFF"),
        ("\ufeff", "invisible character U+FEFF"),
        ("\u200b", "invisible character U+200B"),
        ("\u202e", "invisible character U+202E"),
        ("\u00ad", "invisible character U+00AD"),
        ("\u3164", "invisible character U+3164"),
        ("\U000e0061", "invisible character U+E0061"),
        ("\udcff", "not UTF-8"),
        ("\ud83d", "not UTF-8"),
    ],
)
def test_what_nobody_types_is_refused_and_not_repeated(character: str, found: str) -> None:
    for text in (f"{VALUE}{character}", f"{VALUE}{character}{VALUE}", f"x{character}\n"):
        with pytest.raises(Wrong) as caught:
            password_in(text)
        assert found in str(caught.value)
        assert VALUE not in str(caught.value)


def test_windows_own_limit_counts_utf_16() -> None:
    assert password_in("x" * 256) == "x" * 256
    for text in ("x" * 257, "\U0001f600" * 129):
        with pytest.raises(Wrong, match="at most 256 characters"):
            password_in(text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (VALUE.encode(), VALUE),
        (codecs.BOM_UTF8 + VALUE.encode(), VALUE),
        (codecs.BOM_UTF16_LE + VALUE.encode("utf-16-le"), VALUE),
        (codecs.BOM_UTF16_BE + VALUE.encode("utf-16-be"), VALUE),
        (b"", ""),
    ],
)
def test_what_editors_and_shells_write_is_read(data: bytes, text: str) -> None:
    assert text_of(data) == text


@pytest.mark.parametrize(
    "data",
    [VALUE.encode("latin-1"), b"\xff\xfex", b"\xfe\xff\xd8\x3d", codecs.BOM_UTF8 + b"\xe4", VALUE.encode("cp437")],
)
def test_what_is_no_text_is_refused_and_not_repeated(data: bytes) -> None:
    with pytest.raises(Wrong, match="is not text") as caught:
        text_of(data)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
