"""Every exception that pypsrp, pyspnego, http.client, ssl or the socket can raise has an explicit translation."""

from __future__ import annotations

import errno
import http.client
import inspect
import socket
import ssl
import xml.etree.ElementTree as ET

import pypsrp._pool_manager as psrp_pool
import pypsrp.exceptions as psrp_errors
import pytest
import spnego.exceptions as spnego_errors

from pusher.problems import CATALOGUE, ProblemError, problem
from pusher.transports.codes import WIN32, Doing
from pusher.transports.foreign import ERRNO, KERBEROS, kerberos_number
from pusher.transports.winrm import authentication, channel, cim, tls, wire
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.faults import CERTIFICATE, CLASSES, STATUS, WSMAN, guarded, translate
from pusher.transports.winrm.orphans import Owner, Register

KRB5_BASE = -1765328384


def classes(*modules: object) -> list[type[BaseException]]:
    """Those that the modules define themselves; warnings are not raised."""
    return sorted(
        {
            kind
            for module in modules
            for _, kind in inspect.getmembers(module, inspect.isclass)
            if issubclass(kind, BaseException) and not issubclass(kind, Warning) and kind.__module__ == module.__name__  # type: ignore[attr-defined]
        },
        key=lambda kind: kind.__qualname__,
    )


NUMBERED = {psrp_errors.WSManFaultError, authentication.StatusError}
PSRP = classes(psrp_errors, psrp_pool)
SPNEGO = classes(spnego_errors)
HTTP = classes(http.client)
SSL = [kind for kind in vars(ssl).values() if inspect.isclass(kind) and issubclass(kind, ssl.SSLError)]
OURS = classes(authentication, channel, cim, tls, wire)


@pytest.mark.parametrize("kind", PSRP + SPNEGO + HTTP + SSL + OURS, ids=lambda kind: kind.__qualname__)
def test_every_class_is_decided_on(kind: type[BaseException]) -> None:
    assert (kind in CLASSES) != (kind in NUMBERED)


def test_there_is_something_to_cover() -> None:
    """The lists above are read from the libraries; an empty one would prove nothing."""
    assert (len(PSRP), len(SPNEGO), len(HTTP), len(SSL)) >= (9, 13, 12, 6)
    assert len(OURS) >= 8


def test_every_row_leads_to_a_code() -> None:
    found = [*CLASSES.values(), *CERTIFICATE.values(), *STATUS.values(), *KERBEROS.values(), *ERRNO.values()]
    assert set(found) <= set(CATALOGUE)
    assert set(WSMAN.values()) - {"access-denied"} <= set(CATALOGUE)


def test_no_library_brings_its_own_http() -> None:
    """requests and urllib3 have no row because nothing here speaks through them."""
    wired = wire.Wire("ws1", "127.0.0.1", 5986, None)
    transport: object = Client(wired, None, 5, Owner("", 0, ""), Register()).wsman.transport
    assert isinstance(transport, channel.Channel)


def fault(number: int | str | None) -> psrp_errors.WSManFaultError:
    return psrp_errors.WSManFaultError(number, "ws1", "what a text says", None, None, None)


def test_a_fault_is_known_by_its_number() -> None:
    for number, code in WSMAN.items():
        found = translate(fault(number), Doing.SERVICE)
        expected = "not-administrator" if code == "access-denied" else code
        assert (found.code, str(number) in found.message) == (expected, True)
        assert translate(fault(number - 2**32 if number >= 2**31 else number), Doing.SERVICE).code == expected


@pytest.mark.parametrize("number", [None, "wsman:InternalError", "", 0, 77, 2**40, -(2**40), 0x80338FFF])
def test_a_fault_that_no_table_knows(number: int | str | None) -> None:
    assert translate(fault(number), Doing.FACTS).code == "winrm-fault"


@pytest.mark.parametrize("number", [112, 1072, 1326])
def test_a_win32_code_in_a_fault(number: int) -> None:
    for shape in (number, 0x80070000 + number, 0x80070000 + number - 2**32):
        assert translate(fault(shape), Doing.FACTS).code == WIN32[number]


@pytest.mark.parametrize(
    ("doing", "code"),
    [
        (Doing.SERVICE_MANAGER, "service-creation-denied"),
        (Doing.REGISTRY, "registry-denied"),
        (Doing.FACTS, "not-administrator"),
        (Doing.FILE, "not-administrator"),
        (Doing.PROBE_WRITE, "not-administrator"),
    ],
)
def test_a_refusal_by_what_was_done(doing: Doing, code: str) -> None:
    for number in (5, 0x80070005, 0x80041003):
        assert translate(fault(number), doing).code == code


