"""Session: an open run, with its store, log, threads and adapters, closed in the end whatever happened.

Not here: reading what the operator wrote (``plan``), the run itself (``scheduler``).
"""

from __future__ import annotations

import getpass
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import structlog

from pusher.clock import utc_now
from pusher.credentials.accounts.reader import reader_of
from pusher.credentials.kerberos.library import Krb5
from pusher.credentials.kerberos.settings import host_names_as_written
from pusher.credentials.kerberos.tickets import Tickets
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.process import this_process
from pusher.credentials.lockout.readings import Readings
from pusher.credentials.secrets.dpapi import DpapiNg
from pusher.credentials.secrets.laps import Laps, is_laps
from pusher.directory.locate import SrvLocator
from pusher.directory.names import base_of
from pusher.directory.port import Directory, DirectoryAccount
from pusher.log import start_log
from pusher.models import Account, Run, TransportKind
from pusher.problems import BadInput, Problem
from pusher.push.context import RunContext, Stop, Watcher
from pusher.push.dispatcher import Dispatcher, Report
from pusher.push.service_logon import service_account
from pusher.report.unstored import Unstored
from pusher.scheduler.admission import Caps
from pusher.scheduler.retry import RetryPolicy
from pusher.settings import data_folder, open_default_store
from pusher.transports.port import Limits, Transport
from pusher.transports.smb import SmbTransport
from pusher.transports.threaded import Pool
from pusher.transports.ticket import ticket_credential
from pusher.wiring.descriptors import fitted, raised_for
from pusher.wiring.directory import directory_of
from pusher.wiring.inventory import enrichment_for, resolver_for
from pusher.wiring.lockout import guard_of, run_id
from pusher.wiring.run_plan import RunPlan

_log = structlog.get_logger()

_SPARE_THREADS = 8


def _to_nobody(_: str) -> None:
    """Nobody wants the notes."""


