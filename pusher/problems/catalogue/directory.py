"""Codes of the directory that is asked for computers, accounts and LAPS passwords: codes that begin with directory-."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import (
    EVERYWHERE,
    FAILED,
    GIVE_UP,
    HOURLY,
    NOWHERE,
    PARKED,
    RETRY,
    SOON,
    UNREACHABLE,
    Row,
)
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
DIRECTORY = [
    Row(Code.DIRECTORY_UNAVAILABLE, Stage.RESOLVE, GIVE_UP, FAILED,
        "LDAP with Kerberos is not installed with this pusher",
        "Install it with: {install:directory} (needs gcc, libldap2-dev, libsasl2-dev and libkrb5-dev, and "
        "libsasl2-modules-gssapi-mit to run)."),
    Row(Code.DIRECTORY_UNREACHABLE, Stage.RESOLVE, RETRY, UNREACHABLE,
        "no domain controller serves the directory",
        "Check the domain, its SRV records and the route to a domain controller (TCP 389 or 636, and 88), or name one "
        "with server in [directory] of the accounts file.",
        again=HOURLY),
    Row(Code.DIRECTORY_TIMED_OUT, Stage.RESOLVE, RETRY, UNREACHABLE,
        "the directory did not answer in time",
        "Look at the load of the domain controller and the link to it; try again.",
        again=HOURLY),
    Row(Code.DIRECTORY_SIGN_IN_FAILED, Stage.SIGN_IN, GIVE_UP, FAILED,
        "the directory does not let in the account that reads it",
        "Correct user and secret in [directory] of the accounts file. It was tried once and is not tried again.",
        charges=EVERYWHERE, again=PARKED),
    Row(Code.DIRECTORY_UNPROTECTED, Stage.SIGN_IN, GIVE_UP, FAILED,
        "the directory and pusher agree on no sign-in that is signed and sealed",
        "Allow Kerberos for LDAP on the domain controller, or give ca in [directory] to use LDAPS; nothing is read "
        "in clear.",
        charges=NOWHERE),
    Row(Code.DIRECTORY_TLS_FAILED, Stage.REACH, GIVE_UP, FAILED,
        "no trusted TLS connection to the directory came about",
        "Give in [directory] the file of the CA that signed the domain controller's certificate, and its server by "
        "the full name that the certificate holds.",
        charges=NOWHERE),
    Row(Code.DIRECTORY_NO_SUCH_OBJECT, Stage.RESOLVE, GIVE_UP, FAILED,
        "the directory holds no such object here",
        "Correct base or group in the inventory; each is the whole distinguished name, of this domain.",
        of_one_object=True),
    Row(Code.DIRECTORY_FILTER_WRONG, Stage.RESOLVE, GIVE_UP, FAILED,
        "the directory does not understand the filter",
        "Correct filter in the inventory: attribute names, parentheses, and values as RFC 4515 wants them."),
    Row(Code.DIRECTORY_DENIED, Stage.RIGHTS, GIVE_UP, FAILED,
        "the account that reads the directory may not read this",
        "Grant it read access to what the message names; a plain domain user reads computers and sites.",
        of_one_object=True),
    Row(Code.DIRECTORY_BUSY, Stage.RESOLVE, RETRY, FAILED,
        "the directory is too busy, or a limit of its own was reached",
        "Try again later; narrow base and filter, or raise the domain's LDAP policy limits.",
        again=SOON),
    Row(Code.DIRECTORY_ANSWER, Stage.RESOLVE, GIVE_UP, FAILED,
        "the directory's answer cannot be used or is larger than any honest one",
        "Check what listens at that server's LDAP port; narrow base and filter if it is the domain controller."),
    Row(Code.DIRECTORY_FAILED, Stage.RESOLVE, GIVE_UP, FAILED,
        "the directory refused the request for a reason that this table does not name",
        "Look up the LDAP result in the message, and the directory service's event log."),
]
# fmt: on
