"""One target's whole story, in the order in which it happens.

    resolve → reach → prove who answers → climb the account ladder, proving the rights → take the host's lock
    → install (or check, or remove) → one outcome

No secret leaves before the second and third are done; no sign-in is made without a lease of the lockout budget, and
none is ever repeated by a loop. Whatever goes wrong is a Problem, and a Problem is an outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_fixed,
    wait_random_exponential,
)

from pusher.checks import Subject, prove
from pusher.credentials.accounts.selection import is_domain_controller, select_accounts, why_nobody
from pusher.install.driver import Driver
from pusher.install.executor import Done
from pusher.install.installing import InstallerDriver
from pusher.install.names import STAGING, lock_path
from pusher.install.package import render_command
from pusher.models import (
    Account,
    AccountTried,
    Check,
    Event,
    Outcome,
    Package,
    Protocol,
    Stage,
    Status,
    StepTime,
    Target,
    TransportKind,
    Verb,
)
from pusher.problems import BadInput, Code, NextMove, Problem, ProblemError, problem
from pusher.problems.shortage import own_fault
from pusher.push.context import RunContext
from pusher.push.host_journal import StoredHostJournal
from pusher.push.identity import is_address, machine_key, mismatch
from pusher.push.routes import Route, most_advanced, open_routes, routes_to, worth_another
from pusher.push.service_logon import is_proven, run_as
from pusher.push.sign_in import sign_in
from pusher.transports.port import Hold, Link, PeerIdentity, Session

T = TypeVar("T")

_log = structlog.get_logger()

_GRACE = 120.0
"""Seconds past its deadline in which a target may still finish or undo the step it is at."""
_LASTING_LOCKS = frozenset({TransportKind.WINRM})
"""Transports whose lock outlives a pusher that was killed, until the target ends its idle shell."""
_ORPHANED = 90
"""Seconds for which such a lock is waited for: whether somebody lives who holds it cannot be seen."""
_LOCK_AGAIN = 2.0
"""Seconds between two tries."""
_TRIES = 3
_ACCOUNTS_FAULT = frozenset({NextMove.NEXT_ACCOUNT, NextMove.STOP_ACCOUNT})
"""Next moves of a problem that another account may not have."""


@dataclass(kw_only=True)
class _Record:
    """What is known so far; it becomes the outcome."""

    began: float = field(default_factory=time.monotonic)
    stage: Stage = Stage.RESOLVE
    machine: str | None = None
    account: str | None = None
    transport: TransportKind | None = None
    protocol: Protocol | None = None
    tried: list[AccountTried] = field(default_factory=list)
    checks: tuple[Check, ...] = ()
    steps: list[StepTime] = field(default_factory=list)
    copied: int = 0


async def resolve(context: RunContext, target: Target) -> str:
    """1. The target's address. ProblemError where its name leads nowhere."""
    if target.address:
        return target.address
    if is_address(target.name):
        return target.name
    return (await context.resolver.resolve(target.name)).addresses[0]


async def attempt(context: RunContext, target: Target, address: str, number: int) -> Outcome:
    """Stories 2 to 7 of ``target`` at ``address``; ``number`` counts its attempts in this run from 1."""
    return await _Attempt(context, target, address, number).run()


def failed(context: RunContext, target: Target, address: str | None, found: Problem, started: datetime) -> Outcome:
    """The outcome of a target that ended before an attempt was made on it."""
    return _outcome(context, target, address, _Record(stage=found.stage), 0, started, found, None)


