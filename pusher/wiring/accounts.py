"""The accounts file: which one it is, what is asked for its secrets, and which of its accounts can be tested.

Not here: its format (``credentials.accounts_file``), the account that reads the directory (``directory``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pusher.config import hint
from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.credentials.ladder import for_package, is_for
from pusher.credentials.secrets import read_secret
from pusher.models import Account, Package, Secret
from pusher.problems import BadInput
from pusher.scheduler.service_logon import service_account
from pusher.settings import Options

ACCOUNTS_FILE = "accounts.toml"


def accounts_of(options: Options) -> AccountsFile:
    """Of the file that is named or lies beside the inventory; without one, only the process's own identity."""
    if options.accounts is not None:
        return load_accounts(options.accounts)
    beside = options.inventory.parent / ACCOUNTS_FILE
    return load_accounts(beside) if beside.exists() else AccountsFile.own_identity_only(beside)


def accounts_for(listed: AccountsFile, package: str | None) -> AccountsFile:
    """The file with the accounts only that are tried for ``package``; BadInput where nobody is left.

    The process's own identity is a general account: a package with accounts of its own goes without it.
    """
    tried = for_package(listed.accounts, package)
    fallback = None if any(account.packages for account in tried) else listed.fallback
    if listed.accounts and not tried and fallback is None:
        place = listed.accounts[0].source
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


def secrets_of(accounts: AccountsFile) -> Mapping[str, Secret]:
    """By the account's name; none for an account that needs none."""
    found = {account.name: read_secret(account) for account in accounts.accounts}
    return {name: secret for name, secret in found.items() if secret is not None}


def service_secret_of(package: Package) -> Secret | None:
    """The password of the account that the package's service logs on as; None where it has none."""
    account = service_account(package)
    return read_secret(account) if account is not None else None


def accounts_to_test(path: Path | None) -> tuple[Sequence[Account], AccountsFile]:
    """The accounts of a file (``accounts.toml`` here, where none is named) in their order; BadInput."""
    file = path or Path(ACCOUNTS_FILE)
    if path is None and not file.exists():
        raise BadInput(None, f"there is no {ACCOUNTS_FILE} in this folder", "--accounts FILE")
    accounts = load_accounts(file)
    fallback = (accounts.fallback,) if accounts.fallback is not None else ()
    return (*accounts.accounts, *fallback), accounts
