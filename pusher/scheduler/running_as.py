"""An installer's account: whether it may be used on a target, and its password, tried within its lockout budget.

The account is the operator's for running one installer: what the accounts file says of where it may go holds for it as
for one that signs in, since the machine is sent its password. Not here: the right to log on as a service (``install``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from pusher.credentials.budget import Result, account_key
from pusher.credentials.ladder import left_out
from pusher.models import Account, Target
from pusher.problems import NextMove, ProblemError, problem
from pusher.scheduler.job import Job
from pusher.transports.port import RunAs

_REFUSED = "service-account-invalid"
_SILENT = frozenset({"timed-out", "connection-lost", "protocol-error", "tampered"})
"""Ways the start of its service can end without a verdict on the account."""


async def prove_run_account(job: Job, target: Target) -> None:
    """Before anything is contacted: the account is for this target, and its domain does not refuse its password."""
    account = job.run_account
    if account is None:
        return
    if (why := left_out(account, target)) is not None:
        raise ProblemError(problem("no-account", detail=f"the installer is to run as {account.name}: {why}"))
    if account.name in job.secrets:  # a check has no use for its password
        await _is_proven(job, account)


def run_as_of(job: Job, host: str) -> RunAs | None:
    """Whom the installer is run as on the machine ``host``, where the package names an account."""
    account = job.run_account
    if account is None:
        return None
    return RunAs(account=account.user, secret=job.secrets[account.name], logon=partial(_logon, job, account, host))


@asynccontextmanager
async def _logon(job: Job, account: Account, host: str) -> AsyncIterator[None]:
    """While the machine tries the password: with a leave, where no domain controller has proven it in this run."""
    if await _is_proven(job, account):
        yield
        return
    async with job.guard.leave(account_key(account, host)) as lease:
        try:
            yield
        except ProblemError as error:
            code = error.problem.code
            counted = Result.FAILED if code == _REFUSED else Result.UNKNOWN if code in _SILENT else Result.HARMLESS
            lease.settle(counted)
            raise
        lease.settle(Result.OK)


async def _is_proven(job: Job, account: Account) -> bool:
    """Whether its domain has given a ticket for the password; ProblemError where it must not be sent anywhere."""
    if account.is_local:
        return False
    try:
        await job.tickets.ticket(account)
    except ProblemError as error:
        if error.problem.next_move is NextMove.STOP_ACCOUNT:
            raise
        return False
    return True
