"""Service logons: the account that every machine logs on itself, for the package's service or to run its installer.

A wrong password on 20,000 machines would lock it out as any other: it is proven once at its domain controller, before
anything is done anywhere, or, where nobody can be asked (a local account, a realm that is not known), each logon is a
sign-in within the lockout budget. What must not live here: how a service is given the password (``transports``), when
it is, and the right to log on as a service (``install``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from pusher.credentials.accounts.selection import left_out
from pusher.credentials.lockout.budget import Result, account_key
from pusher.models import RUN_AS_ACCOUNT, Account, Package, Protocol, Secret, Target
from pusher.problems import Code, Problem, ProblemError, problem
from pusher.push.context import RunContext
from pusher.transports.port import SIGNED_IN, SYSTEM, RunAs

_REFUSED = Code.SERVICE_ACCOUNT_INVALID
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


async def is_proven(context: RunContext, target: Target) -> bool:
    """Before anything is contacted: whether a domain controller has taken the password, asked once a run.

    ProblemError where the account must not be used: it is not for this target, it is refused or stopped, its budget
    is spent.
    """
    account, secret = _account(context)
    if account is None:
        return False
    if account is context.run_account and (why := left_out(account, target)) is not None:
        raise ProblemError(problem(Code.NO_ACCOUNT, detail=f"the installer is to run as {account.name}: {why}"))
    if secret is None or account.is_local:  # a check has no use for its password
        return False
    try:
        if await context.tickets.prove(account):
            return True
    except ProblemError as error:
        raise ProblemError(_told(context, account, error.problem)) from error
    if (refused := context.guard.why_not(account_key(account, ""))) is not None:
        raise ProblemError(_told(context, account, refused))
    return False


def run_as(context: RunContext, host: str, proven: bool) -> RunAs:
    """Whom the package's service, or its installer, runs as on the machine ``host``."""
    account, secret = _account(context)
    if account is not None:
        assert secret is not None or account is not context.run_account, "nothing is run as it without its password"
        logon = partial(_logging_on, context, account, host, proven or secret is None)
        return RunAs(account=account.user, secret=secret, is_proven=proven, logon=logon)
    package = context.package
    assert package is not None, "push and remove always have a package"
    if package.installer is None:
        return RunAs(account=package.service.account) if package.service is not None else SYSTEM
    return SIGNED_IN if package.installer.run_as == RUN_AS_ACCOUNT else SYSTEM


def _account(context: RunContext) -> tuple[Account | None, Secret | None]:
    """Whom the machines log on, and its password, where this run has a use for it."""
    if context.run_account is not None:
        return context.run_account, context.secrets.get(context.run_account.name)
    return service_account(context.package), context.service_secret


@asynccontextmanager
async def _logging_on(context: RunContext, account: Account, host: str, free: bool) -> AsyncIterator[None]:
    """Around the order to start the service, which logs the account on: a sign-in within the budget, unless ``free``.

    ``host``: the machine, for its own accounts.
    """
    if free:
        yield
        return
    async with context.guard.lease(account_key(account, host)) as lease:
        try:
            yield
        except ProblemError as error:
            code = error.problem.code
            if code == _REFUSED:
                lease.settle(Result.FAILED, None if account.is_local else code)
            elif not error.problem.row.session_gone:
                lease.settle(Result.HARMLESS)  # it failed before or after the logon
            raise
        lease.settle(Result.OK)


def _told(context: RunContext, account: Account, found: Problem) -> Problem:
    use = "the installer is to run as" if account is context.run_account else "the service is to log on as"
    return replace(found, message=f"of {account.user}, which {use}: {found.message}")
