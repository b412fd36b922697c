"""Wiring: the only place that names an adapter. It reads the operator's files, and builds what a run needs.

Everything here happens before anything is contacted; BadInput leaves it with nothing done.
"""

from __future__ import annotations

import getpass
import secrets as random
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from pusher.clock import utc_now
from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.credentials.budget import LockoutPolicy
from pusher.credentials.guard import LockoutGuard
from pusher.credentials.secrets import read_secret
from pusher.install.installing import removal_command
from pusher.install.package import PACKAGE_FILE, load_package, placeholders, render_command
from pusher.install.payload import Payload, load_payload
from pusher.log import start_log
from pusher.models import Package, Run, Secret, Source, Target, TransportKind, Verb
from pusher.problems import BadInput, Problem, Stage, problem
from pusher.runner import RunnerMissingError
from pusher.runner import load as load_runner
from pusher.scheduler.admission import Caps
from pusher.scheduler.job import Job, Stop, Watcher
from pusher.scheduler.retry import RetryPolicy
from pusher.scheduler.run import Report, Runner
from pusher.settings import Options, data_folder, open_default_store
from pusher.targets.dns_resolver import DnsResolver
from pusher.targets.inventory import Inventory, Selected, load_inventory
from pusher.targets.resolver import Resolver
from pusher.targets.system_resolver import SystemResolver
from pusher.transports.bridge import Pool
from pusher.transports.port import Limits, Transport
from pusher.transports.smb import SmbTransport

ACCOUNTS_FILE = "accounts.toml"
_SPARE_THREADS = 8


class Prepared:
    """A run that is ready to go: everything is read and checked, nothing has been contacted."""

    def __init__(self, options: Options, verb: Verb) -> None:
        self.options, self.verb = options, verb
        self.inventory = load_inventory(options.inventory)
        self._selector = self.inventory.selector(limit=list(options.limit), exclude=list(options.exclude))
        self.authority = _authority(options, self.inventory)
        self.accounts = _accounts(options)
        self.package, self.payload = _package(options, verb)
        self.secrets = _secrets(self.accounts)
        if self.package is not None:
            self._prove_commands(self.package)
            self._prove_installer(self.package)
        if not any(True for _ in self.targets()):
            raise BadInput(
                Source(file=str(options.inventory)), "no target is left by --limit and --exclude", "at least one"
            )

    def selected(self) -> Iterator[Selected]:
        """Every target of the inventory with the decision about it, in order; made anew at each call."""
        for selected in self.inventory.targets(self._selector):
            if not self.options.only or selected.target.name.lower() in self.options.only:
                yield selected

    def targets(self) -> Iterator[Target]:
        return (selected.target for selected in self.selected() if selected.decision.included)

    @property
    def transports(self) -> frozenset[TransportKind]:
        """What the targets may be reached by; what --transport asks for, where it names one."""
        if self.options.transport != "auto":
            return frozenset({TransportKind(self.options.transport)})
        found: set[TransportKind] = set()
        for target in self.targets():
            found.update(target.transports)
            if len(found) == len(TransportKind):
                break
        return frozenset(found)

    @property
    def package_words(self) -> str:
        """The package's name and version, for people."""
        return f"{self.package.name} {self.package.version}" if self.package else "no package"

    def count(self) -> int:
        return sum(1 for _ in self.targets())

    def left_out(self) -> Iterator[tuple[Target, Problem]]:
        """Targets that the inventory or --exclude leaves out, and duplicates; each gets an outcome that says so."""
        for selected in self.selected():
            if (code := selected.decision.code) is not None:
                yield selected.target, problem(code, Stage.RESOLVE, selected.decision.why)

    def _prove_commands(self, package: Package) -> None:
        """A placeholder that one target cannot fill is found now, not on that target."""
        if package.service is None:
            return
        late = "site" in placeholders(package.service)
        for target in self.targets():
            if late and target.site is None and self.inventory.sites:
                continue  # its address will tell its site
            render_command(package.service, target, package.source)

    def _prove_installer(self, package: Package) -> None:
        """What running and removing an installer takes, on this side."""
        if package.installer is None:
            return
        place = Source(file=str(package.root / PACKAGE_FILE))
        if self.verb is Verb.REMOVE and removal_command(package, package.installer) is None:
            raise BadInput(place, "installer.uninstall is missing, and nothing else tells how its product is removed",
                           "a quoted program and its silent arguments")  # fmt: skip
        if TransportKind.SMB in self.transports:
            try:
                load_runner()
            except RunnerMissingError as error:
                raise BadInput(place, str(error), "--transport winrm, or the runner built") from error


