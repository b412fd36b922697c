"""Each scenario is what its row says, as far as an independent client can see it."""

from __future__ import annotations

import subprocess

import dns.resolver
import pytest

from lab import Host, Lab
from lab.build import build_all, default_cache
from tests.lab.clients import Client

pytestmark = pytest.mark.lab


def host_of(lab: Lab, scenario: str) -> Host:
    return next(host for host in lab.hosts.values() if host.scenario.name == scenario)


@pytest.mark.parametrize(
    ("scenario", "status"),
    [
        ("not-administrator", "tree connect failed: NT_STATUS_ACCESS_DENIED"),
        ("second-account", "tree connect failed: NT_STATUS_ACCESS_DENIED"),
        ("wrong-password", "NT_STATUS_LOGON_FAILURE"),
        ("locked", "NT_STATUS_ACCOUNT_LOCKED_OUT"),
        ("disabled", "NT_STATUS_ACCOUNT_DISABLED"),
        ("must-change", "NT_STATUS_PASSWORD_MUST_CHANGE"),
        ("account-expired", "NT_STATUS_ACCOUNT_EXPIRED"),
        ("no-admin-share", "NT_STATUS_BAD_NETWORK_NAME"),
        ("port-closed", "NT_STATUS_CONNECTION_REFUSED"),
        ("silent", "NT_STATUS_IO_TIMEOUT"),
        ("garbage", "failed"),
    ],
)
def test_signing_in(own_lab: Lab, scenario: str, status: str) -> None:
    assert status in Client(own_lab, host_of(own_lab, scenario)).smb("ls", options=("-t", "3"))


@pytest.mark.parametrize("scenario", ["mute", "halfway"])
def test_no_answer(own_lab: Lab, scenario: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        Client(own_lab, host_of(own_lab, scenario)).smb("ls", seconds=3)


@pytest.mark.parametrize(
    ("scenario", "path", "status"),
    [
        ("read-only-admin-share", "a.exe", "NT_STATUS_ACCESS_DENIED"),
        ("disk-full", "a.exe", "NT_STATUS_DISK_FULL"),
        ("link-stalls", "a.exe", "NT_STATUS_IO_TIMEOUT"),
        ("smbd-killed", "a.exe", "NT_STATUS_CONNECTION"),
        ("locked-by-another", r"pusher\LabAgent.lock", "NT_STATUS_SHARING_VIOLATION"),
    ],
)
def test_copying(own_lab: Lab, scenario: str, path: str, status: str) -> None:
    agent = build_all(default_cache()).agent
    host = host_of(own_lab, scenario)
    assert status in Client(own_lab, host).smb(f"put {agent} {path}", options=("-t", "3"))
    host.reset()


def test_a_full_disk_says_so_when_asked(own_lab: Lab) -> None:
    host = host_of(own_lab, "disk-full")
    shown = Client(own_lab, host).smb("ls Temp").splitlines()[-1]
    blocks = int(shown.split("size ")[1].split(".")[0]) * int(shown.split()[-3])
    assert 50_000 < blocks < 110_000


def test_the_second_account_is_an_administrator_on_its_host(own_lab: Lab) -> None:
    host = host_of(own_lab, "second-account")
    assert "Temp" in Client(own_lab, host, "oldadm", "push-2025").smb("ls")


@pytest.mark.parametrize(
    ("scenario", "version", "path"),
    [
        ("same-version", "1.4.2", r'"C:\WINDOWS\labagent\labagent.exe" --site lab --fault none'),
        ("older-version", "1.3.0", r'"C:\WINDOWS\labagent\labagent.exe" --site lab --fault none'),
        ("foreign-service", None, r'"C:\Program Files\Contoso\contosoagent.exe" --site contoso'),
    ],
)
def test_services_that_are_there(own_lab: Lab, scenario: str, version: str | None, path: str) -> None:
    host = host_of(own_lab, scenario)
    shown = Client(own_lab, host).service("status", "LabAgent")
    assert "service is running" in shown
    assert path in shown
    assert "Start Type           = 0x2" in shown
    if version is not None:
        beats = host.admin_share / "labagent" / "heartbeat.txt"
        assert f"version={version} site=lab" in beats.read_text(encoding="ascii")
        assert (host.admin_share / "labagent" / "labagent.exe").read_bytes() == build_all(default_cache()).agents[
            version
        ].read_bytes()


def test_names(own_lab: Lab) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    server, _, port = own_lab.nameserver.partition(":")
    resolver.nameservers, resolver.port = [server], int(port)
    for host in own_lab.hosts.values():
        for tcp in (False, True):
            assert [str(record) for record in resolver.resolve(host.fqdn, "A", tcp=tcp)] == [host.address]
    stale, target = host_of(own_lab, "stale-name"), host_of(own_lab, "healthy")
    assert stale.address == target.address
    assert str(resolver.resolve_address(target.address)[0]) == f"{target.fqdn}."
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("ws99.lab.test", "A")
