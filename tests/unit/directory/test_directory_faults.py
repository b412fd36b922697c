"""Every LDAP result code and every class of bonsai's errors is decided on, by number."""

from __future__ import annotations

import pytest

from pusher.directory import faults
from pusher.problems import CATALOGUE, NextMove

# RFC 4511 4.1.9 without success and the ranges it leaves unused; libldap's own from ldap.h.
RFC_4511 = [*range(1, 9), *range(10, 15), *range(16, 22), 32, 33, 34, 36, *range(48, 55), *range(64, 70), 71, 80]
LIBLDAP = [*range(-18, 0)]


@pytest.mark.parametrize("number", [*RFC_4511, *LIBLDAP])
def test_the_table_is_complete(number: int) -> None:
    assert number in faults.RESULTS
    found = faults.of_ldap(number)
    assert found.code in CATALOGUE and str(number) in found.message


def test_there_is_nothing_else_in_the_tables() -> None:
    assert set(faults.RESULTS) == {*RFC_4511, *LIBLDAP}
    assert {code for code, _ in faults.KERBEROS.values()} <= set(CATALOGUE)


def test_unknown_numbers() -> None:
    assert faults.of_ldap(4711).code == "directory-failed"
    assert faults.of_kerberos(200).code == faults.of_kerberos(None).code == "directory-sign-in-failed"


def test_no_sign_in_failure_is_retried() -> None:
    for code in ("directory-sign-in-failed", "directory-unprotected", "directory-tls-failed"):
        assert CATALOGUE[code].next_move is NextMove.GIVE_UP


def test_bonsai_has_no_error_that_the_table_lacks() -> None:
    errors = pytest.importorskip("bonsai.errors")
    own = {-100, -101, *range(-208, -199)}  # of calls that are never made: bad ids, password changes
    codes = {getattr(errors, name).code for name in errors.__all__} - {0}
    assert len(codes) > 20
    assert codes - own <= set(faults.RESULTS)


def test_a_clock_that_is_off_has_its_own_code() -> None:
    assert faults.of_kerberos(37).code == "clock-skew"
    assert faults.of_kerberos(156).code == "directory-unreachable"
    assert "wrong password" in faults.of_kerberos(24).message
