"""Members of the directory: who is an administrator there, what counts where, and a whole push by ticket."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Host, Lab
from lab.domain import Domain
from lab.plan import members
from tests.conftest import StartLab
from tests.system.site import Site, accounts_text, free_network

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("members")
    lab = start_lab(Lab(folder / "state", free_network(), folder / "inventory"), members(2))
    yield Site(lab=lab, files=folder / "inventory")
    lab.down()


@pytest.fixture
def domain(place: Site) -> Iterator[Domain]:
    found = place.lab.domain
    assert found is not None
    yield found
    found.reset()


def smb(host: Host, tmp_path: Path, user: str, password: str, workgroup: str) -> str:
    """What smbclient says of the administrators' share, by NTLM."""
    file = tmp_path / "account"
    file.touch(mode=0o600)
    file.write_text(f"username = {user}\npassword = {password}\ndomain = {workgroup}\n")
    command = ["smbclient", "-p", str(host.port), f"//{host.address}/ADMIN$", "-A", str(file), "-c", "ls system.ini"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_who_is_an_administrator_by_ntlm(place: Site, domain: Domain, tmp_path: Path) -> None:
    host = place.host("ms01")
    workgroup = domain.netbios
    assert "system.ini" in smb(host, tmp_path, "push1", domain.password("push1"), workgroup)
    assert "ACCESS_DENIED" in smb(host, tmp_path, "nolaps", domain.password("nolaps"), workgroup)
    assert "system.ini" in smb(host, tmp_path, "pushadm", place.lab.secret("push-2026"), ".")
    assert "system.ini" in smb(host, tmp_path, "lapsadm", domain.laps_password("ms01"), ".")
    assert domain.laps_password("ms01") != domain.laps_password("ms02")


def test_a_wrong_password_at_a_member_counts_in_the_directory(place: Site, domain: Domain, tmp_path: Path) -> None:
    host = place.host("ms01")
    before = len(host.sign_ins())
    assert "LOGON_FAILURE" in smb(host, tmp_path, "push2", "wrong", domain.netbios)
    assert domain.bad_password_count("push2") == 1
    assert {(row.user, row.status) for row in host.sign_ins()[before:]} == {("push2", "NT_STATUS_WRONG_PASSWORD")}


@pytest.mark.parametrize("transport", ["smb", "winrm"])
def test_a_whole_push_by_ticket(place: Site, domain: Domain, tmp_path: Path, transport: str) -> None:
    account = {
        "name": "domain",
        "user": f"push1@{domain.realm}",
        "secret": f"file:{domain.secret_file('push1')}",
        "protocol": "kerberos",
    }
    (tmp_path / "accounts.toml").write_text(accounts_text(account))
    pusher = place.pusher(tmp_path / "run", place.package_of(tmp_path / "package"))
    pusher = replace(pusher, accounts=tmp_path / "accounts.toml", environment=domain.environment)
    hosts = list(place.lab.hosts.values())
    ended = pusher.push(place.inventory_of(tmp_path, hosts, transports=transport), "--connect-timeout", "30")
    for host in hosts:
        assert ended.outcomes[host.fqdn]["status"] in ("installed", "unchanged"), ended.everything_said()
        assert ended.outcomes[host.fqdn]["protocol"] == "kerberos"
    assert domain.bad_password_count("push1") == 0


def test_a_member_is_one_after_a_restart_too(place: Site, domain: Domain, tmp_path: Path) -> None:
    host = place.host("ms02")
    keys = (host.folder / "membership" / "krb5.keytab").read_bytes()
    host.reboot()
    assert (host.folder / "membership" / "krb5.keytab").read_bytes() == keys
    assert "system.ini" in smb(host, tmp_path, "push1", domain.password("push1"), domain.netbios)


def test_the_machine_has_no_key_of_the_members(place: Site) -> None:
    """Samba's tools write into the system's keytab unless they are told of another."""
    keytab = Path("/etc/krb5.keytab")
    assert not keytab.exists() or b"AD.LAB.TEST" not in keytab.read_bytes()
