"""Which identity a push signs in with: accounts in their order, and the process's own where none is left."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.system.command import Pusher
from tests.system.site import FirstPush, Site, accounts_text
from tests.system.test_lockout import account, with_accounts
from tests.system.witness import new_sign_ins

pytestmark = pytest.mark.lab


def test_the_second_account_is_climbed_to(site: Site, first_push: FirstPush) -> None:
    line = first_push.ended.outcomes[site.host("second-account").fqdn]
    assert line["accounts_tried"] == [
        {"account": "push-2026", "code": "not-administrator"},
        {"account": "push-2025", "code": None},
    ]
    assert (line["status"], line["account"]) == ("installed", "push-2025")


def test_an_account_is_tried_only_in_its_scope(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    host = site.host("spare1")
    elsewhere = {**account(tmp_path / "a", ".\\pushadm", "never sent"), "name": "elsewhere"}
    here = {**account(tmp_path / "b", ".\\pushadm", site.lab.secret("push-2026")), "name": "here"}
    text = accounts_text(elsewhere, here).replace('name = "elsewhere"', 'name = "elsewhere"\nscope = ["site:paris"]')
    with new_sign_ins(host) as seen:
        ended = with_accounts(pusher, text).check(site.inventory_of(tmp_path, [host]))
    assert ended.verdict == ("ready", None), ended.everything_said()
    assert ended.outcome["accounts_tried"] == [{"account": "here", "code": None}]
    assert [entry.status for entry in seen] == ["NT_STATUS_OK"]


@pytest.mark.parametrize("secret_of", ["push-2025", "clerk"])
def test_the_outcome_of_two_failing_accounts_is_the_one_that_came_further(
    site: Site, pusher: Pusher, tmp_path: Path, secret_of: str
) -> None:
    """First a user who is no administrator, then a wrong password, or the other way round: each is in the record."""
    host = site.host("spare1")
    clerk = {**account(tmp_path / "a", ".\\clerk", site.lab.secret("clerk")), "name": "clerk"}
    wrong = {**account(tmp_path / "b", ".\\pushadm", "not the password"), "name": "wrong"}
    order = [clerk, wrong] if secret_of == "clerk" else [wrong, clerk]
    ended = with_accounts(pusher, accounts_text(*order)).push(site.inventory_of(tmp_path, [host]))
    assert ended.verdict == ("failed", "not-administrator"), ended.everything_said()
    tried = {entry["account"]: entry["code"] for entry in ended.outcome["accounts_tried"]}
    assert tried == {"clerk": "not-administrator", "wrong": "wrong-password"}


def test_without_accounts_the_process_signs_in_as_itself(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """No ticket, and in a plain install no Kerberos: said with what to do, and no password could have been sent."""
    host = site.host("spare1")
    with new_sign_ins(host) as seen:
        ended = replace(pusher, accounts=None).push(site.inventory_of(tmp_path / "own", [host]))
    line = ended.outcome
    assert ended.status == 1
    assert (line["status"], line["stage"], line["protocol"]) == ("failed", "sign-in", "kerberos")
    installed = find_spec("krb5") is not None and find_spec("gssapi") is not None
    assert line["code"] == ("ticket-missing" if installed else "kerberos-unavailable")
    if not installed:
        assert "Install it with: " in line["remedy"]
    assert line["accounts_tried"] == [{"account": "own-identity", "code": line["code"]}]
    assert [entry for entry in seen if entry.status == "NT_STATUS_OK"] == []