class RunResources:
    """An open run: store, log, threads. Use it as a context; ``runner`` does the work.

    ``note`` is told, in a sentence, what the run's operator should read while it goes.
    """

    def __init__(self, plan: RunPlan, note: Callable[[str], None] = _to_nobody) -> None:
        self.plan, options = plan, plan.options
        self._note, self._noted = note, set[str]()
        self._stack = ExitStack()
        self.store = open_default_store(options.store)
        self._stack.callback(self.store.close)
        log = options.log or data_folder() / "pusher.log"
        file, redactor = start_log(log, note)
        try:
            file.open()
        except OSError as error:
            # One that was asked for is bad input; of the other the first line says that it cannot be written.
            if options.log is not None:
                self._stack.close()
                found = f"the log {log} cannot be written: {error.strerror}"
                raise BadInput(None, found, "a writable file") from error
        self._stack.callback(file.close)
        self._stack.enter_context(host_names_as_written())
        self._redactor = redactor
        redactor.learn(plan.secrets.values())
        redactor.learn(one for one in (plan.directory_secret, plan.service_secret) if one is not None)
        self._directory: Directory | None = None
        self._concurrency = self._fitted(options.concurrency)
        self._pool = Pool(self._concurrency + _SPARE_THREADS)
        self._stack.callback(self._pool.close)
        self.run = Run(
            id=run_id(utc_now()),
            verb=plan.verb,
            inventory=str(options.inventory),
            package=plan.package.name if plan.package else None,
            version=plan.package.version if plan.package else None,
            operator=f"{getpass.getuser()}@{socket.gethostname()}",
            started_at=utc_now(),
            parent=options.origin.run if options.origin else None,
        )
        beside = [self.store.path.parent] if self.store.path is not None else []
        folders = [*beside, data_folder(), Path(tempfile.gettempdir())]
        self.unstored = Unstored(self.run.id, folders, lambda line: print(line, file=sys.stderr))

    def __enter__(self) -> RunResources:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self) -> None:
        """Record the run and all its targets; from here on a kill loses nothing."""
        rows = ((target.name, target.address, target.site) for target in self.plan.targets())
        self.store.begin_run(self.run, self.plan.options.to_json(), rows, asdict(this_process()))

    def runner(self, watcher: Watcher, report: Report, stop: Stop) -> Dispatcher:
        """To be called inside the event loop, as ``leave`` after it."""
        plan, options = self.plan, self.plan.options
        accounts = plan.accounts
        guard = guard_of(accounts, self.store, options.store, self.run.id)
        kerberos = Krb5(utc_now)
        self._stack.callback(kerberos.close)
        secrets = dict(plan.secrets)
        account = service_account(plan.package)
        if account is not None and plan.service_secret is not None:
            secrets[account.name] = plan.service_secret
        tickets, per_host = Tickets(kerberos, guard, secrets, utc_now), None
        if accounts.directory is not None:
            # Contacted by whoever asks it first, and by nobody where no account needs it.
            self._directory = directory_of(accounts, plan.inventory, guard, plan.directory_secret)
            domain = accounts.directory.domain
            readings = Readings(self._directory, domain, guard, self._not_read)
            tickets = Tickets(kerberos, guard, secrets, utc_now, readings.before)
            if any(is_laps(account) for account in accounts.accounts):
                unprotect = self._unprotect(accounts.directory, kerberos, guard)
                per_host = Laps(
                    self._directory, base_of(domain), lambda secret: self._redactor.learn([secret]), unprotect
                )
        context = RunContext(
            run=self.run.id,
            verb=plan.verb,
            package=plan.package,
            payload=plan.payload,
            accounts=accounts.accounts,
            secrets=plan.secrets,
            service_secret=plan.service_secret,
            run_account=plan.run_account,
            fallback=accounts.fallback,
            guard=guard,
            tickets=tickets,
            per_host=per_host,
            transports=self._transports(),
            only=None if options.transport == "auto" else TransportKind(options.transport),
            resolver=resolver_for(plan.inventory),
            limits=Limits(connect=options.connect_timeout),
            deadline=options.deadline,
            store=self.store,
            watcher=watcher,
            now=utc_now,
            stop=stop,
        )
        return Dispatcher(
            context,
            Caps(total=self._concurrency, site=options.per_site, subnet=options.per_subnet),
            RetryPolicy(attempts=options.attempts),
            report,
            enrichment_for(plan.inventory),
            options.max_failures,
            self.unstored.add,
            plan.spared,
        )

    def _unprotect(self, account: DirectoryAccount, kerberos: Krb5, guard: LockoutGuard) -> DpapiNg:
        """Who decrypts LAPS passwords, as the directory's reader: it signs in for that once, within its own budget."""
        reader, secret = reader_of(account), self.plan.directory_secret
        tickets = Tickets(kerberos, guard, {reader.name: secret} if secret is not None else {}, utc_now)
        locate = SrvLocator(self.plan.inventory.nameservers)
        return DpapiNg(account, lambda: tickets.ticket(reader), ticket_credential, locate, utc_now)

    async def leave(self) -> None:
        """Let go of what belongs to the event loop."""
        if self._directory is not None:
            await self._directory.close()

    def _transports(self) -> dict[TransportKind, Transport]:
        """Those that some target may use: WinRM's libraries are loaded only where they are needed."""
        made: dict[TransportKind, Transport] = {}
        wanted = self.plan.transports
        if TransportKind.SMB in wanted:
            made[TransportKind.SMB] = SmbTransport(self._pool)
        if TransportKind.WINRM in wanted:
            from pusher.transports.winrm.adapter import WinrmTransport
            from pusher.transports.winrm.content import ContentServer

            content = ContentServer(port=self.plan.options.content_port)
            self._stack.callback(content.close)
            made[TransportKind.WINRM] = WinrmTransport(self._pool, ca=self.plan.authority, content=content)
        return made

    def _fitted(self, concurrency: int) -> int:
        """As many machines at once as there are descriptors for; said where they are fewer than was asked for."""
        wanted = sum(1 for _ in islice(self.plan.targets(), concurrency))
        allowed = raised_for(wanted)
        found = fitted(wanted, allowed)
        if found == wanted:
            return concurrency
        self._note(
            f"this process may have {allowed:,} files open: {found:,} machines are worked on at once, not {wanted:,} "
            "(ulimit -n raises it, or LimitNOFILE= of a service)"
        )
        return found

    def _not_read(self, account: Account, why: Problem) -> None:
        """An account that the directory could not be asked about: it goes on under the assumed policy."""
        _log.warning("account-not-read", account=account.name, code=why.code, detail=why.message)
        self._note_once(
            why.code,
            f"the directory could not be asked about {account.name} ({why.code}: {why.message}); accounts it does not "
            f"tell of count as locked after {self.plan.accounts.assume_threshold} failures (assume_threshold)",
        )

    def _note_once(self, what: str, sentence: str) -> None:
        """One sentence for what would otherwise be said for each account or target."""
        if what not in self._noted:
            self._noted.add(what)
            self._note(sentence)
