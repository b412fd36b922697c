"""Selection: what a pattern means, and that options combine as sets do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import Source, Target
from pusher.problems import BadInput
from pusher.targets.selection import parse_selector


def machine(name: str = "ws1.paris.x", **more: object) -> Target:
    fields: dict[str, object] = {"groups": ("paris", "offices"), "site": "hq", "address": "10.1.2.3"}
    return Target(name=name, **{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "included"),
    [
        ("ws1.paris.x", True), ("WS1.PARIS.X.", True), ("WS1.paris.*.", True), ("*.x.", True),
        ("ws[1:9].paris.x.", True),
        ("group:paris.", False), ("::ffff:10.1.2.3", True), ("::ffff:10.1.2.0/120", True),
        ("::FFFF:10.1.3.0/120", False),
        ("ws1", True), ("ws", False), ("ws*", True), ("*.x", True),
        ("ws?.paris.*", True), ("ws[12].*", True), ("ws[!1].*", False), ("paris", False), ("10.1.2.3", True),
        ("10.1.*", True), ("10.1.2.0/24", True), ("10.1.3.0/24", False), ("ws[1:9].paris.x", True),
        ("ws[2:9].paris.x", False), ("10.1.2.[1:5]", True), ("all", True), ("*", True), ("group:paris", True),
        ("group:PARIS", True),
        ("group:off*", True), ("group:labs", False), ("site:hq", True), ("site:h?", True), ("site:x", False),
        ("~ws(1|2)", True), ("~WS1", True), ("~s1", False), ("~.*s1", True), ("group:~off|x", True), ("site:~h", True),
        ("a,ws1", True), ("a,b", False), ("*,!ws1", False), ("*,!ws2", True), ("!ws1", False), ("!ws2", True),
        ("ws*,&group:paris", True), ("ws*,&group:labs", False), ("~ws{2,3}1", False), ("~ws{1,2}1", True),
        ("~w{1,2}s1", True),
        ("~(a|w)s1,b", True), ("! ws1", False), (" ws1 , b ", True),
    ],
)  # fmt: skip
def test_limits(pattern: str, included: bool) -> None:
    decision = parse_selector(limit=pattern).decide(machine())
    assert decision.included is included
    assert decision.code is None, "what a limit did not ask for is no part of the run"
    assert decision.why


def test_what_spares_by_an_address_spares_it_in_any_spelling() -> None:
    six = machine(address="2001:db8::1")
    for text in ("2001:DB8:0::1", "2001:db8::/64", "WS1.*."):
        assert not parse_selector(None, text).decide(six).included, text


def test_reasons() -> None:
    assert parse_selector().decide(machine()).why == "no limit"
    assert parse_selector("a,ws*").decide(machine()).why == "matches --limit 'ws*'"
    assert parse_selector("a,b").decide(machine()).why == "not in --limit 'a,b'"
    assert parse_selector("*,!ws1").decide(machine()).why == "taken away by --limit '!ws1'"
    assert parse_selector("*,&b").decide(machine()).why == "does not match --limit '&b'"
    assert parse_selector("*", "b,10.1.*").decide(machine()).why == "excluded by --exclude '10.1.*'"


def test_several_options_count_as_one() -> None:
    selector = parse_selector(["a", "ws1"], ["b", "c"])
    assert selector.decide(machine()).included
    assert not parse_selector(["a", "ws1"], ["b", "ws*"]).decide(machine()).included


def test_an_unknown_site_leaves_out_on_either_side() -> None:
    nowhere = machine(site=None)
    assert not parse_selector("site:hq").decide(nowhere).included
    assert not parse_selector("*,!site:hq").decide(nowhere).included
    assert not parse_selector("*,&site:hq").decide(nowhere).included
    excluded = parse_selector(None, "site:hq").decide(nowhere)
    assert not excluded.included
    assert excluded.why == "--exclude 'site:hq' asks for its site, which is not known"
    assert parse_selector("ws1,site:hq").decide(nowhere).included


def test_the_alias_of_an_ansible_host_names_it_too() -> None:
    target = machine(aliases=("Web1",))
    assert parse_selector("web*").decide(target).included
    assert not parse_selector(None, "web1").decide(target).included


def test_a_bare_word_is_no_part_of_an_address() -> None:
    assert not parse_selector("10").decide(machine("10.1.2.3")).included


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty pattern"), (",", "an empty pattern"), ("!", "'' is an empty pattern"),
        ("group:", "'group:' is an empty pattern"), ("~(", "is not a regular expression"),
        ("10.1.2.3/24", "is not a block"),
        ("x/24", "is not a block"), ("ws[1:9].*", "mixes a range with a glob"), ("ws[9:1].x", "ends before it begins"),
        ("group:a[1:2]", "has a range"), ("a*!b", "is not a pattern"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, words: str) -> None:
    for option, selector in (("--limit", {"limit": text}), ("--exclude", {"exclude": text})):
        if option == "--exclude" and text == "!":
            continue
        with pytest.raises(BadInput) as caught:
            parse_selector(**selector)
        assert caught.value.sentence.startswith(f"{option}: ")
        assert words in caught.value.sentence
        assert "; expected " in caught.value.sentence


names = st.sampled_from(["ws1.x", "ws2.x", "srv.y", "k-a.y"])
terms = st.sampled_from(["ws*", "*.y", "ws1.x", "group:g1", "group:g2", "site:s1", "~.*a", "10.0.0.0/30", "srv"])
targets = st.builds(
    lambda name, groups, site, address: Target(name=name, groups=groups, site=site, address=address),
    names,
    st.sampled_from([(), ("g1",), ("g1", "g2")]),
    st.sampled_from(["s1", "s2"]),
    st.sampled_from([None, "10.0.0.1", "10.0.0.9"]),
)


def takes(limit: str, target: Target) -> bool:
    return parse_selector(limit).decide(target).included


@given(terms, terms, targets)
def test_options_combine_as_sets_do(one: str, other: str, target: Target) -> None:
    first, second = takes(one, target), takes(other, target)
    assert takes(f"{one},{other}", target) == takes(f"{other},{one}", target) == (first or second)
    assert takes(f"{one},!{other}", target) == (first and not second)
    assert takes(f"!{other},{one}", target) == (first and not second)
    assert takes(f"{one},&{other}", target) == (first and second)
    assert takes(f"!{one}", target) is not first
    assert takes(f"{one},{one}", target) == first
    both = parse_selector(one, other).decide(target)
    assert both.included == (first and not second)


@given(st.text(max_size=20) | st.text(alphabet="~!&,:[](){}*?groupsite/.\\", max_size=20), targets)
def test_any_text_is_a_pattern_or_one_reason(text: str, target: Target) -> None:
    try:
        selector = parse_selector(text, text)
    except BadInput:
        return
    decided = selector.decide(target)
    assert decided.included or decided.why


def test_deciding_is_pure() -> None:
    target = machine(source=Source(file="i", line=3))
    selector = parse_selector("ws*", "b")
    assert selector.decide(target) == selector.decide(target)
