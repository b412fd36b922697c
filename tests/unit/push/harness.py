"""What the tests of installs and attempts share: a package, hosts in memory, a job, and stores that die with it."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pusher.clock import utc_now
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.kerberos.tickets import Kerberos, Tickets, principal_of
from pusher.credentials.lockout.budget import LockoutPolicy
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.install.payload import Payload
from pusher.install.plan import service_of, wanted_config
from pusher.models import (
    Account,
    Claim,
    Credential,
    Event,
    Journal,
    Mark,
    Outcome,
    Package,
    PackageFile,
    Protocol,
    Run,
    Secret,
    ServiceSpec,
    Stage,
    Target,
    TransportKind,
    Verb,
)
from pusher.problems import Code
from pusher.push.attempt import attempt
from pusher.push.context import RunContext, RunStore, Stop
from pusher.push.service_logon import service_account
from pusher.store import Store, open_store
from pusher.targets.resolver import Resolution, failed
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, User
from pusher.transports.memory.wire import Killed
from pusher.transports.port import Endpoint, Limits, Session, Transport
from tests import pe

EXE, CONF, LOG = "labagent\\labagent.exe", "labagent\\conf\\labagent.toml", "labagent\\labagent.log"
SERVICE = "LabAgent"
COMMAND = f'"%SystemRoot%\\{EXE}" --name {{name}}'
ADMIN = "corp\\pushadm"
LOCAL = ".\\pushadm"

_MEMORY = Path("/dev/shm")
_numbers = itertools.count(1)
_shared_runs: dict[str, str] = {}


def program(version: str) -> bytes:
    """An agent of that version, of a size that a copy can be cut in."""
    return pe.program(version, pad=3000)


def make_package(version: str = "1.4.2", files: Mapping[str, bytes] | None = None, **changes: Any) -> Package:
    content = files or {EXE: program(version), CONF: f"version = '{version}'".encode()}
    service = ServiceSpec(
        name=SERVICE,
        display_name=changes.pop("display_name", "Lab Agent"),
        command=changes.pop("command", COMMAND),
        start=changes.pop("start", "auto"),
        account=changes.pop("account", "LocalSystem"),
        secret=changes.pop("secret", None),
        grant_logon_right=changes.pop("grant_logon_right", False),
    )
    defaults: dict[str, Any] = {"stay_running": 1.5, "leftovers": (LOG,)}
    return Package(
        name="labagent",
        version=version,
        root=Path("/nowhere"),
        files=tuple(
            PackageFile(source=Path(dest), dest=dest, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for dest, data in content.items()
        ),
        service=service,
        **(defaults | changes),
    )


def make_payload(package: Package, files: Mapping[str, bytes] | None = None) -> Payload:
    return Payload(files or {EXE: program(package.version), CONF: f"version = '{package.version}'".encode()})


def make_host(name: str = "", **changes: Any) -> MemoryHost:
    """A fresh machine with a name of its own, on which ``ADMIN`` and ``LOCAL`` with ``right`` are administrators."""
    users = {ADMIN: User(password="right"), "pushadm": User(password="right")}
    return MemoryHost(
        name=name or f"ws{next(_numbers):05}.corp.example",
        users=changes.pop("users", users),
        leaves=changes.pop("leaves", {SERVICE.lower(): f"Windows\\{LOG}"}),
        **changes,
    )


def install_by_hand(host: MemoryHost, package: Package, files: Mapping[str, bytes], running: bool = True) -> None:
    """The package's files and service on the host, as an earlier push would have left them."""
    for dest, data in files.items():
        host.write(f"Windows\\{dest}", data)
    target = Target(name=host.name)
    assert package.service is not None
    host.services.create(
        SERVICE, wanted_config(package, service_of(package).command.format(name=target.name)), host.now()
    )
    if running:
        host.start(SERVICE)


class Watching:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, Stage]] = []
        self.events: list[Event] = []

    def stage(self, target: str, stage: Stage) -> None:
        self.stages.append((target, stage))

    def event(self, happened: Event) -> None:
        self.events.append(happened)


