"""The reader: the account that reads the directory can be locked too, so each of its sign-ins takes a lease.

Here lives what the lockout guard is told of one. What must not live here: LDAP, and what is searched for. Run after
run with a wrong secret in ``[directory]`` would lock the reader otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pusher.credentials.lockout.budget import AccountKey, Result, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.directory.port import DirectoryAccount, NotSentError, NotTriedError, SignIn
from pusher.models import Account, Protocol
from pusher.problems import Charges, Code, ProblemError, Stage, problem

_REFUSED = Code.DIRECTORY_SIGN_IN_FAILED
_COUNTED = {Charges.EVERYWHERE: Result.FAILED, Charges.NOWHERE: Result.HARMLESS}
"""What a sign-in has cost; any other end is no verdict."""


def within_budget(guard: LockoutGuard, key: AccountKey) -> SignIn:
    """Each sign-in takes a lease of ``key`` (see ``key_of``), and the guard is told what it came to."""

    @asynccontextmanager
    async def sign_in() -> AsyncIterator[None]:
        try:
            async with guard.lease(key) as lease:
                # Where this task is cancelled nothing is told, which counts as a sign-in without a verdict.
                try:
                    yield
                except NotSentError:
                    lease.settle(Result.HARMLESS)
                    raise
                except ProblemError as error:
                    lease.settle(_COUNTED.get(error.problem.row.charges, Result.UNKNOWN))
                    raise
                lease.settle(Result.OK)
        except ProblemError as error:
            if not error.problem.row.not_tried:
                raise
            found = problem(_REFUSED, Stage.SIGN_IN, f"it was not tried: {error.problem.message}")
            raise NotTriedError(found) from error

    return sign_in


def key_of(account: DirectoryAccount) -> AccountKey | None:
    """The reader's key in the ledger; None where it signs in with a ticket that somebody else got."""
    if account.secret.partition(":")[0] == "ccache":
        return None
    return account_key(reader_of(account), "")


def reader_of(account: DirectoryAccount) -> Account:
    """The reader as an account that gets a ticket. Its realm is the directory's, however its name is written."""
    return Account(
        name="directory",
        user=account.user,
        secret=account.secret,
        protocol=Protocol.KERBEROS,
        realm=account.domain.upper(),
    )
