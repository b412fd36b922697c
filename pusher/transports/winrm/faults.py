"""Every exception that pypsrp, pyspnego, h11, ssl and the socket can raise → one Problem.

Classes first, numbers second, text never. What no row knows is an answer that broke a parser: ``protocol-error``.
pypsrp's own HTTP transport, and with it requests and urllib3, is not used (see ``wire``), so theirs have no row.
The tests prove that each class of the libraries has its row. The numbers of faults are named in ``numbers``; those
that no table has are Win32 codes and HRESULTs made of them.
"""

from __future__ import annotations

import socket
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TypeVar

import h11
from pypsrp import _pool_manager
from pypsrp import exceptions as psrp_errors

from pusher.problems import Problem, problem
from pusher.transports import foreign
from pusher.transports.codes import WIN32, Doing, from_win32, of
from pusher.transports.winrm.authentication import NoProtectionError, StatusError, UnprovenServerError
from pusher.transports.winrm.channel import NotXmlError, SignedOutError, TamperedError
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.numbers import Wbem, Wsman
from pusher.transports.winrm.tls import PinMismatchError
from pusher.transports.winrm.wire import HandshakeError, ImplausibleError

T = TypeVar("T")

CLASSES: dict[type[BaseException], str] = {
    **foreign.SPNEGO,
    TamperedError: "tampered",
    SignedOutError: "connection-lost",
    NotXmlError: "protocol-error",
    ImplausibleError: "protocol-error",
    StrangeValueError: "protocol-error",
    HandshakeError: "tls-failed",
    PinMismatchError: "certificate-mismatch",
    UnprovenServerError: "wrong-host",
    NoProtectionError: "unencrypted-refused",
    psrp_errors.AuthenticationError: "sign-in-refused",
    psrp_errors.InvalidRunspacePoolStateError: "protocol-error",
    psrp_errors.InvalidPipelineStateError: "protocol-error",
    psrp_errors._InvalidStateError: "protocol-error",
    psrp_errors.InvalidPSRPOperation: "protocol-error",
    psrp_errors.FragmentError: "protocol-error",
    psrp_errors.SerializationError: "protocol-error",
    psrp_errors.WinRMTransportError: "winrm-fault",
    psrp_errors.WinRMError: "protocol-error",
    _pool_manager.NewConnectionDisabled: "connection-lost",
    ET.ParseError: "protocol-error",
    h11.RemoteProtocolError: "protocol-error",
    h11.LocalProtocolError: "protocol-error",
    h11.ProtocolError: "protocol-error",
    ssl.SSLCertVerificationError: "certificate-untrusted",
    ssl.SSLEOFError: "connection-lost",
    ssl.SSLZeroReturnError: "connection-lost",
    ssl.SSLSyscallError: "connection-lost",
    ssl.SSLWantReadError: "connection-lost",
    ssl.SSLWantWriteError: "connection-lost",
    ssl.SSLError: "tls-failed",  # past the handshake: an alert
    TimeoutError: "timed-out",
    socket.gaierror: "name-not-found",
    ConnectionError: "connection-lost",
    OSError: "connection-lost",
}

CERTIFICATE: dict[int, str] = {
    9: "certificate-expired",  # X509_V_ERR_CERT_NOT_YET_VALID
    10: "certificate-expired",  # X509_V_ERR_CERT_HAS_EXPIRED
    62: "certificate-wrong-name",  # X509_V_ERR_HOSTNAME_MISMATCH
    64: "certificate-wrong-name",  # X509_V_ERR_IP_ADDRESS_MISMATCH
}
"""OpenSSL's verify results (x509_vfy.h); any other is a certificate that is not trusted."""

