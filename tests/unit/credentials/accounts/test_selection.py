"""Account selection: which accounts a target gets, in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.credentials.accounts.selection import (
    OWN_IDENTITY,
    for_package,
    forbidden_by,
    in_scope,
    left_out,
    select_accounts,
    why_nobody,
)
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


def test_a_colon_alone_makes_no_group() -> None:
    six = Target(name="ws01", address="fd00::5", groups=(":*",))
    assert in_scope(account("fd00::*"), six)
    assert not in_scope(account("fd01::*"), six)


def test_a_trailing_dot_makes_no_difference() -> None:
    for pattern in ("ws01.corp.example", "ws01.corp.example.", "WS01.Corp.*.", "*.example."):
        for name in ("ws01.corp.example", "ws01.corp.example."):
            assert in_scope(account(pattern), Target(name=name)), (pattern, name)
            assert forbidden_by(replace(account(), never=(pattern,)), Target(name=name)) == pattern


@pytest.mark.parametrize("pattern", ["2001:db8::1", "2001:DB8::0:1", "2001:0db8:0:0::1", "2001:DB8::/64"])
@pytest.mark.parametrize("target", [Target(name="ws01", address="2001:db8::1"), Target(name="2001:DB8:0::1")])
def test_an_address_is_one_in_any_spelling(pattern: str, target: Target) -> None:
    never = replace(account(), never=(pattern,))
    assert forbidden_by(never, target) == pattern
    assert forbidden_by(never, Target(name="ws02", address="2001:db9::2")) is None


@pytest.mark.parametrize(
    "pattern", ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:0a01:0203", "10.1.2.0/28", "::ffff:10.1.2.0/124"]
)
@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_an_ipv4_address_written_as_ipv6_is_that_address(pattern: str, address: str) -> None:
    assert forbidden_by(replace(account(), never=(pattern,)), Target(name="ws01", address=address)) == pattern


def test_a_block_over_names_that_are_addresses() -> None:
    never = replace(account(), never=("10.9.0.0/26",))
    assert forbidden_by(never, Target(name="10.9.0.7")) == "10.9.0.0/26"
    assert forbidden_by(never, Target(name="10.9.0.77")) is None


@given(st.lists(st.sampled_from(["site:paris", "site:lyon", ""]), max_size=6), st.booleans())
def test_the_operators_order_is_kept_and_our_own_identity_comes_last(scopes: list[str], fallback: bool) -> None:
    accounts = [account(*filter(None, [scope]), name=str(number)) for number, scope in enumerate(scopes)]
    steps = list(select_accounts(accounts, TARGET, OWN_IDENTITY if fallback else None))
    assert (OWN_IDENTITY in steps) == fallback
    assert not fallback or steps.pop() == OWN_IDENTITY
    assert [step.name for step in steps] == [a.name for a in accounts if "site:lyon" not in a.scope]


def test_our_own_identity_has_no_secret_and_no_ntlm() -> None:
    assert OWN_IDENTITY.is_own_identity
    assert not OWN_IDENTITY.is_local
    assert (OWN_IDENTITY.secret, OWN_IDENTITY.protocol) == ("", Protocol.KERBEROS)


# Packages


@given(st.lists(st.sampled_from([(), ("labagent",), ("LabTool",), ("lab*", "x"), ("agent",)]), max_size=6))
def test_a_package_has_its_own_accounts_or_the_general_ones(packages: list[tuple[str, ...]]) -> None:
    names = {"labagent": {("labagent",), ("lab*", "x")}, "labtool": {("LabTool",), ("lab*", "x")}, "other": set()}
    accounts = [replace(account(name=str(number)), packages=each) for number, each in enumerate(packages)]
    general = [one for one in accounts if not one.packages]
    for package, naming in names.items():
        own = [one for one in accounts if one.packages in naming]
        assert list(for_package(accounts, package)) == (own or general)
    assert list(for_package(accounts, None)) == general


# Tiers


@pytest.mark.parametrize(
    ("never", "fits"),
    [
        ((), None),
        (("group:labs",), "group:labs"),
        (("group:LABS",), "group:LABS"),
        (("labs",), "labs"),  # a bare word is a group too
        (("floor-*",), "floor-*"),
        (("lab",), None),
        (("site:paris",), "site:paris"),
        (("paris",), None),  # but no site
        (("ws01.*",), "ws01.*"),
        (("*.corp.example",), "*.corp.example"),
        (("10.1.*",), "10.1.*"),
        (("tier0", "group:domain-controllers"), None),
        (("tier0", "group:floor-2"), "group:floor-2"),
    ],
)
def test_what_never_fits(never: tuple[str, ...], fits: str | None) -> None:
    one = replace(account(), never=never)
    assert forbidden_by(one, TARGET) == fits
    assert list(select_accounts([one], TARGET, None)) == ([] if fits else [one])
    assert left_out(one, TARGET) == (f"a never goes to {fits}" if fits else None)


@given(
    st.lists(st.sampled_from(["group:labs", "tier0", "ws*", "site:lyon", "*"]), max_size=3),
    st.lists(st.sampled_from(["site:paris", "*", "group:labs", "site:lyon"]), max_size=3),
)
def test_never_wins_over_every_scope(never: list[str], scope: list[str]) -> None:
    one = replace(account(*scope), never=tuple(never))
    assert (forbidden_by(one, TARGET) is None and in_scope(one, TARGET)) == bool(
        list(select_accounts([one], TARGET, None))
    )


@pytest.mark.parametrize("account_allowed", [False, True])
@pytest.mark.parametrize("inventory_allowed", [False, True])
def test_a_domain_controller_takes_both_leaves(inventory_allowed: bool, account_allowed: bool) -> None:
    dc = replace(TARGET, groups=("Domain-Controllers",), domain_controller_allowed=inventory_allowed)
    one = replace(account(), domain_controllers=account_allowed)
    own = replace(OWN_IDENTITY, domain_controllers=account_allowed)
    allowed = inventory_allowed and account_allowed
    assert list(select_accounts([one], dc, own)) == ([one, own] if allowed else [])
    # Of a machine that is not known to be one nothing is forbidden here.
    assert list(select_accounts([one], replace(dc, groups=()), own)) == [one, own]


def test_why_nobody_is_left() -> None:
    push = replace(account(name="push-2026"), never=("group:labs",))
    other = account("site:lyon", name="lyon")
    assert why_nobody([push, other], TARGET, None) == "push-2026 never goes to group:labs; lyon is for site:lyon"
    own = replace(OWN_IDENTITY, never=("ws*",))
    assert why_nobody([], TARGET, own) == "own-identity never goes to ws*"
    assert why_nobody([], TARGET, None) == ""


# Addresses


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("10.1.2.0/24", True), ("10.1.0.0/16", True), ("10.1.3.0/24", False), ("fd00::/8", False), ("10.1.2.3/32", True)],
)
def test_a_block_fits_an_address(pattern: str, fits: bool) -> None:
    assert in_scope(account(pattern), TARGET) == fits
    assert (forbidden_by(replace(account(), never=(pattern,)), TARGET) is not None) == fits
    for address in (None, "no address"):
        assert not in_scope(account(pattern), replace(TARGET, address=address))