class _Attempt:
    def __init__(self, context: RunContext, target: Target, address: str, number: int) -> None:
        # With its address, also where that was looked up: accounts may be for or against addresses.
        self.context, self.target, self.address, self.number = (
            context,
            replace(target, address=address),
            address,
            number,
        )
        self.record = _Record()
        self._link: Link | None = None
        self._refused: set[str] = set()
        self._putting_back = self._proven = False

    async def run(self) -> Outcome:
        started, found, done = self.context.now(), None, None
        fault: BaseException | None = None
        try:
            # The story watches the deadline itself and puts back what it began; this is for a host that stalls it.
            async with asyncio.timeout(self.context.deadline + _GRACE + _own_time(self.context.package)):
                done = await self._story()
        except ProblemError as error:
            found, fault = error.problem, error
        except TimeoutError:
            found = problem(Code.DEADLINE, self.record.stage)
        except BadInput as error:
            found = problem(Code.COMMAND_INCOMPLETE, Stage.RESOLVE, error.sentence)
        except Exception as error:  # a fault of ours is an outcome too, and its text may hold anything
            found, fault = own_fault(error, self.record.stage), error
        if found is not None and found.code == Code.INTERNAL_ERROR:
            _log.error("internal-error", run=self.context.run, target=self.target.name, stage=found.stage.value,
                       exc_info=fault)  # fmt: skip
        ended = _outcome(self.context, self.target, self.address, self.record, self.number, started, found, done)
        recorded = self.context.store.attempt(
            run=self.context.run, target=self.target.name, number=self.number, stage=ended.stage, code=ended.code,
            account=ended.account, started_at=started, ended_at=ended.ended_at,
        )  # fmt: skip
        self.context.losses.watch(self.target.name, recorded)
        return ended

    async def _story(self) -> Done:
        package = self.context.package
        # Before anything is contacted: a command that cannot be made for this target ends it here.
        service = package.service if package else None
        command = render_command(service, self.target, package.source) if package and service else ""
        if next(select_accounts(self.context.accounts, self.target, self.context.fallback), None) is None:
            raise ProblemError(self._nobody())
        # The account of a service, or of an installer, too is proven before any machine is touched.
        self._proven = await is_proven(self.context, self.target)
        session, route, who = await self._get_in()
        if self.context.verb is Verb.CHECK:
            await session.close()
            return Done(status=Status.READY, steps=(), agent_version=None)
        return await self._under_lock(session, route, who, command)

    async def _get_in(self) -> tuple[Session, Route, PeerIdentity]:
        """2 to 4, by the first transport that leads there; what is wrong with an account is no other transport's."""
        self._at(Stage.REACH)
        routes = await open_routes(routes_to(self.context, self.target, self.address), self.context.limits.connect)
        if not routes:
            raise ProblemError(problem(Code.NO_TRANSPORT, detail=", ".join(self.target.transports)))
        worst: Problem | None = None
        for route in routes:
            self.record.transport = route.transport.kind
            self._at(Stage.REACH)
            try:
                link = await self._connect(route)
                who = await self._prove_identity(link)
                return await self._climb(link, route, who), route, who
            except BaseException as error:
                if self._link is not None:
                    await self._link.close()
                if not isinstance(error, ProblemError) or not worth_another(error.problem):
                    raise
                worst = most_advanced(worst, error.problem)
                self._note("transport-failed", f"{route.transport.kind}: {error.problem.code}")
        assert worst is not None, "every way has failed"
        raise ProblemError(worst)

    # 2. Reach it. Nothing of any account is sent; only this may be repeated freely.

    async def _connect(self, route: Route) -> Link:
        async for trial in AsyncRetrying(
            retry=retry_if_exception(_worth_another_connect),
            stop=stop_after_attempt(2),
            wait=wait_random_exponential(multiplier=0.5, max=2),
            reraise=True,
        ):
            with trial:
                self._link = await self._timed("connect", route.transport.open(route.endpoint, self.context.limits))
                return self._link
        raise AssertionError("tenacity ends by returning or raising")

    # 3. Prove who answers, before any secret leaves.

    async def _prove_identity(self, link: Link) -> PeerIdentity:
        self._at(Stage.IDENTIFY)
        who = await self._timed("identify", link.identify())
        wrong = mismatch(self.target, self.address, who)
        if wrong:
            raise ProblemError(problem(Code.WRONG_HOST, detail=wrong))
        self.record.machine = who.machine or None
        said = [who.machine or "no name", f"build {who.build or 'unknown'}", who.dialect, who.proof]
        self._note("identity", ", ".join(part for part in said if part))
        return who

    # 4. The accounts in the operator's order, each proven to sign in and to have the rights.

    async def _climb(self, link: Link, route: Route, who: PeerIdentity) -> Session:
        worst: Problem | None = None
        for account in select_accounts(self.context.accounts, self.target, self.context.fallback):
            if account.name in self._refused:
                continue  # by an earlier transport: its budget is not charged a second time
            self.record.account, self.record.protocol = account.name, account.protocol
            try:
                if worst is not None:
                    # A fresh connection for each account: servers count refusals on one, and some hang up.
                    await link.close()
                    link = await self._connect(route)
                    who = await self._prove_identity(link)
                session = await self._sign_in(link, account, who)
                await self._prove_rights(session, account, who)
            except ProblemError as error:
                code, accounts_fault = error.problem.code, error.problem.next_move in _ACCOUNTS_FAULT
                blamed = accounts_fault or self.record.stage is Stage.SIGN_IN
                self._tried(account, code if blamed else None)
                if not accounts_fault:
                    raise
                self._refused.add(account.name)
                self._note("account-failed", f"{account.name}: {code}")
                worst = most_advanced(worst, error.problem)
            else:
                self._tried(account, None)
                return session
        raise ProblemError(worst or self._nobody())

    def _nobody(self) -> Problem:
        """No account may be tried here."""
        if is_domain_controller(self.target) and not self.target.domain_controller_allowed:
            return problem(Code.DOMAIN_CONTROLLER_REFUSED, Stage.SIGN_IN)
        return problem(Code.NO_ACCOUNT, detail=why_nobody(self.context.accounts, self.target, self.context.fallback))

    async def _sign_in(self, link: Link, account: Account, who: PeerIdentity) -> Session:
        """One sign-in, with the lockout budget's lease, and the budget told what it came to."""
        self._at(Stage.SIGN_IN)
        if account.protocol is Protocol.NTLM and not (who.machine or who.proof):
            raise ProblemError(problem(Code.IDENTITY_UNPROVEN))
        # Where it does not say what it is called, a certificate or a ticket proves the inventory's name.
        host = who.machine or self.target.name
        session = await sign_in(
            self.context, self.target, link, account, host, lambda signing_in: self._timed("sign-in", signing_in),
            still_wanted=lambda: self._at(Stage.SIGN_IN),
        )  # fmt: skip
        self._note("signed-in", f"as {account.name} by {account.protocol}")
        return session

    async def _prove_rights(self, session: Session, account: Account, who: PeerIdentity) -> None:
        self._at(Stage.RIGHTS)
        subject = Subject(
            session=session,
            target=self.target,
            package=self.context.package,
            account_allowed=account.domain_controllers and self.context.run_account is None,
            run_as=self.context.run_account.user if self.context.run_account is not None else None,
        )
        try:
            self._claim(who)
            self.record.checks, found = await self._timed("checks", prove(subject))
            # Removing may get by without a right that is missing; a machine that must not be touched is left alone all
            # the same.
            if found is not None and (self.context.verb is not Verb.REMOVE or found.row.bars_removal):
                raise ProblemError(found)
        except BaseException:
            await session.close()
            raise

    def _claim(self, who: PeerIdentity) -> None:
        """One machine under two names is worked on once.

        Only who has taken a sign-in is claimed: anybody can call itself something, and would keep the right one out.
        """
        other = self.context.claims.claim(machine_key(self.target, self.address, who), self.target.name)
        if other:
            itself = who.machine or self.address
            raise ProblemError(problem(Code.DUPLICATE, Stage.RIGHTS, f"{itself} is pushed to as {other}"))

    # 5. Take the host's lock, and 6. do the work under it.

    async def _under_lock(self, session: Session, route: Route, who: PeerIdentity, command: str) -> Done:
        package, payload = self.context.package, self.context.payload
        assert package is not None and payload is not None, "push and remove always have a package"
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(session.close)
            self._at(Stage.LOCK)
            host_journal = StoredHostJournal(
                self.context, self.target.name, who.machine or None, package.key, self.address
            )
            # One killed over WinRM may have left its lock, before or after it had a journal, also for one over SMB.
            orphaned = route.transport.kind in _LASTING_LOCKS or bool(await host_journal.left_open())
            await stack.enter_async_context(self._lock(session, patience=_ORPHANED if orphaned else 0))

            async def reopen() -> Session:
                """A fresh session for undoing after a lost connection: the same account, once more by the budget."""
                self._putting_back = True
                # An answer that could not be understood leaves the old connection up, and with it the lock.
                await session.close()
                link = await self._connect(route)
                try:
                    await self._prove_identity(link)
                    account = next(a for a in select_accounts(self.context.accounts, self.target, self.context.fallback)
                                   if a.name == self.record.account)  # fmt: skip
                    fresh = await self._sign_in(link, account, who)
                except BaseException:
                    await link.close()
                    raise
                stack.push_async_callback(fresh.close)
                # The target may need seconds to notice that the first connection, and its lock, are gone.
                await stack.enter_async_context(self._lock(fresh, patience=10))
                return fresh

            driver = (Driver if package.installer is None else InstallerDriver)(
                session=session,
                host_journal=host_journal,
                listener=self,
                reopen=reopen,
                cancelled=self._cancelled,
                now=self.context.now,
                run_as=run_as(self.context, who.machine or self.target.name, self._proven),
            )
            try:
                if self.context.verb is Verb.REMOVE:
                    return await driver.remove(package, command)
                return await driver.install(package, payload, command, self._copied)
            finally:
                self.record.steps.extend(driver.times)
                if session.copied_by:
                    self._note("copied-by", session.copied_by)

    @asynccontextmanager
    async def _lock(self, session: Session, patience: int = 0) -> AsyncIterator[None]:
        """The host arbitrates: an exclusive, self-deleting file that goes with the connection.

        ``patience``: for how many seconds a lock held by another is waited for.
        """
        assert self.context.package is not None
        path, clock = lock_path(self.context.package.lock), asyncio.get_running_loop().time
        until = clock() + patience

        async def take() -> Hold:
            self._at(Stage.LOCK)  # a run that is cancelled does not wait on
            await session.make_folder(STAGING)
            return await session.hold(path)

        def waiting(state: RetryCallState) -> None:
            if patience and state.attempt_number == 1:
                self._note("lock-held", f"waiting up to {patience} s: one that was killed may hold it for a minute")

        async for trial in AsyncRetrying(
            retry=lambda state: _lock_may_come(state, until - clock()),
            wait=wait_fixed(_LOCK_AGAIN if patience else 0),
            before_sleep=waiting,
            reraise=True,
        ):
            with trial:
                hold = await self._timed("lock", take())
        try:
            yield
        finally:
            await hold.close()
            with contextlib.suppress(ProblemError):
                await session.remove_folder(STAGING)

    # What the driver and the outcome ask for.

    def stage(self, stage: Stage) -> None:
        self._at(stage)

    def note(self, stage: Stage, kind: str, detail: str = "") -> None:
        self.record.stage = stage
        self._note(kind, detail)

    def _cancelled(self) -> Code | None:
        if self.context.stop.code:
            return self.context.stop.code
        late = time.monotonic() - self.record.began > self.context.deadline
        return Code.DEADLINE if late else None

    def _copied(self, count: int) -> None:
        self.record.copied += count

    def _at(self, stage: Stage) -> None:
        self.record.stage = stage
        with contextlib.suppress(Exception):  # who watches costs no host anything
            self.context.watcher.stage(self.target.name, stage)
        # What puts a host back is not cancelled: that would leave the host half done.
        if stage in _INTERRUPTIBLE and not self._putting_back and (code := self._cancelled()):
            raise ProblemError(problem(code, stage))

    def _tried(self, account: Account, code: str | None) -> None:
        """Once for each account: by a second transport it may come further than by the first."""
        tried = AccountTried(account=account.name, code=code)
        self.record.tried = [one for one in self.record.tried if one.account != account.name] + [tried]

    def _note(self, kind: str, detail: str) -> None:
        happened = Event(
            run=self.context.run, target=self.target.name, at=self.context.now(), stage=self.record.stage,
            kind=kind, detail=detail,
        )  # fmt: skip
        self.context.losses.watch(self.target.name, self.context.store.event(happened))
        with contextlib.suppress(Exception):
            self.context.watcher.event(happened)

    async def _timed(self, step: str, awaitable: Awaitable[T]) -> T:
        began = time.monotonic()
        try:
            return await awaitable
        finally:
            self.record.steps.append(StepTime(step=step, seconds=round(time.monotonic() - began, 4)))


