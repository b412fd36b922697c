"""What a lockout guard is made of, whoever asks for one: the ledger, the assumed policy, the id that the ledger knows a
run by, and what the operator should know of its limits.

Not here: the guard itself and its counting (``credentials.lockout``), the ledger (``store``), who makes a guard
(``engine``).
"""

from __future__ import annotations

import secrets as random
from datetime import datetime

from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.kerberos.tickets import CCACHE
from pusher.credentials.lockout.budget import LockoutPolicy
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.secrets.references import scheme_of
from pusher.models import Account
from pusher.settings import next_commands, place_of_store
from pusher.store import Store, shown_url


def guard_of(accounts: AccountsFile, store: Store, url: str | None, run: str = "") -> LockoutGuard:
    """Over the ledger of ``store``, asked for by ``url``; its refusals name both it and the command that clears."""
    policy, local = lockout_policy(accounts), local_policy(accounts)
    return LockoutGuard(policy, store.ledger, local=local, run=run, following=next_commands(url), store=store.name)


def lockout_policy(accounts: AccountsFile) -> LockoutPolicy:
    """What is assumed where no directory says otherwise."""
    return LockoutPolicy(threshold=accounts.assume_threshold, reserve=accounts.reserve)


def local_policy(accounts: AccountsFile) -> LockoutPolicy | None:
    """What is assumed of machines' own accounts; None: the same."""
    if accounts.local_threshold is None:
        return None
    return LockoutPolicy(threshold=accounts.local_threshold, reserve=accounts.reserve)


def budget_note(accounts: AccountsFile, url: str | None) -> str | None:
    """How far the lockout budget of the store at ``url`` sees; None where there is nothing that it does not see."""
    if accounts.directory is not None or not any(_counts_in_a_domain(one) for one in accounts.accounts):
        return None
    return (
        f"the lockout budget knows the failed sign-ins of the store {shown_url(place_of_store(url))} only; with "
        "[directory] in the accounts file it knows those that the domain has counted, whoever made them"
    )


def _counts_in_a_domain(account: Account) -> bool:
    return not account.is_local and scheme_of(account.secret) != CCACHE


def run_id(now: datetime) -> str:
    """Its time, for people, and something random: several may begin in one second."""
    return f"{now:%Y%m%d-%H%M%S}-{random.token_hex(2)}"
