"""Kerberos' numbers → the catalogue's codes: a table, and the functions that read a number off an exception. Pure.

Here, below them, because two rooms meet Kerberos that do not know each other: the transports (a ticket for a host)
and the credentials (the ticket-granting ticket, from the domain controller). Numbers are those of RFC 4120 7.5.9 and,
from 128 on, of MIT's library itself (its krb5_err.et), which counts all of them from ``_KRB5_BASE``.
"""

from __future__ import annotations

from collections.abc import Mapping

from pusher.problems.codes import Code

KERBEROS: Mapping[int, Code] = {
    1: Code.ACCOUNT_EXPIRED,  # KDC_ERR_NAME_EXP
    6: Code.NO_SUCH_ACCOUNT,  # KDC_ERR_C_PRINCIPAL_UNKNOWN
    7: Code.KERBEROS_FAILED,  # KDC_ERR_S_PRINCIPAL_UNKNOWN: no SPN
    12: Code.ACCOUNT_RESTRICTED,  # KDC_ERR_POLICY
    14: Code.ACCOUNT_RESTRICTED,  # KDC_ERR_ETYPE_NOSUPP
    18: Code.ACCOUNT_LOCKED,  # KDC_ERR_CLIENT_REVOKED: locked out, disabled or expired
    23: Code.PASSWORD_EXPIRED,  # KDC_ERR_KEY_EXPIRED
    24: Code.WRONG_PASSWORD,  # KDC_ERR_PREAUTH_FAILED
    29: Code.NO_LOGON_SERVERS,  # KDC_ERR_SVC_UNAVAILABLE
    31: Code.WRONG_PASSWORD,  # KRB_AP_ERR_BAD_INTEGRITY: of the client's own key
    32: Code.TICKET_EXPIRED,  # KRB_AP_ERR_TKT_EXPIRED
    33: Code.KERBEROS_FAILED,  # KRB_AP_ERR_TKT_NYV
    37: Code.CLOCK_SKEW,  # KRB_AP_ERR_SKEW
    41: Code.WRONG_HOST,  # KRB_AP_ERR_MODIFIED
    68: Code.NO_SUCH_ACCOUNT,  # KDC_ERR_WRONG_REALM
    141: Code.TICKET_MISSING,  # KRB5_CC_NOTFOUND
    148: Code.CLOCK_SKEW,  # KRB5_KDCREP_SKEW
    154: Code.NO_LOGON_SERVERS,  # KRB5_REALM_UNKNOWN
    156: Code.NO_LOGON_SERVERS,  # KRB5_KDC_UNREACH
    181: Code.KEYTAB_NO_PRINCIPAL,  # KRB5_KT_NOTFOUND
    195: Code.TICKET_MISSING,  # KRB5_FCC_NOFILE
    220: Code.NO_LOGON_SERVERS,  # KRB5_REALM_CANT_RESOLVE
}

_PACKAGES = frozenset({"krb5", "gssapi"})
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


def kerberos_code(error: BaseException) -> Code | None:
    """The catalogue's code for an exception of krb5 or gssapi, raw or wrapped by pyspnego; None for any other."""
    number = kerberos_number(error)
    if number is not None:
        return KERBEROS.get(number, Code.KERBEROS_FAILED)
    return Code.KERBEROS_FAILED if type(error).__module__.partition(".")[0] in _PACKAGES else None