def _own_time(package: Package | None) -> float:
    """An installer that has been started is waited for: nobody but it knows how far it is."""
    return package.installer.timeout if package is not None and package.installer is not None else 0.0


_INTERRUPTIBLE = frozenset({Stage.REACH, Stage.IDENTIFY, Stage.SIGN_IN, Stage.RIGHTS, Stage.LOCK})
"""Stages at whose start a cancelled push just ends; later ones have something to undo, which the driver does."""


def _worth_another_connect(error: BaseException) -> bool:
    return isinstance(error, ProblemError) and error.problem.row.passing


def _lock_may_come(state: RetryCallState, left: float) -> bool:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, ProblemError):
        return False
    if error.problem.code == Code.PUSH_IN_PROGRESS:
        return left > 0
    # Another pusher may remove the empty folder between our two calls; that alone is always worth another try.
    return error.problem.code == Code.PATH_NOT_FOUND and state.attempt_number < _TRIES


def _outcome(
    context: RunContext,
    target: Target,
    address: str | None,
    record: _Record,
    attempts: int,
    started: datetime,
    found: Problem | None,
    done: Done | None,
) -> Outcome:
    """7. One outcome, with everything that was tried."""
    outcome = Outcome(
        run=context.run,
        target=target.name,
        address=address,
        status=done.status if done else Status.FAILED,
        stage=record.stage,
        account=record.account,
        transport=record.transport,
        protocol=record.protocol,
        attempts=attempts,
        seconds=round(time.monotonic() - record.began, 4),
        accounts_tried=tuple(record.tried),
        checks=record.checks,
        steps=tuple(record.steps),
        bytes_copied=record.copied,
        agent_version=done.agent_version if done else None,
        machine=record.machine,
        site=target.site,
        started_at=started,
        ended_at=context.now(),
    )
    if found is None:
        return replace(outcome, stage=Stage.RECORD)
    return replace(
        outcome,
        status=found.status,
        stage=found.stage,
        code=found.code,
        message=found.message,
        remedy=found.remedy,
        next_move=found.next_move,
    )
