"""Filters: parsing, escaping and deciding (RFC 4515)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.wording import Wrong
from pusher.directory.filters import Branch, Item, Junction, Operator, escape_filter_value, matches, parse_filter
from pusher.directory.memory import entry

ENTRY = entry(
    "CN=PC1,DC=x",
    {"cn": "PC1", "operatingSystem": "Windows Server 2022", "userAccountControl": 4098, "when": "20260102000000.0Z",
     "member": ["CN=a,DC=x", "CN=b,DC=x"], "objectCategory": "CN=Computer,CN=Schema,DC=x"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(cn=pc1)", True), ("(cn=PC2)", False), ("(cn=*)", True), ("(mail=*)", False), ("(CN=p*1)", True),
        ("(operatingSystem=Windows Server*)", True), ("(operatingSystem=*2022)", True),
        ("(operatingSystem=W*ser*20*)", True), ("(operatingSystem=*20*2022)", False), ("(cn=PC1*1)", False),
        ("(cn=\\50C1)", True), ("(cn~=pc1)", True), ("(!(cn=PC2))", True), ("(!(cn=*))", False),
        ("(&(cn=pc1)(!(cn=x)))", True), ("(|(cn=x)(cn=y))", False), ("(|(cn=x)(&(cn=pc1)(member=CN=A,DC=x)))", True),
        ("(userAccountControl>=4098)", True), ("(userAccountControl>=10000)", False),
        ("(userAccountControl<=9999)", True), ("(when>=20260101000000.0Z)", True), ("(when<=2025)", False),
        ("(userAccountControl:1.2.840.113556.1.4.803:=2)", True),
        ("(userAccountControl:1.2.840.113556.1.4.803:=3)", False),
        ("(userAccountControl:1.2.840.113556.1.4.804:=3)", True),
        ("(cn:1.2.840.113556.1.4.803:=3)", False),
        ("(objectCategory=computer)", True), ("(objectCategory=comp)", False),
        (" (& (cn=pc1) (member=CN=b,DC=x) ) ", True), ("(cn=pc1 )", False),  # a space there is the value's
        ("(&(cn=pc1) (cn=pc1))", True),
    ],
)  # fmt: skip
def test_deciding(text: str, expected: bool) -> None:
    assert matches(parse_filter(text), ENTRY) is expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "wants an opening parenthesis here (character 1)"),
        ("cn=x", "wants an opening parenthesis here (character 1)"),
        ("(cn=x", "wants a closing parenthesis here (character 6)"),
        ("(cn=x))", "goes on after its end (character 7)"),
        ("(&)", "wants an opening parenthesis here (character 3)"),
        ("(!(a=b)(c=d))", "negates more than one filter (character 8)"),
        ("(=x)", "has no attribute and comparison here (character 2)"),
        ("(cn:dn=x)", "has no attribute and comparison here (character 2)"),
        ("(cn)", "has no attribute and comparison here (character 2)"),
        ("(cn=a\\g)", "wants a closing parenthesis here (character 6)"),
        ("(cn=a(b))", "wants a closing parenthesis here (character 6)"),
        ("(cn>=a*)", "has a star after >= (character 8)"),
        ("(cn=a\x00)", "wants a closing parenthesis here (character 6)"),
    ],
)
def test_what_is_no_filter(text: str, why: str) -> None:
    with pytest.raises(Wrong) as caught:
        parse_filter(text)
    assert caught.value.found.endswith(why)


def test_bounds() -> None:
    with pytest.raises(Wrong, match="nested too deep"):
        parse_filter("(!" * 60 + "(a=b)" + ")" * 60)
    with pytest.raises(Wrong, match="too long"):
        parse_filter(f"(a={'b' * 20_000})")


@given(st.text(max_size=30) | st.binary(max_size=30))
def test_an_escaped_value_is_that_value_and_nothing_else(value: str | bytes) -> None:
    try:
        data = value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:
        return
    text = f"(&(a=b)(cn={escape_filter_value(value)}))"
    assert text.isascii()
    found = parse_filter(text)
    assert isinstance(found, Branch)
    assert found.filters[1] == Item(attribute="cn", operator=Operator.EQUAL, pieces=(data,))


PIECES = st.sampled_from(["(", ")", "(&", "(|", "(!", "(cn=a)", "(a>=5)", "(a=*)", "(cn=*x*)", "(a:1.2.3:=5)"])


@given(st.text(alphabet="()&|!=*\\a:<>~ 5", max_size=40) | st.lists(PIECES, max_size=6).map("".join))
def test_any_text_is_a_filter_or_wrong(text: str) -> None:
    try:
        found = parse_filter(text)
    except Wrong:
        return
    assert matches(found, ENTRY) is not matches(Branch(junction=Junction.NOT, filters=(found,)), ENTRY)
