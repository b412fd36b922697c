"""The accounts file: which one it is, what is asked for its secrets, and which of its accounts can be tested.

Not here: its format (``credentials.accounts_file``), the account that reads the directory (``directory``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.credentials.secrets import read_secret
from pusher.models import Account, Secret
from pusher.problems import BadInput
from pusher.settings import Options

ACCOUNTS_FILE = "accounts.toml"


def accounts_of(options: Options) -> AccountsFile:
    """Of the file that is named or lies beside the inventory; without one, only the process's own identity."""
    if options.accounts is not None:
        return load_accounts(options.accounts)
    beside = options.inventory.parent / ACCOUNTS_FILE
    return load_accounts(beside) if beside.exists() else AccountsFile.own_identity_only()


def secrets_of(accounts: AccountsFile) -> Mapping[str, Secret]:
    """By the account's name; none for an account that needs none."""
    found = {account.name: read_secret(account) for account in accounts.accounts}
    return {name: secret for name, secret in found.items() if secret is not None}


def accounts_to_test(path: Path | None) -> tuple[Sequence[Account], AccountsFile]:
    """The accounts of a file (``accounts.toml`` here, where none is named) in their order; BadInput."""
    file = path or Path(ACCOUNTS_FILE)
    if path is None and not file.exists():
        raise BadInput(None, f"there is no {ACCOUNTS_FILE} in this folder", "--accounts FILE")
    accounts = load_accounts(file)
    fallback = (accounts.fallback,) if accounts.fallback is not None else ()
    return (*accounts.accounts, *fallback), accounts
