"""What a lockout guard is made of, whoever asks for one: the assumed policy, and the id that the ledger knows a run by.

Not here: the guard itself and its counting (``credentials.guard``), the ledger (``store``).
"""

from __future__ import annotations

import secrets as random
from datetime import datetime

from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.budget import LockoutPolicy


def lockout_policy(accounts: AccountsFile) -> LockoutPolicy:
    """What is assumed where no directory says otherwise."""
    return LockoutPolicy(threshold=accounts.assume_threshold, reserve=accounts.reserve)


def run_id(now: datetime) -> str:
    """Its time, for people, and something random: several may begin in one second."""
    return f"{now:%Y%m%d-%H%M%S}-{random.token_hex(2)}"
