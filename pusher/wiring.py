"""Wiring: the only place that names an adapter. It reads the operator's files, and builds what a run needs.

Everything here happens before any target is contacted; BadInput leaves it with nothing done. The directory is asked
where the inventory has groups of it, once every file is read and found good.
"""

from __future__ import annotations

import asyncio
import getpass
import secrets as random
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path

import structlog

from pusher.clock import utc_now
from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.credentials.budget import LockoutPolicy
from pusher.credentials.directory_account import read_directory_secret
from pusher.credentials.dpapi import DpapiNg
from pusher.credentials.guard import LockoutGuard
from pusher.credentials.kerberos import Krb5
from pusher.credentials.krb5_settings import host_names_as_written
from pusher.credentials.laps import Laps, is_laps
from pusher.credentials.reader import GuardedDirectory, key_of, reader_of
from pusher.credentials.readings import Readings
from pusher.credentials.secrets import read_secret
from pusher.credentials.tickets import Tickets
from pusher.credentials.trial import Examiner
from pusher.directory.locate import SrvLocator
from pusher.directory.names import base_of
from pusher.directory.port import Directory, DirectoryAccount
from pusher.install.installing import removal_command
from pusher.install.package import PACKAGE_FILE, load_package, placeholders, render_command
from pusher.install.payload import Payload, load_payload
from pusher.log import start_log
from pusher.models import Account, Package, Run, Secret, Source, Target, TransportKind, Verb
from pusher.problems import BadInput, Problem, Stage, problem
from pusher.runner import RunnerMissingError
from pusher.runner import load as load_runner
from pusher.scheduler.admission import Caps
from pusher.scheduler.job import Job, Stop, Watcher
from pusher.scheduler.retry import RetryPolicy
from pusher.scheduler.run import Report, Runner
from pusher.settings import Options, data_folder, open_default_store
from pusher.store import Store
from pusher.targets.directory_query import expand
from pusher.targets.dns_resolver import DnsResolver
from pusher.targets.inventory import Inventory, Selected, load_inventory
from pusher.targets.resolver import Resolver
from pusher.targets.system_resolver import SystemResolver
from pusher.transports.bridge import Pool
from pusher.transports.port import Limits, Transport
from pusher.transports.smb import SmbTransport
from pusher.transports.ticket import ticket_credential

_log = structlog.get_logger()

ACCOUNTS_FILE = "accounts.toml"
_SPARE_THREADS = 8


class Prepared:
    """A run that is ready to go: everything is read and checked, and no target has been contacted.

    ``directory`` reads the groups that the inventory has of one; None: the accounts file says which.
    """

    def __init__(self, options: Options, verb: Verb, directory: Directory | None = None) -> None:
        self.options, self.verb = options, verb
        self.inventory = load_inventory(options.inventory)
        if not self.inventory.directory_groups:
            self._select()
        self.authority = _authority(options, self.inventory)
        self.accounts = _accounts(options)
        self.package, self.payload = _package(options, verb)
        self.secrets = _secrets(self.accounts)
        # Of accounts.toml alone, and read once: whoever is asked for it is asked once.
        self.directory_secret = _directory_secret(self.accounts)
        if self.inventory.directory_groups:
            if directory is not None:
                self.inventory = asyncio.run(_expanded(self.inventory, directory))
            else:
                self.inventory = _read_out(self.inventory, self.accounts, self.directory_secret, options.store)
            self._select()
        if self.package is not None:
            self._prove_commands(self.package)
            self._prove_installer(self.package)
        if not any(True for _ in self.targets()):
            raise BadInput(
                Source(file=str(options.inventory)), "no target is left by --limit and --exclude", "at least one"
            )

    def _select(self) -> None:
        limit, exclude = list(self.options.limit), list(self.options.exclude)
        self._selector = self.inventory.selector(limit=limit, exclude=exclude)

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
    _prove_authority(file, source)
    return file


def _prove_authority(file: Path, source: Source | None) -> None:
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificate"
        raise BadInput(source, f"the certificate authority {file} cannot be read: {why}", "a PEM file") from error


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


def inventory_of(options: Options) -> Inventory:
    """The inventory alone, with the computers of its directory groups."""
    inventory = load_inventory(options.inventory)
    if not inventory.directory_groups:
        return inventory
    accounts = _accounts(options)
    return _read_out(inventory, accounts, _directory_secret(accounts), options.store)


def _read_out(inventory: Inventory, accounts: AccountsFile, secret: Secret | None, store: str | None) -> Inventory:
    """With the computers of its directory groups. The reader's own sign-in is within the lockout budget too."""
    directory = directory_of(accounts, inventory, secret)
    with closing(open_default_store(store)) as opened:
        guard = LockoutGuard(lockout_policy(accounts), opened.ledger, run=f"read-{_run_id(utc_now())}")
        return asyncio.run(_expanded(inventory, _guarded(directory, accounts, guard)))


def _guarded(directory: Directory, accounts: AccountsFile, guard: LockoutGuard) -> Directory:
    """The directory, whose reader is not locked out by us."""
    key = key_of(accounts.directory) if accounts.directory is not None else None
    return GuardedDirectory(directory, guard, key) if key is not None else directory


def directory_of(accounts: AccountsFile, inventory: Inventory, secret: Secret | None = None) -> Directory:
    """The directory that ``[directory]`` of the accounts file names, not contacted yet; whoever asks closes it.

    ``secret`` is its password where that has been read already. BadInput where there is no directory, at the
    inventory's group that needs it.
    """
    account = accounts.directory
    if account is None:
        group = next(iter(inventory.directory_groups), None)
        source = group.directory.source if group is not None and group.directory is not None else None
        raise BadInput(source, "this group asks the directory, and the accounts file does not say who reads it",
                       "[directory] with domain, user and secret in the accounts file")  # fmt: skip
    return _directory(account, secret or _directory_secret(accounts), inventory.nameservers)


