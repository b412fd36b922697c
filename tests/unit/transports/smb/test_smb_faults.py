"""Every exception that smbprotocol, pyspnego, impacket or the socket can raise has an explicit translation."""

from __future__ import annotations

import errno
import inspect
import socket
import ssl
from collections.abc import Iterator

import pytest
import smbprotocol.exceptions as smb_errors
import spnego.exceptions as spnego_errors
from impacket.dcerpc.v5 import lsad, lsat, rrp, scmr, srvs
from impacket.dcerpc.v5.rpcrt import DCERPCException
from smbprotocol.header import SMB2HeaderResponse

from pusher.problems import CATALOGUE, Code, ProblemError, problem
from pusher.transports.codes import NTSTATUS, WIN32, Operation
from pusher.transports.shared_faults import ERRNO
from pusher.transports.smb.errors import (
    CallError,
    ImplausibleError,
    NtStatusError,
    RpcFaultError,
    TamperedError,
    UnsupportedDialectError,
    WireError,
)
from pusher.transports.smb.faults import CLASSES, guarded, translate


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def response(status: int) -> smb_errors.SMBResponseException:
    """What smbprotocol makes of an answer with that status."""
    header = SMB2HeaderResponse()
    header["status"] = status
    return smb_errors.SMBResponseException(header)


SMB = sorted(set(subclasses(smb_errors.SMBException)) | {smb_errors.SMBException}, key=str)
WIRE: list[type[BaseException]] = sorted(subclasses(WireError), key=str)
SPNEGO = [
    kind
    for _, kind in inspect.getmembers(spnego_errors, inspect.isclass)
    if issubclass(kind, BaseException) and kind.__module__ == spnego_errors.__name__
]
SESSION_ERRORS = [module.DCERPCSessionError for module in (scmr, rrp, lsad, lsat, srvs)]


@pytest.mark.parametrize("kind", SMB, ids=lambda kind: kind.__name__)
def test_every_class_of_smbprotocol_is_decided_on(kind: type[smb_errors.SMBException]) -> None:
    if issubclass(kind, smb_errors.SMBResponseException):
        status = getattr(kind, "_STATUS_CODE", None)
        assert status is None or status in NTSTATUS, f"{kind.__name__} 0x{status:08X} has no row"
    elif kind is smb_errors.SMBOSError:
        assert kind not in CLASSES, "it carries a number"
    else:
        assert kind in CLASSES, f"{kind.__name__} has no row"


@pytest.mark.parametrize("kind", WIRE, ids=str)
def test_every_class_of_the_wire_is_decided_on(kind: type[BaseException]) -> None:
    carries_a_number = kind in (CallError, NtStatusError, RpcFaultError)
    assert (kind in CLASSES) != carries_a_number


@pytest.mark.parametrize("kind", SPNEGO, ids=lambda kind: kind.__name__)
def test_every_class_of_pyspnego_is_decided_on(kind: type[BaseException]) -> None:
    assert kind in CLASSES


def test_there_is_something_to_cover() -> None:
    """The lists above are read from the libraries; an empty one would prove nothing."""
    assert len(SMB) > 65
    assert len(SPNEGO) > 13
    assert len([kind for kind in SMB if getattr(kind, "_STATUS_CODE", None)]) > 60


def test_a_response_is_known_by_its_number() -> None:
    for status, code in NTSTATUS.items():
        found = translate(response(status), Operation.FILE)
        assert (found.code, f"0x{status:08X}" in found.message) == (code, True)
    assert translate(response(0xC0FFEE00), Operation.FACTS).code == "protocol-error"
    assert translate(response(0xC0FFEE00), Operation.SIGN_IN).code == "sign-in-failed"


@pytest.mark.parametrize("kind", SESSION_ERRORS, ids=lambda kind: kind.__module__)
def test_an_rpc_error_is_known_by_its_number(kind: type[DCERPCException]) -> None:
    for number, code in WIN32.items():
        assert translate(kind(error_code=number), Operation.FILE).code == code
    assert translate(kind(error_code=0xC0000073), Operation.SIGN_IN).code == "no-such-account"
    assert translate(kind(error_code=0xC0000022), Operation.FACTS).code == "access-denied"


