"""Every exception that the wire, smbprotocol, pyspnego, impacket and the socket can raise → one Problem.

Classes first, numbers second, text never. What no row knows is an answer that broke a parser: ``protocol-error``.
The tests prove that each class of the libraries has its row.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import spnego.exceptions as spnego_errors
from impacket.dcerpc.v5.rpcrt import DCERPCException
from smbprotocol import exceptions as smb_errors

from pusher.problems import Code, Problem, ProblemError
from pusher.transports import shared_faults as foreign
from pusher.transports.codes import Operation, from_ntstatus, from_win32
from pusher.transports.smb.errors import (
    CallError,
    ClosedError,
    ImplausibleError,
    NtStatusError,
    RpcFaultError,
    SessionGoneError,
    TamperedError,
    UnsupportedDialectError,
    WireError,
)

T = TypeVar("T")

CLASSES: dict[type[BaseException], Code] = {
    TamperedError: Code.TAMPERED,
    SessionGoneError: Code.CONNECTION_LOST,
    ImplausibleError: Code.PROTOCOL_ERROR,
    UnsupportedDialectError: Code.DIALECT_UNSUPPORTED,
    ClosedError: Code.CONNECTION_LOST,
    WireError: Code.PROTOCOL_ERROR,
    smb_errors.SMBConnectionClosed: Code.CONNECTION_LOST,
    smb_errors.SMBUnsupportedFeature: Code.DIALECT_UNSUPPORTED,
    smb_errors.SMBLinkRedirectionError: Code.PATH_NOT_FOUND,
    smb_errors.SMBAuthenticationError: Code.SIGN_IN_FAILED,
    smb_errors.SMBException: Code.PROTOCOL_ERROR,
    **foreign.SPNEGO,
    DCERPCException: Code.RPC_FAILED,
    TimeoutError: Code.TIMED_OUT,
    socket.gaierror: Code.NAME_NOT_FOUND,
    ConnectionError: Code.CONNECTION_LOST,
    OSError: Code.CONNECTION_LOST,
}


def guarded(operation: Operation, work: Callable[[], T], detail: str = "") -> T:
    """Run ``work``; whatever the libraries raise becomes a ProblemError for ``operation``."""
    return foreign.guarded(translate, operation, work, detail)


@contextmanager
def translating(operation: Operation, detail: str = "") -> Iterator[None]:
    """As ``guarded``, for what is awaited within."""
    try:
        yield
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(translate(error, operation, detail)) from error


def translate(error: BaseException, operation: Operation, detail: str = "") -> Problem:
    """The problem for a foreign exception."""
    if isinstance(error, smb_errors.SMBResponseException | NtStatusError):
        return from_ntstatus(error.status, operation, detail)
    if isinstance(error, smb_errors.SMBOSError):
        return from_ntstatus(error.ntstatus, operation, detail)
    if isinstance(error, RpcFaultError | CallError):
        return from_win32(error.status, operation, detail)
    if isinstance(error, DCERPCException) and isinstance(error.error_code, int):
        code = error.error_code
        return from_ntstatus(code, operation, detail) if code >= 0x80000000 else from_win32(code, operation, detail)
    # smbprotocol wraps the socket's error in a ValueError and pyspnego's in its own: the cause says more.
    cause = error.__cause__
    wraps = type(error) in (ValueError, smb_errors.SMBAuthenticationError)
    if wraps and cause and (isinstance(cause, OSError | spnego_errors.SpnegoError) or foreign.kerberos_code(cause)):
        return translate(cause, operation, detail)
    return foreign.by_class(error, CLASSES, operation, detail)