def _directory_secret(accounts: AccountsFile) -> Secret | None:
    """The password of the account that reads the directory, where there is one and it has one."""
    account = accounts.directory
    if account is None:
        return None
    if account.ca is not None:
        _prove_authority(account.ca, account.source)
    return read_directory_secret(account)


def _directory(account: DirectoryAccount, secret: Secret | None, nameservers: Sequence[str]) -> Directory:
    from pusher.directory.ldap import LdapDirectory

    return LdapDirectory(account, secret, locate=SrvLocator(nameservers))


async def _expanded(inventory: Inventory, directory: Directory) -> Inventory:
    try:
        return await expand(inventory, directory)
    finally:
        await directory.close()


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
        self._stack.enter_context(host_names_as_written())
        self._redactor = redactor
        redactor.learn(prepared.secrets.values())
        if prepared.directory_secret is not None:
            redactor.learn([prepared.directory_secret])
        self._directory: Directory | None = None
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
        """To be called inside the event loop, as ``leave`` after it."""
        prepared, options = self.prepared, self.prepared.options
        accounts = prepared.accounts
        guard = LockoutGuard(
            lockout_policy(accounts),
            self.store.ledger,
            run=self.run.id,
        )
        kerberos = Krb5(utc_now)
        self._stack.callback(kerberos.close)
        tickets, per_host = Tickets(kerberos, guard, prepared.secrets, utc_now), None
        if accounts.directory is not None:
            # Contacted by whoever asks it first, and by nobody where no account needs it.
            found = directory_of(accounts, prepared.inventory, prepared.directory_secret)
            self._directory = _guarded(found, accounts, guard)
            domain = accounts.directory.domain
            readings = Readings(self._directory, domain, guard, _note)
            tickets = Tickets(kerberos, guard, prepared.secrets, utc_now, readings.before)
            if any(is_laps(account) for account in accounts.accounts):
                unprotect = self._unprotect(accounts.directory, kerberos, guard)
                per_host = Laps(
                    self._directory, base_of(domain), lambda secret: self._redactor.learn([secret]), unprotect
                )
        job = Job(
            run=self.run.id,
            verb=prepared.verb,
            package=prepared.package,
            payload=prepared.payload,
            accounts=accounts.accounts,
            secrets=prepared.secrets,
            fallback=accounts.fallback,
            guard=guard,
            tickets=tickets,
            per_host=per_host,
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

    def _unprotect(self, account: DirectoryAccount, kerberos: Krb5, guard: LockoutGuard) -> DpapiNg:
        """Who decrypts LAPS passwords, as the directory's reader: it signs in for that once, within its own budget."""
        reader, secret = reader_of(account), self.prepared.directory_secret
        tickets = Tickets(kerberos, guard, {reader.name: secret} if secret is not None else {}, utc_now)
        locate = SrvLocator(self.prepared.inventory.nameservers)
        return DpapiNg(account, lambda: tickets.ticket(reader), ticket_credential, locate, utc_now)

    async def leave(self) -> None:
        """Let go of what belongs to the event loop."""
        if self._directory is not None:
            await self._directory.close()

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


def _note(account: Account, why: Problem) -> None:
    """An account that the directory could not be asked about: it goes on under the assumed policy."""
    _log.warning("account-not-read", account=account.name, code=why.code, detail=why.message)


class Examination:
    """What testing the accounts of a file takes: Kerberos, and the directory that the file names; BadInput.

    Nothing is contacted before an account needs it.
    """

    def __init__(self, accounts: AccountsFile) -> None:
        self._accounts = accounts
        self._secret = _directory_secret(accounts)

    @asynccontextmanager
    async def over(self, store: Store) -> AsyncIterator[Examiner]:
        """With the lockout ledger of ``store``."""
        accounts, readings, realm = self._accounts, None, None
        guard = LockoutGuard(lockout_policy(accounts), store.ledger, run=f"test-{_run_id(utc_now())}")
        async with AsyncExitStack() as stack:
            kerberos = Krb5(utc_now)
            stack.callback(kerberos.close)
            if accounts.directory is not None:
                directory = _directory(accounts.directory, self._secret, ())
                stack.push_async_callback(directory.close)
                readings = Readings(_guarded(directory, accounts, guard), accounts.directory.domain, guard)
                realm = accounts.directory.domain.upper()
            yield Examiner(kerberos, guard, store.ledger, read_secret, utc_now, readings, realm)


def accounts_to_test(path: Path | None) -> tuple[Sequence[Account], AccountsFile]:
    """The accounts of a file (``accounts.toml`` here, where none is named) in their order; BadInput."""
    file = path or Path(ACCOUNTS_FILE)
    if path is None and not file.exists():
        raise BadInput(None, f"there is no {ACCOUNTS_FILE} in this folder", "--accounts FILE")
    accounts = load_accounts(file)
    fallback = (accounts.fallback,) if accounts.fallback is not None else ()
    return (*accounts.accounts, *fallback), accounts


def lockout_policy(accounts: AccountsFile) -> LockoutPolicy:
    """What is assumed where no directory says otherwise."""
    return LockoutPolicy(threshold=accounts.assume_threshold, reserve=accounts.reserve)


def _run_id(now: datetime) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{random.token_hex(2)}"
