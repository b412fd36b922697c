"""No account is locked out: sign-ins are counted in the hosts' own logs, not in what pusher says of itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import Host
from lab.scenarios import Account, AdminShare, Kind
from tests.system.command import Pusher
from tests.system.site import Site, accounts_text
from tests.system.witness import new_sign_ins

pytestmark = pytest.mark.lab

WRONG = "NT_STATUS_WRONG_PASSWORD"
MANY = 10


def account(folder: Path, user: str, password: str, **more: str) -> dict[str, str]:
    """With its password in a file of mode 0600."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    return {"name": "tried", "user": user, "secret": f"file:{file}", **more}


def with_accounts(pusher: Pusher, text: str) -> Pusher:
    pusher.folder.mkdir(parents=True, exist_ok=True)
    file = pusher.folder / "accounts.toml"
    file.write_text(text)
    return Pusher(folder=pusher.folder, accounts=file, package=pusher.package)


def ordinary_hosts(site: Site) -> list[Host]:
    """Machines that let pushadm in, with all rights."""
    found = [
        host
        for host in site.lab.hosts.values()
        if host.scenario.kind is Kind.WINDOWS
        and host.scenario.account is Account.ADMINISTRATOR
        and host.scenario.admin_share is AdminShare.NORMAL
        and host.scenario.link is None
        and host.scenario.smb
    ]
    return found[:MANY]


def test_a_wrong_password_is_tried_once_and_no_more_by_the_next_run(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """The budget of a threshold of 3 and a reserve of 2 is one failure, over all runs on one store."""
    host = site.host("wrong-password")
    inventory = site.inventory_of(tmp_path, [host])
    for code, tried in (("wrong-password", [("pushadm", WRONG)]), ("lockout-budget-spent", [])):
        with new_sign_ins(host) as seen:
            ended = pusher.push(inventory, "--attempts", "3")
        assert ended.verdict == ("failed", code)
        assert [(entry.user, entry.status) for entry in seen] == tried
    assert "1 of 1 failed sign-ins" in ended.outcome["message"]
    assert "free again at" in ended.outcome["message"]


@pytest.mark.parametrize(("threshold", "reserve"), [(3, 2), (6, 2)])
def test_a_domain_account_with_a_wrong_password_over_many_hosts(
    site: Site, pusher: Pusher, tmp_path: Path, threshold: int, reserve: int
) -> None:
    """Each machine here counts for itself, a domain would count all: so the sum over all machines is what matters."""
    hosts = ordinary_hosts(site)
    assert len(hosts) == MANY
    text = accounts_text(account(tmp_path, "LAB\\pushadm", "not the password"), threshold=threshold, reserve=reserve)
    with ExitStack() as stack:
        seen = [stack.enter_context(new_sign_ins(host)) for host in hosts]
        ended = with_accounts(pusher, text).push(site.inventory_of(tmp_path, hosts), "--concurrency", str(MANY))
    failing = [entry for log in seen for entry in log]
    assert 1 <= len(failing) <= threshold - reserve, failing
    assert {entry.status for entry in failing} == {WRONG}
    assert ended.status == 1
    codes = [line["code"] for line in ended.outcomes.values()]
    assert len(codes) == MANY
    assert codes.count("wrong-password") == len(failing)
    assert set(codes) <= {"wrong-password", "account-stopped", "lockout-budget-spent"}


def test_a_domain_account_with_the_right_password_is_not_held_up(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    hosts = ordinary_hosts(site)
    text = accounts_text(account(tmp_path, "LAB\\pushadm", site.lab.secret("push-2026")))
    ended = with_accounts(pusher, text).check(site.inventory_of(tmp_path, hosts), "--concurrency", str(MANY))
    assert ended.status == 0, ended.everything_said()
    assert {tuple(t["account"] for t in line["accounts_tried"]) for line in ended.outcomes.values()} == {("tried",)}


def test_a_stale_name_costs_nothing(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """Another machine answers at the address: it is asked who it is, and nobody signs in to it."""
    stale = site.host("stale-name")
    other = next(host for host in site.lab.hosts.values() if host.address == stale.address and host is not stale)
    with new_sign_ins(other) as seen:
        ended = pusher.push(site.inventory_of(tmp_path, [stale]))
    assert ended.verdict == ("failed", "wrong-host"), ended.everything_said()
    assert other.fqdn in ended.outcome["message"]
    assert seen == []


def test_an_address_in_the_inventory_that_is_another_machines(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    meant, answers = site.host("spare1"), site.host("spare2")
    with new_sign_ins(answers) as seen, new_sign_ins(meant) as seen_by_meant:
        item = f"{{name: {meant.fqdn}, address: {answers.address}}}"
        ended = pusher.push(site.inventory_of(tmp_path, [item]))
    assert ended.verdict == ("failed", "wrong-host"), ended.everything_said()
    assert (seen, seen_by_meant) == ([], [])
    assert ended.outcome["accounts_tried"] == []
