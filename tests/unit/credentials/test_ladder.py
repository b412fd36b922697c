"""The ladder: which accounts a target gets, in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.credentials.ladder import OWN_IDENTITY, in_scope, ladder
from pusher.models import Account, Protocol, Target

TARGET = Target(name="WS01.Corp.Example", address="10.1.2.3", site="Paris", groups=("labs", "Floor-2"))


def account(*scope: str, name: str = "a") -> Account:
    return Account(name=name, user="corp\\svc", secret="env:X", protocol=Protocol.NTLM, scope=scope)


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        ((), True),
        (("site:paris",), True),
        (("site:PARIS",), True),
        (("site:par*",), True),
        (("site:lyon",), False),
        (("group:labs",), True),
        (("group:LABS",), True),
        (("group:floor-?",), True),
        (("group:lab",), False),
        (("*.corp.example",), True),
        (("ws01.corp.example",), True),
        (("WS0[1-3].*",), True),
        (("ws01",), False),  # the inventory's own name counts
        (("10.1.2.*",), True),
        (("10.1.3.*",), False),
        (("site:lyon", "group:labs"), True),  # one of them is enough
        (("site:lyon", "ws02.*"), False),
        (("site:",), False),
    ],
)
def test_what_a_scope_fits(scope: tuple[str, ...], fits: bool) -> None:
    assert in_scope(account(*scope), TARGET) == fits


def test_a_target_without_a_site_is_in_no_sites_scope() -> None:
    bare = Target(name="ws01")
    assert not in_scope(account("site:paris"), bare)
    assert not in_scope(account("group:*"), bare)
    assert not in_scope(account("10.*"), bare)
    assert in_scope(account("ws*"), bare)


def test_a_trailing_dot_makes_no_difference() -> None:
    assert in_scope(account("ws01.corp.example"), Target(name="ws01.corp.example."))


@given(st.lists(st.sampled_from(["site:paris", "site:lyon", ""]), max_size=6), st.booleans())
def test_the_operators_order_is_kept_and_our_own_identity_comes_last(scopes: list[str], fallback: bool) -> None:
    accounts = [account(*filter(None, [scope]), name=str(number)) for number, scope in enumerate(scopes)]
    steps = list(ladder(accounts, TARGET, fallback))
    assert (OWN_IDENTITY in steps) == fallback
    assert not fallback or steps.pop() == OWN_IDENTITY
    assert [step.name for step in steps] == [a.name for a in accounts if "site:lyon" not in a.scope]


def test_our_own_identity_has_no_secret_and_no_ntlm() -> None:
    assert OWN_IDENTITY.is_own_identity
    assert not OWN_IDENTITY.is_local
    assert (OWN_IDENTITY.secret, OWN_IDENTITY.protocol) == ("", Protocol.KERBEROS)
