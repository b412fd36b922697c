"""Every exception that pypsrp, pyspnego, h11, ssl or the socket can raise has an explicit translation."""

from __future__ import annotations

import errno
import inspect
import re
import socket
import ssl
import xml.etree.ElementTree as ET
from pathlib import Path

import h11
import h11._util
import pypsrp._pool_manager as psrp_pool
import pypsrp.exceptions as psrp_errors
import pytest
import spnego.exceptions as spnego_errors

from pusher.problems import CATALOGUE, Code, ProblemError, problem
from pusher.transports.codes import WIN32, Operation
from pusher.transports.shared_faults import ERRNO, KERBEROS, kerberos_number
from pusher.transports.winrm import authentication, channel, cim, tls, wire
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.faults import CERTIFICATE, CLASSES, STATUS, SUBCODES, guarded, translate
from pusher.transports.winrm.number_codes import WBEM, WSMAN
from pusher.transports.winrm.numbers import Wbem, Wsman
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
HTTP = classes(h11._util)
SSL = [kind for kind in vars(ssl).values() if inspect.isclass(kind) and issubclass(kind, ssl.SSLError)]
OURS = classes(authentication, channel, cim, tls, wire)


@pytest.mark.parametrize("kind", PSRP + SPNEGO + HTTP + SSL + OURS, ids=lambda kind: kind.__qualname__)
def test_every_class_is_decided_on(kind: type[BaseException]) -> None:
    assert (kind in CLASSES) != (kind in NUMBERED)


def test_there_is_something_to_cover() -> None:
    """The lists above are read from the libraries; an empty one would prove nothing."""
    assert (len(PSRP), len(SPNEGO), len(HTTP), len(SSL)) >= (9, 13, 3, 6)
    assert len(OURS) >= 8


def test_every_row_leads_to_a_code() -> None:
    found = [*CLASSES.values(), *CERTIFICATE.values(), *STATUS.values(), *KERBEROS.values(), *ERRNO.values()]
    assert set(found) <= set(CATALOGUE)
    assert {*WSMAN.values(), *WBEM.values()} - {"access-denied"} <= set(CATALOGUE)
    assert {translate(fault(name), Operation.FACTS).code for name in SUBCODES} <= set(CATALOGUE)


def test_no_library_brings_its_own_http() -> None:
    """requests and urllib3 have no row because nothing here speaks through them."""
    wired = wire.Wire("ws1", "127.0.0.1", 5986, None)
    transport: object = Client(wired, None, 5, Owner("", 0, ""), Register()).wsman.transport
    assert isinstance(transport, channel.Channel)


def fault(number: int | str | None) -> psrp_errors.WSManFaultError:
    return psrp_errors.WSManFaultError(number, "ws1", "what a text says", None, None, None)


def test_every_row_leads_to_its_code_and_says_its_name() -> None:
    for number, code in [*WSMAN.items(), *WBEM.items()]:
        expected = "not-administrator" if code == "access-denied" else code
        for shape in (int(number), int(number) - 2**32):
            found = translate(fault(shape), Operation.SERVICE)
            assert found.code == expected
            assert f"{int(number)} {number.name})" in found.message


