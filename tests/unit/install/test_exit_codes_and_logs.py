"""What an exit code means, and how the end of a log is made readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.install.exit_codes import MSI, UNKNOWN_PRODUCT, judge
from pusher.install.log_text import readable
from pusher.models import InstallerKind
from pusher.problems import CATALOGUE
from tests.unit.install.test_installing import make_package

MSI_INSTALLER, EXE_INSTALLER = make_package().installer, make_package(InstallerKind.EXE).installer
assert MSI_INSTALLER is not None and EXE_INSTALLER is not None


def test_the_table_is_complete_for_the_errors_page() -> None:
    """Every code of Windows Installer that ERRORS.md names is judged, and every judgement is in the catalogue."""
    assert MSI_INSTALLER is not None
    assert {1601, 1602, 1603, 1604, 1612, 1618, 1619, 1620, 1624, 1625, 1631, 1632, 1633, 1638, 1639} <= set(MSI)
    assert set(MSI.values()) <= set(CATALOGUE)
    assert not set(MSI) & MSI_INSTALLER.success


@given(st.integers(0, 0xFFFFFFFF))
def test_every_code_is_judged(code: int) -> None:
    for installer in (MSI_INSTALLER, EXE_INSTALLER):
        assert installer is not None
        found = judge(installer, code)
        assert (found is None) == (code in installer.success)
        assert found is None or str(code) in found.message


def test_what_is_not_there_needs_no_removal() -> None:
    assert MSI_INSTALLER is not None and EXE_INSTALLER is not None
    assert judge(MSI_INSTALLER, UNKNOWN_PRODUCT, removing=True) is None
    assert judge(MSI_INSTALLER, UNKNOWN_PRODUCT) is not None
    assert judge(EXE_INSTALLER, UNKNOWN_PRODUCT, removing=True) is not None


def test_a_negative_code_is_shown_as_programmers_know_it() -> None:
    assert EXE_INSTALLER is not None
    found = judge(EXE_INSTALLER, 0xC0000005)
    assert found is not None and "0xC0000005" in found.message


TEXT = "one\r\n\r\n  two\tthree \x1b[31mred\r\nüber"
LINES = "one | two three  [31mred | über"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
    ],
)
def test_logs_of_either_coding(data: bytes) -> None:
    assert readable(data) == LINES


def test_a_tail_that_begins_within_a_character() -> None:
    assert readable("ü one".encode()[1:]).endswith("one")
    assert readable(b"") == ""


@given(st.binary(max_size=20_000))
def test_whatever_a_log_holds(data: bytes) -> None:
    text = readable(data)
    assert len(text) <= 4000 and text.isprintable()


def test_the_end_is_what_stays() -> None:
    text = readable(b"a line\n" * 3000 + b"the last")
    assert text.startswith("…") and text.endswith(" | the last") and len(text) == 4000
