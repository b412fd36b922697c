"""Exceptions that every adapter meets, whatever it speaks: of pyspnego, of Kerberos, and of sockets. Tables, pure.

What must not live here: exceptions of one adapter's own libraries (its ``faults``). Kerberos errors are
RFC 4120 7.5.9 numbers, which MIT's library counts from ``_KRB5_BASE`` (its krb5_err.et).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

import spnego.exceptions as spnego_errors

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
