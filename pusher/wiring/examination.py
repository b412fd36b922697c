"""Examination: what testing accounts takes, and nothing that pushing takes: no target, no transport.

Not here: which accounts (``accounts``), how one is tested (``credentials.trial``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pusher.clock import utc_now
from pusher.credentials.accounts.trial import Examiner
from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.kerberos.library import Krb5
from pusher.credentials.lockout.readings import Readings
from pusher.credentials.secrets.providers import read_secret
from pusher.store import Store
from pusher.wiring.directory import directory_secret, ldap_directory, reader_sign_in
from pusher.wiring.lockout import guard_of, run_id


class Examination:
    """What testing the accounts of a file takes: Kerberos, and the directory that the file names; BadInput.

    Nothing is contacted before an account needs it.
    """

    def __init__(self, accounts: AccountsFile) -> None:
        self._accounts = accounts
        self._secret = directory_secret(accounts)

    @asynccontextmanager
    async def over(self, store: Store, url: str | None) -> AsyncIterator[Examiner]:
        """With the lockout ledger of ``store``, which was asked for by ``url``."""
        accounts, readings, realm = self._accounts, None, None
        guard = guard_of(accounts, store, url, run=f"test-{run_id(utc_now())}")
        async with AsyncExitStack() as stack:
            kerberos = Krb5(utc_now)
            stack.callback(kerberos.close)
            if accounts.directory is not None:
                sign_in = reader_sign_in(accounts.directory, guard)
                directory = ldap_directory(accounts.directory, self._secret, (), sign_in)
                stack.push_async_callback(directory.close)
                readings = Readings(directory, accounts.directory.domain, guard)
                realm = accounts.directory.domain.upper()
            yield Examiner(kerberos, guard, store.ledger, read_secret, utc_now, readings, realm)
