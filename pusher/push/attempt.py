"""One target's whole story, in the order in which it happens.

    resolve → reach → prove who answers → try the accounts in order, proving the rights → take the host's lock
    → install (or check, or remove) → one outcome

``reach`` goes so far that a port answers: nothing is held by then, so a silent machine costs no other one its place.
``attempt`` is all that follows. No secret leaves before it is proven who answers; no sign-in is made without a lease of
the lockout budget, and none is ever repeated by a loop. Whatever goes wrong is a Problem, and a Problem is an outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog

from pusher.install.driver import Driver
from pusher.install.executor import Done
from pusher.install.installing import InstallerDriver
from pusher.install.names import STAGING
from pusher.install.package import render_command
from pusher.models import Outcome, Package, Stage, Status, Target, Verb
from pusher.problems import BadInput, Code, Problem, ProblemError, problem
from pusher.problems.shortage import own_fault
from pusher.push.account_selection import Access, AccountSelection
from pusher.push.approach import Approach
from pusher.push.context import RunContext
from pusher.push.host_journal import StoredHostJournal
from pusher.push.host_lock import REOPENED, host_lock, patience
from pusher.push.identity import is_address
from pusher.push.recorder import Recorder
from pusher.push.routes import Route, most_advanced, worth_another
from pusher.push.service_logon import is_proven, run_as
from pusher.transports.port import Session

T = TypeVar("T")

_log = structlog.get_logger()

_GRACE = 120.0
"""Seconds past its deadline in which a target may still finish or undo the step it is at."""


def _to_nobody() -> None:
    """Nobody wants to know."""


async def resolve(context: RunContext, target: Target) -> str:
    """1. The target's address. ProblemError where its name leads nowhere."""
    if target.address:
        return target.address
    if is_address(target.name):
        return target.name
    return (await context.resolver.resolve(target.name)).addresses[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """What is known of a target of which a port answers.

    ``command``: what its service is to run. ``proven``: a domain controller has taken the password of the account that
    the service, or the installer, runs as.
    """

    routes: tuple[Route, ...]
    command: str
    proven: bool


async def reach(context: RunContext, target: Target, address: str, number: int) -> Reached | Outcome:
    """2. ``target`` at ``address``, so far as no byte is sent; the outcome of the attempt where that is its end."""
    return await _Attempt(context, target, address, number).reach()


async def attempt(
    context: RunContext,
    target: Target,
    address: str,
    number: int,
    reached: Reached | None = None,
    only_watched: Callable[[], None] = _to_nobody,
) -> Outcome:
    """Stories 2 to 7 of ``target`` at ``address``; ``number`` counts its attempts in this run from 1.

    ``reached``: what ``reach`` has found; None: it is done here. ``only_watched`` is called, perhaps more than once,
    when all is done and it is only looked whether it goes well.
    """
    return await _Attempt(context, target, address, number, only_watched).run(reached)


class _Attempt:
    def __init__(
        self,
        context: RunContext,
        target: Target,
        address: str,
        number: int,
        only_watched: Callable[[], None] = _to_nobody,
    ) -> None:
        # With its address, also where that was looked up: accounts may be for or against addresses.
        target = replace(target, address=address)
        self._context, self._target, self._address = context, target, address
        self._recorder = Recorder(context, target, address, number, context.now(), only_watched)
        self._approach = Approach(context, target, address, self._recorder)
        self._accounts = AccountSelection(context, target, address, self._recorder, self._approach)

    async def reach(self) -> Reached | Outcome:
        found = await self._to_its_end(self._reach())
        return self._recorder.ended(found, None) if isinstance(found, Problem) else found

    async def run(self, reached: Reached | None) -> Outcome:
        """The story, and 7. the one outcome that it comes to, whatever happens."""
        found = await self._to_its_end(self._story(reached))
        return self._recorder.ended(found, None) if isinstance(found, Problem) else self._recorder.ended(None, found)

    async def _to_its_end(self, story: Awaitable[T]) -> T | Problem:
        try:
            # The story watches the deadline itself and puts back what it began; this is for a host that stalls it.
            async with asyncio.timeout(self._context.deadline + _GRACE + _own_time(self._context.package)):
                return await story
        except ProblemError as error:
            found = error.problem
            self._log_own(found, error)
        except TimeoutError:
            found = problem(Code.DEADLINE, self._recorder.current)
        except BadInput as error:
            found = problem(Code.COMMAND_INCOMPLETE, Stage.RESOLVE, error.sentence)
        except Exception as error:  # a fault of ours is an outcome too, and its text may hold anything
            found = own_fault(error, self._recorder.current)
            self._log_own(found, error)
        return found

    def _log_own(self, found: Problem, fault: Exception) -> None:
        """Where it is a fault of ours. Whoever caught it keeps it no longer: it holds the frame that would hold it."""
        if found.code == Code.INTERNAL_ERROR:
            _log.error("internal-error", run=self._context.run, target=self._target.name, stage=found.stage.value,
                       exc_info=fault)  # fmt: skip

    async def _reach(self) -> Reached:
        package = self._context.package
        # Before anything is contacted: a command that cannot be made for this target ends it here.
        service = package.service if package else None
        command = render_command(service, self._target, package.source) if package and service else ""
        self._accounts.require_any()
        # The account of a service, or of an installer, too is proven before any machine is touched.
        proven = await is_proven(self._context, self._target)
        return Reached(routes=tuple(await self._approach.routes()), command=command, proven=proven)

    async def _story(self, reached: Reached | None) -> Done:
        reached = reached or await self._reach()
        access = await self._get_in(reached.routes)
        if self._context.verb is Verb.CHECK:
            await access.session.close()
            return Done(status=Status.READY, steps=(), agent_version=None)
        return await self._under_lock(access, reached.command, reached.proven)

    async def _get_in(self, routes: Sequence[Route]) -> Access:
        """2. Connect, 3. prove who answers, and 4. try the accounts, by the first transport that leads there.

        What is wrong with an account is no other transport's.
        """
        worst: Problem | None = None
        for route in routes:
            self._recorder.goes_by(route.transport.kind)
            self._recorder.stage(Stage.REACH)
            try:
                contact = await self._approach.connect(route)
                await self._context.store.hold(self._target.name)
                return await self._accounts.first_with_rights(contact)
            except BaseException as error:
                await self._approach.close()
                if not isinstance(error, ProblemError) or not worth_another(error.problem):
                    raise
                worst = most_advanced(worst, error.problem)
                self._recorder.transport_failed(route.transport.kind, error.problem)
        assert worst is not None, "every way has failed"
        raise ProblemError(worst)

    async def _under_lock(self, access: Access, command: str, proven: bool) -> Done:
        """5. Take the host's lock, and 6. do the work under it."""
        package, payload, machine = self._context.package, self._context.payload, access.who.machine
        assert package is not None and payload is not None, "push and remove always have a package"
        async with AsyncExitStack() as stack:
            stack.push_async_callback(access.session.close)
            self._recorder.stage(Stage.LOCK)
            host_journal = StoredHostJournal(
                self._context, self._target.name, machine or None, package.key, self._address
            )
            left_open = bool(await host_journal.left_open())
            wait = patience(access.route.transport.kind, left_open)
            await self._context.store.hold(self._target.name)
            lock = await stack.enter_async_context(host_lock(access.session, package, self._recorder, wait))
            driver = (Driver if package.installer is None else InstallerDriver)(
                session=access.session,
                host_journal=host_journal,
                listener=self._recorder,
                reopen=partial(self._reopen, access, package, stack),
                cancelled=self._recorder.cancelled,
                now=self._context.now,
                run_as=run_as(self._context, machine or self._target.name, proven),
            )
            try:
                if self._context.verb is Verb.REMOVE:
                    done = await driver.remove(package, command)
                else:
                    done = await driver.install(package, payload, command, self._recorder.copied)
            finally:
                self._recorder.took(driver.times)
                if access.session.copied_by:
                    self._recorder.happened("copied-by", access.session.copied_by)
        if lock.is_cut_off:
            await self._take_away_folder(access, package)
        return done

    async def _take_away_folder(self, access: Access, package: Package) -> None:
        """All is done, and the connection was lost behind it. A lock that is taken anew takes its folder away."""
        try:
            async with AsyncExitStack() as stack:
                await self._reopen(access, package, stack)
        except ProblemError as error:
            left = f"the empty folder {STAGING}, until the next push: {error.problem.message}"
            self._recorder.happened("left-behind", left)

    async def _reopen(self, access: Access, package: Package, stack: AsyncExitStack) -> Session:
        """A fresh session for undoing after a lost connection: the same account, once more by the budget."""
        self._recorder.puts_back()
        # With the lost connection went the lock: by now it may be another's turn on the host.
        await self._context.store.hold(self._target.name)
        # An answer that could not be understood leaves the old connection up, and with it the lock.
        await access.session.close()
        try:
            contact = await self._approach.connect(access.route)
            fresh = await self._accounts.sign_in(contact, access.account, access.who)
        except BaseException:
            await self._approach.close()
            raise
        stack.push_async_callback(fresh.close)
        await stack.enter_async_context(host_lock(fresh, package, self._recorder, REOPENED))
        return fresh


def _own_time(package: Package | None) -> float:
    """An installer that has been started is waited for: nobody but it knows how far it is."""
    return package.installer.timeout if package is not None and package.installer is not None else 0.0
