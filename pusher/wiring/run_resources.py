"""An open run: its threads and adapters on top of the process's engine, closed in the end whatever happened.

Not here: the store and the log (``engine``), reading what the operator wrote (``run_plan``), the run itself
(``push.dispatcher``).
"""

from __future__ import annotations

import getpass
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import structlog

from pusher.clock import utc_now
from pusher.credentials.lockout.process import this_process
from pusher.log import Redactor
from pusher.models import Account, Run, TransportKind
from pusher.problems import Problem
from pusher.push.context import Claims, MachineClaims, RunContext, RunStore, Stop, Watcher
from pusher.push.dispatcher import Dispatcher, Report
from pusher.push.service_logon import service_account
from pusher.report.unstored import Unstored
from pusher.scheduler.admission import Caps
from pusher.scheduler.retry import RetryPolicy
from pusher.settings import data_folder
from pusher.store import Store
from pusher.transports.port import Limits, Transport
from pusher.wiring.descriptors import fitted, probes, raised_for
from pusher.wiring.engine import Engine, Note
from pusher.wiring.inventory import enrichment_for, resolver_for
from pusher.wiring.lockout import run_id
from pusher.wiring.run_plan import RunPlan
from pusher.wiring.sign_in import SignInResources, Unread, open_sign_in
from pusher.wiring.transports import open_transports
from pusher.wiring.windows import to_record

_log = structlog.get_logger()

_SPARE_THREADS = 8

_PORTS = {TransportKind.SMB: 1, TransportKind.WINRM: 2}
"""How many ports of a machine are asked whether they answer."""


def _to_nobody(_: str) -> None:
    """Nobody wants the notes."""


@dataclass(frozen=True, kw_only=True)
class RunResources:
    """Open; see ``open_run``. ``begin`` records the run, and a ``dispatcher`` does its work."""

    plan: RunPlan
    engine: Engine
    run: Run
    store: Store
    unstored: Unstored
    transports: Mapping[TransportKind, Transport]
    concurrency: int
    probes: int
    redactor: Redactor
    note: Note

    def begin(self) -> None:
        """Record the run and all its targets; from here on a kill loses nothing."""
        rows = [(target.name, target.address, target.site) for target in self.plan.targets()]
        windows = to_record(self.plan.windows)
        self.store.begin_run(self.run, self.plan.options.to_json(), rows, asdict(this_process()), windows=windows)

    @asynccontextmanager
    async def dispatcher(
        self,
        watcher: Watcher,
        report: Report,
        stop: Stop,
        store: RunStore | None = None,
        claims: MachineClaims | None = None,
    ) -> AsyncIterator[Dispatcher]:
        """With all that belongs to the event loop.

        ``store``: what its targets are written to; None: the store. ``claims``: None, of this process alone.
        """
        plan, options = self.plan, self.plan.options
        guard = self.engine.guard(plan.accounts, self.run.id)
        unread = _said_once(self.note, plan.accounts.assume_threshold)
        nameservers = plan.inventory.nameservers
        async with open_sign_in(plan.accounts, guard, plan.directory_secret, nameservers, unread) as sign_in:
            yield Dispatcher(
                self._context(sign_in, watcher, stop, store or self.store, claims or Claims()),
                Caps(total=self.concurrency, site=options.per_site, subnet=options.per_subnet),
                RetryPolicy(attempts=options.attempts),
                report,
                enrichment_for(plan.inventory),
                options.max_failures,
                self.unstored.add,
                plan.spared,
                self.probes,
            )

    def _context(
        self, sign_in: SignInResources, watcher: Watcher, stop: Stop, store: RunStore, claims: MachineClaims
    ) -> RunContext:
        plan, options = self.plan, self.plan.options
        secrets = dict(plan.secrets)
        account = service_account(plan.package)
        if account is not None and plan.service_secret is not None:
            secrets[account.name] = plan.service_secret
        return RunContext(
            run=self.run.id,
            verb=plan.verb,
            package=plan.package,
            payload=plan.payload,
            accounts=plan.accounts.accounts,
            secrets=plan.secrets,
            service_secret=plan.service_secret,
            run_account=plan.run_account,
            fallback=plan.accounts.fallback,
            guard=sign_in.guard,
            tickets=sign_in.tickets(secrets),
            per_host=sign_in.laps(lambda secret: self.redactor.learn([secret])),
            transports=self.transports,
            only=None if options.transport == "auto" else TransportKind(options.transport),
            resolver=resolver_for(plan.inventory),
            limits=Limits(connect=options.connect_timeout),
            deadline=options.deadline,
            store=store,
            watcher=watcher,
            now=utc_now,
            stop=stop,
            claims=claims,
        )