class Names:
    """A resolver that knows some names."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = known

    async def resolve(self, name: str) -> Resolution:
        if name not in self.known:
            raise failed(Code.NAME_NOT_FOUND, name, "not in the test's list")
        return Resolution(addresses=(self.known[name],), source="test")


class DyingStore(Store):
    """The store of a process that may be killed: its awaited writes count as calls of the transport."""

    def __init__(self, store: Store, transport: MemoryTransport) -> None:
        self.__dict__.update(store.__dict__)
        self._transport = transport

    async def open_journal(self, **values: Any) -> Journal:
        fault = self._due("open-journal")
        journal = await super().open_journal(**values)
        self._die_after(fault)
        return journal

    async def mark(self, journal: str, step: str, mark: Mark, at: datetime, claim: Claim | None = None) -> None:
        fault = self._due(f"{step}-{mark}")
        await super().mark(journal, step, mark, at, claim)
        self._die_after(fault)

    def mark_done(self, journal: str, step: str, at: datetime, claim: Claim | None = None) -> Future[Any]:
        fault = self._due(f"{step}-done")
        posted = super().mark_done(journal, step, at, claim)
        self._die_after(fault)
        return posted

    async def close_journal(self, journal: str, closed_as: str, claim: Claim | None = None) -> None:
        fault = self._due("close-journal")
        await super().close_journal(journal, closed_as, claim)
        self._die_after(fault)

    def _due(self, call: str) -> Fault | None:
        if self._transport.dead:
            raise Killed
        fault = self._transport.due(f"store:{call}")
        if fault is not None and fault.how is How.DIE and fault.moment is not Moment.AFTER:
            self._die_after(fault)
        return fault

    def _die_after(self, fault: Fault | None) -> None:
        if fault is not None and fault.how is How.DIE:
            self._transport.die()
            raise Killed


@contextmanager
def shared_store() -> Iterator[Store]:
    """A store in a file, kept in memory where the system has such a folder: thousands of pushes write to it."""
    with tempfile.TemporaryDirectory(
        dir=_MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    ) as folder:
        made = open_store(f"{folder}/pusher.sqlite")
        yield made
        made.close()


def begin_run(store: Store, rows: Collection[tuple[str, str | None, str | None]] = ()) -> str:
    """A run in the store; its id."""
    run = f"run-{next(_numbers):06}"
    store.begin_run(
        Run(id=run, verb=Verb.PUSH, inventory="-", package=None, version=None, operator="-", started_at=utc_now()),
        {},
        rows,
    )
    return run


def shared_run(store: Store) -> str:
    """One run for all of a store's pushes: each is another attempt in it."""
    url = str(store._database.engine.url)
    if url not in _shared_runs:
        _shared_runs[url] = begin_run(store)
    return _shared_runs[url]


SERVICE_ACCOUNT, SERVICE_UPN = "corp\\svc-agent", "svc-agent@corp.example"
"""One whose realm nobody knows, so that no domain controller can be asked about it, and one that can be proven."""


def know_service_account(host: MemoryHost, *rights: str, account: str = SERVICE_ACCOUNT) -> None:
    """``account`` with the password ``agents`` is known on the host, and has these rights."""
    host.passwords[account] = "agents"
    host.rights[account] = frozenset(rights)


def make_account(user: str = ADMIN, name: str = "admin", **changes: Any) -> Account:
    return Account(name=name, user=user, secret="env:X", protocol=changes.pop("protocol", Protocol.NTLM), **changes)


def make_context(store: RunStore, transport: Transport, **changes: Any) -> RunContext:
    """A job with a run of its own in the store, unless one is given."""
    package: Package | None = changes.pop("package", make_package())
    verb: Verb = changes.pop("verb", Verb.PUSH)
    accounts: Sequence[Account] = changes.pop("accounts", (make_account(),))
    secrets: Mapping[str, Secret] = changes.pop("secrets", {account.name: Secret("right") for account in accounts})
    service, its_secret = service_account(package), changes.get("service_secret")
    if service is not None and its_secret is not None:
        secrets = {**secrets, service.name: its_secret}
    guard: LockoutGuard = changes.pop("guard", None) or LockoutGuard(LockoutPolicy(threshold=10, reserve=2))
    kerberos: Kerberos = changes.pop("kerberos", None) or MemoryKerberos(
        utc_now, {name: "right" for account in accounts if (name := principal_of(account))}, own="HOST$@CORP.EXAMPLE"
    )
    run = changes.pop("run", "") or begin_run(cast(Store, store), changes.pop("rows", ()))
    defaults: dict[str, Any] = {
        "payload": make_payload(package) if package else None,
        "secrets": secrets,
        "fallback": None,
        "guard": guard,
        "tickets": Tickets(kerberos, guard, secrets, utc_now),
        "transports": {TransportKind.SMB: transport},
        "only": None,
        "resolver": Names({}),
        "limits": Limits(),
        "deadline": 900.0,
        "watcher": Watching(),
        "now": utc_now,
        "stop": Stop(),
    }
    return RunContext(run=run, verb=verb, package=package, accounts=accounts, store=store, **(defaults | changes))


async def push(host: MemoryHost, store: Store, *faults: Fault, **changes: Any) -> tuple[Outcome, MemoryTransport]:
    """One attempt on one host by a process of its own, whose calls meet ``faults``."""
    transport = MemoryTransport({"10.0.0.1": host}, *faults)
    dying = DyingStore(store, transport)
    context = make_context(dying, transport, run=shared_run(store), **changes)
    return await attempt(context, Target(name=host.name), "10.0.0.1", next(_numbers)), transport


async def signed_in(host: MemoryHost, *faults: Fault) -> Session:
    """A session of ``ADMIN`` on the host."""
    transport = MemoryTransport({"10.0.0.1": host}, *faults)
    link = await transport.open(Endpoint(host=host.name, address="10.0.0.1", port=445), Limits())
    domain, _, user = ADMIN.partition("\\")
    return await link.sign_in(
        Credential(account="admin", user=user, domain=domain, secret=Secret("right"), protocol=Protocol.NTLM)
    )


def events_of(store: Store, run: str, target: str) -> list[Event]:
    """What the store has of a target, once all that was posted is in it."""
    store._database.writer.write_now(lambda _: None)
    return store.events(run, target)
