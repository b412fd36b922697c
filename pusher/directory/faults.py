"""LDAP result codes and Kerberos errors → Problem. Tables, pure.

Here lives the only translation of what ``child`` reports: a kind and a number, never a message. Result codes are
RFC 4511 4.1.9 and, below zero, libldap's own (ldap.h); Kerberos errors are RFC 4120 7.5.9 numbers.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from pusher.problems import Code, Problem, ProblemError, Stage, problem

_UNREACHABLE, _SIGN_IN, _MISSING = Code.DIRECTORY_UNREACHABLE, Code.DIRECTORY_SIGN_IN_FAILED, Code.DIRECTORY_UNAVAILABLE
_UNPROTECTED, _TLS, _NO_OBJECT = Code.DIRECTORY_UNPROTECTED, Code.DIRECTORY_TLS_FAILED, Code.DIRECTORY_NO_SUCH_OBJECT
_FILTER, _DENIED, _BUSY, _ANSWER = (
    Code.DIRECTORY_FILTER_WRONG,
    Code.DIRECTORY_DENIED,
    Code.DIRECTORY_BUSY,
    Code.DIRECTORY_ANSWER,
)
_TIME, _FAILED = Code.DIRECTORY_TIMED_OUT, Code.DIRECTORY_FAILED

RESULTS: Mapping[int, Code] = {
    1: _FAILED,  # operationsError: also what Active Directory says to a search before the bind
    2: _ANSWER,  # protocolError
    3: _TIME,  # timeLimitExceeded
    4: _BUSY,  # sizeLimitExceeded
    5: _ANSWER, 6: _ANSWER,  # compareFalse, compareTrue: nothing was compared
    7: _UNPROTECTED,  # authMethodNotSupported
    8: _UNPROTECTED,  # strongerAuthRequired
    10: _NO_OBJECT,  # referral: the base is another directory's
    11: _BUSY,  # adminLimitExceeded
    12: _FAILED,  # unavailableCriticalExtension: no paging
    13: _UNPROTECTED,  # confidentialityRequired
    14: _SIGN_IN,  # saslBindInProgress, where the sign-in had ended
    16: _FILTER, 17: _FILTER, 18: _FILTER, 19: _FILTER,  # of an attribute in the filter
    20: _FAILED,
    21: _FILTER,  # invalidAttributeSyntax
    32: _NO_OBJECT,  # noSuchObject
    33: _FAILED,
    34: _NO_OBJECT,  # invalidDNSyntax
    36: _FAILED,
    48: _SIGN_IN,  # inappropriateAuthentication
    49: _SIGN_IN,  # invalidCredentials
    50: _DENIED,  # insufficientAccessRights
    51: _BUSY, 52: _BUSY, 53: _FAILED,  # busy, unavailable, unwillingToPerform
    54: _FAILED, 64: _FAILED, 65: _FAILED, 66: _FAILED, 67: _FAILED, 68: _FAILED, 69: _FAILED,
    71: _NO_OBJECT,  # affectsMultipleDSAs
    80: _FAILED,  # other
    -1: _UNREACHABLE,  # LDAP_SERVER_DOWN: also a connection that was dropped
    -2: _SIGN_IN,  # LDAP_LOCAL_ERROR: SASL or GSSAPI on this side
    -3: _ANSWER, -4: _ANSWER,  # encoding, decoding
    -5: _TIME,  # LDAP_TIMEOUT
    -6: _MISSING,  # LDAP_AUTH_UNKNOWN: no SASL module for GSSAPI
    -7: _FILTER,  # LDAP_FILTER_ERROR
    -8: _FAILED,  # LDAP_USER_CANCELLED
    -9: _FAILED,  # LDAP_PARAM_ERROR
    -10: _ANSWER,  # LDAP_NO_MEMORY: more than the process that reads may hold
    -11: _UNREACHABLE,  # LDAP_CONNECT_ERROR
    -12: _FAILED,  # LDAP_NOT_SUPPORTED
    -13: _FAILED,  # LDAP_CONTROL_NOT_FOUND
    -14: _ANSWER, -15: _ANSWER,  # LDAP_NO_RESULTS_RETURNED, LDAP_MORE_RESULTS_TO_RETURN
    -16: _ANSWER, -17: _ANSWER,  # LDAP_CLIENT_LOOP, LDAP_REFERRAL_LIMIT_EXCEEDED
    -18: _UNREACHABLE,  # LDAP_X_CONNECTING
}  # fmt: skip

NAMES: Mapping[int, str] = {
    7: "authMethodNotSupported", 8: "strongerAuthRequired", 10: "referral", 32: "noSuchObject",
    34: "invalidDNSyntax", 48: "inappropriateAuthentication", 49: "invalidCredentials",
    50: "insufficientAccessRights", 53: "unwillingToPerform",
}  # fmt: skip

KERBEROS: Mapping[int, tuple[Code, str]] = {
    1: (_SIGN_IN, "the account has expired"),
    6: (_SIGN_IN, "the domain knows no such user"),
    7: (_SIGN_IN, "the domain knows no LDAP service of that server's name"),
    12: (_SIGN_IN, "the domain's policy forbids it"),
    14: (_SIGN_IN, "no encryption type in common"),
    18: (_SIGN_IN, "the account is locked out, disabled or expired"),
    23: (_SIGN_IN, "the password has expired"),
    24: (_SIGN_IN, "wrong password"),
    31: (_SIGN_IN, "wrong password"),
    32: (_SIGN_IN, "the ticket has expired"),
    33: (_SIGN_IN, "the ticket is not valid yet"),
    37: (Code.CLOCK_SKEW, "this machine's and the domain controller's"),
    41: (_SIGN_IN, "another machine answers at that server's name"),
    68: (_SIGN_IN, "the account belongs to another realm"),
    154: (_UNREACHABLE, "no KDC is known for the realm"),
    156: (_UNREACHABLE, "no KDC of the realm answers"),
    181: (_SIGN_IN, "the keytab has no key of the account"),  # KRB5_KT_NOTFOUND
    195: (_SIGN_IN, "the ticket cache is not there or cannot be read"),  # KRB5_FCC_NOFILE
}
"""By the number that MIT's library counts from its base (krb5_err.et)."""

_SOCKET: Mapping[int, str] = {
    errno.ECONNREFUSED: "it refuses the port",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to it",
    errno.ENETUNREACH: "no route to it",
    errno.ECONNRESET: "it drops the connection",
}


def of_ldap(number: int, stage: Stage = Stage.RESOLVE) -> Problem:
    """The problem of a result code."""
    name = NAMES.get(number)
    return problem(RESULTS.get(number, _FAILED), stage, f"LDAP result {number}" + (f" ({name})" if name else ""))


def of_kerberos(number: int | None) -> Problem:
    """The problem of a ticket that did not come."""
    if number is None:
        return problem(_SIGN_IN, None, "Kerberos")
    code, words = KERBEROS.get(number, (_SIGN_IN, "Kerberos"))
    return problem(code, Stage.SIGN_IN if code == _SIGN_IN else None, f"{words} (Kerberos error {number})")


def of_socket(server: str, number: int | None) -> Problem:
    """The problem of a server that cannot be reached; ``number`` None: its name leads nowhere."""
    if number is None:
        return problem(_UNREACHABLE, None, f"the name {server} has no address")
    return problem(_UNREACHABLE, None, f"{server}: {_SOCKET.get(number, f'error {number}')}")


def refused(code: Code, detail: str = "") -> ProblemError:
    """The catalogue's problem as an exception."""
    return ProblemError(problem(code, None, detail))
