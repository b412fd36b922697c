"""Kerberos by name over WinRM: a real KDC, tickets that the hosts accept, and a password that no host sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
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


def pushed(site: Site, kdc: Kdc, folder: Path, password: str, scheme: str, reference: str = "") -> Ended:
    folder.mkdir()
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(password)
    account = {
        "name": "domain", "user": f"pushadm@{REALM}", "secret": reference or f"file:{secret}", "protocol": "kerberos",
    }  # fmt: skip
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
    assert sorted(str(code) for _, code in ended.verdicts.values()) == ["account-stopped", "wrong-password"]
    assert kdc.log().count("PREAUTH_FAILED") == failures + 1
    assert {host.name: len(host.winrm_log("sign-in")) for host in site.lab.hosts.values()} == before


def as_reqs(kdc: Kdc) -> int:
    """Those that came with something made of a key."""
    return len(re.findall(r"AS_REQ .*(?:ISSUE|PREAUTH_FAILED):", kdc.log()))


@pytest.mark.parametrize("kind", ["file", "keytab", "ccache"])
def test_one_as_req_a_run_whatever_proves_the_account(realm: tuple[Site, Kdc], tmp_path: Path, kind: str) -> None:
    """None at all where somebody else has got the ticket; and without the password in any file of pusher's."""
    site, kdc = realm
    password, path = site.lab.secret("push-2026"), tmp_path / "push.key"
    reference = "" if kind == "file" else f"{kind}:{path}"
    if kind == "keytab":
        kdc._kadmin(f"ktadd -k {path} -norandkey pushadm")
        path.chmod(0o600)
    if kind == "ccache":
        ticket_of(kdc, path, password, "1h")
    before = as_reqs(kdc)
    ended = pushed(site, kdc, tmp_path / "push", "unused" if reference else password, "https", reference)
    assert {line["status"] for line in ended.outcomes.values()} <= {"installed", "unchanged"}, ended.everything_said()
    assert as_reqs(kdc) == before + (kind != "ccache")


def test_a_ticket_that_has_expired_reaches_no_host(realm: tuple[Site, Kdc], tmp_path: Path) -> None:
    site, kdc = realm
    before = {host.name: len(host.winrm_log("sign-in")) for host in site.lab.hosts.values()}
    ticket_of(kdc, tmp_path / "cache", site.lab.secret("push-2026"), "1s")
    time.sleep(2.5)
    asked = as_reqs(kdc)
    ended = pushed(site, kdc, tmp_path / "push", "unused", "https", f"ccache:{tmp_path / 'cache'}")
    assert sorted(str(code) for _, code in ended.verdicts.values()) == ["account-stopped", "ticket-expired"]
    assert as_reqs(kdc) == asked
    assert {host.name: len(host.winrm_log("sign-in")) for host in site.lab.hosts.values()} == before


def ticket_of(kdc: Kdc, path: Path, password: str, life: str) -> None:
    subprocess.run(
        ["kinit", "-c", str(path), "-l", life, f"pushadm@{REALM}"],
        input=password, text=True, check=True, capture_output=True, timeout=30, env={**os.environ, **kdc.environment},
    )  # fmt: skip
