"""Exceptions that every adapter meets, whatever it speaks: of pyspnego, of Kerberos, and of sockets.

Tables, and how an adapter's ``faults`` look an exception up in them. What must not live here: exceptions of one
adapter's own libraries (its ``faults``). Kerberos' numbers are in
``pusher.problems.kerberos``, because the credentials meet them too.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Mapping
from typing import TypeVar

import spnego.exceptions as spnego_errors

from pusher.problems import Problem, ProblemError
from pusher.problems.kerberos import KERBEROS, kerberos_code, kerberos_number
from pusher.problems.shortage import CODE, NUMBERS, shortage
from pusher.transports.codes import Doing, of

__all__ = ["ERRNO", "KERBEROS", "SPNEGO", "by_class", "guarded", "kerberos_code", "kerberos_number"]

T = TypeVar("T")

SPNEGO: Mapping[type[BaseException], str] = {
    spnego_errors.FeatureMissingError: "kerberos-unavailable",
    spnego_errors.NativeError: "sign-in-failed",
    spnego_errors.BadMechanismError: "kerberos-unavailable",
    spnego_errors.BadNameError: "kerberos-failed",
    spnego_errors.BadBindingsError: "tampered",
    spnego_errors.BadMICError: "tampered",
    spnego_errors.NoCredentialError: "kerberos-failed",
    spnego_errors.NoContextError: "sign-in-failed",
    spnego_errors.InvalidTokenError: "protocol-error",
    spnego_errors.InvalidCredentialError: "kerberos-failed",
    spnego_errors.CredentialsExpiredError: "kerberos-failed",
    spnego_errors.ContextExpiredError: "kerberos-failed",
    spnego_errors.UnsupportedQop: "sign-in-failed",
    spnego_errors.OperationNotAvailableError: "sign-in-failed",
    spnego_errors.SpnegoError: "sign-in-failed",
    ImportError: "kerberos-unavailable",  # pyspnego loads gssapi and krb5 when they are first asked for
}

ERRNO: Mapping[int, str] = {
    errno.ECONNREFUSED: "port-closed",
    errno.ETIMEDOUT: "timed-out",
    errno.EHOSTUNREACH: "host-unreachable",
    errno.ENETUNREACH: "host-unreachable",
    errno.EHOSTDOWN: "host-unreachable",
    errno.ENETDOWN: "host-unreachable",
    errno.EACCES: "host-unreachable",
    errno.EPERM: "host-unreachable",
    errno.EADDRNOTAVAIL: "host-unreachable",
    **dict.fromkeys(NUMBERS, CODE),
}


def guarded(
    translate: Callable[[BaseException, Doing, str], Problem], doing: Doing, work: Callable[[], T], detail: str
) -> T:
    """Run ``work``; whatever it raises becomes a ProblemError for ``doing``, by the adapter's ``translate``."""
    try:
        return work()
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(translate(error, doing, detail)) from error


def by_class(
    error: BaseException, classes: Mapping[type[BaseException], str], doing: Doing, detail: str = ""
) -> Problem:
    """The problem for an exception that carries no number of the protocol's: Kerberos', errno's, its class's.

    What no row of ``classes`` knows is an answer that broke a parser: ``protocol-error``.
    """
    short = shortage(error)
    if short is not None:
        return of(CODE, doing, f"{detail} ({short})".strip())
    kerberos = kerberos_code(error)
    if kerberos is not None:
        return of(kerberos, doing, f"{detail} (Kerberos error {kerberos_number(error)})".strip())
    # An SSLError's errno is OpenSSL's own number.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) in ERRNO:
        return of(ERRNO[error.errno or 0], doing, f"{detail} {error.strerror}".strip())
    for kind in type(error).__mro__:
        if kind in classes:
            return of(classes[kind], doing, f"{detail} ({type(error).__name__})".strip())
    return of("protocol-error", doing, f"{detail} ({type(error).__name__} while reading the answer)".strip())
