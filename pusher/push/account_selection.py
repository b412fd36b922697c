"""The accounts of one attempt, in the operator's order: the first that signs in and has the rights is the one.

Here lives who is tried on a machine, and what is wrong with each. What must not live here: which accounts are for a
target at all (``credentials.accounts.selection``), how one signs in (``sign_in``), what the rights are (``checks``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pusher.checks import Subject, prove
from pusher.credentials.accounts.selection import is_domain_controller, select_accounts, why_nobody
from pusher.models import Account, Protocol, Stage, Target, Verb
from pusher.problems import Code, NextMove, Problem, ProblemError, problem
from pusher.push.approach import Approach, Contact
from pusher.push.context import RunContext
from pusher.push.fenced import fenced
from pusher.push.identity import machine_key
from pusher.push.recorder import Recorder
from pusher.push.routes import Route, most_advanced
from pusher.push.sign_in import sign_in
from pusher.transports.port import PeerIdentity, Session

_ACCOUNTS_FAULT = frozenset({NextMove.NEXT_ACCOUNT, NextMove.STOP_ACCOUNT})
"""Next moves of a problem that another account may not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """A session with the rights, and what it takes to get another one like it."""

    session: Session
    route: Route
    who: PeerIdentity
    account: Account


class AccountSelection:
    """Of one attempt: who was refused over one transport is not tried over another."""

    def __init__(
        self, context: RunContext, target: Target, address: str, recorder: Recorder, approach: Approach
    ) -> None:
        self._context, self._target, self._address = context, target, address
        self._recorder, self._approach = recorder, approach
        self._refused: set[str] = set()

    def require_any(self) -> None:
        """ProblemError where no account may be tried on the target: then nothing is contacted."""
        if next(self._accounts(), None) is None:
            raise ProblemError(self._nobody())

    async def first_with_rights(self, contact: Contact) -> Access:
        """Each account in turn, each on a connection of its own; ProblemError of the one that came furthest."""
        worst: Problem | None = None
        for account in self._accounts():
            if account.name in self._refused:
                continue  # by an earlier transport: its budget is not charged a second time
            self._recorder.signs_in_as(account)
            try:
                if worst is not None:
                    # A fresh connection for each account: servers count refusals on one, and some hang up.
                    await contact.link.close()
                    contact = await self._approach.connect(contact.route)
                session = await self.sign_in(contact, account, contact.who)
                await self._prove_rights(session, account, contact.who)
            except ProblemError as error:
                code, accounts_fault = error.problem.code, error.problem.next_move in _ACCOUNTS_FAULT
                blamed = accounts_fault or self._recorder.current is Stage.SIGN_IN
                self._recorder.tried(account, code if blamed else None)
                if not accounts_fault:
                    raise
                self._refused.add(account.name)
                self._recorder.happened("account-failed", f"{account.name}: {code}")
                worst = most_advanced(worst, error.problem)
            else:
                self._recorder.tried(account, None)
                return Access(session=session, route=contact.route, who=contact.who, account=account)
        raise ProblemError(worst or self._nobody())

    async def sign_in(self, contact: Contact, account: Account, who: PeerIdentity) -> Session:
        """One sign-in, with the lockout budget's lease, and the budget told what it came to."""
        self._recorder.stage(Stage.SIGN_IN)
        if account.protocol is Protocol.NTLM and not (who.machine or who.proof):
            raise ProblemError(problem(Code.IDENTITY_UNPROVEN))
        # Where it does not say what it is called, a certificate or a ticket proves the inventory's name.
        host = who.machine or self._target.name
        session = await sign_in(
            self._context, self._target, contact.link, account, host,
            lambda signing_in: self._recorder.timed("sign-in", signing_in),
            still_wanted=lambda: self._recorder.stage(Stage.SIGN_IN),
        )  # fmt: skip
        self._recorder.happened("signed-in", f"as {account.name} by {account.protocol}")
        return fenced(session, partial(self._context.store.require, self._target.name))

    async def _prove_rights(self, session: Session, account: Account, who: PeerIdentity) -> None:
        self._recorder.stage(Stage.RIGHTS)
        run_account = self._context.run_account
        subject = Subject(
            session=session,
            target=self._target,
            package=self._context.package,
            account_allowed=account.domain_controllers and run_account is None,
            run_as=run_account.user if run_account is not None else None,
            is_read_later=self._context.verb is not Verb.CHECK,
        )
        try:
            await self._claim(who)
            checks, found = await self._recorder.timed("checks", prove(subject))
            self._recorder.checked(checks)
            # Removing may get by without a right that is missing; a machine that must not be touched is left alone all
            # the same.
            if found is not None and (self._context.verb is not Verb.REMOVE or found.row.bars_removal):
                raise ProblemError(found)
        except BaseException:
            await session.close()
            raise

    async def _claim(self, who: PeerIdentity) -> None:
        """One machine under two names is worked on once.

        Only who has taken a sign-in is claimed: anybody can call itself something, and would keep the right one out.
        """
        other = await self._context.claims.claim(machine_key(self._target, self._address, who), self._target.name)
        if other:
            itself = who.machine or self._address
            raise ProblemError(problem(Code.DUPLICATE, Stage.RIGHTS, f"{itself} is pushed to as {other}"))

    def _accounts(self) -> Iterator[Account]:
        return select_accounts(self._context.accounts, self._target, self._context.fallback)

    def _nobody(self) -> Problem:
        """No account may be tried here."""
        if is_domain_controller(self._target) and not self._target.domain_controller_allowed:
            return problem(Code.DOMAIN_CONTROLLER_REFUSED, Stage.SIGN_IN)
        why = why_nobody(self._context.accounts, self._target, self._context.fallback)
        return problem(Code.NO_ACCOUNT, detail=why)
