"""A host as independent clients find it: shares, service manager, other pipes, and nothing that should not show."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from pathlib import Path

import pytest
from impacket.dcerpc.v5 import scmr
from impacket.smbconnection import SMBConnection
from smbprotocol.connection import Connection
from smbprotocol.session import Session

from lab import Host, Lab
from lab.build import build_all, default_cache
from tests.lab.clients import Client, create_agent_service, put_agent, start, status
from tests.system import witness

pytestmark = pytest.mark.lab


@pytest.fixture
def agent() -> Path:
    return build_all(default_cache()).agent


@pytest.fixture
def admin(own_lab: Lab, host: Host) -> Client:
    return Client(own_lab, host)


@pytest.fixture
def clerk(own_lab: Lab, shared_host: Host) -> Client:
    return Client(own_lab, shared_host, "clerk", "clerk")


def test_files_come_back_as_they_went(admin: Client, host: Host, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "there").write_bytes(data)
    admin.smb(f"put {tmp_path}/there Temp\\file.bin; get Temp\\file.bin {tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == data
    assert (host.admin_share / "Temp" / "file.bin").read_bytes() == data
    assert "file.bin" in admin.smb("ls windows\\Temp\\*", share="C$")


def test_an_ordinary_user_signs_in_and_is_refused(clerk: Client) -> None:
    assert "NT_STATUS_ACCESS_DENIED" in clerk.smb("ls")
    assert "NT_STATUS_ACCESS_DENIED" in clerk.smb("ls", share="C$")
    assert "WERR_ACCESS_DENIED" in clerk.service("create", "x", "x", "c:\\x.exe")


def test_only_smb_3_1_1_and_ntlm_2_are_spoken(own_lab: Lab, shared_host: Host) -> None:
    client = Client(own_lab, shared_host)
    assert "Temp" in client.smb("ls")
    older = client.smb("ls", options=("--option=client max protocol=SMB3_02",))
    assert "NT_STATUS_INVALID_NETWORK_RESPONSE" in older or "NT_STATUS_NOT_SUPPORTED" in older
    assert "NT_STATUS_" in client.smb("ls", options=("--option=client ntlmv2 auth=no", "--option=client use spnego=no"))


def test_the_challenge_names_the_host(own_lab: Lab, shared_host: Host) -> None:
    """Before any secret is sent, so that a name that leads to another machine shows."""
    connection = SMBConnection(shared_host.address, shared_host.address, sess_port=shared_host.port)
    connection.login("pushadm", own_lab.secret("push-2026"))
    assert connection.getServerName() == shared_host.name.upper()
    assert connection.getServerDNSHostName() == shared_host.fqdn
    connection.close()


def test_signing_is_demanded(own_lab: Lab, shared_host: Host) -> None:
    connection = Connection(uuid.uuid4(), shared_host.address, shared_host.port, require_signing=False)
    connection.connect(timeout=10)
    session = Session(
        connection, "pushadm", own_lab.secret("push-2026"), require_encryption=False, auth_protocol="ntlm"
    )
    session.connect()
    assert session.signing_required
    assert connection.dialect == 0x311
    connection.disconnect()


def test_the_service_manager_from_beginning_to_end(admin: Client, host: Host, agent: Path) -> None:
    put_agent(admin, agent)
    command = r'"%SystemRoot%\labagent\labagent.exe" --site here --fault none'
    assert "Successfully created" in admin.service("create", "LabAgent", "Lab agent", command)
    assert "Successfully started" in admin.service("start", "LabAgent")
    shown = admin.service("status", "LabAgent")
    assert "service is running" in shown
    assert r'"C:\WINDOWS\labagent\labagent.exe" --site here --fault none' in shown  # expanded, as Windows gives it
    assert "LabAgent" in admin.service("list")
    limit = time.monotonic() + 10
    beats = host.admin_share / "labagent" / "heartbeat.txt"
    while not beats.exists() or "version=1.4.2 site=here" not in beats.read_text(encoding="ascii"):
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert any("labagent.exe" in process.command for process in host.processes())
    admin.service("stop", "LabAgent")
    assert "service is stopped" in admin.service("status", "LabAgent")
    assert witness.agents(host) == ()
    assert "Successfully deleted" in admin.service("delete", "LabAgent")
    assert "LabAgent" not in {service.name for service in host.services()}


def test_a_call_of_many_fragments_passes_both_ways(admin: Client, host: Host) -> None:
    path = "c:\\x.exe " + "x" * 20_000
    with admin.manager() as (rpc, manager):
        created = scmr.hRCreateServiceW(rpc, manager, "Large\0", "Large\0", lpBinaryPathName=path + "\0")
        answer = scmr.hRQueryServiceConfigW(rpc, created["lpServiceHandle"])
        assert answer["lpServiceConfig"]["lpBinaryPathName"].rstrip("\0") == path
    assert path in {service.image_path for service in host.services()}


def test_a_start_that_takes_long_holds_nobody_up(admin: Client, agent: Path) -> None:
    put_agent(admin, agent)
    with admin.manager() as (rpc, manager), admin.manager() as (other, other_manager):
        service = create_agent_service(rpc, manager, "hang")
        codes: list[int] = []
        starter = threading.Thread(target=lambda: codes.append(start(rpc, service)))
        starter.start()
        starting = scmr.hROpenServiceW(other, other_manager, "LabAgent\0")["lpServiceHandle"]
        while status(other, starting)["dwCurrentState"] != scmr.SERVICE_START_PENDING:
            assert codes == []
        opened = scmr.hROpenServiceW(other, other_manager, "RpcSs\0")["lpServiceHandle"]
        assert status(other, opened)["dwCurrentState"] in (1, 4)
        assert codes == []  # answered while the start still waits
        starter.join(30)
        assert codes == [1053]


def test_other_pipes_answer(own_lab: Lab, shared_host: Host) -> None:
    client = Client(own_lab, shared_host)
    assert "platform_id" in client.rpc("srvinfo")
    assert "pushadm S-1-5-21-" in client.rpc("lookupnames pushadm")
    assert "[clerk]" in client.rpc("enumdomusers")


def test_nothing_but_the_gate_listens_outside(own_lab: Lab, shared_host: Host) -> None:
    """Above all not the relay, behind which Wine's service manager asks nobody who he is."""
    mark = shared_host.mark
    assert mark is not None
    inside = listening(Path(f"/proc/{mark.pid}/net/tcp"))
    assert ("127.0.0.1", 445) in inside
    relay = [port for address, port in inside if address == "127.0.0.1" and port not in (445, 135)]
    assert relay, "the relay listens somewhere inside"
    for port in relay:
        for address in ("127.0.0.1", shared_host.address):
            with socket.socket() as probe:
                probe.settimeout(2)
                if (address, port) not in listening(Path("/proc/net/tcp")):
                    assert probe.connect_ex((address, port)) == 111
    prefix = shared_host.address.rpartition(".")[0]
    outside = {port for address, port in listening(Path("/proc/net/tcp")) if address.startswith(prefix)}
    assert outside == {shared_host.port, 5985, 5986, int(own_lab.nameserver.rpartition(":")[2])}