def test_an_rpc_error_without_a_number() -> None:
    assert translate(DCERPCException("what a text says"), Operation.FACTS).code == "rpc-failed"
    assert translate(RpcFaultError(5), Operation.SERVICE_MANAGER).code == "service-creation-denied"
    assert translate(CallError(5), Operation.SERVICE_MANAGER).code == "service-creation-denied"
    assert translate(NtStatusError(0xC0000022), Operation.ADMIN_SHARE).code == "not-administrator"
    assert translate(RpcFaultError(0x1C010003), Operation.FACTS).code == "rpc-failed"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ECONNREFUSED, "port-closed"), (errno.ETIMEDOUT, "timed-out"), (errno.EHOSTUNREACH, "host-unreachable"),
        (errno.ENETUNREACH, "host-unreachable"), (errno.EHOSTDOWN, "host-unreachable"),
        (errno.ENETDOWN, "host-unreachable"), (errno.EACCES, "host-unreachable"), (errno.EPERM, "host-unreachable"),
        (errno.EADDRNOTAVAIL, "host-unreachable"), (errno.EMFILE, "out-of-resources"),
        (errno.ENFILE, "out-of-resources"), (errno.ENOMEM, "out-of-resources"), (errno.ENOBUFS, "out-of-resources"),
        (errno.ECONNRESET, "connection-lost"), (errno.EPIPE, "connection-lost"),
        (errno.ECONNABORTED, "connection-lost"), (errno.EBADF, "connection-lost"),
        (errno.ENOTCONN, "connection-lost"), (errno.ESHUTDOWN, "connection-lost"),
    ],
)  # fmt: skip
def test_a_sockets_errors(number: int, code: str) -> None:
    error = OSError(number, "what the system calls it")
    assert translate(error, Operation.REACH).code == code
    # smbprotocol wraps it in a ValueError whose text alone says what it was.
    wrapped = ValueError(f"Failed to connect: {error}")
    wrapped.__cause__ = error
    assert translate(wrapped, Operation.REACH).code == code


def test_every_errno_leads_somewhere() -> None:
    for number in errno.errorcode:
        assert translate(OSError(number, "x"), Operation.REACH).code in CATALOGUE
    assert set(ERRNO) <= set(errno.errorcode)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "timed-out"),
        (TimeoutError("timed out"), "timed-out"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name-not-found"),
        (ConnectionResetError(), "connection-lost"),
        (BrokenPipeError(), "connection-lost"),
        (ssl.SSLError(), "connection-lost"),
        (TamperedError("x"), "tampered"),
        (ImplausibleError("x"), "protocol-error"),
        (UnsupportedDialectError("x"), "dialect-unsupported"),
        (smb_errors.SMBConnectionClosed("x"), "connection-lost"),
        (ImportError("gssapi"), "kerberos-unavailable"),
        (KeyError("message id"), "protocol-error"),
        (ValueError("cut short"), "protocol-error"),
        (RecursionError(), "protocol-error"),
    ],
)
def test_other_errors(error: Exception, code: str) -> None:
    assert translate(error, Operation.FACTS).code == code


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (spnego_errors.NoCredentialError, "kerberos-failed"),
        (spnego_errors.InvalidCredentialError, "kerberos-failed"),
        (spnego_errors.BadMechanismError, "kerberos-unavailable"),
        (spnego_errors.BadMICError, "tampered"),
    ],
)
def test_what_smbprotocol_wraps_at_sign_in_is_seen_through(cause: type[Exception], code: str) -> None:
    wrapped = smb_errors.SMBAuthenticationError("Failed to authenticate with server")
    wrapped.__cause__ = cause.__new__(cause)
    assert translate(wrapped, Operation.SIGN_IN).code == code
    assert translate(smb_errors.SMBAuthenticationError("x"), Operation.SIGN_IN).code == "sign-in-failed"


def test_a_value_error_of_our_own_is_not_seen_through() -> None:
    """Only an error of the socket or of the sign-in behind it says more."""
    error = ValueError("x")
    error.__cause__ = KeyError("y")
    assert translate(error, Operation.FACTS).code == "protocol-error"


def test_the_text_of_an_error_makes_no_difference() -> None:
    for kind in (smb_errors.SMBException, ValueError, DCERPCException, ConnectionError):
        codes = {translate(kind(text), Operation.SIGN_IN).code for text in
                 ("", "STATUS_ACCESS_DENIED", "wrong password", "timed out", "Failed to connect: refused")}  # fmt: skip
        assert len(codes) == 1, kind


def test_guarded_keeps_problems_and_causes() -> None:
    known = ProblemError(problem(Code.DISK_FULL))

    def raises(error: BaseException) -> None:
        raise error

    with pytest.raises(ProblemError) as caught:
        guarded(Operation.FILE, lambda: raises(known))
    assert caught.value is known
    cause = ConnectionResetError()
    with pytest.raises(ProblemError) as caught:
        guarded(Operation.FILE, lambda: raises(cause), "ADMIN$\\x")
    assert caught.value.__cause__ is cause
    assert "ADMIN$\\x" in caught.value.problem.message
    with pytest.raises(KeyboardInterrupt):
        guarded(Operation.FILE, lambda: raises(KeyboardInterrupt()))
    assert guarded(Operation.FILE, lambda: 7) == 7


class _KerberosError(Exception):
    """As krb5's: the number of MIT's library, which is RFC 4120's and a base."""

    def __init__(self, number: int) -> None:
        super().__init__("whatever it says")
        self.err_code = number - 1765328384


@pytest.mark.parametrize(
    ("number", "code"), [(24, "wrong-password"), (37, "clock-skew"), (18, "account-locked"), (99, "kerberos-failed")]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_kdc_says_is_told(number: int, code: str, wrapped: bool) -> None:
    error: Exception = _KerberosError(number)
    if wrapped:
        outer = smb_errors.SMBAuthenticationError("no")
        outer.__cause__ = error
        error = outer
    assert translate(error, Operation.SIGN_IN).code == code
