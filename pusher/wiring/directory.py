"""The directory that the accounts file names: made, not contacted yet, its reader kept from being locked out.

Its adapter is imported only where one is made. Not here: what it is asked (``inventory``, ``credentials``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from pusher.credentials.accounts.directory_account import read_directory_secret
from pusher.credentials.accounts.reader import key_of, within_budget
from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.directory.locate import SrvLocator
from pusher.directory.port import Directory, DirectoryAccount, SignIn
from pusher.models import Secret
from pusher.problems import BadInput
from pusher.targets.inventory import Inventory
from pusher.wiring.authority import prove_authority


def directory_of(
    accounts: AccountsFile, inventory: Inventory, guard: LockoutGuard, secret: Secret | None = None
) -> Directory:
    """The directory that ``[directory]`` of the accounts file names, not contacted yet; whoever asks closes it.

    Its reader is not locked out by us: that is ``guard``'s matter. ``secret`` is its password where that has been read
    already. BadInput as ``directory_account``.
    """
    account = directory_account(accounts, inventory)
    secret = secret or directory_secret(accounts)
    return directory_over(account, secret, inventory.nameservers, guard)


def directory_account(accounts: AccountsFile, inventory: Inventory) -> DirectoryAccount:
    """Who reads the directory; BadInput where nobody does, at the inventory's group that needs it."""
    if accounts.directory is not None:
        return accounts.directory
    group = next(iter(inventory.directory_groups), None)
    source = group.directory.source if group is not None and group.directory is not None else None
    raise BadInput(source, "this group asks the directory, and the accounts file does not say who reads it",
                   "[directory] with domain, user and secret in the accounts file")  # fmt: skip


def directory_secret(accounts: AccountsFile) -> Secret | None:
    """The password of the account that reads the directory, where there is one and it has one."""
    account = accounts.directory
    if account is None:
        return None
    if account.ca is not None:
        prove_authority(account.ca, account.source)
    return read_directory_secret(account)


def directory_over(
    account: DirectoryAccount, secret: Secret | None, nameservers: Sequence[str], guard: LockoutGuard
) -> Directory:
    """The directory of a reader, whose sign-in is within its own lockout budget, where one is to be made at all."""
    key = key_of(account)
    return ldap_directory(account, secret, nameservers, within_budget(guard, key) if key is not None else nullcontext)


def ldap_directory(
    account: DirectoryAccount, secret: Secret | None, nameservers: Sequence[str], sign_in: SignIn
) -> Directory:
    """The directory of a reader, over LDAP; not contacted yet."""
    from pusher.directory.ldap import LdapDirectory

    return LdapDirectory(account, secret, locate=SrvLocator(nameservers), sign_in=sign_in)