@contextmanager
def open_run(plan: RunPlan, engine: Engine, note: Note = _to_nobody, run: Run | None = None) -> Iterator[RunResources]:
    """Open what ``plan`` takes. BadInput, with nothing contacted. Any number of them may be open in one engine.

    ``run``: the one that is recorded already; None: a new one.
    """
    options = plan.options
    with ExitStack() as stack:
        store, redactor = engine.store(), engine.redactor(note)
        redactor.learn(plan.secrets.values())
        redactor.learn(one for one in (plan.directory_secret, plan.service_secret) if one is not None)
        concurrency, probes = _fitted(plan, note)
        # As many again may be watched meanwhile; a thread is started when it is first needed.
        transports = open_transports(
            plan.transports, 2 * concurrency + _SPARE_THREADS, plan.authority, options.content_port
        )
        run = run or new_run(plan)
        beside = [store.path.parent] if store.path is not None else []
        folders = [*beside, data_folder(), Path(tempfile.gettempdir())]
        unstored = Unstored(run.id, folders, lambda line: print(line, file=sys.stderr))
        stack.callback(unstored.close)
        yield RunResources(
            plan=plan,
            engine=engine,
            run=run,
            store=store,
            unstored=unstored,
            transports=stack.enter_context(transports),
            concurrency=concurrency,
            probes=probes,
            redactor=redactor,
            note=note,
        )


def new_run(plan: RunPlan) -> Run:
    """One that is not recorded yet."""
    options = plan.options
    return Run(
        id=run_id(utc_now()),
        verb=plan.verb,
        inventory=str(options.inventory),
        package=plan.package.name if plan.package else None,
        version=plan.package.version if plan.package else None,
        operator=f"{getpass.getuser()}@{socket.gethostname()}",
        started_at=utc_now(),
        parent=options.origin.run if options.origin else None,
    )


def _fitted(plan: RunPlan, note: Note) -> tuple[int, int]:
    """As many machines at once as there are descriptors for; said where they are fewer than was asked for.

    And of how many at once it may be asked whether they answer.
    """
    concurrency, ports = plan.options.concurrency, sum(_PORTS[kind] for kind in plan.transports) or 1
    wanted = sum(1 for _ in islice(plan.targets(), concurrency))
    allowed = raised_for(wanted, ports)
    found = fitted(wanted, allowed)
    asked = probes(found, ports, allowed)
    if found == wanted:
        return concurrency, asked
    note(
        f"this process may have {allowed:,} files open: {found:,} machines are worked on at once, not {wanted:,} "
        "(ulimit -n raises it, or LimitNOFILE= of a service)"
    )
    return found, asked


def _said_once(note: Note, assumed: int) -> Unread:
    """Of accounts that the directory could not be asked about: they go on under the assumed policy.

    Each is in the log; ``note`` is told one sentence for each reason, not for each account.
    """
    said: set[str] = set()

    def unread(account: Account, why: Problem) -> None:
        _log.warning("account-not-read", account=account.name, code=why.code, detail=why.message)
        if why.code not in said:
            said.add(why.code)
            note(
                f"the directory could not be asked about {account.name} ({why.code}: {why.message}); accounts it does "
                f"not tell of count as locked after {assumed} failures (assume_threshold)"
            )

    return unread
