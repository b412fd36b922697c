"""Every exception that pypsrp, pyspnego, http.client, ssl and the socket can raise → one Problem.

Classes first, numbers second, text never. What no row knows is an answer that broke a parser: ``protocol-error``.
pypsrp's own HTTP transport, and with it requests and urllib3, is not used (see ``wire``), so theirs have no row.
The tests prove that each class of the libraries has its row. Numbers: MS-WSMV 2.2.4.43 and the WSMan error range
0x80338000 of Windows' wsmerror.h; HRESULTs of WMI, wbemcli.h.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TypeVar

from pypsrp import _pool_manager
from pypsrp import exceptions as psrp_errors

from pusher.problems import Problem, problem
from pusher.transports import foreign
from pusher.transports.codes import WIN32, Doing, from_win32, of
from pusher.transports.winrm.authentication import NoProtectionError, StatusError, UnprovenServerError
from pusher.transports.winrm.channel import NotXmlError, SignedOutError, TamperedError
from pusher.transports.winrm.cim import StrangeValueError
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
    http.client.NotConnected: "connection-lost",
    http.client.InvalidURL: "protocol-error",
    http.client.UnknownProtocol: "protocol-error",
    http.client.UnknownTransferEncoding: "protocol-error",
    http.client.UnimplementedFileMode: "protocol-error",
    http.client.IncompleteRead: "connection-lost",
    http.client.CannotSendRequest: "connection-lost",
    http.client.CannotSendHeader: "connection-lost",
    http.client.ResponseNotReady: "connection-lost",
    http.client.ImproperConnectionState: "connection-lost",
    http.client.RemoteDisconnected: "connection-lost",
    http.client.BadStatusLine: "protocol-error",
    http.client.LineTooLong: "protocol-error",
    http.client.HTTPException: "protocol-error",
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

WSMAN: dict[int, str] = {
    5: "access-denied",
    2150858747: "protocol-error",  # an enumeration context that is not valid any more
    2150858752: "path-not-found",  # no such resource
    2150858770: "host-unreachable",
    2150858778: "winrm-fault",  # the action is not supported
    2150858793: "timed-out",
    2150858806: "sign-in-refused",
    2150858843: "connection-lost",  # the shell is gone: look before anything is done again
    2150858961: "protocol-error",  # larger than MaxEnvelopeSize
    2150858974: "unencrypted-refused",
    2150858977: "sign-in-failed",
    2150858978: "sign-in-failed",
    2150858980: "sign-in-failed",
    2150859019: "sign-in-failed",
    2150859020: "sign-in-failed",
    2150859026: "winrm-refused",  # HTTP 503
    2150859027: "winrm-refused",  # HTTP 404
    2150859046: "timed-out",
    2150859113: "winrm-refused",
    2150859173: "winrm-quota",
    2150859174: "winrm-quota",
    2150859175: "winrm-quota",
    2150859176: "winrm-quota",
    2150859179: "winrm-quota",
    2150859180: "winrm-refused",
    2150859193: "name-not-found",
    2150859194: "tls-failed",
    2150859195: "sign-in-failed",
    2150859229: "winrm-refused",
    2150859235: "winrm-refused",
    2150859248: "tls-failed",
    0x80041002: "path-not-found",  # WBEM_E_NOT_FOUND
    0x80041003: "access-denied",  # WBEM_E_ACCESS_DENIED
    0x80041006: "too-busy",  # WBEM_E_OUT_OF_MEMORY
    0x80041033: "shutting-down",  # WBEM_E_SHUTTING_DOWN
    0x80041062: "right-missing",  # WBEM_E_PRIVILEGE_NOT_HELD
    0x80041069: "timed-out",  # WBEM_E_TIMED_OUT
    0x8004106C: "winrm-quota",  # WBEM_E_QUOTA_VIOLATION
}

NOT_FOUND = frozenset({2150858752, 0x80041002})
"""Faults of a Get whose selectors name nothing."""

NOTHING_YET = 2150858793
"""The fault of a Receive for which nothing came within its OperationTimeout: ask again."""

_ACCESS_DENIED = 5
_FACILITY_WIN32 = 0x80070000
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
    """The fault's number, unsigned; None where it has none (the code is then a SOAP subcode's name)."""
    code = error.code
    return code & 0xFFFFFFFF if isinstance(code, int) and -(2**31) <= code < 2**32 else None


def refused(doing: Doing, detail: str = "") -> Problem:
    """The problem of an account that may not do this over WinRM."""
    return from_fault(_ACCESS_DENIED, doing, detail)


def from_fault(number: int | None, doing: Doing, detail: str = "") -> Problem:
    """The problem for a WSMan fault: its own numbers, Win32 codes, and HRESULTs made of them."""
    if number is None:
        return of("winrm-fault", doing, f"{detail} (a fault without a number)".strip())
    win32 = number - _FACILITY_WIN32 if _FACILITY_WIN32 <= number < _FACILITY_WIN32 + 0x10000 else number
    code = WSMAN.get(number) or WSMAN.get(win32) or (WIN32.get(win32) if win32 < 0x10000 else None)
    if code == "access-denied":
        if doing in _KEEP_DENIED:
            return from_win32(_ACCESS_DENIED, doing, detail)
        code = "not-administrator"
    words = f"{doing.words}{' ' + detail if detail else ''} (WSMan fault {number})"
    return problem(code or "winrm-fault", doing.stage, words)
