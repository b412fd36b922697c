"""A profile: the accounts of a run, by a name that each worker has a file for, and a digest of what they are.

Two files have one digest where the same users would be signed in to the same machines in the same order. Where their
secrets lie is no part of it: that is each worker's own. What must not live here: reading a file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pusher.credentials.accounts_file import AccountsFile
from pusher.models import Account

DEFAULT = "default"
"""What the accounts of a run are called that was submitted without a file of them."""


def profile_digest(accounts: AccountsFile) -> str:
    """SHA-256, of the whole file's accounts that sign in, those of all packages."""
    said = {
        "accounts": [_said(account) for account in accounts.accounts if account.signs_in],
        "fallback": _said(accounts.fallback) if accounts.fallback is not None else None,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _said(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "user": account.user.casefold(),
        "protocol": account.protocol.value,
        "realm": account.realm,
        "scope": sorted(account.scope),
        "never": sorted(account.never),
        "packages": sorted(account.packages),
        "domain_controllers": account.domain_controllers,
    }