def listening(table: Path) -> set[tuple[str, int]]:
    """Addresses and ports on which sockets of a network namespace listen."""
    found = set()
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state == "0A":
            address, port = local.split(":")
            found.add((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)))
    return found


def test_attempts_to_sign_in_are_counted(own_lab: Lab, host: Host) -> None:
    assert host.sign_ins() == []
    Client(own_lab, host, "pushadm", "clerk").smb("ls")  # another's password
    Client(own_lab, host).smb("ls")
    assert [(attempt.user, attempt.status) for attempt in host.sign_ins()] == [
        ("pushadm", "NT_STATUS_WRONG_PASSWORD"),
        ("pushadm", "NT_STATUS_OK"),
    ]


def test_a_held_file_is_in_use_until_released(admin: Client, host: Host, agent: Path) -> None:
    put_agent(admin, agent)
    host.hold("labagent\\labagent.exe")
    assert "NT_STATUS_SHARING_VIOLATION" in admin.smb(f"put {agent} labagent\\labagent.exe")
    assert "NT_STATUS_SHARING_VIOLATION" in admin.smb("get labagent\\labagent.exe /dev/null")  # which shares
    host.release("labagent\\labagent.exe")
    assert "putting file" in admin.smb(f"put {agent} labagent\\labagent.exe")


@pytest.mark.parametrize(
    ("fault", "code", "state", "exit_code"),
    [
        ("none", 0, 4, 0),
        ("exit", 1053, 1, None),
        ("pending", 0, 2, None),
        ("slow", 0, 4, 0),
        ("fail", 0, 1, 1066),
        ("exit-later", 0, 1, 1066),
    ],
)
def test_the_agents_faults(
    admin: Client, agent: Path, fault: str, code: int, state: int, exit_code: int | None
) -> None:
    """What StartService answers, and what the status says once it rests (five seconds at most)."""
    put_agent(admin, agent)
    with admin.manager() as (rpc, manager):
        service = create_agent_service(rpc, manager, fault)
        assert start(rpc, service) == code
        limit = time.monotonic() + (5 if fault in ("slow", "exit-later", "fail") else 1)
        checkpoints, now = set(), status(rpc, service)
        while time.monotonic() < limit:
            now = status(rpc, service)
            checkpoints.add(now["dwCheckPoint"])
            time.sleep(0.1)
        assert now["dwCurrentState"] == state
        if exit_code is not None:
            assert now["dwWin32ExitCode"] == exit_code
        if fault in ("fail", "exit-later"):
            assert now["dwServiceSpecificExitCode"] == 42
        if fault == "slow":
            assert len(checkpoints) > 3
        if fault == "pending":
            assert checkpoints == {1}