SAID_BY_SERVICES = [
    (2150858752, "RESOURCE_NOT_FOUND", "path-not-found"),
    (2150858770, "DESTINATION_UNREACHABLE", "host-unreachable"),
    (2150858778, "ENUMERATE_CANNOT_PROCESS_FILTER", "winrm-fault"),
    (2150858779, "ENUMERATE_INVALID_ENUMERATION_CONTEXT", "protocol-error"),
    (2150858780, "ENUMERATE_TIMED_OUT", "timed-out"),
    (2150858790, "ENVELOPE_TOO_LARGE", "protocol-error"),
    (2150858793, "OPERATION_TIMEDOUT", "timed-out"),
    (2150858806, "FAILED_AUTHENTICATION", "sign-in-refused"),
    (2150858811, "INVALID_RESOURCE_URI", "winrm-fault"),
    (2150858813, "INVALID_SELECTORS", "winrm-fault"),
    (2150858815, "QUOTA_LIMIT", "winrm-quota"),
    (2150858823, "MAX_ENVELOPE_SIZE", "protocol-error"),
    (2150858824, "MAX_ENVELOPE_SIZE_EXCEEDED", "protocol-error"),
    (2150858825, "SERVER_ENVELOPE_LIMIT", "protocol-error"),
    (2150858843, "UNEXPECTED_SELECTORS", "connection-lost"),
    (2150858845, "INVALID_SELECTOR_VALUE", "winrm-fault"),
    (2150859012, "WMI_SVC_ACCESS_DENIED", "not-administrator"),
    (2150859013, "WMI_PROVIDER_ACCESS_DENIED", "not-administrator"),
    (2150859014, "WMI_CANNOT_CONNECT_ACCESS_DENIED", "not-administrator"),
    (2150859113, "PUBLIC_FIREWALL_PROFILE_ACTIVE", "winrm-refused"),
    (2150859173, "QUOTA_MAX_SHELLS", "winrm-quota"),
    (2150859174, "QUOTA_MAX_OPERATIONS", "winrm-quota"),
    (2150859175, "QUOTA_USER", "winrm-quota"),
    (2150859176, "QUOTA_SYSTEM", "winrm-quota"),
    (2150859179, "QUOTA_MAX_SHELLUSERS", "winrm-quota"),
    (2150859180, "REMOTESHELLS_NOT_ALLOWED", "winrm-refused"),
    (2150859212, "COMMAND_TERMINATED", "connection-lost"),
    (2150859229, "SERVICE_REMOTE_ACCESS_DISABLED", "winrm-refused"),
    (2150859230, "SERVICE_STREAM_DISCONNECTED", "connection-lost"),
    (2150859236, "QUOTA_MAX_SHELLS_PPQ", "winrm-quota"),
    (2150859237, "QUOTA_MAX_USERS_PPQ", "winrm-quota"),
    (2150859238, "QUOTA_MAX_PLUGINSHELLS_PPQ", "winrm-quota"),
    (2150859239, "QUOTA_MAX_PLUGINOPERATIONS_PPQ", "winrm-quota"),
    (2150859240, "QUOTA_MAX_OPERATIONS_USER_PPQ", "winrm-quota"),
    (2150859241, "QUOTA_MAX_COMMANDS_PER_SHELL_PPQ", "winrm-quota"),
    (2150859242, "QUOTA_MIN_REQUIREMENT_NOT_AVAILABLE_PPQ", "winrm-quota"),
    (0x80041001, "FAILED", "winrm-fault"),
    (0x80041002, "NOT_FOUND", "path-not-found"),
    (0x80041003, "ACCESS_DENIED", "not-administrator"),
    (0x80041010, "INVALID_CLASS", "path-not-found"),
    (0x80041033, "SHUTTING_DOWN", "shutting-down"),
    (0x8004106C, "QUOTA_VIOLATION", "winrm-quota"),
]
"""Written from Microsoft's lists of wsmerror.h and wbemcli.h, by number and name, beside the code's own table."""


@pytest.mark.parametrize(("number", "name", "code"), SAID_BY_SERVICES, ids=lambda value: str(value))
def test_what_services_say_of_themselves(number: int, name: str, code: str) -> None:
    found = translate(fault(number), Operation.FACTS)
    assert (found.code, f"(WSMan fault {number} {name})" in found.message) == (code, True)


@pytest.mark.parametrize(
    ("number", "code"),
    [(5, "not-administrator"), (87, "winrm-fault"), (995, "connection-lost"), (1115, "shutting-down"),
     (1722, "rpc-failed"), (1726, "rpc-failed")],
)  # fmt: skip
def test_win32_codes_that_services_say(number: int, code: str) -> None:
    for shape in (number, 0x80070000 + number, 0x80070000 + number - 2**32):
        assert translate(fault(shape), Operation.FACTS).code == code


