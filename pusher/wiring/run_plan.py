"""The plan of a run: everything that it is given, read and proven before any target is contacted. BadInput is raised
here.

Not here: which targets are selected (``target_selection``), what is opened for the run (``run_resources``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pusher.clock import utc_now
from pusher.credentials.accounts_file import AccountsFile
from pusher.directory.port import Directory
from pusher.helper_exe import HelperExeMissingError
from pusher.helper_exe import load as load_runner
from pusher.install.installing import removal_command
from pusher.install.package import PACKAGE_FILE, load_package, placeholders, render_command
from pusher.install.payload import Payload, load_payload
from pusher.models import RUN_AS_ACCOUNT, Account, Package, Secret, Source, Target, TransportKind, Verb
from pusher.problems import BadInput, Problem
from pusher.queue.windows import ALWAYS, Windows
from pusher.settings import Options
from pusher.targets.inventory import Inventory, load_inventory
from pusher.wiring.accounts import accounts_for, accounts_of, misnamed, runner_of, secrets_of, service_secret_of
from pusher.wiring.authority import authority_of
from pusher.wiring.directory import directory_secret
from pusher.wiring.engine import Engine
from pusher.wiring.inventory import expanded, read_out
from pusher.wiring.lockout import budget_note
from pusher.wiring.patterns import unborne
from pusher.wiring.target_selection import TargetSelection, select_targets
from pusher.wiring.windows import windows_of


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A run that is ready to go: everything is read and checked, and no target has been contacted.

    ``accounts``: those that are tried for the package; ``run_account``: whom its installer is run as, if it names one.
    ``remarks``: what looks amiss in the accounts file. ``windows``: in which its machines may be touched. Made by
    ``prepare_run``.
    """

    options: Options
    verb: Verb
    selection: TargetSelection
    authority: Path | None
    package: Package | None
    payload: Payload | None
    accounts: AccountsFile
    run_account: Account | None
    secrets: Mapping[str, Secret]
    service_secret: Secret | None
    directory_secret: Secret | None
    remarks: tuple[str, ...]
    windows: Windows = ALWAYS

    @property
    def inventory(self) -> Inventory:
        """With the computers of its directory groups."""
        return self.selection.inventory

    def targets(self) -> Iterator[Target]:
        return self.selection.targets()

    def count(self) -> int:
        return sum(1 for _ in self.targets())

    def left_out(self) -> Iterator[tuple[Target, Problem]]:
        """Targets on which nothing will be done, and why."""
        return self.selection.left_out()

    def spared(self, target: Target) -> Problem | None:
        """As the selection says of a target whose address, site or groups a run has found."""
        return self.selection.spared(target)

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

    @property
    def no_accounts(self) -> str | None:
        """What to say where there is no accounts file: before anything is sent, and ahead of all that comes of it."""
        if self.accounts.missing is None:
            return None
        return (
            f"there is no accounts file ({self.accounts.missing}): only this process's own identity, its Kerberos "
            "ticket, is tried; write one there, or name it with --accounts"
        )

    def notes(self) -> Iterator[str]:
        """What the operator should read before anything is sent."""
        yield from self.inventory.notes
        if self.no_accounts is not None:
            yield self.no_accounts
        yield from self.remarks
        if (note := budget_note(self.accounts, self.options.store)) is not None:
            yield note
        yield from self.selection.notes()


PackageFrom = Callable[[AccountsFile], Package]
"""The package of a run; the secret of its service is the accounts'."""


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """What a run has from elsewhere than its options say, so that no file of those is read but the accounts.

    ``authority``: of whoever signs WinRM's certificates; ``package_from``: None where the run has no package.
    """

    inventory: Inventory
    authority: Path | None
    package_from: PackageFrom | None


