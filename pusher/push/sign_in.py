"""One sign-in: what proves the account, the lease to use it, and what a refusal says about the account.

With Kerberos a host gets a ticket and never a password, so it can cost the account nothing and says nothing about
it. With NTLM each host sees what is made of the password: the lockout budget is asked before, and told after. No
sign-in is ever repeated here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from pusher.credentials.lockout.budget import Result, account_key, result_of
from pusher.credentials.secrets.laps import is_laps
from pusher.models import Account, Credential, Protocol, Target
from pusher.problems import Code, NextMove, Problem, ProblemError, Stage, problem
from pusher.push.context import RunContext
from pusher.transports.port import Link, Session

Timed = Callable[[Awaitable[Session]], Awaitable[Session]]


async def sign_in(
    context: RunContext,
    target: Target,
    link: Link,
    account: Account,
    host: str,
    timed: Timed,
    still_wanted: Callable[[], None],
) -> Session:
    """One sign-in of ``account`` to the machine ``host`` over ``link``; ProblemError as it is for the account.

    ``still_wanted`` raises where the push was cancelled while a lease was waited for.
    """
    credential = await _credential(context, target, account)
    if credential.ccache is not None:
        try:
            return await timed(link.sign_in(credential))
        except ProblemError as error:
            raise ProblemError(_of_ticket(error.problem)) from error
    async with context.guard.lease(account_key(account, host)) as lease:
        try:
            still_wanted()
        except ProblemError:
            lease.settle(Result.HARMLESS)
            raise
        try:
            session = await timed(link.sign_in(credential))
        except ProblemError as error:
            found = _of_password(account, error.problem)
            verdict_came = not found.row.session_gone
            result = result_of(found.code, link.secret_sent, verdict_came)
            # A LAPS password is tried once on its machine: its counter is that machine's, and nobody else uses it.
            stops = found.next_move is NextMove.STOP_ACCOUNT or (is_laps(account) and result is not Result.HARMLESS)
            lease.settle(result, found.code if stops else None)
            if not verdict_came and link.secret_sent:
                found = problem(Code.SIGN_IN_UNKNOWN, detail=found.message)
            raise ProblemError(found) from error
        lease.settle(Result.OK)
        return session


async def _credential(context: RunContext, target: Target, account: Account) -> Credential:
    """The account with what proves it. ``domain``: None for a UPN, empty for the target's own accounts."""
    domain, backslash, user = account.user.rpartition("\\")
    bare = Credential(
        account=account.name,
        user=user,
        domain=("" if account.is_local else domain) if backslash else None,
        secret=None,
        protocol=account.protocol,
    )
    if account.protocol is Protocol.KERBEROS:
        return replace(bare, ccache=(await context.tickets.ticket(account)).ccache)
    if is_laps(account):
        if context.per_host is None:
            raise ProblemError(problem(Code.LAPS_UNAVAILABLE, Stage.SIGN_IN))
        return replace(bare, secret=await context.per_host.secret_for(account, target))
    await context.tickets.prove(account)
    return replace(bare, secret=context.secrets[account.name])


def _of_ticket(found: Problem) -> Problem:
    """A host that refuses a ticket has an old key or a wrong clock, or is not the machine that was meant."""
    if found.code == Code.WRONG_PASSWORD:
        return problem(Code.TICKET_REFUSED, found.stage, found.message)
    return _only_here(found)


def _of_password(account: Account, found: Problem) -> Problem:
    """A local account is another one on each machine: what one of them says of it holds there only."""
    return _only_here(found) if account.is_local else found


def _only_here(found: Problem) -> Problem:
    return replace(found, next_move=NextMove.NEXT_ACCOUNT) if found.next_move is NextMove.STOP_ACCOUNT else found