def test_the_names_lie_in_the_vendors_ranges() -> None:
    assert all(0x80338000 <= number < 0x80338200 for number in Wsman)
    assert all(0x80041000 < number < 0x80041100 for number in Wbem)


@pytest.mark.lab
def test_wmi_s_numbers_are_those_of_the_header() -> None:
    """mingw's copy of wbemcli.h, which compiling the lab's programs needs anyway."""
    header = Path("/usr/share/mingw-w64/include/wbemcli.h").read_text()
    named = {name: int(number, 16) for name, number in re.findall(r"\bWBEM_E_(\w+) = (0x[0-9a-fA-F]{8})", header)}
    assert len(named) > 100
    assert {row.name: row.value for row in Wbem} == named


def test_a_fault_without_a_number_is_known_by_its_name() -> None:
    for name, code in {
        "w:QuotaLimit": "winrm-quota",
        "w:AccessDenied": "not-administrator",
        "wsman:TimedOut": "timed-out",
        "a:DestinationUnreachable": "path-not-found",
        "w:EncodingLimit": "protocol-error",
        "w:Concurrency": "too-busy",
        "w:InternalError": "winrm-fault",
        "TimedOut": "timed-out",
        "w:timedout": "winrm-fault",
    }.items():
        assert translate(fault(name), Operation.FACTS).code == code


DETAIL = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Receiver'
    "</s:Value><s:Subcode><s:Value>w:InternalError</s:Value></s:Subcode></s:Code><s:Detail>{}</s:Detail></s:Fault>"
    "</s:Body></s:Envelope>"
)
OWN = '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" {}/>'
WMI = (
    '<p:MSFT_WmiError xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wmi/root/standardcimv2/MSFT_WmiError">'
    "<p:CIMStatusCode>27</p:CIMStatusCode><p:error_Code>{}</p:error_Code><p:error_Type>{}</p:error_Type></p:MSFT_WmiError>"
)


@pytest.mark.parametrize(
    ("detail", "code"),
    [
        ("", "w:InternalError"),
        (OWN.format('Code="2150858752"'), "2150858752"),
        (OWN.format("") + WMI.format(2150859173, "HRESULT"), "2150859173"),
        (OWN.format('Code="5"') + WMI.format(2150859173, "HRESULT"), "5"),
        (WMI.format(2150859173, "HRESULT"), "2150859173"),
        (WMI.format(-2147024891, "HRESULT"), "-2147024891"),
        (WMI.format(5, "Win32"), "5"),
        (WMI.format(5, "Win32 error"), "5"),
        (WMI.format(27, "CIM"), "w:InternalError"),
        (WMI.format("", "HRESULT"), "w:InternalError"),
        (WMI.format(" 5 ", "win32"), "5"),
    ],
)
def test_where_a_fault_has_its_number(detail: str, code: str) -> None:
    assert channel.fault_code(DETAIL.format(detail)) == code


def test_a_fault_that_is_none_has_no_number() -> None:
    assert channel.fault_code("<x/>") == ""


@pytest.mark.parametrize("number", [None, "wsman:InternalError", "", 0, 77, 2**40, -(2**40), 0x80338FFF])
def test_a_fault_that_no_table_knows(number: int | str | None) -> None:
    assert translate(fault(number), Operation.FACTS).code == "winrm-fault"