def _accounts(options: Options) -> AccountsFile:
    if options.accounts is not None:
        return load_accounts(options.accounts)
    beside = options.inventory.parent / ACCOUNTS_FILE
    return load_accounts(beside) if beside.exists() else AccountsFile.own_identity_only()


def _authority(options: Options, inventory: Inventory) -> Path | None:
    """The file of whoever signs WinRM's certificates; None: this system's own list."""
    named = inventory.certificate_authority
    if options.ca is not None:
        file, source = options.ca, None
    elif named is not None:
        file, source = options.inventory.parent / named.text, named.source
    else:
        return None
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificate"
        raise BadInput(source, f"the certificate authority {file} cannot be read: {why}", "a PEM file") from error
    return file


def _package(options: Options, verb: Verb) -> tuple[Package | None, Payload | None]:
    if options.package is None:
        if verb is not Verb.CHECK:
            raise BadInput(None, f"{verb} needs a package", "--package DIR")
        return None, None
    package = load_package(options.package, verify_hashes=False)
    # Reading the payload verifies each hash, once.
    return package, load_payload(package)


def _secrets(accounts: AccountsFile) -> Mapping[str, Secret]:
    found = {account.name: read_secret(account) for account in accounts.accounts}
    return {name: secret for name, secret in found.items() if secret is not None}


def resolver_for(inventory: Inventory) -> Resolver:
    """The inventory's own name servers, or what this machine itself asks."""
    return DnsResolver(inventory.nameservers) if inventory.nameservers else SystemResolver()


class Session:
    """An open run: store, log, threads. Use it as a context; ``runner`` does the work."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, options = prepared, prepared.options
        self._stack = ExitStack()
        self.store = open_default_store(options.store)
        self._stack.callback(self.store.close)
        log = options.log or data_folder() / "pusher.log"
        try:
            file, redactor = start_log(log)
        except OSError as error:
            self._stack.close()
            raise BadInput(None, f"the log {log} cannot be written: {error.strerror}", "a writable file") from error
        self._stack.callback(file.close)
        redactor.learn(prepared.secrets.values())
        self._pool = Pool(options.concurrency + _SPARE_THREADS)
        self._stack.callback(self._pool.close)
        self.run = Run(
            id=_run_id(utc_now()),
            verb=prepared.verb,
            inventory=str(options.inventory),
            package=prepared.package.name if prepared.package else None,
            version=prepared.package.version if prepared.package else None,
            operator=f"{getpass.getuser()}@{socket.gethostname()}",
            started_at=utc_now(),
            parent=options.parent,
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self) -> None:
        """Record the run and all its targets; from here on a kill loses nothing."""
        rows = ((target.name, target.address, target.site) for target in self.prepared.targets())
        self.store.begin_run(self.run, self.prepared.options.to_json(), rows)

    def runner(self, watcher: Watcher, report: Report, stop: Stop) -> Runner:
        """To be called inside the event loop."""
        prepared, options = self.prepared, self.prepared.options
        accounts = prepared.accounts
        job = Job(
            run=self.run.id,
            verb=prepared.verb,
            package=prepared.package,
            payload=prepared.payload,
            accounts=accounts.accounts,
            secrets=prepared.secrets,
            fallback=accounts.fallback_enabled,
            guard=LockoutGuard(LockoutPolicy(threshold=accounts.assume_threshold, reserve=accounts.reserve)),
            transports=self._transports(),
            only=None if options.transport == "auto" else TransportKind(options.transport),
            resolver=resolver_for(prepared.inventory),
            limits=Limits(connect=options.connect_timeout),
            deadline=options.deadline,
            store=self.store,
            watcher=watcher,
            now=utc_now,
            stop=stop,
        )
        return Runner(
            job,
            Caps(total=options.concurrency, site=options.per_site, subnet=options.per_subnet),
            RetryPolicy(attempts=options.attempts),
            report,
            prepared.inventory.sites.placed,
            options.max_failures,
        )

    def _transports(self) -> dict[TransportKind, Transport]:
        """Those that some target may use: WinRM's libraries are loaded only where they are needed."""
        made: dict[TransportKind, Transport] = {}
        wanted = self.prepared.transports
        if TransportKind.SMB in wanted:
            made[TransportKind.SMB] = SmbTransport(self._pool)
        if TransportKind.WINRM in wanted:
            from pusher.transports.winrm.adapter import WinrmTransport
            from pusher.transports.winrm.content import ContentServer

            content = ContentServer(port=self.prepared.options.content_port)
            self._stack.callback(content.close)
            made[TransportKind.WINRM] = WinrmTransport(self._pool, ca=self.prepared.authority, content=content)
        return made


def _run_id(now: datetime) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{random.token_hex(2)}"
