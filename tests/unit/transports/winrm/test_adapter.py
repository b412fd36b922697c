"""Links and sessions against a listener that speaks real TLS, NTLM and message encryption."""

from __future__ import annotations

import socket
import threading
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pusher.models import Protocol
from pusher.problems import CATALOGUE, BadInput, NextMove, ProblemError
from pusher.transports.codes import Operation
from pusher.transports.port import Endpoint, Limits, Session
from pusher.transports.threaded import Pool
from pusher.transports.winrm.adapter import WinrmTransport, ways
from pusher.transports.winrm.faults import translate
from pusher.transports.winrm.tls import Trust
from pusher.transports.winrm.wire import Wire
from tests.unit.transports.winrm.certificates import NOW, Authority, Issued
from tests.unit.transports.winrm.conftest import HOST, LIMITS, SECRET, credential, endpoint
from tests.unit.transports.winrm.listener import (
    DROP,
    ENVELOPE,
    A,
    Fault,
    Listener,
    Relay,
    Script,
    Seen,
    cim,
    http,
    items,
    secret_free,
)

Listen = Callable[..., Listener]
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


def system(windows: str = "C:\\Windows", drive: str = "C:") -> str:
    return items(cim("XmlFragment", WindowsDirectory=windows, SystemDrive=drive))


def windows(action: str, envelope: ET.Element) -> str | Fault:
    """A machine that knows where Windows is, and its role."""
    text = ET.tostring(envelope, "unicode")
    if "Win32_OperatingSystem" in text:
        return system()
    if "DomainRole" in text:
        return items(cim("XmlFragment", DomainRole=3))
    return Fault(2150858752)


async def code_of(call: Awaitable[object]) -> str:
    with pytest.raises(ProblemError) as caught:
        await call
    return caught.value.problem.code


async def signed_in(transport: WinrmTransport, listener: Listener, limits: Limits = LIMITS) -> Session:
    link = await transport.open(endpoint(listener), limits)
    await link.identify()
    return await link.sign_in(credential())


# Where to go


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (("https", 5986), ("http", 5985))),
        ({"scheme": "http"}, (("http", 5985),)),
        ({"scheme": "https"}, (("https", 5986),)),
        ({"port": 5985}, (("http", 5985),)),
        ({"port": 5986}, (("https", 5986),)),
        ({"port": 4430}, (("https", 4430),)),
        ({"port": 4430, "scheme": "http"}, (("http", 4430),)),
        ({"fingerprint": "ab" * 32}, (("https", 5986),)),
        ({"fingerprint": "ab" * 32, "port": 5985, "scheme": "http"}, (("https", 5985),)),
    ],
)
def test_ways(given: dict[str, object], expected: object) -> None:
    assert ways(Endpoint(host=HOST, address="127.0.0.1", **given)) == expected  # type: ignore[arg-type]


