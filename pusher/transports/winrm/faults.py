"""Every exception that pypsrp, pyspnego, h11, ssl and the socket can raise → one Problem.

Classes first, numbers second, text never. What no row knows is an answer that broke a parser: ``protocol-error``.
pypsrp's own HTTP transport, and with it requests and urllib3, is not used (see ``wire``), so theirs have no row.
The tests prove that each class of the libraries has its row. The numbers of faults are named in ``numbers``, and their
codes are in ``number_codes``; those that no table has are Win32 codes and HRESULTs made of them.
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

from pusher.problems import Code, Problem, problem
from pusher.transports import shared_faults as foreign
from pusher.transports.codes import WIN32, Operation, from_win32, of
from pusher.transports.winrm.authentication import NoProtectionError, StatusError, UnprovenServerError
from pusher.transports.winrm.channel import NotXmlError, SignedOutError, TamperedError
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.number_codes import WBEM, WSMAN
from pusher.transports.winrm.numbers import Wbem, Wsman
from pusher.transports.winrm.tls import PinMismatchError
from pusher.transports.winrm.wire import HandshakeError, ImplausibleError

T = TypeVar("T")

CLASSES: dict[type[BaseException], Code] = {
    **foreign.SPNEGO,
    TamperedError: Code.TAMPERED,
    SignedOutError: Code.CONNECTION_LOST,
    NotXmlError: Code.PROTOCOL_ERROR,
    ImplausibleError: Code.PROTOCOL_ERROR,
    StrangeValueError: Code.PROTOCOL_ERROR,
    HandshakeError: Code.TLS_FAILED,
    PinMismatchError: Code.CERTIFICATE_MISMATCH,
    UnprovenServerError: Code.WRONG_HOST,
    NoProtectionError: Code.UNENCRYPTED_REFUSED,
    psrp_errors.AuthenticationError: Code.SIGN_IN_REFUSED,
    psrp_errors.InvalidRunspacePoolStateError: Code.PROTOCOL_ERROR,
    psrp_errors.InvalidPipelineStateError: Code.PROTOCOL_ERROR,
    psrp_errors._InvalidStateError: Code.PROTOCOL_ERROR,
    psrp_errors.InvalidPSRPOperation: Code.PROTOCOL_ERROR,
    psrp_errors.FragmentError: Code.PROTOCOL_ERROR,
    psrp_errors.SerializationError: Code.PROTOCOL_ERROR,
    psrp_errors.WinRMTransportError: Code.WINRM_FAULT,
    psrp_errors.WinRMError: Code.PROTOCOL_ERROR,
    _pool_manager.NewConnectionDisabled: Code.CONNECTION_LOST,
    ET.ParseError: Code.PROTOCOL_ERROR,
    h11.RemoteProtocolError: Code.PROTOCOL_ERROR,
    h11.LocalProtocolError: Code.PROTOCOL_ERROR,
    h11.ProtocolError: Code.PROTOCOL_ERROR,
    ssl.SSLCertVerificationError: Code.CERTIFICATE_UNTRUSTED,
    ssl.SSLEOFError: Code.CONNECTION_LOST,
    ssl.SSLZeroReturnError: Code.CONNECTION_LOST,
    ssl.SSLSyscallError: Code.CONNECTION_LOST,
    ssl.SSLWantReadError: Code.CONNECTION_LOST,
    ssl.SSLWantWriteError: Code.CONNECTION_LOST,
    ssl.SSLError: Code.TLS_FAILED,  # past the handshake: an alert
    TimeoutError: Code.TIMED_OUT,
    socket.gaierror: Code.NAME_NOT_FOUND,
    ConnectionError: Code.CONNECTION_LOST,
    OSError: Code.CONNECTION_LOST,
}

CERTIFICATE: dict[int, Code] = {
    9: Code.CERTIFICATE_EXPIRED,  # X509_V_ERR_CERT_NOT_YET_VALID
    10: Code.CERTIFICATE_EXPIRED,  # X509_V_ERR_CERT_HAS_EXPIRED
    62: Code.CERTIFICATE_WRONG_NAME,  # X509_V_ERR_HOSTNAME_MISMATCH
    64: Code.CERTIFICATE_WRONG_NAME,  # X509_V_ERR_IP_ADDRESS_MISMATCH
}
"""OpenSSL's verify results (x509_vfy.h); any other is a certificate that is not trusted."""

