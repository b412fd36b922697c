"""Exceptions that every adapter meets, whatever it speaks: of pyspnego, of Kerberos, and of sockets.

Tables, and how an adapter's ``faults`` look an exception up in them. What must not live here: exceptions of one
adapter's own libraries, which are in its ``faults``. Kerberos' numbers are in ``pusher.problems.kerberos``, because the
credentials meet them too.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Mapping
from typing import TypeVar

import spnego.exceptions as spnego_errors

from pusher.problems import Code, Problem, ProblemError
from pusher.problems.kerberos import KERBEROS, kerberos_code, kerberos_number
from pusher.problems.shortage import CODE, NUMBERS, shortage
from pusher.transports.codes import Operation, of

__all__ = ["ERRNO", "KERBEROS", "SPNEGO", "by_class", "guarded", "kerberos_code", "kerberos_number"]

T = TypeVar("T")

SPNEGO: Mapping[type[BaseException], Code] = {
    spnego_errors.FeatureMissingError: Code.KERBEROS_UNAVAILABLE,
    spnego_errors.NativeError: Code.SIGN_IN_FAILED,
    spnego_errors.BadMechanismError: Code.KERBEROS_UNAVAILABLE,
    spnego_errors.BadNameError: Code.KERBEROS_FAILED,
    spnego_errors.BadBindingsError: Code.TAMPERED,
    spnego_errors.BadMICError: Code.TAMPERED,
    spnego_errors.NoCredentialError: Code.KERBEROS_FAILED,
    spnego_errors.NoContextError: Code.SIGN_IN_FAILED,
    spnego_errors.InvalidTokenError: Code.PROTOCOL_ERROR,
    spnego_errors.InvalidCredentialError: Code.KERBEROS_FAILED,
    spnego_errors.CredentialsExpiredError: Code.KERBEROS_FAILED,
    spnego_errors.ContextExpiredError: Code.KERBEROS_FAILED,
    spnego_errors.UnsupportedQop: Code.SIGN_IN_FAILED,
    spnego_errors.OperationNotAvailableError: Code.SIGN_IN_FAILED,
    spnego_errors.SpnegoError: Code.SIGN_IN_FAILED,
    ImportError: Code.KERBEROS_UNAVAILABLE,  # pyspnego loads gssapi and krb5 when they are first asked for
}

ERRNO: Mapping[int, Code] = {
    errno.ECONNREFUSED: Code.PORT_CLOSED,
    errno.ETIMEDOUT: Code.TIMED_OUT,
    errno.EHOSTUNREACH: Code.HOST_UNREACHABLE,
    errno.ENETUNREACH: Code.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Code.HOST_UNREACHABLE,
    errno.ENETDOWN: Code.HOST_UNREACHABLE,
    errno.EACCES: Code.HOST_UNREACHABLE,
    errno.EPERM: Code.HOST_UNREACHABLE,
    errno.EADDRNOTAVAIL: Code.HOST_UNREACHABLE,
    **dict.fromkeys(NUMBERS, CODE),
}


def guarded(
    translate: Callable[[BaseException, Operation, str], Problem],
    operation: Operation,
    work: Callable[[], T],
    detail: str,
) -> T:
    """Run ``work``; whatever it raises becomes a ProblemError for ``operation``, by the adapter's ``translate``."""
    try:
        return work()
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(translate(error, operation, detail)) from error


def by_class(
    error: BaseException, classes: Mapping[type[BaseException], Code], operation: Operation, detail: str = ""
) -> Problem:
    """The problem for an exception that carries no number of the protocol's: Kerberos', errno's, its class's.

    What no row of ``classes`` knows is an answer that broke a parser: ``protocol-error``.
    """
    short = shortage(error)
    if short is not None:
        return of(CODE, operation, f"{detail} ({short})".strip())
    kerberos = kerberos_code(error)
    if kerberos is not None:
        return of(kerberos, operation, f"{detail} (Kerberos error {kerberos_number(error)})".strip())
    # An SSLError's errno is OpenSSL's own number.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) in ERRNO:
        return of(ERRNO[error.errno or 0], operation, f"{detail} {error.strerror}".strip())
    for kind in type(error).__mro__:
        if kind in classes:
            return of(classes[kind], operation, f"{detail} ({type(error).__name__})".strip())
    return of(Code.PROTOCOL_ERROR, operation, f"{detail} ({type(error).__name__} while reading the answer)".strip())
