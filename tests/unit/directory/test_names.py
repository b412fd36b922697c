"""Distinguished names: what is one, what is none, and that escaping keeps every value (RFC 4514)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.wording import Wrong
from pusher.directory.memory import normalised_parent
from pusher.directory.names import base_of, domain_of, escape_dn_value, format_dn, normalised, parse_dn

VALUES = st.text(min_size=1, max_size=20).filter(
    lambda text: text.strip(" ") and not any("\ud800" <= c <= "\udfff" for c in text)
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("OU=Servers,DC=corp,DC=example", ["Servers", "corp", "example"]),
        ("ou=a\\,b , dc=c", ["a,b", "c"]),
        ("CN=Lu\\C4\\8Di\\C4\\87,DC=x", ["Lučić", "x"]),
        ("CN=a#b (c) * d/e,DC=x", ["a#b (c) * d/e", "x"]),
        ("CN=\\#first\\ ,DC=x", ["#first ", "x"]),
        ("CN=a\\0ADEL:1,DC=x", ["a\nDEL:1", "x"]),
        ("1.3.6.1=#04024869,DC=x", ["#04024869", "x"]),
        ("UID=a+CN=b,DC=x", ["a", "x"]),
        ("CN=a=b,DC=x", ["a=b", "x"]),
    ],
)
def test_a_name_is_read(text: str, values: list[str]) -> None:
    assert [rdn.value for rdn in parse_dn(text)] == values
    assert normalised(format_dn(parse_dn(text))) == normalised(text)


@pytest.mark.parametrize(
    "text",
    ["Servers", "OU=", "OU=a,", ",OU=a", "OU=a,,DC=x", "=a", "OU a=b", 'OU="a', "OU=a\\", "OU=a\\g", "OU=a<b",
     "OU=\\ff", "OU=a\x00", "OU=a+", "CN=" + "x" * 9000],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(Wrong):
        parse_dn(text)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_escaping_keeps_every_value(values: list[str]) -> None:
    text = ",".join(f"CN={escape_dn_value(value)}" for value in values)
    assert [rdn.value for rdn in parse_dn(text)] == values
    parent = normalised_parent(normalised(text))
    assert parent == (normalised(",".join(f"CN={escape_dn_value(v)}" for v in values[1:])))


@pytest.mark.parametrize("value", ["#ab", "#", " a", "a ", " ", "  ", "a,b", 'a"b', "a\\", "=", "a\0b"])
def test_values_that_look_like_something_else(value: str) -> None:
    (rdn,) = parse_dn(f"CN={escape_dn_value(value)}")
    assert rdn.value == value


def test_domains() -> None:
    assert base_of("corp.example") == "DC=corp,DC=example"
    assert domain_of("CN=x,OU=DC,DC=corp,DC=example") == "corp.example"
    assert domain_of("CN=x,O=y") == ""
    assert parse_dn(" ") == ()