# Certificates


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_is_none(pool: Pool, tmp_path: Path, content: bytes | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        WinrmTransport(pool, ca=ca, content=None)
    assert str(ca) in caught.value.sentence


async def test_who_answers_over_tls(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen()
    link = await transport.open(endpoint(listener), LIMITS)
    who = await link.identify()
    assert who.dialect.startswith("WinRM over TLS 1.")
    assert who.proof == f"certificate for {HOST}, issued by Lab CA"
    assert who.machine
    assert not link.secret_sent
    assert listener.authenticates == 0
    await link.close()


@pytest.mark.parametrize(
    ("issue", "code"),
    [
        (lambda ca, tmp: ca.issue("ws2.lab.test"), "certificate-wrong-name"),
        (lambda ca, tmp: ca.issue("127.0.0.1"), "certificate-wrong-name"),
        (lambda ca, tmp: ca.issue(HOST, common_name_only=True), "certificate-wrong-name"),
        (lambda ca, tmp: ca.issue(HOST, until=NOW), "certificate-expired"),
        (lambda ca, tmp: Authority(tmp, "Nobody's CA").issue(HOST), "certificate-untrusted"),
    ],
)
async def test_a_certificate_that_does_not_hold_up(
    transport: WinrmTransport,
    authority: Authority,
    listen: Listen,
    tmp_path: object,
    issue: Callable[[Authority, object], Issued],
    code: str,
) -> None:
    listener = listen(issue(authority, tmp_path))
    assert await code_of(transport.open(endpoint(listener), LIMITS)) == code
    assert listener.seen == []


async def test_a_bad_certificate_is_no_reason_for_http(
    transport: WinrmTransport, authority: Authority, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure, plain = listen(authority.issue("ws2.lab.test")), listen(False)
    ports = {"https": secure.port, "http": plain.port}
    monkeypatch.setattr("pusher.transports.winrm.adapter._PORTS", ports)
    where = Endpoint(host=HOST, address="127.0.0.1")
    assert await code_of(transport.open(where, LIMITS)) == "certificate-wrong-name"
    assert plain.connections == 0
    secure.close()
    link = await transport.open(where, LIMITS)
    assert (await link.identify()).dialect == "WinRM over HTTP, encrypted"
    await link.close()


async def test_a_listener_that_speaks_no_tls_is_no_reason_for_http(
    transport: WinrmTransport, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = listen(False), listen(False)
    ports = {"https": first.port, "http": second.port}
    monkeypatch.setattr("pusher.transports.winrm.adapter._PORTS", ports)
    assert await code_of(transport.open(Endpoint(host=HOST, address="127.0.0.1"), LIMITS)) == "tls-failed"
    assert second.connections == 0


async def test_a_pinned_certificate(transport: WinrmTransport, listen: Listen, tmp_path: object) -> None:
    """Its issuer, name and dates do not matter; that it is the one does."""
    issued = Authority(tmp_path, "Nobody's CA").issue("elsewhere", until=NOW)  # type: ignore[arg-type]
    listener = listen(issued)
    link = await transport.open(endpoint(listener, fingerprint=issued.fingerprint), LIMITS)
    assert "pinned" in (await link.identify()).proof
    await link.close()


async def test_another_certificate_than_the_pinned_one(
    transport: WinrmTransport, listen: Listen, certificate: Issued
) -> None:
    listener = listen()  # a good certificate, even
    wrong = "0" * 64
    assert wrong != certificate.fingerprint
    assert await code_of(transport.open(endpoint(listener, fingerprint=wrong), LIMITS)) == "certificate-mismatch"
    assert listener.seen == []


async def test_a_second_connection_with_another_certificate(
    transport: WinrmTransport, listen: Listen, authority: Authority
) -> None:
    listener = listen()
    link = await transport.open(endpoint(listener), LIMITS)
    listener.tls = authority.issue(HOST)
    assert await code_of(link.identify()) == "tampered"
    await link.close()


# Signing in


@pytest.mark.parametrize("tls", [True, False])
async def test_one_sign_in_is_one_authenticate(transport: WinrmTransport, listen: Listen, tls: bool) -> None:
    listener = listen(tls, Script(answer=windows))
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    session = await link.sign_in(credential())
    assert link.secret_sent
    assert await session.is_domain_controller() is False
    assert await session.is_domain_controller() is False
    await session.close()
    assert listener.authenticates == 1
    assert listener.connections == 2, "one to ask who answers, one to sign in"
    assert secret_free(listener.seen, SECRET)


async def test_nothing_is_readable_without_tls(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(False, Script(answer=windows))
    session = await signed_in(transport, listener)
    await session.service_status("MarkerOfTheService")
    await session.close()
    assert any(b"MarkerOfTheService" in one.clear for one in listener.seen)
    assert not any(b"MarkerOfTheService" in one.raw for one in listener.seen)
    assert not any(b"Envelope" in one.raw for one in listener.seen)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_wrong_password_is_one_authenticate(transport: WinrmTransport, listen: Listen, tls: bool) -> None:
    listener = listen(tls)
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    assert await code_of(link.sign_in(credential("another"))) == "sign-in-refused"
    assert link.secret_sent
    assert listener.authenticates == 1
    await link.close()


@pytest.mark.parametrize("tls", [True, False])
async def test_a_listener_that_hangs_up_with_its_challenge_is_sent_nothing(
    transport: WinrmTransport, listen: Listen, tls: bool
) -> None:
    """What is made of the password has nowhere to go: the account is charged nothing for it."""
    listener = listen(tls, Script(answer=windows, hangs_up_after_challenge=True))
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    assert await code_of(link.sign_in(credential())) == "connection-lost"
    assert not link.secret_sent
    assert listener.authenticates == 0
    await link.close()


async def test_a_link_signs_in_once(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen()
    link = await transport.open(endpoint(listener), LIMITS)
    assert await code_of(link.sign_in(credential("another"))) == "sign-in-refused"
    assert await code_of(link.sign_in(credential())) == "connection-lost"
    assert listener.authenticates == 1
    await link.close()


async def test_the_lock_is_kept_while_other_things_are_asked(transport: WinrmTransport, listen: Listen) -> None:
    listener, kept = listen(True, Script(answer=windows)), list[str]()
    session: Any = await signed_in(transport, listener)
    session._files.keep = lambda: kept.append("kept")
    await session.is_domain_controller()
    await session.service_status("LabAgent")
    assert len(kept) == 2
    await session.close()


@pytest.mark.parametrize("flag", [0x10, 0x20, 0x00080000, 0x20000000, 0x40000000])
async def test_a_challenge_without_strong_encryption_gets_no_answer(
    transport: WinrmTransport, listen: Listen, flag: int
) -> None:
    """On plain HTTP anybody on the way could have weakened it."""
    listener = listen(False, Script(answer=windows, without_flags=flag))
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    assert await code_of(link.sign_in(credential())) == "unencrypted-refused"
    assert not link.secret_sent
    assert listener.authenticates == 0
    await link.close()


async def test_a_later_401_ends_the_session(transport: WinrmTransport, listen: Listen) -> None:
    """A second sign-in would spend the lockout budget."""

    def strange(number: int, seen: Seen) -> bytes | None:
        forgotten = "authorization" not in seen.headers and number > 3
        return http(401, b"", [("WWW-Authenticate", "Negotiate")]) if forgotten else None

    listener = listen(True, Script(answer=windows, strange=strange))
    session = await signed_in(transport, listener)
    assert await session.is_domain_controller() is False
    assert await code_of(session.is_domain_controller()) == "connection-lost"
    assert await code_of(session.is_domain_controller()) == "connection-lost"
    assert (listener.authenticates, listener.connections) == (1, 2)


async def test_a_401_to_the_first_question_is_the_verdict(transport: WinrmTransport, listen: Listen) -> None:
    """Else a wrong password would look like a success, and be tried again."""
    refused = http(401, b"", [("WWW-Authenticate", "Negotiate")])
    listener = listen(
        True, Script(strange=lambda number, seen: None if "authorization" in seen.headers or number < 2 else refused)
    )
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    assert await code_of(link.sign_in(credential())) == "sign-in-refused"
    assert link.secret_sent
    await link.close()


async def test_a_dropped_connection_is_not_made_again(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(True, Script(answer=windows))
    session = await signed_in(transport, listener)
    listener.cut()
    assert await code_of(session.is_domain_controller()) == "connection-lost"
    assert await code_of(session.is_domain_controller()) == "connection-lost"
    assert (listener.authenticates, listener.connections) == (1, 2)


async def test_an_account_that_is_no_administrator(transport: WinrmTransport, listen: Listen) -> None:
    """It has signed in: the budget is not charged; what it may not do is told at the rights."""
    listener = listen(True, Script(answer=lambda action, envelope: Fault(5)))
    session = await signed_in(transport, listener)
    assert await code_of(session.is_domain_controller()) == "not-administrator"
    assert await code_of(session.may_create_services()) == "service-creation-denied"
    assert await code_of(session.registry_access("HKLM\\SOFTWARE")) == "registry-denied"
    await session.close()


async def test_ntlm_where_only_kerberos_is_offered(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(True, Script(schemes=("Kerberos",)))
    link = await transport.open(endpoint(listener), LIMITS)
    assert (await link.identify()).machine == ""
    assert await code_of(link.sign_in(credential())) == "ntlm-blocked"
    assert not link.secret_sent
    assert listener.authenticates == 0
    await link.close()


async def test_basic_is_never_used(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(True, Script(schemes=('Basic realm="WSMAN"',)))
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    assert await code_of(link.sign_in(credential())) == "winrm-refused"
    assert {seen.headers["authorization"].partition(" ")[0] for seen in listener.seen} == {"Negotiate"}
    assert listener.authenticates == 0, "and that by a message without a name"
    await link.close()


async def test_kerberos_that_is_not_installed_sends_nothing(
    transport: WinrmTransport, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*args: object, **kwargs: object) -> None:
        raise ImportError("gssapi")

    monkeypatch.setattr("pusher.transports.winrm.authentication.spnego.client", absent)
    listener = listen()
    link = await transport.open(endpoint(listener), LIMITS)
    await link.identify()
    asked = replace(credential(), user="push@LAB.TEST", domain=None, protocol=Protocol.KERBEROS)
    assert await code_of(link.sign_in(asked)) == "kerberos-unavailable"
    assert not any("authorization" in seen.headers for seen in listener.seen if seen.connection == 1)
    await link.close()


# A target is never trusted


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (http(404, b"", []), "winrm-refused"),
        (http(503, b"", []), "winrm-refused"),
        (http(200, b"welcome", []), "winrm-fault"),
        (http(302, b"", [("Location", "http://127.0.0.1:1/elsewhere")]), "winrm-fault"),
        (b"SSH-2.0-OpenSSH_9\r\n", "protocol-error"),
        (b"HTTP/1.1 401 x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", "protocol-error"),
        (b"HTTP/1.1 401 x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "protocol-error"),
        (b"HTTP/1.1 401 x\r\nContent-Length: 99999999999\r\n\r\n", "protocol-error"),
        (http(401, b"x" * 2_000_000, []), "protocol-error"),
        (b"HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK * 40, "protocol-error"),
        (b"HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "protocol-error"),
        (b"HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + bytes(3_000_000), "protocol-error"),
        (http(401, b"", [("WWW-Authenticate", "Negotiate TlRMTVNTUAAC")]), None),
        (DROP, "connection-lost"),
    ],
)
async def test_strange_answers_to_who_answers(
    transport: WinrmTransport, listen: Listen, given: bytes, code: str | None
) -> None:
    listener = listen(True, Script(strange=lambda number, seen: given))
    link = await transport.open(endpoint(listener), LIMITS)
    assert await code_of(link.identify()) == (code or "protocol-error")
    assert not link.secret_sent
    assert listener.connections == 2
    await link.close()


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("<!DOCTYPE x>", "protocol-error"),
        ("<a><!ENTITY x 'y'></a>", "protocol-error"),
        ("<unclosed>", "protocol-error"),
        ("", "protocol-error"),
        (system('C:\\W" & calc', "C:"), "protocol-error"),
        (system("\\\\elsewhere\\x", "C:"), "protocol-error"),
        (system("C:\\Windows", "nul"), "protocol-error"),
        (system("C:\\" + "W" * 100_000, "C:"), "protocol-error"),
        (system("W" * 2_000_000, "C:"), "protocol-error"),
        ("<x/>" * 1000, "protocol-error"),
        (Fault(2150859173), "winrm-quota"),
        (Fault(2150859180), "winrm-refused"),
        (Fault(123456789), "winrm-fault"),
        (Fault("wsman:Nonsense"), "winrm-fault"),
    ],
)
async def test_strange_answers_to_the_first_question(
    transport: WinrmTransport, listen: Listen, answer: str | Fault, code: str, tls: bool
) -> None:
    """The sign-in stands; whatever the session is asked meets what the first question met."""
    listener = listen(tls, Script(answer=lambda action, envelope: answer))
    session = await signed_in(transport, listener)
    assert await code_of(session.architecture()) == code
    await session.close()


async def test_an_answer_in_clear_on_an_encrypted_session(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(False, Script(answer=windows, clear_answers=True))
    session = await signed_in(transport, listener)
    assert await code_of(session.is_domain_controller()) == "tampered"


async def test_an_encrypted_answer_that_was_changed(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(False, Script(answer=windows, garble=True))
    session = await signed_in(transport, listener)
    assert await code_of(session.is_domain_controller()) == "tampered"


async def test_a_byte_that_changes_on_the_way_over_tls(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen(True, Script(answer=windows))
    relay = Relay(listener.port)
    link = await transport.open(endpoint(listener, port=relay.port), LIMITS)
    session = await link.sign_in(credential())
    relay.changing.set()
    assert await code_of(session.is_domain_controller()) == "tampered"
    assert await code_of(session.is_domain_controller()) == "connection-lost"
    relay.close()


async def test_an_answer_to_another_question(transport: WinrmTransport, listen: Listen) -> None:
    def strange(number: int, seen: Seen) -> bytes | None:
        if "authorization" in seen.headers or number < 3:
            return None
        body = f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{system()}</s:Body></s:Envelope>'
        return http(200, body.encode(), [("Content-Type", "application/soap+xml")])

    listener = listen(True, Script(answer=windows, strange=strange))
    session = await signed_in(transport, listener)
    assert await code_of(session.is_domain_controller()) == "protocol-error"


async def test_a_declaration_is_not_read(transport: WinrmTransport, listen: Listen) -> None:
    """The document is well-formed, and what it declares would be expanded."""

    def strange(number: int, seen: Seen) -> bytes | None:
        if number < 3 or "authorization" in seen.headers:
            return None
        related = ET.fromstring(seen.raw).findtext(f".//{A}MessageID", "")
        answer = ENVELOPE.format(related=related, body=items(cim("XmlFragment", DomainRole="&role;")))
        return http(
            200, b'<!DOCTYPE x [<!ENTITY role "3">]>' + answer.encode(), [("Content-Type", "application/soap+xml")]
        )

    listener = listen(True, Script(answer=windows, strange=strange))
    session = await signed_in(transport, listener)
    assert await code_of(session.is_domain_controller()) == "protocol-error"
    await session.close()


@pytest.mark.parametrize("tls", [True, False])
def test_a_call_in_progress_ends_when_it_is_aborted(authority: Authority, listen: Listen, tls: bool) -> None:
    asked, ended = threading.Event(), list[BaseException]()

    def strange(number: int, seen: Seen) -> bytes:
        asked.set()
        return b""

    listener = listen(tls, Script(strange=strange))
    wire = Wire(HOST, listener.address, listener.port, Trust(authority.pem) if tls else None)
    wire.open(5)

    def post() -> None:
        try:
            wire.post(b"", {})
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    assert asked.wait(30)
    wire.abort()
    thread.join(30)
    assert [translate(error, Operation.FACTS).code for error in ended] == ["connection-lost"]
    wire.close()


@pytest.mark.parametrize("after", [0, 40])
async def test_a_silent_listener_is_given_up(transport: WinrmTransport, listen: Listen, after: int) -> None:
    """``after`` so many bytes of its answer."""
    answer = http(200, b"x" * 100, [])[:after]
    listener = listen(True, Script(answer=windows, strange=lambda number, seen: answer if number > 2 else None))
    link = await transport.open(endpoint(listener), replace(LIMITS, call=0.5))
    await link.identify()
    session = await link.sign_in(credential())
    assert await code_of(session.is_domain_controller()) == "timed-out"
    assert await code_of(session.registry_access("HKLM\\SOFTWARE")) == "connection-lost"
    await session.close()


async def test_a_listener_that_never_finishes_tls(transport: WinrmTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = Endpoint(host=HOST, address="127.0.0.1", port=server.getsockname()[1])
        assert await code_of(transport.open(where, replace(LIMITS, connect=0.3))) == "timed-out"


@pytest.mark.parametrize("code", ["certificate-mismatch", "certificate-wrong-name"])
def test_signs_of_another_machine_end_it(code: str) -> None:
    assert CATALOGUE[code].next_move is NextMove.GIVE_UP
