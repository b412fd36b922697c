"""Prepared: everything that a run is given, read and proven before any target is contacted. BadInput is raised here.

Not here: what is opened for the run (``session``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from pusher.directory.port import Directory
from pusher.helper_exe import HelperExeMissingError
from pusher.helper_exe import load as load_runner
from pusher.install.installing import removal_command
from pusher.install.package import PACKAGE_FILE, load_package, placeholders, render_command
from pusher.install.payload import Payload, load_payload
from pusher.models import RUN_AS_ACCOUNT, Package, Source, Target, TransportKind, Verb
from pusher.problems import BadInput, Code, Problem, Stage, problem
from pusher.settings import Options
from pusher.targets.inventory import Selected, load_inventory
from pusher.targets.selection import EVERYTHING, Selector, parse_selector
from pusher.wiring.accounts import accounts_for, accounts_of, misnamed, runner_of, secrets_of, service_secret_of
from pusher.wiring.authority import authority_of
from pusher.wiring.directory import directory_secret
from pusher.wiring.inventory import expanded, read_out
from pusher.wiring.lockout import budget_note
from pusher.wiring.patterns import unborne

_NAMED = 5
"""Targets that a note names one by one."""


class RunPlan:
    """A run that is ready to go: everything is read and checked, and no target has been contacted.

    ``accounts``: those that are tried for the package; ``run_account``: whom its installer is run as, if it names one.
    ``directory`` reads the groups that the inventory has of one; None: the accounts file says which.
    """

    def __init__(self, options: Options, verb: Verb, directory: Directory | None = None) -> None:
        self.options, self.verb = options, verb
        self.inventory = load_inventory(options.inventory)
        if not self.inventory.directory_groups:
            self._select()
        self.authority = authority_of(options, self.inventory)
        listed = accounts_of(options)
        self._unborne = tuple(unborne(listed, self.inventory, expanded=not self.inventory.directory_groups))
        self.package, self.payload = _package(options, verb)
        name = self.package.name if self.package is not None else None
        self.run_account = runner_of(listed, self.package)
        self.accounts = accounts_for(listed, name, self.run_account)
        self._misnamed = tuple(misnamed(listed, name))
        self.secrets = secrets_of(self.accounts, self.run_account if verb is not Verb.CHECK else None)
        self.service_secret = service_secret_of(self.package) if self.package and verb is Verb.PUSH else None
        # Of accounts.toml alone, and read once: whoever is asked for it is asked once.
        self.directory_secret = directory_secret(self.accounts)
        if self.inventory.directory_groups:
            if directory is not None:
                self.inventory = asyncio.run(expanded(self.inventory, directory))
            else:
                self.inventory = read_out(self.inventory, self.accounts, self.directory_secret, options.store)
            self._select()
            self._unborne = tuple(unborne(listed, self.inventory))
        if self.package is not None:
            self._prove_commands(self.package)
            self._prove_installer(self.package)
        if not any(True for _ in self.targets()):
            of = f" of run {options.origin.run}" if options.origin is not None else ""
            found = f"no target{of} is left by --limit and --exclude"
            raise BadInput(Source(file=str(options.inventory)), found, "at least one")

    def _select(self) -> None:
        limit, exclude = list(self.options.limit), list(self.options.exclude)
        self._selector, self._further = self.inventory.selector(limit=limit, exclude=exclude), tuple[Selector, ...]()
        if (origin := self.options.origin) is not None:
            # What earlier runs were told was looked up then: a name that has gone since spares nobody less.
            first, *most_advanced = [*(parse_selector(limit=limit) for limit in origin.limits), EVERYTHING]
            spared = parse_selector(exclude=origin.exclude).exclude
            self._further = (*most_advanced, Selector(limit=self._selector.limit))
            self._selector = Selector(limit=first.limit, exclude=(*spared, *self._selector.exclude))

    def selected(self) -> Iterator[Selected]:
        """Every target of the inventory with the decision about it, in order; made anew at each call."""
        for selected in self.inventory.targets(self._selector):
            if self._is_taken_up(selected.target):
                yield selected

    def _is_taken_up(self, target: Target) -> bool:
        """Whether the run that this one is made from, if any, has left the target to it."""
        origin = self.options.origin
        if origin is None:
            return True
        return target.name.lower() in origin.only and all(one.decide(target).included for one in self._further)

    def spared(self, target: Target) -> Problem | None:
        """What leaves a target out by its address, site or groups, once a run has found them; None: nothing."""
        for selector in (self._selector, *self._further):
            if (decision := self.inventory.spared(target, selector)) is not None:
                return problem(Code.EXCLUDED, Stage.RESOLVE, decision.why)
        return None

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
        yield from self._unborne
        yield from self._misnamed
        if (note := budget_note(self.accounts)) is not None:
            yield note
        if self.options.origin is not None:
            here = {selected.target.name.lower() for selected in self.inventory.targets(self._selector)}
            if gone := sorted(self.options.origin.only - here):
                named = ", ".join(gone[:_NAMED]) + (f" and {len(gone) - _NAMED:,} more" if len(gone) > _NAMED else "")
                yield f"no longer in {self.inventory.file}, and left alone: {named}"

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
        if package.installer.run_as == RUN_AS_ACCOUNT:
            if TransportKind.SMB in self.transports:
                found = 'installer.run_as is "account", and over SMB an installer runs as the machine itself'
                raise BadInput(place, found, 'targets by WinRM only (--transport winrm), or run_as = "system"')
            return
        try:
            load_runner()
        except HelperExeMissingError as error:
            raise BadInput(place, str(error), "the helper program built") from error


def _package(options: Options, verb: Verb) -> tuple[Package | None, Payload | None]:
    if options.package is None:
        if verb is not Verb.CHECK:
            raise BadInput(None, f"{verb} needs a package", "--package DIR")
        return None, None
    package = load_package(options.package, verify_hashes=False)
    # Reading the payload verifies each hash, once.
    return package, load_payload(package)
