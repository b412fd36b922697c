"""The adapter to Kerberos: each question in a thread, under a deadline, its failure a Problem.

What must not live here: what is asked of the library (``krb5_calls``, loaded when it is first needed: it comes with
the extra ``kerberos``), when an account is asked for, and the lockout budget (``tickets``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pusher.clock import Now
from pusher.credentials.kerberos.tickets import Ticket
from pusher.models import Secret
from pusher.problems import Code, Problem, ProblemError, Stage, problem
from pusher.problems.kerberos import kerberos_code, kerberos_number

if TYPE_CHECKING:
    from pusher.credentials.kerberos.krb5_calls import Calls, Held

T = TypeVar("T")

_DEADLINE = 30.0
"""Seconds for one question; MIT's library gives up on one silent KDC after 18."""


class SecretUse:
    """Whether something made of a secret may have left: told by the thread that asks, read when it is given up."""

    def __init__(self) -> None:
        self.given = False


class Krb5:
    """The process's way to its domain controllers; one a run, closed with its ``Tickets``."""

    def __init__(self, now: Now, deadline: float = _DEADLINE) -> None:
        self._now, self._deadline = now, deadline
        self._calls: Calls | None = None

    async def by_password(self, principal: str, secret: Secret) -> Ticket:
        use = SecretUse()
        return await self._ask(lambda calls: calls.by_password(principal, secret, use), principal, use)

    async def by_keytab(self, principal: str, keytab: Path) -> Ticket:
        use = SecretUse()
        return await self._ask(lambda calls: calls.by_keytab(principal, keytab, use), principal, use)

    async def from_cache(self, principal: str, cache: Path) -> Ticket:
        return await self._ask(lambda calls: calls.from_cache(principal, cache), principal, SecretUse())

    async def own(self) -> Ticket:
        return await self._ask(lambda calls: calls.own(), "this process's own identity", SecretUse())

    async def own_principal(self) -> str | None:
        calls = self._loaded()
        return await asyncio.wrap_future(in_a_thread(calls.own_principal))

    async def by_own_keytab(self, principal: str) -> Ticket:
        use = SecretUse()
        return await self._ask(lambda calls: calls.by_own_keytab(principal, use), principal, use)

    def close(self) -> None:
        if self._calls is not None:
            self._calls.forget()

    async def _ask(self, work: Callable[[Calls], Held], whom: str, use: SecretUse) -> Ticket:
        calls = self._loaded()
        asked = asyncio.wrap_future(in_a_thread(lambda: work(calls)))
        try:
            await asyncio.wait({asked}, timeout=self._deadline)
            if not asked.done():
                raise ProblemError(unanswered(whom, use))
            held = asked.result()
        except ProblemError:
            raise
        except Exception as error:
            raise ProblemError(translate(error, whom, use)) from error
        finally:
            asked.cancel()  # what a thread that was given up brings later is of no use to anyone
        return Ticket(ccache=held.ccache, principal=held.principal, ends=self._now() + timedelta(seconds=held.seconds))

    def _loaded(self) -> Calls:
        if self._calls is None:
            try:
                from pusher.credentials.kerberos.krb5_calls import Calls
            except ImportError as error:
                raise ProblemError(problem(Code.KERBEROS_UNAVAILABLE)) from error
            self._calls = Calls()
        return self._calls


def translate(error: BaseException, whom: str, use: SecretUse) -> Problem:
    """The problem for an exception of the library; silence after a secret was given is no verdict on it."""
    code, number = kerberos_code(error) or Code.KERBEROS_FAILED, kerberos_number(error)
    if code == Code.NO_LOGON_SERVERS and use.given:
        return unanswered(whom, use)
    seen = f"Kerberos error {number}" if number is not None else type(error).__name__
    return problem(code, Stage.SIGN_IN, f"asked for a ticket of {whom}, the domain controller ended with {seen}")


def unanswered(whom: str, use: SecretUse) -> Problem:
    """The problem of a question without an answer."""
    code = Code.SIGN_IN_UNKNOWN if use.given else Code.NO_LOGON_SERVERS
    return problem(code, Stage.SIGN_IN, f"no domain controller answered for {whom}")


def in_a_thread(work: Callable[[], T]) -> Future[T]:
    """Each in a thread of its own, for which the process does not wait at its end: one may have been given up."""
    done: Future[T] = Future()

    def run() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="kerberos", daemon=True).start()
    return done
