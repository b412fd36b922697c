"""What one run hands to each of its attempts: the verb, the package, the accounts, and the ports."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pusher.clock import Now
from pusher.credentials.kerberos.tickets import Tickets
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.secrets.laps import PerHostSecrets
from pusher.install.payload import Payload
from pusher.models import (
    Account,
    Attempt,
    Event,
    Journal,
    Mark,
    Outcome,
    Package,
    Secret,
    Stage,
    TransportKind,
    Verb,
)
from pusher.problems import Code
from pusher.push.losses import Losses
from pusher.targets.resolver import Resolver
from pusher.transports.port import Limits, Transport


class Watcher(Protocol):
    """Who is told how a run goes: the live view and the log."""

    def stage(self, target: str, stage: Stage) -> None: ...

    def event(self, happened: Event) -> None: ...


class Stop:
    """Leave to go on. ``cancel`` takes it from every target at its next step; the reason becomes its code."""

    def __init__(self) -> None:
        self.code: Code | None = None
        self._event = asyncio.Event()

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        self.code = self.code or code
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


class MachineClaims(Protocol):
    """Which machine is worked on under which name in this run; ``identity.machine_key`` says what one machine is.

    A claim is made on a session that has signed in. Of two at the same moment one comes first.
    """

    async def claim(self, key: str, target: str) -> str | None:
        """The other target that holds ``key`` already; None where it is ``target``'s now."""


class Claims:
    """Those of a run that one process does."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    async def claim(self, key: str, target: str) -> str | None:
        holder = self._holders.setdefault(key.lower(), target)
        return None if holder == target else holder


class RunStore(Protocol):
    """What a run writes and reads of its targets while it works: the store, or one that asks whether they are its own.

    Whatever is awaited may raise StoreError, and LostError (``supply``) where the target is somebody else's by now.
    """

    async def hold(self, target: str) -> None:
        """LostError where the target is somebody else's by now."""

    def require(self, target: str) -> None:
        """LostError where it is known here that the target is somebody else's: nobody is asked."""

    def target_began(self, run: str, target: str, at: datetime) -> Future[Any]: ...

    def event(self, event: Event) -> Future[Any]: ...

    def attempt(self, attempt: Attempt) -> Future[Any]: ...

    async def outcome(self, outcome: Outcome) -> None: ...

    async def open_journal(
        self, *, host: str, service: str, run: str, target: str, before: Mapping[str, Any], at: datetime
    ) -> Journal: ...

    async def mark(self, journal: str, step: str, mark: Mark, at: datetime) -> None: ...

    def mark_done(self, journal: str, step: str, at: datetime) -> Future[Any]: ...

    async def close_journal(self, journal: str, closed_as: str) -> None: ...

    async def journals(
        self, host: str, service: str, closed_as: str | None, *, target: str = "", under: Collection[str] | None = ()
    ) -> Sequence[Journal]: ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run. ``package`` and ``payload`` are None where a check was asked for without a package.

    ``service_secret``: the password of the account that the package's service logs on as, where it has one.
    ``run_account``: whom the package's installer is run as, where it names one; its password is among the ``secrets``.
    ``fallback``: the process's own identity, where it may be used. ``per_host``: None where no account needs it.
    """

    run: str
    verb: Verb
    package: Package | None
    payload: Payload | None
    accounts: Sequence[Account]
    secrets: Mapping[str, Secret]
    fallback: Account | None
    guard: LockoutGuard
    tickets: Tickets
    transports: Mapping[TransportKind, Transport]
    only: TransportKind | None
    resolver: Resolver
    limits: Limits
    deadline: float
    store: RunStore
    watcher: Watcher
    now: Now
    per_host: PerHostSecrets | None = None
    service_secret: Secret | None = None
    run_account: Account | None = None
    stop: Stop = field(default_factory=Stop)
    claims: MachineClaims = field(default_factory=Claims)
    losses: Losses = field(default_factory=Losses)
