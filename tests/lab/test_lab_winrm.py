"""The endpoint, asked by an independent client: certificates, sign-in, channel binding, message encryption."""

from __future__ import annotations

import base64
import hashlib
import http.client
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pypsrp.exceptions import AuthenticationError, WinRMTransportError, WSManFaultError
from spnego._ntlm_raw.messages import AvId, Challenge, Negotiate, NegotiateFlags

from lab import Host, Lab
from lab.kdc import Kdc
from tests.lab.clients import Client, network
from tests.lab.test_lab_scenarios import host_of
from tests.lab.winrm import Tap, WinRm, resolved

pytestmark = pytest.mark.lab

_MARKER = "PLAINTEXTMARKER77"
_SELF_SIGNED, _NO_ISSUER, _EXPIRED, _WRONG_NAME = 18, 20, 10, 62  # OpenSSL's X509_V_ERR_*


@pytest.fixture
def healed(shared_host: Host) -> Iterator[Host]:
    """The shared host, whose endpoint behaves again afterwards."""
    yield shared_host
    shared_host.winrm()


def shake_hands(lab: Lab, host: Host) -> None:
    context = ssl.create_default_context(cafile=str(lab.ca))
    with socket.create_connection((host.address, 5986), timeout=10) as connection:
        context.wrap_socket(connection, server_hostname=host.fqdn).close()


def statuses(host: Host) -> list[str]:
    return [row["status"] for row in host.winrm_log("sign-in")]


# -- certificates and ports ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("winrm-untrusted", _NO_ISSUER),
        ("winrm-pinned", _SELF_SIGNED),
        ("winrm-expired", _EXPIRED),
        ("winrm-wrong-name", _WRONG_NAME),
    ],
)
def test_certificates_that_are_not_to_be_trusted(own_lab: Lab, scenario: str, code: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(own_lab, host_of(own_lab, scenario))
    assert caught.value.verify_code == code


@pytest.mark.parametrize("scenario", ["healthy", "winrm-relay", "winrm-only"])
def test_certificates_that_are(own_lab: Lab, scenario: str) -> None:
    shake_hands(own_lab, host_of(own_lab, scenario))


def test_the_fingerprint_is_that_of_the_certificate_presented(own_lab: Lab) -> None:
    for scenario in ("winrm-pinned", "winrm-relay"):
        host = host_of(own_lab, scenario)
        presented = ssl.get_server_certificate((host.address, 5986))
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(presented)).hexdigest() == host.fingerprint


@pytest.mark.parametrize(
    ("scenario", "open_ports"),
    [
        ("healthy", {445, 5985, 5986}),
        ("winrm-only", {5985, 5986}),
        ("smb-only", {445}),
        ("both-closed", set()),
        ("winrm-untrusted", {5986}),
        ("winrm-drops", {5985}),
    ],
)
def test_ports_that_are_open(own_lab: Lab, scenario: str, open_ports: set[int]) -> None:
    host = host_of(own_lab, scenario)
    found = set()
    for port in (445, 5985, 5986):
        with socket.socket() as probe:
            probe.settimeout(5)
            if probe.connect_ex((host.address, host.port if port == 445 else port)) == 0:
                found.add(port)
    assert found == open_ports


def test_a_fault_of_the_link_on_one_port_leaves_the_others_alone(own_lab: Lab, shared_host: Host) -> None:
    shared_host.link("refuse", port=5986)
    try:
        with pytest.raises(ConnectionRefusedError):
            shake_hands(own_lab, shared_host)
        assert WinRm(own_lab, shared_host, http=True).run("exit 4")[2] == 4
        assert "Temp" in Client(own_lab, shared_host).smb("ls")
    finally:
        shared_host.heal()
    shake_hands(own_lab, shared_host)


# -- who is it ----------------------------------------------------------------------------------------------