_FORGED_RECORD = frozenset({"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "BAD_DECRYPT"})
"""OpenSSL's names of the reason (sslerr.h), not its words."""

STATUS: dict[int, Code] = {
    401: Code.SIGN_IN_REFUSED,
    403: Code.WINRM_REFUSED,
    404: Code.WINRM_REFUSED,
    405: Code.WINRM_REFUSED,
    429: Code.TOO_BUSY,
    503: Code.WINRM_REFUSED,
}

_OWN_WIN32: dict[int, Code] = {
    87: Code.WINRM_FAULT,  # INVALID_PARAMETER
    995: Code.CONNECTION_LOST,  # OPERATION_ABORTED: the service stops, or has ended the shell
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
_KEEP_DENIED = frozenset({Operation.SERVICE_MANAGER, Operation.REGISTRY})
"""Where a refusal has a code of its own; elsewhere WinRM refuses whoever is no administrator."""


def guarded(operation: Operation, work: Callable[[], T], detail: str = "") -> T:
    """Run ``work``; whatever the libraries raise becomes a ProblemError for ``operation``."""
    return foreign.guarded(translate, operation, work, detail)


def translate(error: BaseException, operation: Operation, detail: str = "") -> Problem:
    """The problem for a foreign exception."""
    if isinstance(error, psrp_errors.WSManFaultError):
        return from_fault(fault_number(error), operation, detail)
    if isinstance(error, StatusError):
        return of(
            STATUS.get(error.status, Code.WINRM_FAULT), operation, f"{detail} (HTTP status {error.status})".strip()
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        number = getattr(error, "verify_code", 0)
        code = CERTIFICATE.get(number, Code.CERTIFICATE_UNTRUSTED)
        return of(code, operation, f"{detail} (certificate verification {number})".strip())
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", "") in _FORGED_RECORD:
        return of(Code.TAMPERED, operation, f"{detail} (a TLS record that does not verify)".strip())
    return foreign.by_class(error, CLASSES, operation, detail)


def fault_number(error: psrp_errors.WSManFaultError) -> int | None:
    """The fault's number, unsigned; None where it has none, and its name stands for none."""
    code = error.code
    if isinstance(code, str):
        return SUBCODES.get(code.rpartition(":")[2])
    return code & 0xFFFFFFFF if isinstance(code, int) and -(2**31) <= code < 2**32 else None


def refused(operation: Operation, detail: str = "") -> Problem:
    """The problem of an account that may not do this over WinRM."""
    return from_fault(_ACCESS_DENIED, operation, detail)


def from_fault(number: int | None, operation: Operation, detail: str = "") -> Problem:
    """The problem for a WSMan fault: its own numbers, Win32 codes, and HRESULTs made of them."""
    if number is None:
        return of(Code.WINRM_FAULT, operation, f"{detail} (a fault without a number)".strip())
    win32 = number - _FACILITY_WIN32 if _FACILITY_WIN32 <= number < _FACILITY_WIN32 + 0x10000 else number
    code, name = None, ""
    if number in _WSMAN_NUMBERS:
        code, name = WSMAN.get(Wsman(number)), f" {Wsman(number).name}"
    elif number in _WBEM_NUMBERS:
        code, name = WBEM.get(Wbem(number)), f" {Wbem(number).name}"
    elif win32 < 0x10000:
        code = _OWN_WIN32.get(win32) or WIN32.get(win32)
    if code == Code.ACCESS_DENIED:
        if operation in _KEEP_DENIED:
            return from_win32(_ACCESS_DENIED, operation, detail)
        code = Code.NOT_ADMINISTRATOR
    words = f"{operation.words}{' ' + detail if detail else ''} (WSMan fault {number}{name})"
    return problem(code or Code.WINRM_FAULT, operation.stage, words)
