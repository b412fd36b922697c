"""The faults of a real host's link, and the host's own ends, as an independent client meets them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from impacket.nmb import NetBIOSTimeout
from impacket.smbconnection import SMBConnection

from lab import Host, Lab
from tests.lab.clients import Client

pytestmark = pytest.mark.lab


@pytest.fixture
def admin(own_lab: Lab, host: Host) -> Client:
    return Client(own_lab, host)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(20_000_000))  # more than one write, which is of 8 MiB at most
    return path


def test_a_stall_in_mid_copy_and_healing(admin: Client, host: Host, large: Path) -> None:
    host.link("stall", after=100_000)
    assert "NT_STATUS_IO_TIMEOUT" in admin.smb(f"put {large} a.bin", options=("-t", "2"))
    written = (host.admin_share / "a.bin").stat().st_size
    assert written < 100_000
    host.heal()
    assert "putting file" in admin.smb(f"put {large} a.bin")


def test_a_reset_in_mid_copy(admin: Client, host: Host, tmp_path: Path) -> None:
    path = tmp_path / "one-write.bin"
    path.write_bytes(bytes(1_000_000))
    host.link("reset", after=100_000)
    assert "NT_STATUS_CONNECTION" in admin.smb(f"put {path} a.bin")


def test_a_killed_server_in_mid_copy_leaves_a_part_and_a_working_host(admin: Client, host: Host, large: Path) -> None:
    before = {process.pid for process in host.processes() if process.command.startswith("smbd")}
    host.link("kill-smbd", after=10_000_000, times=1)
    assert "NT_STATUS_CONNECTION" in admin.smb(f"put {large} a.bin")
    assert 0 < (host.admin_share / "a.bin").stat().st_size < 20_000_000
    assert before <= {process.pid for process in host.processes()}, "smbd's first processes live on"
    assert "putting file" in admin.smb(f"put {large} a.bin")  # the fault was for one connection


def test_a_server_killed_at_once_is_never_the_listening_one(admin: Client, host: Host) -> None:
    host.link("kill-smbd", times=20)
    for _ in range(20):
        assert "NT_STATUS_" in admin.smb("ls")
    assert "Temp" in admin.smb("ls")


def test_refused_and_healed(admin: Client, host: Host) -> None:
    host.link("refuse")
    assert "NT_STATUS_CONNECTION_REFUSED" in admin.smb("ls")
    host.heal()
    assert "Temp" in admin.smb("ls")


def test_a_delay(admin: Client, host: Host) -> None:
    host.link("delay", ms=60_000)
    with pytest.raises(NetBIOSTimeout):  # it takes the connection, and says nothing
        SMBConnection(host.address, host.address, sess_port=host.port, timeout=1)
    host.heal()
    assert "Temp" in admin.smb("ls")


def test_killing_the_children_of_open_connections(admin: Client, host: Host, large: Path) -> None:
    output: list[str] = []
    host.link("delay", ms=50)  # so that the copy lasts
    copy = threading.Thread(target=lambda: output.append(admin.smb(f"put {large} a.bin")))
    copy.start()
    limit = time.monotonic() + 10
    while not (host.admin_share / "a.bin").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert host.kill_smbd_children() == 1
    copy.join(10)
    assert "NT_STATUS_CONNECTION" in output[0]
    assert host.kill_smbd_children() == 0


def test_a_host_keeps_its_disk_when_the_plug_is_pulled(admin: Client, host: Host, large: Path) -> None:
    admin.smb(f"put {large} a.bin")
    host.kill()
    assert "NT_STATUS_CONNECTION_REFUSED" in admin.smb("ls")
    host.start()
    assert "a.bin" in admin.smb("ls")
    host.reset()
    assert "a.bin" not in admin.smb("ls")


def test_a_reboot_keeps_services_as_they_were_written(admin: Client, host: Host) -> None:
    command = r'"%SystemRoot%\labagent\labagent.exe" --site here'
    assert "Successfully created" in admin.service("create", "LabAgent", "Lab agent", command)
    host.reboot()
    assert command in {service.image_path for service in host.services()}
    assert r'"C:\WINDOWS\labagent\labagent.exe" --site here' in admin.service("status", "LabAgent")
