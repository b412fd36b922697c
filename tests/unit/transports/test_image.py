"""What a program says of itself, in whatever parts its bytes come."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pusher.transports.image import FileVersionScan, machine_of

INFO = struct.pack("<IIII", 0xFEEF04BD, 0x00010000, 1 << 16 | 2, 3 << 16 | 4)
plain = st.binary(max_size=60).filter(lambda data: b"\xbd\x04\xef\xfe" not in data)


def version_in(parts: list[bytes]) -> str | None:
    scan = FileVersionScan()
    for part in parts:
        scan.feed(part)
    return scan.version


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(plain, plain, st.lists(st.integers(0, 140), max_size=12))
def test_the_version_is_found_however_the_file_is_cut(before: bytes, behind: bytes, cuts: list[int]) -> None:
    assert version_in(split(before + INFO + behind, cuts)) == "1.2.3.4"


def test_the_version_is_found_byte_by_byte() -> None:
    data = bytes(40) + INFO + bytes(40)
    assert version_in([data[at : at + 1] for at in range(len(data))]) == "1.2.3.4"


@given(st.lists(plain, max_size=8))
def test_without_a_version_there_is_none(parts: list[bytes]) -> None:
    if b"\xbd\x04\xef\xfe" not in b"".join(parts):
        assert version_in(parts) is None


@given(st.lists(st.binary(max_size=50), max_size=8))
@example([INFO[:-1]])
@example([INFO[:8], b""])
def test_the_cut_makes_no_difference_whatever_the_bytes(parts: list[bytes]) -> None:
    assert version_in(parts) == version_in([b"".join(parts)])


def test_the_first_one_counts() -> None:
    assert version_in([INFO, struct.pack("<IIII", 0xFEEF04BD, 0x00010000, 9 << 16, 0)]) == "1.2.3.4"


def test_another_structure_version_is_another_thing() -> None:
    assert version_in([struct.pack("<IIII", 0xFEEF04BD, 0x00020000, 1, 1)]) is None


def test_a_long_stream_is_not_kept() -> None:
    scan = FileVersionScan()
    for _ in range(100):
        scan.feed(bytes(1_000_000))
    assert len(scan._tail) <= 16


def image(machine: int, at: int = 0x80) -> bytes:
    return b"MZ" + bytes(0x3A) + struct.pack("<I", at) + bytes(at - 0x40) + b"PE\0\0" + struct.pack("<H", machine)


@pytest.mark.parametrize(
    ("machine", "name"), [(0x8664, "x64"), (0x014C, "x86"), (0xAA64, "arm64"), (0x01C4, "arm"), (0x0200, None)]
)
def test_the_machine_an_image_is_for(machine: int, name: str | None) -> None:
    assert machine_of(image(machine)) == name
    assert machine_of(image(machine, at=0x40)) == name


@pytest.mark.parametrize(
    "head",
    [
        b"", b"MZ", bytes(4096), image(0x8664)[:-1], image(0x8664)[:-6], b"ZM" + image(0x8664)[2:],
        image(0x8664).replace(b"PE\0\0", b"NE\0\0"), b"MZ" + bytes(0x3A) + b"\xff\xff\xff\xff" + bytes(100),
    ],
)  # fmt: skip
def test_what_is_no_image(head: bytes) -> None:
    assert machine_of(head) is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_trouble(data: bytes) -> None:
    for head in (data, b"MZ" + data, b"MZ" + bytes(0x3A) + data):
        assert machine_of(head) in (None, "x64", "x86", "arm64", "arm")
