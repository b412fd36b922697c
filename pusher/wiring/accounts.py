"""The accounts file: which one it is, what is asked for its secrets, and which of its accounts can be tested.

Not here: its format (``credentials.accounts_file``), the account that reads the directory (``directory``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pusher.config.wording import hint, shown
from pusher.credentials.accounts.selection import for_package, is_for
from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.credentials.secrets.providers import read_secret
from pusher.credentials.secrets.references import scheme_of
from pusher.install.fields import wants_password
from pusher.install.package import NO_SECRETS
from pusher.models import Account, Package, Secret
from pusher.problems import BadInput
from pusher.push.service_logon import service_account
from pusher.settings import Options

ACCOUNTS_FILE = "accounts.toml"


def accounts_of(options: Options) -> AccountsFile:
    """Of the file that is named or lies beside the inventory; without one, only the process's own identity."""
    if options.accounts is not None:
        return load_accounts(options.accounts)
    beside = options.inventory.parent / ACCOUNTS_FILE
    return load_accounts(beside) if beside.exists() else AccountsFile.own_identity_only(beside)


def accounts_for(listed: AccountsFile, package: str | None, runner: Account | None = None) -> AccountsFile:
    """The file with the accounts only that are tried for ``package``; BadInput where nobody is left.

    The process's own identity is a general account: a package with accounts of its own goes without it. ``runner``,
    whom its installer is run as, is not tried unless it names the package.
    """
    tried = for_package([account for account in listed.accounts if account.signs_in], package)
    if runner is not None and package is not None and not is_for(runner, package):
        tried = tuple(account for account in tried if account is not runner)
    fallback = None if any(account.packages for account in tried) else listed.fallback
    if listed.accounts and not tried and fallback is None:
        place = listed.accounts[0].source
        if not any(account.signs_in and account is not runner for account in listed.accounts):
            raise BadInput(
                place, "no account signs in: each is only for running an installer", "an [[account]] that does"
            )
        if package is None:
            raise BadInput(
                place, "every account is for certain packages, and no package was named",
                "--package DIR, or an account without packages",
            )  # fmt: skip
        raise BadInput(
            place, f"every account is for other packages than {package}", "its name in packages, or an account without"
        )
    return replace(listed, accounts=tried, fallback=fallback)


def misnamed(listed: AccountsFile, package: str | None) -> Iterator[str]:
    """What to say of accounts that may be meant for ``package`` and do not name it. Nothing lists all packages."""
    for account in listed.accounts:
        if package is None or is_for(account, package):
            continue
        for name in account.packages:
            if meant := hint(name, [package]):
                yield f"account {account.name} is for the package {name}{meant}, and is not used for {package}"


def secrets_of(accounts: AccountsFile, runner: Account | None = None) -> Mapping[str, Secret]:
    """By the account's name, with the one that the installer is run as; none for an account that needs none."""
    wanted = {account.name: account for account in (*accounts.accounts, *([runner] if runner is not None else []))}
    found = {name: read_secret(account) for name, account in wanted.items()}
    return {name: secret for name, secret in found.items() if secret is not None}


def service_secret_of(package: Package) -> Secret | None:
    """The password of the account that the package's service logs on as; None where it has none."""
    account = service_account(package)
    return read_secret(account) if account is not None else None


def runner_of(listed: AccountsFile, package: Package | None) -> Account | None:
    """The account of the accounts file that the package's installer names in run_as; None where it names none.

    Its password is sent to every target, so it has to be one that a service can log on with, of an account that is
    for this package and is not let on domain controllers.
    """
    if package is None or package.installer is None or not package.installer.runs_as_named:
        return None
    name, place = package.installer.run_as, package.installer.run_as_written
    known = {account.name.casefold(): account for account in listed.accounts}
    account = known.get(name.casefold())
    expected = "an account with a password, and without domain_controllers"
    if account is None:
        near = hint(name, [account.name for account in listed.accounts])
        raise BadInput(
            place, f"installer.run_as: no account is called {shown(name)}{near}", f"system, account or {expected}"
        )
    if account.packages and not is_for(account, package.name):
        why = f"is for other packages than {package.name}"
    elif account.domain_controllers:
        why = "is let on domain controllers, and what administers a domain runs no installer"
    elif not wants_password(account.user):
        why = f"is {account.user}, which has no password"
    elif scheme_of(account.secret) in NO_SECRETS:
        why = f"has a {scheme_of(account.secret)}: and no password, which a service logs on with"
    else:
        return account
    raise BadInput(place, f"installer.run_as: account {account.name} {why} ({account.source})", expected)


def accounts_beside(path: Path | None) -> AccountsFile:
    """A file as in ``accounts_to_test``; none, where none is named and none is here. What counts does so without."""
    if path is None and not Path(ACCOUNTS_FILE).exists():
        return AccountsFile.own_identity_only()
    return load_accounts(path or Path(ACCOUNTS_FILE))


def accounts_to_test(path: Path | None) -> tuple[Sequence[Account], AccountsFile]:
    """The accounts of a file (``accounts.toml`` here, where none is named) in their order; BadInput."""
    file = path or Path(ACCOUNTS_FILE)
    if path is None and not file.exists():
        raise BadInput(None, f"there is no {ACCOUNTS_FILE} in this folder", "--accounts FILE")
    accounts = load_accounts(file)
    fallback = (accounts.fallback,) if accounts.fallback is not None else ()
    return (*accounts.accounts, *fallback), accounts
