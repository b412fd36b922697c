"""The lockout budget, pure: what is granted, what counts, and whose counter it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.accounts.users import is_user
from pusher.credentials.lockout.budget import (
    AccountKey,
    Budget,
    LockoutPolicy,
    Result,
    Verdict,
    account_key,
    counts,
    result_of,
    written,
)
from pusher.models import Account, NextMove, Protocol, Stage
from pusher.problems import CATALOGUE, Code


@pytest.mark.parametrize(
    ("threshold", "reserve", "limit"), [(3, 2, 1), (3, 0, 3), (5, 2, 3), (2, 2, 0), (1, 5, 0), (999, 0, 999)]
)
def test_the_limit_leaves_the_reserve(threshold: int, reserve: int, limit: int) -> None:
    assert LockoutPolicy(threshold=threshold, reserve=reserve).limit == limit


@pytest.mark.parametrize(
    ("budget", "verdict"),
    [
        (Budget(), Verdict.GRANTED),
        (Budget(in_flight=2), Verdict.GRANTED),
        (Budget(in_flight=3), Verdict.WAIT),
        (Budget(failures=2), Verdict.GRANTED),
        (Budget(failures=2, in_flight=1), Verdict.WAIT),
        (Budget(failures=3), Verdict.SPENT),
        (Budget(failures=3, in_flight=2), Verdict.SPENT),
        (Budget(stopped_by="wrong-password"), Verdict.STOPPED),
        (Budget(failures=3, stopped_by="wrong-password"), Verdict.STOPPED),
    ],
)
def test_what_is_granted(budget: Budget, verdict: Verdict) -> None:
    assert budget.ask(LockoutPolicy(threshold=5, reserve=2)) is verdict


@pytest.mark.parametrize(
    ("result", "cost"), [(Result.OK, False), (Result.HARMLESS, False), (Result.FAILED, True), (Result.UNKNOWN, True)]
)
def test_what_counts(result: Result, cost: bool) -> None:
    assert counts(result) is cost


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_there_is_room_where_it_is_granted(threshold: int, reserve: int, failures: int, in_flight: int) -> None:
    policy, budget = LockoutPolicy(threshold=threshold, reserve=reserve), Budget(failures=failures, in_flight=in_flight)
    room = budget.room(policy)
    assert (budget.ask(policy) is Verdict.GRANTED) == (room > 0)
    assert room == 0 or failures + in_flight + room <= threshold - reserve


@pytest.mark.parametrize(("reserve", "minutes"), [(0, 32), (1, 32), (2, 62), (3, 92)])
def test_failures_count_for_as_long_as_the_reserve_may_keep_them_alive(reserve: int, minutes: int) -> None:
    assert LockoutPolicy(threshold=9, reserve=reserve).horizon == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("code", "secret_sent", "verdict_came", "result"),
    [
        (None, True, True, Result.OK),
        (None, False, True, Result.OK),
        ("wrong-password", True, True, Result.FAILED),
        ("sign-in-failed", True, True, Result.FAILED),  # not known to be harmless
        ("guest-session", True, True, Result.FAILED),
        ("timed-out", True, False, Result.UNKNOWN),
        ("connection-lost", True, False, Result.UNKNOWN),
        ("account-disabled", True, False, Result.UNKNOWN),  # no verdict, whatever it is called
        ("timed-out", False, False, Result.HARMLESS),
        ("wrong-password", False, True, Result.HARMLESS),  # nothing was compared
    ],
)
def test_what_a_sign_in_costs(code: Code | None, secret_sent: bool, verdict_came: bool, result: Result) -> None:
    assert result_of(code, secret_sent, verdict_came) is result


COUNTED = {
    "wrong-password", "account-restricted", "sign-in-unknown", "sign-in-failed", "guest-session",
    "kerberos-failed", "sign-in-refused",
}  # fmt: skip
"""A password was compared and was wrong, or may have been."""
PASSWORD_RIGHT = {
    "account-disabled", "account-expired", "password-expired", "password-must-change", "logon-hours",
    "logon-type-denied", "selective-authentication",
}  # fmt: skip
"""What is told only to whom the password has proven, or told without comparing it (a KDC, of a disabled account)."""
NEVER_COMPARED = {
    "account-locked", "ntlm-blocked", "no-such-account", "no-logon-servers", "trust-broken", "clock-skew",
    "kerberos-unavailable", "wrong-host",
    "realm-unknown", "ticket-missing", "ticket-expired", "ticket-wrong-principal", "ticket-refused",
    "keytab-unreadable", "keytab-wrong-realm", "keytab-no-principal",
    "laps-no-computer", "laps-no-right", "laps-not-set", "laps-encrypted", "laps-other-account", "laps-unavailable",
    "laps-unreadable", "directory-tls-failed", "directory-unprotected", "accounts-differ", "profile-unknown",
}  # fmt: skip
NO_SIGN_IN = {
    "no-account", "lockout-budget-spent", "account-stopped", "budget-unavailable", "budget-damaged",
    "directory-sign-in-failed", "secret-unreadable",
}  # fmt: skip
"""Codes that no sign-in to a target ends with."""


@pytest.mark.parametrize("code", sorted(COUNTED | NO_SIGN_IN))
def test_what_may_have_been_a_wrong_password_is_a_failure(code: Code) -> None:
    assert result_of(code, secret_sent=True, verdict_came=True) is Result.FAILED


@pytest.mark.parametrize("code", sorted(PASSWORD_RIGHT | NEVER_COMPARED))
def test_what_a_lockout_counter_does_not_see_costs_nothing(code: Code) -> None:
    assert result_of(code, secret_sent=True, verdict_came=True) is Result.HARMLESS
    assert result_of(code, secret_sent=True, verdict_came=False) is Result.UNKNOWN


def test_every_code_of_a_sign_in_has_been_thought_of() -> None:
    """A code that is new to the catalogue counts as a failure until somebody puts it into one of these lists."""
    of_sign_in = {code for code, row in CATALOGUE.items() if row.stage is Stage.SIGN_IN}
    assert of_sign_in <= COUNTED | PASSWORD_RIGHT | NEVER_COMPARED | NO_SIGN_IN <= CATALOGUE.keys()


def test_what_stops_an_account_everywhere() -> None:
    assert {code for code, row in CATALOGUE.items() if row.next_move is NextMove.STOP_ACCOUNT} == {
        "wrong-password", "no-such-account", "account-locked", "account-disabled", "account-expired",
        "password-expired", "password-must-change",
        "realm-unknown", "ticket-missing", "ticket-expired", "ticket-wrong-principal",
        "keytab-unreadable", "keytab-wrong-realm", "keytab-no-principal",
    }  # fmt: skip


def _account(user: str) -> Account:
    return Account(name="x", user=user, secret="env:X", protocol=Protocol.NTLM)


@pytest.mark.parametrize(
    ("user", "key"),
    [
        (".\\Administrator", AccountKey(entry="ws01\\administrator")),
        ("CORP\\svc", AccountKey(entry="svc", domain="corp", is_certain=False)),
        ("corp.example\\svc", AccountKey(entry="svc", domain="corp")),
        ("Svc@Corp.Example", AccountKey(entry="svc", domain="corp", is_certain=False)),
        ("svc", AccountKey(entry="svc")),
        ("first.last@sub@corp", AccountKey(entry="first.last@sub", domain="corp", is_certain=False)),
    ],
)
def test_whose_counter_it_is(user: str, key: AccountKey) -> None:
    assert account_key(_account(user), "WS01") == key


@pytest.mark.parametrize("user", ["CORP\\svc", "svc@mail.example", "corp.example\\svc"])
def test_a_realm_is_certain_however_the_user_is_written(user: str) -> None:
    account = replace(_account(user), realm="AD.CORP.EXAMPLE")
    assert account_key(account, "ws01") == AccountKey(entry="svc", domain="ad")


def test_a_kdc_proves_the_realm_of_a_upn() -> None:
    account = replace(_account("svc@corp.example"), protocol=Protocol.KERBEROS)
    assert account_key(account, "ws01") == AccountKey(entry="svc", domain="corp")


@given(st.text(st.characters(codec="ascii", exclude_characters="\\"), min_size=1, max_size=15), st.data())
def test_only_a_local_account_is_another_on_another_host(user: str, data: st.DataObject) -> None:
    hosts = data.draw(st.lists(st.sampled_from(["ws01", "ws02.corp.example"]), min_size=2, max_size=2, unique=True))
    assert account_key(_account(f".\\{user}"), hosts[0]) != account_key(_account(f".\\{user}"), hosts[1])
    assert account_key(_account(f"corp\\{user}"), hosts[0]) == account_key(_account(f"corp\\{user}"), hosts[1])
    assert account_key(_account(f".\\{user}"), "CORP.other") != account_key(_account(f"corp\\{user}"), "x")


def test_our_own_identity_is_one_account() -> None:
    assert account_key(OWN_IDENTITY, "ws01") == account_key(OWN_IDENTITY, "ws02")


_NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=1, max_size=12)
_USERS = st.one_of(
    st.builds("{}@{}".format, _NAMES, st.sampled_from(["corp", "ad.corp.example", "CORP.example"])),
    st.builds("{}\\{}".format, st.sampled_from([".", "CORP", "ad.corp.example"]), _NAMES),
).filter(is_user)


@given(_USERS, st.sampled_from([None, "REALM.EXAMPLE"]), st.sampled_from(["ws01.corp.example", "10.1.2.3", "A label"]))
def test_what_is_counted_can_be_named(user: str, realm: str | None, host: str) -> None:
    key = account_key(Account(name="a", user=user, secret="x", protocol=Protocol.NTLM, realm=realm), host)
    name, where = written(key)
    assert is_user(name) and (where is not None) == key.is_local
    again = account_key(Account(name="b", user=name, secret="", protocol=Protocol.NTLM), where or "")
    assert (again.entry, again.domain) == (key.entry, key.domain)
