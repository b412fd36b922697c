"""Ranges: counted exactly, expanded lazily and in order, and asked whether they contain a name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.wording import Wrong
from pusher.targets.membership import MembershipIndex
from pusher.targets.ranges import (
    AddressBlock,
    NamePattern,
    Pattern,
    canonical_name,
    is_host_name,
    parse_address,
    parse_host_address,
    parse_pattern,
)


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A bracket and what it means, worked out in another way than the code does."""
    if draw(st.integers(0, 3)) == 0:
        first, last = sorted(draw(st.tuples(*[st.sampled_from("abcdef")] * 2)))
        step = draw(st.integers(1, 3))
        letters = [chr(c) for c in range(ord(first), ord(last) + 1, step)]
        return f"[{first}:{last}:{step}]", letters
    first_number, last_number = sorted(draw(st.tuples(*[st.integers(0, 120)] * 2)))
    step = draw(st.integers(1, 40))
    width = draw(st.integers(0, 4))
    if width > 1 and width >= len(str(last_number)) and len(str(first_number)) < width:
        text = f"[{first_number:0{width}}:{last_number:0{width}}:{step}]"
        return text, [str(n).zfill(width) for n in range(first_number, last_number + 1, step)]
    return f"[{first_number}:{last_number}:{step}]", [str(n) for n in range(first_number, last_number + 1, step)]


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, list[str]]:
    pieces: list[tuple[str, list[str]]] = [("ws", ["ws"])]
    for _ in range(draw(st.integers(0, 2))):
        pieces.append(draw(spans()))
        literal = draw(st.sampled_from(["", "x", "-a", ".y"]))
        pieces.append((literal, [literal]))
    pieces.append((".z", [".z"]))
    return "".join(p[0] for p in pieces), ["".join(c) for c in itertools.product(*[p[1] for p in pieces])]


@given(patterns())
def test_expansion_is_complete_in_order_and_counted(drawn: tuple[str, list[str]]) -> None:
    text, names = drawn
    pattern = parse_pattern(text)
    assert list(pattern) == names
    assert pattern.count == len(names)
    assert isinstance(pattern, NamePattern)
    if len(set(names)) < len(names):
        assert pattern.may_repeat


@given(spans())
def test_a_bracket_contains_exactly_its_own_values(drawn: tuple[str, list[str]]) -> None:
    text, values = drawn
    pattern = parse_pattern(f"ws{text}.z")
    assert isinstance(pattern, NamePattern)
    near = {f"{n:0{width}d}" for n in range(125) for width in range(5)} | set("abcdefg") | {""}
    assert {value for value in near if pattern.contains(f"ws{value}.z")} == set(values)


@given(patterns(), st.text(alphabet="wsxyz.-a0123456789", max_size=8))
def test_a_pattern_contains_exactly_its_own_names(drawn: tuple[str, list[str]], other: str) -> None:
    text, names = drawn
    pattern = parse_pattern(text)
    assert isinstance(pattern, NamePattern)
    for name in names[:50]:
        assert pattern.contains(canonical_name(name))
        assert pattern.contains(canonical_name(name + "0")) == (name + "0" in names)
    for name in (other, f"ws{other}.z", f"ws{other}x{other}.z"):
        assert pattern.contains(name.lower()) == (name in names)


@given(st.lists(st.one_of(
    patterns().map(lambda drawn: drawn[0]),
    st.tuples(st.integers(0, 40), st.integers(0, 20)).map(lambda t: f"10.0.0.{t[0]}-10.0.0.{t[0] + t[1]}"),
    st.sampled_from(["10.0.0.0/28", "10.0.0.[3:9]", "10.0.0.5", "ws1.z", "WS1.z.", "::1", "::-::f"]),
), max_size=6))  # fmt: skip
def test_the_index_finds_what_expansion_finds(texts: list[str]) -> None:
    found: list[Pattern] = [parse_pattern(text) for text in texts]
    index = MembershipIndex(found)
    expanded = [{canonical_name(name) for name in pattern} for pattern in found]
    for name in set().union(*expanded, {"ws1.z", "10.0.0.5", "nothing", "::1"}):
        assert index.containing(name) == tuple(n for n, names in enumerate(expanded) if name in names)


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        ("10.9.0.0/26", "10.9.0.1", "10.9.0.62", 62), ("10.9.0.0/31", "10.9.0.0", "10.9.0.1", 2),
        ("10.9.0.7/32", "10.9.0.7", "10.9.0.7", 1), ("10.9.0.0/30", "10.9.0.1", "10.9.0.2", 2),
        ("10.9.0.10-10.9.0.99", "10.9.0.10", "10.9.0.99", 90), ("10.9.0.10-99", "10.9.0.10", "10.9.0.99", 90),
        ("10.9.0.250-10.9.1.5", "10.9.0.250", "10.9.1.5", 12), ("2001:db8::/126", "2001:db8::1", "2001:db8::3", 3),
        ("2001:db8::/127", "2001:db8::", "2001:db8::1", 2), ("10.1.2.[1:20]", "10.1.2.1", "10.1.2.20", 20),
        ("10.1.[0:1].[0:255:5]", "10.1.0.0", "10.1.1.255", 104), ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1", 1),
        ("ws[:9].x", "ws0.x", "ws9.x", 10), ("ws[001:250].paris.corp.example", "ws001.paris.corp.example",
                                             "ws250.paris.corp.example", 250),
        ("k-[a:f:2]", "k-a", "k-e", 3), ("K-[A:C]", "K-A", "K-C", 3), ("ws1.x.", "ws1.x", "ws1.x", 1),
    ],
)  # fmt: skip
def test_what_patterns_give(text: str, first: str, last: str, count: int) -> None:
    pattern = parse_pattern(text)
    names = list(pattern)
    assert (names[0], names[-1], len(names), pattern.count) == (first, last, count, count)