def prepare_run(
    options: Options,
    verb: Verb,
    engine: Engine,
    directory: Directory | None = None,
    *,
    with_secrets: bool = True,
    supplied: Supplied | None = None,
    windows: Sequence[Mapping[str, Any]] = (),
) -> RunPlan:
    """Read and check everything, and ask for the secrets; BadInput. Of the ``engine`` the store is opened, to ask a
    directory, and nothing else.

    ``directory`` reads the groups that the inventory has of one; None: the accounts file says which. It is asked once
    every file is found good, and is all that is contacted. ``with_secrets``: not where the run is another process's to
    work on: then only the directory's reader has one, where groups are asked for, and there is no payload.
    ``windows``: those that are recorded of it, or of the run that it is made from; they hold where the options name no
    file of them.
    """
    inventory = supplied.inventory if supplied is not None else load_inventory(options.inventory)
    # What names nothing is said before anybody is asked for a secret, unless only the directory knows its names.
    selection = select_targets(inventory, options) if not inventory.directory_groups else None
    authority = supplied.authority if supplied is not None else authority_of(options, inventory)
    opening = windows_of(options.windows, windows, utc_now())
    listed = accounts_of(options)
    not_borne = tuple(unborne(listed, inventory, expanded=selection is not None))
    package = _package(options, verb, listed, supplied)
    payload = None
    if package is not None and with_secrets:
        payload = load_payload(package)  # each hash is verified by reading it
    name = package.name if package is not None else None
    run_account = runner_of(listed, package)
    accounts = accounts_for(listed, name, run_account)
    not_named = tuple(misnamed(listed, name))
    secrets = secrets_of(accounts, run_account if verb is not Verb.CHECK else None) if with_secrets else {}
    service_secret = service_secret_of(package) if with_secrets and package and verb is Verb.PUSH else None
    # Of accounts.toml alone, and read once: whoever is asked for it is asked once.
    reader_secret = directory_secret(accounts) if with_secrets or inventory.directory_groups else None
    if selection is None:
        if directory is not None:
            inventory = asyncio.run(expanded(inventory, directory))
        else:
            inventory = read_out(inventory, accounts, reader_secret, engine)
        selection = select_targets(inventory, options)
        not_borne = tuple(unborne(listed, inventory))
    plan = RunPlan(
        options=options,
        verb=verb,
        selection=selection,
        authority=authority,
        package=package,
        payload=payload,
        accounts=accounts,
        run_account=run_account,
        secrets=secrets,
        service_secret=service_secret,
        directory_secret=reader_secret,
        windows=opening,
        remarks=(*not_borne, *not_named),
    )
    _prove(plan)
    return plan


def _package(options: Options, verb: Verb, listed: AccountsFile, supplied: Supplied | None) -> Package | None:
    if supplied is not None:
        package = supplied.package_from(listed) if supplied.package_from is not None else None
    elif options.package is not None:
        package = load_package(options.package, verify_hashes=False)
    elif verb is Verb.CHECK:
        package = None
    else:
        raise BadInput(None, f"{verb} needs a package", "--package DIR")
    return replace(package, replaces=options.replaces) if package is not None else None


def _prove(plan: RunPlan) -> None:
    """BadInput where the package cannot be handled on these targets, or there are none."""
    if plan.package is not None:
        _prove_commands(plan, plan.package)
        _prove_installer(plan, plan.package)
    if not any(True for _ in plan.targets()):
        origin = plan.options.origin
        of = f" of run {origin.run}" if origin is not None else ""
        found = f"no target{of} is left by --limit and --exclude"
        raise BadInput(Source(file=str(plan.options.inventory)), found, "at least one")


def _prove_commands(plan: RunPlan, package: Package) -> None:
    """A placeholder that one target cannot fill is found now, not on that target."""
    if package.service is None:
        return
    late = "site" in placeholders(package.service)
    for target in plan.targets():
        if late and target.site is None and plan.inventory.sites:
            continue  # its address will tell its site
        render_command(package.service, target, package.source)


def _prove_installer(plan: RunPlan, package: Package) -> None:
    """What running and removing an installer takes, on this side."""
    if package.installer is None:
        return
    place = Source(file=str(package.root / PACKAGE_FILE))
    if plan.verb is Verb.REMOVE and removal_command(package, package.installer) is None:
        raise BadInput(place, "installer.uninstall is missing, and nothing else tells how its product is removed",
                       "a quoted program and its silent arguments")  # fmt: skip
    if package.installer.run_as == RUN_AS_ACCOUNT:
        if TransportKind.SMB in plan.transports:
            found = 'installer.run_as is "account", and over SMB an installer runs as the machine itself'
            raise BadInput(place, found, 'targets by WinRM only (--transport winrm), or run_as = "system"')
        return
    try:
        load_runner()
    except HelperExeMissingError as error:
        raise BadInput(place, str(error), "the helper program built") from error
