"""What a program says of itself, in whatever parts its bytes come."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pusher.remote.images import FileVersionScan, machine_of
from tests.pe import program, version_resource

OUTER = program("1.2.3.4", inner=program("9.8.7.6"), pad=40)


def version_in(parts: list[bytes]) -> str | None:
    scan = FileVersionScan()
    for part in parts:
        scan.feed(part)
    return scan.version


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


cuts = st.lists(st.integers(0, len(OUTER)), max_size=12)


@given(cuts)
def test_the_version_is_found_however_the_file_is_cut(places: list[int]) -> None:
    """It is the program's own: what it carries as a resource of its own comes first and has another."""
    assert OUTER.index(version_resource("9.8.7.6")) < OUTER.index(version_resource("1.2.3.4"))
    assert version_in(split(OUTER, places)) == "1.2.3.4"


def test_the_version_is_found_byte_by_byte() -> None:
    assert version_in([OUTER[at : at + 1] for at in range(len(OUTER))]) == "1.2.3.4"


def test_a_version_far_behind_the_directory() -> None:
    far = program("1.2.3.4", inner=bytes(3_000_000), pad=10)
    assert version_in([far[at : at + 65_536] for at in range(0, len(far), 65_536)]) == "1.2.3.4"
    assert version_in([far]) == "1.2.3.4"
    assert version_in([far[: far.index(version_resource("1.2.3.4"))]]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"", b"MZ", b"MZ" + bytes(1000) + version_resource("1.2.3.4"), program(None), program(None, inner=OUTER),
        OUTER.replace(b"PE\0\0", b"NE\0\0"), OUTER.replace(b"\xbd\x04\xef\xfe\0\0\1\0", b"\xbd\x04\xef\xfe\0\0\2\0"),
        OUTER.replace("VS_VERSION_INFO".encode("utf-16-le"), "VS_VERSION_INFP".encode("utf-16-le")),
    ],
)  # fmt: skip
def test_without_a_version_of_its_own_there_is_none(data: bytes) -> None:
    """Windows too sees a version in nothing but an image's resources."""
    assert version_in([data]) is None


@given(st.lists(st.tuples(st.integers(0, len(OUTER) - 1), st.binary(min_size=1, max_size=6)), max_size=6), cuts)
@example([(0x80 + 6, b"\xff\xff")], [])  # more sections than any loader takes
@example([(0x200 + 14, b"\xff\xff")], [])  # a directory with more entries than there are bytes
@example([(0x200 + 20, b"\x00\x00\x00\x80")], [])  # an entry that leads back to the directory it stands in
def test_a_hostile_image_is_no_trouble_and_its_cut_makes_no_difference(
    changes: list[tuple[int, bytes]], places: list[int]
) -> None:
    data = bytearray(OUTER)
    for at, value in changes:
        data[at : at + len(value)] = value
    assert version_in(split(bytes(data), places)) == version_in([bytes(data)])


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_arbitrary_bytes_have_no_version(parts: list[bytes]) -> None:
    assert version_in(parts) is None


def test_a_long_stream_is_not_kept() -> None:
    scan = FileVersionScan()
    scan.feed(program("1.2.3.4", inner=bytes(1_000_000)))
    for _ in range(100):
        scan.feed(bytes(1_000_000))
    kept = sum(len(window.data) for window in (scan._headers, scan._tree, scan._found) if window is not None)
    assert kept < 400_000


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