_FORGED_RECORD = frozenset({"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "BAD_DECRYPT"})
"""OpenSSL's names of the reason (sslerr.h), not its words."""

STATUS: dict[int, str] = {
    401: "sign-in-refused",
    403: "winrm-refused",
    404: "winrm-refused",
    405: "winrm-refused",
    429: "too-busy",
    503: "winrm-refused",
}

_DENIED, _OUR_MISTAKE, _QUOTA = "access-denied", "protocol-error", "winrm-quota"

WSMAN: dict[Wsman, str] = {
    Wsman.RESOURCE_NOT_FOUND: "path-not-found",
    Wsman.ENUMERATION_CLOSED: _OUR_MISTAKE,
    Wsman.DESTINATION_UNREACHABLE: "host-unreachable",
    Wsman.ENDPOINT_UNAVAILABLE: "too-busy",
    Wsman.ENUMERATE_INVALID_ENUMERATION_CONTEXT: _OUR_MISTAKE,
    Wsman.ENUMERATE_TIMED_OUT: "timed-out",
    Wsman.ENVELOPE_TOO_LARGE: _OUR_MISTAKE,
    Wsman.OPERATION_TIMEDOUT: "timed-out",
    Wsman.CONCURRENCY: "too-busy",
    Wsman.ENCODING_LIMIT: _OUR_MISTAKE,
    Wsman.FAILED_AUTHENTICATION: "sign-in-refused",
    Wsman.QUOTA_LIMIT: _QUOTA,
    Wsman.SYSTEM_NOT_FOUND: "path-not-found",
    Wsman.MAX_ENVELOPE_SIZE: _OUR_MISTAKE,
    Wsman.MAX_ENVELOPE_SIZE_EXCEEDED: _OUR_MISTAKE,
    Wsman.SERVER_ENVELOPE_LIMIT: _OUR_MISTAKE,
    Wsman.UNEXPECTED_SELECTORS: "connection-lost",  # said of a shell that is gone: look before doing anything again
    Wsman.MAXENVELOPE_SIZE_NOT_SUPPORTED: _OUR_MISTAKE,
    Wsman.MAXENVELOPE_POLICY_NOT_SUPPORTED: _OUR_MISTAKE,
    Wsman.ENUMERATION_INVALID: _OUR_MISTAKE,
    Wsman.SESSION_ALREADY_CLOSED: "connection-lost",
    Wsman.CLIENT_UNENCRYPTED_DISABLED: "unencrypted-refused",
    Wsman.CLIENT_NEGOTIATE_AUTHENTICATION_DISABLED: "sign-in-failed",
    Wsman.CLIENT_KERBEROS_AUTHENTICATION_DISABLED: "sign-in-failed",
    Wsman.SERVER_NOT_TRUSTED: "sign-in-failed",
    Wsman.EXPLICIT_CREDENTIALS_REQUIRED: "sign-in-failed",
    Wsman.WMI_SVC_ACCESS_DENIED: _DENIED,
    Wsman.WMI_PROVIDER_ACCESS_DENIED: _DENIED,
    Wsman.WMI_CANNOT_CONNECT_ACCESS_DENIED: _DENIED,
    Wsman.KERBEROS_IPADDRESS: "sign-in-failed",
    Wsman.CLIENT_WORKGROUP_NO_KERBEROS: "sign-in-failed",
    Wsman.HTTP_REQUEST_TOO_LARGE_STATUS: _OUR_MISTAKE,
    Wsman.HTTP_SERVICE_UNAVAILABLE_STATUS: "winrm-refused",
    Wsman.HTTP_NOT_FOUND_STATUS: "winrm-refused",
    Wsman.NETWORK_TIMEDOUT: "timed-out",
    Wsman.SHELL_ALREADY_CLOSED: "connection-lost",
    Wsman.SHELL_INVALID_SHELL_HANDLE: "connection-lost",
    Wsman.SHELL_INVALID_COMMAND_HANDLE: "connection-lost",
    Wsman.COMMAND_ALREADY_CLOSED: "connection-lost",
    Wsman.PUBLIC_FIREWALL_PROFILE_ACTIVE: "winrm-refused",
    Wsman.QUOTA_MAX_SHELLS: _QUOTA,
    Wsman.QUOTA_MAX_OPERATIONS: _QUOTA,
    Wsman.QUOTA_USER: _QUOTA,
    Wsman.QUOTA_SYSTEM: _QUOTA,
    Wsman.DIFFERENT_AUTHZ_TOKEN: _DENIED,
    Wsman.QUOTA_MAX_SHELLUSERS: _QUOTA,
    Wsman.REMOTESHELLS_NOT_ALLOWED: "winrm-refused",
    Wsman.NAME_NOT_RESOLVED: "name-not-found",
    Wsman.SSL_CONNECTION_ABORTED: "tls-failed",
    Wsman.DEFAULTAUTH_IPADDRESS: "sign-in-failed",
    Wsman.COMMAND_TERMINATED: "connection-lost",
    Wsman.SEMANTICCALLBACK_TIMEDOUT: "timed-out",
    Wsman.SERVICE_REMOTE_ACCESS_DISABLED: "winrm-refused",
    Wsman.SERVICE_STREAM_DISCONNECTED: "connection-lost",
    Wsman.REMOTE_CONNECTION_NOT_ALLOWED: "winrm-refused",
    Wsman.QUOTA_MAX_SHELLS_PPQ: _QUOTA,
    Wsman.QUOTA_MAX_USERS_PPQ: _QUOTA,
    Wsman.QUOTA_MAX_PLUGINSHELLS_PPQ: _QUOTA,
    Wsman.QUOTA_MAX_PLUGINOPERATIONS_PPQ: _QUOTA,
    Wsman.QUOTA_MAX_OPERATIONS_USER_PPQ: _QUOTA,
    Wsman.QUOTA_MAX_COMMANDS_PER_SHELL_PPQ: _QUOTA,
    Wsman.QUOTA_MIN_REQUIREMENT_NOT_AVAILABLE_PPQ: _QUOTA,
    Wsman.MUTUAL_AUTH_FAILED: "tls-failed",
}
"""Any other of ``Wsman`` finds fault with what was asked, or with the service's own state: ``winrm-fault``, by name."""

WBEM: dict[Wbem, str] = {
    Wbem.NOT_FOUND: "path-not-found",
    Wbem.ACCESS_DENIED: _DENIED,
    Wbem.OUT_OF_MEMORY: "too-busy",
    Wbem.INVALID_NAMESPACE: "path-not-found",
    Wbem.INVALID_CLASS: "path-not-found",
    Wbem.TRANSPORT_FAILURE: "rpc-failed",
    Wbem.CALL_CANCELLED: "connection-lost",
    Wbem.SHUTTING_DOWN: "shutting-down",
    Wbem.LOCAL_CREDENTIALS: "sign-in-failed",
    Wbem.SERVER_TOO_BUSY: "too-busy",
    Wbem.PRIVILEGE_NOT_HELD: "right-missing",
    Wbem.TIMED_OUT: "timed-out",
    Wbem.QUOTA_VIOLATION: _QUOTA,
    Wbem.ENCRYPTED_CONNECTION_REQUIRED: "unencrypted-refused",
    Wbem.PROVIDER_TIMED_OUT: "timed-out",
}
"""Any other of ``Wbem``: ``winrm-fault``, by name."""

_OWN_WIN32: dict[int, str] = {
    87: "winrm-fault",  # INVALID_PARAMETER
    995: "connection-lost",  # OPERATION_ABORTED: the service stops, or has ended the shell
}
"""Win32 codes that mean something of their own where a WinRM service says them."""

SUBCODES: dict[str, int] = {
    "AccessDenied": 5,
    "Concurrency": Wsman.CONCURRENCY,
    "DestinationUnreachable": Wsman.RESOURCE_NOT_FOUND,
    "EncodingLimit": Wsman.ENCODING_LIMIT,
    "EndpointUnavailable": Wsman.ENDPOINT_UNAVAILABLE,
    "InvalidEnumerationContext": Wsman.ENUMERATE_INVALID_ENUMERATION_CONTEXT,
    "InvalidSelectors": Wsman.INVALID_SELECTORS,
    "QuotaLimit": Wsman.QUOTA_LIMIT,
    "TimedOut": Wsman.OPERATION_TIMEDOUT,
}
"""Faults of DSP0226 and WS-Addressing whose name is all that is said → the number that says the same."""

NOT_FOUND = frozenset({Wsman.RESOURCE_NOT_FOUND, Wbem.NOT_FOUND})
"""Faults of a Get whose selectors name nothing."""

NOTHING_YET = Wsman.OPERATION_TIMEDOUT
"""The fault of a Receive for which nothing came within its OperationTimeout: ask again."""

SHELL_GONE = Wsman.UNEXPECTED_SELECTORS
"""The fault of an operation on a shell that is not there any more."""

_ACCESS_DENIED = 5
_FACILITY_WIN32 = 0x80070000
_WSMAN_NUMBERS, _WBEM_NUMBERS = frozenset(map(int, Wsman)), frozenset(map(int, Wbem))
_KEEP_DENIED = frozenset({Doing.SERVICE_MANAGER, Doing.REGISTRY})
"""Where a refusal has a code of its own; elsewhere WinRM refuses whoever is no administrator."""


def guarded(doing: Doing, work: Callable[[], T], detail: str = "") -> T:
    """Run ``work``; whatever the libraries raise becomes a ProblemError for ``doing``."""
    return foreign.guarded(translate, doing, work, detail)


def translate(error: BaseException, doing: Doing, detail: str = "") -> Problem:
    """The problem for a foreign exception."""
    if isinstance(error, psrp_errors.WSManFaultError):
        return from_fault(fault_number(error), doing, detail)
    if isinstance(error, StatusError):
        return of(STATUS.get(error.status, "winrm-fault"), doing, f"{detail} (HTTP status {error.status})".strip())
    if isinstance(error, ssl.SSLCertVerificationError):
        number = getattr(error, "verify_code", 0)
        code = CERTIFICATE.get(number, "certificate-untrusted")
        return of(code, doing, f"{detail} (certificate verification {number})".strip())
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", "") in _FORGED_RECORD:
        return of("tampered", doing, f"{detail} (a TLS record that does not verify)".strip())
    return foreign.by_class(error, CLASSES, doing, detail)


def fault_number(error: psrp_errors.WSManFaultError) -> int | None:
    """The fault's number, unsigned; None where it has none, and its name stands for none."""
    code = error.code
    if isinstance(code, str):
        return SUBCODES.get(code.rpartition(":")[2])
    return code & 0xFFFFFFFF if isinstance(code, int) and -(2**31) <= code < 2**32 else None


def refused(doing: Doing, detail: str = "") -> Problem:
    """The problem of an account that may not do this over WinRM."""
    return from_fault(_ACCESS_DENIED, doing, detail)


def from_fault(number: int | None, doing: Doing, detail: str = "") -> Problem:
    """The problem for a WSMan fault: its own numbers, Win32 codes, and HRESULTs made of them."""
    if number is None:
        return of("winrm-fault", doing, f"{detail} (a fault without a number)".strip())
    win32 = number - _FACILITY_WIN32 if _FACILITY_WIN32 <= number < _FACILITY_WIN32 + 0x10000 else number
    code, name = None, ""
    if number in _WSMAN_NUMBERS:
        code, name = WSMAN.get(Wsman(number)), f" {Wsman(number).name}"
    elif number in _WBEM_NUMBERS:
        code, name = WBEM.get(Wbem(number)), f" {Wbem(number).name}"
    elif win32 < 0x10000:
        code = _OWN_WIN32.get(win32) or WIN32.get(win32)
    if code == _DENIED:
        if doing in _KEEP_DENIED:
            return from_win32(_ACCESS_DENIED, doing, detail)
        code = "not-administrator"
    words = f"{doing.words}{' ' + detail if detail else ''} (WSMan fault {number}{name})"
    return problem(code or "winrm-fault", doing.stage, words)