def test_the_challenge_names_the_host(shared_host: Host) -> None:
    connection = http.client.HTTPConnection(shared_host.address, 5985, timeout=10)
    hello = Negotiate(NegotiateFlags.unicode | NegotiateFlags.extended_session_security).pack()
    connection.request("POST", "/wsman", headers={"Authorization": f"Negotiate {base64.b64encode(hello).decode()}"})
    answer = connection.getresponse()
    assert answer.status == 401
    scheme, _, token = (answer.getheader("WWW-Authenticate") or "").partition(" ")
    names = Challenge.unpack(base64.b64decode(token)).target_info
    assert scheme == "Negotiate"
    assert names is not None
    assert names[AvId.nb_computer_name] == shared_host.name.upper()
    assert names[AvId.dns_computer_name] == shared_host.fqdn
    assert names[AvId.dns_domain_name] == "lab.test"


def test_whoever_brings_no_token_finds_the_connection_closed(shared_host: Host) -> None:
    """As recordings of Windows have it; only the challenge of an exchange that goes on leaves it open."""
    for method, status in (("POST", 401), ("GET", 405)):
        with socket.create_connection((shared_host.address, 5985), timeout=10) as connection:
            connection.sendall(f"{method} /wsman HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(1 << 16):  # until it closes
                answer += piece
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"\r\nconnection: close\r\n" in answer.lower()


def test_identify_needs_no_sign_in(shared_host: Host) -> None:
    connection = http.client.HTTPConnection(shared_host.address, 5985, timeout=10)
    connection.request("POST", "/wsman", body=b"<x/>", headers={"WSMANIDENTIFY": "unauthenticated"})
    answer = connection.getresponse()
    assert (answer.status, b"ProductVendor>Microsoft Corporation<" in answer.read()) == (200, True)


@pytest.mark.parametrize("plain_http", [True, False])
@pytest.mark.parametrize("user", ["pushadm", r".\pushadm", r"{host}\PUSHADM"])
def test_an_administrator_signs_in(own_lab: Lab, shared_host: Host, user: str, plain_http: bool) -> None:
    way = WinRm(own_lab, shared_host, user.format(host=shared_host.name), http=plain_http)
    assert way.run("echo here")[0].strip() == "here"
    last = shared_host.winrm_log("sign-in")[-1]
    assert (last["status"], last["secure"], last["bound"]) == ("NT_STATUS_OK", not plain_http, not plain_http)


@pytest.mark.parametrize(
    ("scenario", "status"),
    [
        ("wrong-password", "NT_STATUS_WRONG_PASSWORD"),
        ("locked", "NT_STATUS_ACCOUNT_LOCKED_OUT"),
        ("disabled", "NT_STATUS_ACCOUNT_DISABLED"),
        ("must-change", "NT_STATUS_PASSWORD_MUST_CHANGE"),
        ("account-expired", "NT_STATUS_ACCOUNT_EXPIRED"),
        ("winrm-denied", "NT_STATUS_OK"),
    ],
)
def test_who_is_not_let_in_gets_401(own_lab: Lab, scenario: str, status: str) -> None:
    host = host_of(own_lab, scenario)
    with pytest.raises(AuthenticationError):
        WinRm(own_lab, host, http=True).run("ver")
    assert statuses(host)[-1] == status
    assert host.winrm_log("request") == []


def test_nobody_and_no_basic(own_lab: Lab, shared_host: Host) -> None:
    with pytest.raises(AuthenticationError):
        WinRm(own_lab, shared_host, "nosuchuser").run("ver")
    assert statuses(shared_host)[-1] == "NT_STATUS_NO_SUCH_USER"
    before = len(shared_host.winrm_log())
    with pytest.raises(AuthenticationError):
        WinRm(own_lab, shared_host, auth="basic").run("ver")
    assert len(shared_host.winrm_log()) == before


def test_who_is_no_administrator_is_refused_everything(own_lab: Lab, shared_host: Host) -> None:
    way = WinRm(own_lab, shared_host, "clerk", "clerk")
    asked: list[Callable[[], object]] = [
        lambda: way.run("ver"),
        lambda: way.get("Win32_Service", Name="RpcSs"),
        way.client.wsman.get_server_config,
    ]
    for ask in asked:
        with pytest.raises(WSManFaultError) as caught, resolved(shared_host):
            ask()
        assert caught.value.code == 5
    assert shared_host.shells() == []


# -- channel binding ----------------------------------------------------------------------------------------


def test_a_relay_with_a_trusted_certificate_is_found_out(own_lab: Lab) -> None:
    host = host_of(own_lab, "winrm-relay")
    with pytest.raises(AuthenticationError):
        WinRm(own_lab, host).run("ver")
    assert statuses(host)[-1] == "NT_STATUS_BAD_BINDINGS"
    # Who binds nothing is relayed, and would have lost the day: the relay does work.
    assert WinRm(own_lab, host, negotiate_send_cbt=False).run("exit 7")[2] == 7


def test_strict_binding_wants_one(own_lab: Lab, healed: Host) -> None:
    healed.winrm(binding="strict")
    assert WinRm(own_lab, healed).run("exit 7")[2] == 7
    with pytest.raises(AuthenticationError):
        WinRm(own_lab, healed, negotiate_send_cbt=False).run("ver")


# -- message encryption -------------------------------------------------------------------------------------


def test_nothing_of_a_command_is_in_clear_on_5985(own_lab: Lab, healed: Host) -> None:
    tap = Tap(healed, 5985)
    out, _, _ = WinRm(own_lab, healed, http=True, server="127.0.0.1", port=tap.port).run(f"echo {_MARKER}")
    assert _MARKER in out
    assert len(tap.seen) > 2000
    assert _MARKER.encode() not in tap.seen
    assert b"Envelope" not in tap.seen
    tap.close()
    # The same unencrypted: the tap does see what is in clear.
    healed.winrm(allow_unencrypted=True)
    tap = Tap(healed, 5985)
    way = WinRm(own_lab, healed, http=True, server="127.0.0.1", port=tap.port, encryption="never")
    way.run(f"echo {_MARKER}")
    assert _MARKER.encode() in tap.seen
    tap.close()


def test_unencrypted_is_refused(own_lab: Lab, shared_host: Host) -> None:
    with pytest.raises(WinRMTransportError) as caught:
        WinRm(own_lab, shared_host, http=True, encryption="never").run("ver")
    assert caught.value.code == 500
    assert shared_host.winrm_log()[-1]["event"] == "unencrypted-refused"


def test_a_changed_message_is_refused_and_does_nothing(own_lab: Lab, shared_host: Host) -> None:
    def flip(data: bytes) -> bytes:
        end = data.rfind(b"--Encrypted Boundary--")
        return data[: end - 9] + bytes([data[end - 9] ^ 1]) + data[end - 8 :] if end > 200 else data

    requests = len(shared_host.winrm_log("request"))
    tap = Tap(shared_host, 5985, flip)
    with pytest.raises(WinRMTransportError) as caught:
        WinRm(own_lab, shared_host, http=True, server="127.0.0.1", port=tap.port).run("ver")
    assert caught.value.code == 400
    assert shared_host.winrm_log()[-1]["event"] == "seal-broken"
    assert len(shared_host.winrm_log("request")) == requests
    tap.close()


# -- behaviour that a test chooses --------------------------------------------------------------------------


def test_http_statuses_quota_and_size(own_lab: Lab, healed: Host) -> None:
    healed.winrm(status=503)
    with pytest.raises(WinRMTransportError) as refused:
        WinRm(own_lab, healed).run("ver")
    assert refused.value.code == 503
    healed.winrm(max_envelope_kb=1)
    with pytest.raises(WSManFaultError) as large:
        WinRm(own_lab, healed).run("ver")
    assert large.value.code == 2150858790


def test_a_dropped_connection_is_dropped_once_and_after_the_deed(own_lab: Lab, host: Host) -> None:
    host.winrm(drop_on="Win32_Service.Create")
    given = {"Name": "Dropped", "DisplayName": "x", "PathName": r"C:\x.exe", "StartMode": "Manual"}
    with pytest.raises(Exception, match=r"(?i)connection|remote end"):
        WinRm(own_lab, host, reconnection_retries=0).invoke("Win32_Service", "Create", **given)
    assert [row["event"] for row in host.winrm_log()][-1] == "dropped"
    assert "Dropped" in [service.name for service in host.services()]
    assert WinRm(own_lab, host).code("Win32_Service", "Create", **given) == 23


def test_a_request_that_is_never_answered(own_lab: Lab, healed: Host) -> None:
    healed.winrm(hang_on="Win32_Processor")
    way = WinRm(own_lab, healed, read_timeout=2)
    assert way.get("Win32_ComputerSystem")["DNSHostName"] == healed.name
    with pytest.raises(Exception, match=r"(?i)timed out"):
        way.get("Win32_Processor")
    assert healed.winrm_log()[-1]["event"] == "hangs"


def test_connections_that_are_open_can_be_cut(own_lab: Lab, shared_host: Host) -> None:
    way = WinRm(own_lab, shared_host, reconnection_retries=0)
    assert way.run("exit 1")[2] == 1
    with socket.create_connection((shared_host.address, 5985), timeout=10) as idle:
        idle.sendall(b"POST")
        idle.settimeout(0.2)
        limit = time.monotonic() + 10
        with pytest.raises(ConnectionResetError):
            while time.monotonic() < limit:  # the proxy may not have accepted it yet
                assert shared_host.cut_winrm() >= 0
                with suppress(TimeoutError):
                    idle.recv(1)
    assert WinRm(own_lab, shared_host).run("exit 1")[2] == 1
    assert "Temp" in Client(own_lab, shared_host).smb("ls")


def test_a_link_that_stalls_stalls_winrm(own_lab: Lab, host: Host) -> None:
    host.link("stall", after=4000, port=5985)
    try:
        with pytest.raises(Exception, match=r"(?i)timed out"):
            WinRm(own_lab, host, http=True, read_timeout=2).run("ver")
        assert WinRm(own_lab, host).run("exit 4")[2] == 4
    finally:
        host.heal()
    assert WinRm(own_lab, host, http=True).run("exit 4")[2] == 4


def test_kerberos_where_there_is_a_keytab(
    own_lab: Lab, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kdc(tmp_path, network(1).replace(".0/24", ".253")) as kdc:
        kdc.add_user("pushadm", own_lab.secret("push-2026"))
        shutil.copy(kdc.keytab([host.fqdn]), host.folder / "krb5.keytab")
        for name, value in kdc.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "cache"))
        for plain_http in (False, True):
            way = WinRm(
                *(own_lab, host, "pushadm@LAB.TEST"), http=plain_http, auth="kerberos", negotiate_service="HTTP"
            )
            assert way.run("exit 9")[2] == 9
    assert {row["protocol"] for row in host.winrm_log("sign-in")} == {"kerberos"}


def test_passwords_are_in_no_log_and_in_no_commands_environment(own_lab: Lab, shared_host: Host) -> None:
    out, _, _ = WinRm(own_lab, shared_host).run("set")
    assert "WINEPREFIX" in out
    assert "NTLM" not in out
    for secret in (own_lab.secret("push-2026"), own_lab.secret("clerk")):
        assert secret not in out
        for log in (path for path in (shared_host.folder / "log").rglob("*") if path.is_file()):
            assert secret not in log.read_text(encoding="utf-8", errors="replace")


def test_the_endpoint_is_a_process_of_the_host_and_comes_back_with_it(own_lab: Lab, host: Host) -> None:
    host.reset()
    assert not any("lab.winrm" in process.command for process in host.processes())
    assert WinRm(own_lab, host).run("exit 3")[2] == 3
    assert any("lab.winrm" in process.command for process in host.processes())
    host.reboot()
    assert WinRm(own_lab, host).run("exit 3")[2] == 3
