"""Kerberos by name over WinRM: a real KDC, tickets that the hosts accept, and a password that no host sees."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Lab, healthy
from lab.kdc import REALM, Kdc
from tests.conftest import StartLab
from tests.system.command import Ended
from tests.system.site import Site, accounts_text, free_network

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[tuple[Site, Kdc]]:
    """Two hosts that have their keys of a realm in which pushadm has the password of the lab's account."""
    folder = tmp_path_factory.mktemp("realm")
    network = free_network()
    lab = Lab(folder / "state", network, folder / "inventory")
    site = Site(lab=start_lab(lab, healthy(2)), files=folder / "inventory")
    (folder / "kdc").mkdir()
    with Kdc(folder / "kdc", network.replace(".0/24", ".253")) as kdc:
        kdc.add_user("pushadm", lab.secret("push-2026"))
        keytab = kdc.keytab(host.fqdn for host in lab.hosts.values())
        for host in lab.hosts.values():
            shutil.copy(keytab, host.folder / "krb5.keytab")
        yield site, kdc
    lab.down()


def pushed(site: Site, kdc: Kdc, folder: Path, password: str, scheme: str) -> Ended:
    folder.mkdir()
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(password)
    account = {"name": "domain", "user": f"pushadm@{REALM}", "secret": f"file:{secret}", "protocol": "kerberos"}
    (folder / "accounts.toml").write_text(accounts_text(account))
    hosts = [f"{{name: {host.fqdn}, winrm: {{scheme: {scheme}}}}}" for host in site.lab.hosts.values()]
    pusher = site.pusher(folder / "run", site.package_of(folder / "package"))
    pusher = replace(pusher, accounts=folder / "accounts.toml", environment=kdc.environment)
    return pusher.push(site.inventory_of(folder, hosts, transports="winrm"), "--connect-timeout", "30")


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_push_by_ticket(realm: tuple[Site, Kdc], tmp_path: Path, scheme: str) -> None:
    site, kdc = realm
    before = {host.name: len(host.winrm_log("sign-in")) for host in site.lab.hosts.values()}
    ended = pushed(site, kdc, tmp_path / "push", site.lab.secret("push-2026"), scheme)
    for host in site.lab.hosts.values():
        assert ended.outcomes[host.fqdn]["status"] in ("installed", "unchanged"), ended.everything_said()
        assert ended.outcomes[host.fqdn]["protocol"] == "kerberos"
        (seen,) = host.winrm_log("sign-in")[before[host.name] :]
        assert (seen["protocol"], seen["status"]) == ("kerberos", "NT_STATUS_OK")
        assert f"pushadm@{REALM} for host/{host.fqdn}@{REALM}" in kdc.log()


def test_a_wrong_password_is_tried_once_at_the_kdc_and_at_no_host(realm: tuple[Site, Kdc], tmp_path: Path) -> None:
    site, kdc = realm
    before = {host.name: len(host.winrm_log("sign-in")) for host in site.lab.hosts.values()}
    failures = kdc.log().count("PREAUTH_FAILED")
    ended = pushed(site, kdc, tmp_path / "push", "not the password", "https")
    assert sorted(str(code) for _, code in ended.verdicts.values()) == ["lockout-budget-spent", "wrong-password"]
    assert kdc.log().count("PREAUTH_FAILED") == failures + 1
    assert {host.name: len(host.winrm_log("sign-in")) for host in site.lab.hosts.values()} == before