@pytest.mark.parametrize("number", [112, 1072, 1326])
def test_a_win32_code_in_a_fault(number: int) -> None:
    for shape in (number, 0x80070000 + number, 0x80070000 + number - 2**32):
        assert translate(fault(shape), Operation.FACTS).code == WIN32[number]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (Operation.SERVICE_MANAGER, "service-creation-denied"),
        (Operation.REGISTRY, "registry-denied"),
        (Operation.FACTS, "not-administrator"),
        (Operation.FILE, "not-administrator"),
        (Operation.PROBE_WRITE, "not-administrator"),
    ],
)
def test_a_refusal_by_what_was_done(operation: Operation, code: str) -> None:
    for number in (5, 0x80070005, 0x80041003):
        assert translate(fault(number), operation).code == code


def test_certificates_by_openssl_s_number() -> None:
    for number, code in {**CERTIFICATE, 18: "certificate-untrusted", 20: "certificate-untrusted"}.items():
        error = ssl.SSLCertVerificationError()
        error.verify_code = number
        assert translate(error, Operation.REACH).code == code


def test_statuses() -> None:
    for status, code in {**STATUS, 302: "winrm-fault", 400: "winrm-fault", 500: "winrm-fault"}.items():
        assert translate(authentication.StatusError(status), Operation.FACTS).code == code


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
        assert translate(KrbError(raw), Operation.SIGN_IN).code == code
        wrapped = spnego_errors.SpnegoError(1)
        wrapped.base_error = GssError(raw + 2**32)
        assert kerberos_number(wrapped) == number
        assert translate(wrapped, Operation.SIGN_IN).code == code
    assert translate(KrbError(KRB5_BASE + 99), Operation.SIGN_IN).code == "kerberos-failed"
    assert kerberos_number(KrbError(5)) is None
    assert kerberos_number(ValueError()) is None


@pytest.mark.parametrize("package", ["krb5", "gssapi.exceptions"])
def test_kerberos_without_a_number_that_is_known(package: str) -> None:
    """Read from the libraries where they are installed."""
    module = pytest.importorskip(package)
    kinds = [kind for kind in vars(module).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert kinds
    for kind in kinds:
        assert translate(kind.__new__(kind), Operation.SIGN_IN).code == "kerberos-failed", kind


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
        (ConnectionAbortedError(), "connection-lost"),
        (h11.RemoteProtocolError("x"), "protocol-error"),
        (ET.ParseError("x"), "protocol-error"),
        (ImportError("gssapi"), "kerberos-unavailable"),
        (KeyError("x"), "protocol-error"),
        (RecursionError(), "protocol-error"),
        (channel.SignedOutError(), "connection-lost"),
        (authentication.UnprovenServerError(), "wrong-host"),
    ],
)
def test_other_errors(error: Exception, code: str) -> None:
    assert translate(error, Operation.FACTS).code == code


def test_every_errno_leads_somewhere() -> None:
    for number in errno.errorcode:
        assert translate(OSError(number, "x"), Operation.REACH).code in CATALOGUE
    for number, code in ERRNO.items():
        assert translate(OSError(number, "x"), Operation.REACH).code == code


def test_the_text_of_an_error_makes_no_difference() -> None:
    for kind in (psrp_errors.WinRMError, psrp_errors.AuthenticationError, ValueError, ssl.SSLError):
        codes = {translate(kind(text), Operation.SIGN_IN).code for text in ("", "access denied", "401", "certificate")}
        assert len(codes) == 1, kind


def test_guarded_keeps_problems_and_causes() -> None:
    known, cause = ProblemError(problem(Code.DISK_FULL)), ConnectionResetError()

    def raises(error: BaseException) -> None:
        raise error

    with pytest.raises(ProblemError) as caught:
        guarded(Operation.FILE, lambda: raises(known))
    assert caught.value is known
    with pytest.raises(ProblemError) as caught:
        guarded(Operation.FILE, lambda: raises(cause), "ADMIN$\\x")
    assert caught.value.__cause__ is cause
    assert "ADMIN$\\x" in caught.value.problem.message
    with pytest.raises(KeyboardInterrupt):
        guarded(Operation.FILE, lambda: raises(KeyboardInterrupt()))