def test_certificates_by_openssl_s_number() -> None:
    for number, code in {**CERTIFICATE, 18: "certificate-untrusted", 20: "certificate-untrusted"}.items():
        error = ssl.SSLCertVerificationError()
        error.verify_code = number
        assert translate(error, Doing.REACH).code == code


def test_statuses() -> None:
    for status, code in {**STATUS, 302: "winrm-fault", 400: "winrm-fault", 500: "winrm-fault"}.items():
        assert translate(authentication.StatusError(status), Doing.FACTS).code == code


class KrbError(Exception):
    """As krb5 raises it, which need not be installed."""

    def __init__(self, code: int) -> None:
        self.err_code = code


class GssError(Exception):
    """As gssapi raises it, with the minor code unsigned."""

    def __init__(self, code: int) -> None:
        self.min_code = code


def test_kerberos_by_number_in_every_shape() -> None:
    for number, code in KERBEROS.items():
        raw = KRB5_BASE + number
        assert translate(KrbError(raw), Doing.SIGN_IN).code == code
        wrapped = spnego_errors.SpnegoError(1)
        wrapped.base_error = GssError(raw + 2**32)
        assert kerberos_number(wrapped) == number
        assert translate(wrapped, Doing.SIGN_IN).code == code
    assert translate(KrbError(KRB5_BASE + 99), Doing.SIGN_IN).code == "kerberos-failed"
    assert kerberos_number(KrbError(5)) is None
    assert kerberos_number(ValueError()) is None


@pytest.mark.parametrize("package", ["krb5", "gssapi.exceptions"])
def test_kerberos_without_a_number_that_is_known(package: str) -> None:
    """Read from the libraries where they are installed."""
    module = pytest.importorskip(package)
    kinds = [kind for kind in vars(module).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert kinds
    for kind in kinds:
        assert translate(kind.__new__(kind), Doing.SIGN_IN).code == "kerberos-failed", kind


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "timed-out"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name-not-found"),
        (ConnectionResetError(), "connection-lost"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "port-closed"),
        (BrokenPipeError(), "connection-lost"),
        (ssl.SSLEOFError(), "connection-lost"),
        (ssl.SSLError(), "tls-failed"),
        (http.client.RemoteDisconnected(""), "connection-lost"),
        (http.client.IncompleteRead(b""), "connection-lost"),
        (http.client.BadStatusLine("x"), "protocol-error"),
        (ET.ParseError("x"), "protocol-error"),
        (ImportError("gssapi"), "kerberos-unavailable"),
        (KeyError("x"), "protocol-error"),
        (RecursionError(), "protocol-error"),
        (channel.SignedOutError(), "connection-lost"),
        (authentication.UnprovenServerError(), "wrong-host"),
    ],
)
def test_other_errors(error: Exception, code: str) -> None:
    assert translate(error, Doing.FACTS).code == code


def test_every_errno_leads_somewhere() -> None:
    for number in errno.errorcode:
        assert translate(OSError(number, "x"), Doing.REACH).code in CATALOGUE
    for number, code in ERRNO.items():
        assert translate(OSError(number, "x"), Doing.REACH).code == code


def test_the_text_of_an_error_makes_no_difference() -> None:
    for kind in (psrp_errors.WinRMError, psrp_errors.AuthenticationError, ValueError, ssl.SSLError):
        codes = {translate(kind(text), Doing.SIGN_IN).code for text in ("", "access denied", "401", "certificate")}
        assert len(codes) == 1, kind


def test_guarded_keeps_problems_and_causes() -> None:
    known, cause = ProblemError(problem("disk-full")), ConnectionResetError()

    def raises(error: BaseException) -> None:
        raise error

    with pytest.raises(ProblemError) as caught:
        guarded(Doing.FILE, lambda: raises(known))
    assert caught.value is known
    with pytest.raises(ProblemError) as caught:
        guarded(Doing.FILE, lambda: raises(cause), "ADMIN$\\x")
    assert caught.value.__cause__ is cause
    assert "ADMIN$\\x" in caught.value.problem.message
    with pytest.raises(KeyboardInterrupt):
        guarded(Doing.FILE, lambda: raises(KeyboardInterrupt()))
