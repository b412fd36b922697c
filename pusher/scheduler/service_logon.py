"""The account that a package's service logs on as: every machine signs it in, and a domain counts that.

A wrong password on 20,000 machines would lock it out as any other: it is proven once at its domain controller, before
anything is done anywhere, or, where nobody can be asked (a local account, a realm that is not known), each start of the
service is a sign-in within the lockout budget. What must not live here: how a service is given the password
(``transports``), when it is (``install``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from pusher.credentials.budget import Result, Verdict, account_key
from pusher.credentials.refusal import spent, stopped_by
from pusher.install.carrying import SESSION_GONE
from pusher.models import Account, Package, Protocol
from pusher.problems import Problem, ProblemError
from pusher.scheduler.job import Job

_REFUSED = "service-account-invalid"
"""The service manager could not log the account on (1069); the password is among the reasons."""


def service_account(package: Package | None) -> Account | None:
    """The ordinary account that the package's service logs on as; None where it needs no password."""
    service = package.service if package is not None else None
    if package is None or service is None or service.secret is None:
        return None
    name = f"service {service.name}"  # no account of the accounts file has a space in its name
    return Account(
        name=name, user=service.account, secret=service.secret, protocol=Protocol.NTLM, source=package.source
    )


async def is_proven(job: Job) -> bool:
    """Whether a domain controller has taken the password, asked once a run.

    ProblemError where it must not be used (refused, stopped, its budget spent): no machine has been touched then.
    """
    account = service_account(job.package)
    if account is None or job.service_secret is None or account.is_local:
        return False
    try:
        if await job.tickets.prove(account):
            return True
    except ProblemError as error:
        raise ProblemError(_told(account, error.problem)) from error
    answer = job.guard.look(account_key(account, ""))
    if answer.verdict is Verdict.STOPPED and answer.stop is not None:
        raise ProblemError(_told(account, stopped_by(answer.stop, answer)))
    if answer.verdict is Verdict.SPENT:
        raise ProblemError(_told(account, spent(answer)))
    return False


@asynccontextmanager
async def logging_on(job: Job, host: str, proven: bool) -> AsyncIterator[None]:
    """Around the order to start the service, which logs the account on. ``host``: the machine, for its own accounts."""
    account = service_account(job.package)
    if account is None or job.service_secret is None or proven:
        yield
        return
    async with job.guard.leave(account_key(account, host)) as lease:
        try:
            yield
        except ProblemError as error:
            code = error.problem.code
            if code == _REFUSED:
                lease.settle(Result.FAILED, None if account.is_local else code)
            elif code not in SESSION_GONE:
                lease.settle(Result.HARMLESS)  # it failed before or after the logon
            raise
        lease.settle(Result.OK)


def _told(account: Account, found: Problem) -> Problem:
    return replace(found, message=f"of {account.user}, which the service is to log on as: {found.message}")
