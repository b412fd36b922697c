"""The reader of Windows Installer packages: a real one made by wixl, and what damage does to it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.install.msi import MsiError, _pairs, _strings, read_properties, unpacked_name

SAMPLE = Path(__file__).parent / "samples" / "labtool.msi"
CONTENT = SAMPLE.read_bytes()


def test_the_properties_of_a_real_package() -> None:
    found = read_properties(SAMPLE)
    assert found["ProductCode"] == "{6D3B3E0A-5C11-4A53-8E0B-000000000200}"
    assert (found["ProductVersion"], found["ProductName"], found["Manufacturer"]) == ("2.0.0", "Lab Tool", "Lab")


@pytest.mark.parametrize("data", [b"", b"MZ not one", CONTENT[:8], CONTENT[:512], CONTENT[:4000]])
def test_what_is_no_package(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.msi").write_bytes(data)
    with pytest.raises(MsiError):
        read_properties(tmp_path / "x.msi")


@pytest.mark.thorough
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_damage_ends_in_an_error_or_in_texts(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    data = bytearray(CONTENT)
    for at, value in damage:
        data[at] = value
    (tmp_path / "x.msi").write_bytes(data)
    try:
        found = read_properties(tmp_path / "x.msi")
    except MsiError:
        return
    assert all(isinstance(text, str) for pair in found.items() for text in pair)


def test_packed_names() -> None:
    assert unpacked_name("\u4840\u3f3f\u4577\u446c\u3b6a\u45e4\u4824") == "\u4840_StringData"
    assert unpacked_name("\u0005SummaryInformation") == "\u0005SummaryInformation"


def test_a_pool_with_gaps_long_texts_and_wide_references() -> None:
    long = "x" * 70_000
    pool = struct.pack("<I", 0x80000000 | 65001)
    pool += struct.pack("<HHHHHHHH", 1, 1, 0, 0, 0, 70_000 >> 16, 70_000 & 0xFFFF, 1) + struct.pack("<HH", 3, 2)
    strings, width = _strings(pool, f"a{long}bcd".encode())
    assert (strings, width) == (["", "a", "", long, "bcd"], 3)
    table = b"".join(number.to_bytes(3, "little") for number in (1, 4, 4, 3))
    assert _pairs(table, strings, width) == {"a": "bcd", "bcd": long}
    with pytest.raises(MsiError):
        _pairs((9).to_bytes(3, "little") * 2, strings, width)