BAD = [
    ("10.9.0.5/26", "'10.9.0.5/26' is not the beginning of its block"), ("10.9.0.0/33", "is not a block"),
    ("ws1/24", "is not a block"), ("10.9.0.9-10.9.0.1", "ends before it begins"), ("10.9.0.9-::1", "is not a range of"),
    ("10.9.0.9-300", "is not a range of"), ("10.1.2", "neither a host name"), ("10.1.2.300", "neither a host name"),
    ("12345", "neither a host name"), ("0x7f.1", "neither a host name"), ("a.0x7f", "neither a host name"),
    ("ws.[1:3]", "(it gives 'ws.1')"), ("10.1.2.[250:260]", "neither"), ("10.1.2.[001:020]", "neither"),
    ("ws[1:9", "has a [ without its ]"), ("ws1:9]", "has a ] without its ["), ("ws[1-9]", "is not a range"),
    ("ws[1]", "is not a range"), ("ws[]", "is not a range"), ("ws[1:]", "is not a range"),
    ("ws[a:9]", "is not a range"),
    ("ws[a:F]", "is not a range"), ("ws[aa:bb]", "is not a range"), ("ws[1:9:0]", "is not a range"),
    ("ws[1:9:-1]", "is not a range"), ("ws[1:2:3:4]", "is not a range"), ("ws[9:1]", "ends before it begins"),
    ("ws[f:a]", "ends before it begins"), ("ws[01:250]", "pads its ends differently"), ("ws[٣:٥]", "xn--"),
    ("bücher", "is not a host name"), ("-a", "neither"), ("a-", "neither"), ("a..b", "neither"), (".a", "neither"),
    ("", "neither"), (".", "neither"), ("a b", "neither"), ("a/b", "is not a block"), ("a" * 64, "neither"),
    (".".join(["a" * 60] * 5), "neither"), ("224.0.0.1", "no address of a single machine"),
    ("0.0.0.0", "no address of a single machine"), ("fe80::1%eth0", "neither"), ("fe80::%1/64", "is not a block"),
    ("ws" + "[1:2]" * 9, "has 9 ranges"), ("ws[1:" + "9" * 19 + "]", "is not a range"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(Wrong) as caught:
        parse_pattern(text)
    assert words in str(caught.value)
    assert caught.value.expected


@given(st.text(max_size=30) | st.text(alphabet="ws[]:-/.0123456789abF%", max_size=30))
def test_any_text_gives_a_pattern_or_one_reason(text: str) -> None:
    try:
        pattern = parse_pattern(text)
    except Wrong:
        return
    assert pattern.count >= 1
    for name in itertools.islice(pattern, 20):
        assert is_host_name(name) or parse_address(name) is not None


def test_enormous_ranges_cost_nothing_until_expanded() -> None:
    pattern = parse_pattern("ws[1:999999999][1:999999999].x")
    assert pattern.count == 999_999_999**2
    assert next(iter(pattern)) == "ws11.x"
    block = parse_pattern("2001:db8::/32")
    assert isinstance(block, AddressBlock)
    assert block.count == 2**96 - 1


def test_one_spelling_for_names() -> None:
    assert canonical_name("WS1.Paris.") == "ws1.paris"
    assert canonical_name("2001:DB8:0::1") == "2001:db8::1"
    assert canonical_name("::ffff:10.0.0.1") == "10.0.0.1"
    assert parse_host_address("::FFFF:10.0.0.1") == "10.0.0.1"
