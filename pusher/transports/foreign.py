"""Exceptions that every adapter meets, whatever it speaks: of pyspnego, of Kerberos, and of sockets.

Tables, and how an adapter's ``faults`` look an exception up in them. What must not live here: exceptions of one
adapter's own libraries (its ``faults``). Kerberos errors are
RFC 4120 7.5.9 numbers, which MIT's library counts from ``_KRB5_BASE`` (its krb5_err.et).
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Mapping
from typing import TypeVar

import spnego.exceptions as spnego_errors

from pusher.problems import Problem, ProblemError
from pusher.transports.codes import Doing, of

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
    errno.EMFILE: "internal-error",
    errno.ENFILE: "internal-error",
}

KERBEROS: Mapping[int, str] = {
    1: "account-expired",  # KDC_ERR_NAME_EXP
    6: "no-such-account",  # KDC_ERR_C_PRINCIPAL_UNKNOWN
    7: "kerberos-failed",  # KDC_ERR_S_PRINCIPAL_UNKNOWN: no SPN
    12: "account-restricted",  # KDC_ERR_POLICY
    14: "account-restricted",  # KDC_ERR_ETYPE_NOSUPP
    18: "account-locked",  # KDC_ERR_CLIENT_REVOKED: locked out, disabled or expired
    23: "password-expired",  # KDC_ERR_KEY_EXPIRED
    24: "wrong-password",  # KDC_ERR_PREAUTH_FAILED
    31: "wrong-password",  # KRB_AP_ERR_BAD_INTEGRITY: of the client's own key
    32: "kerberos-failed",  # KRB_AP_ERR_TKT_EXPIRED
    33: "kerberos-failed",  # KRB_AP_ERR_TKT_NYV
    37: "clock-skew",  # KRB_AP_ERR_SKEW
    41: "wrong-host",  # KRB_AP_ERR_MODIFIED
    156: "no-logon-servers",  # KRB5_KDC_UNREACH
    154: "no-logon-servers",  # KRB5_REALM_UNKNOWN
}

_KERBEROS_PACKAGES = frozenset({"krb5", "gssapi"})
_KRB5_BASE = -1765328384
_KRB5_COUNT = 256


def kerberos_number(error: BaseException) -> int | None:
    """The number that an exception of krb5, or one of gssapi that pyspnego wraps, carries; None where it has none.

    By attribute: neither package need be installed.
    """
    base = getattr(error, "base_error", None)
    for holder, name in ((error, "err_code"), (error, "min_code"), (base, "min_code")):
        code = getattr(holder, name, None)
        if isinstance(code, int):
            number = (code - (1 << 32) if code >= 1 << 31 else code) - _KRB5_BASE
            if 0 <= number < _KRB5_COUNT:
                return number
    return None


def kerberos_code(error: BaseException) -> str | None:
    """The catalogue's code for an exception of krb5 or gssapi, raw or wrapped by pyspnego; None for any other."""
    number = kerberos_number(error)
    if number is not None:
        return KERBEROS.get(number, "kerberos-failed")
    return "kerberos-failed" if type(error).__module__.partition(".")[0] in _KERBEROS_PACKAGES else None


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
