"""What signing in takes, for a run and for a test of accounts alike: Kerberos, the directory that the accounts file
names, what it says of accounts, and the passwords that it has of machines.

Here lives what is made once and closed with the event loop. What must not live here: the lockout guard (``lockout``),
which accounts (``accounts``), how one signs in (``credentials``, ``push``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pusher.clock import utc_now
from pusher.credentials.accounts.reader import reader_of
from pusher.credentials.accounts.trial import Examiner
from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.kerberos.library import Krb5
from pusher.credentials.kerberos.tickets import Tickets
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.readings import Readings
from pusher.credentials.secrets.dpapi import DpapiNg
from pusher.credentials.secrets.laps import Laps, is_laps
from pusher.credentials.secrets.providers import read_secret
from pusher.directory.locate import SrvLocator
from pusher.directory.names import base_of
from pusher.directory.port import Directory, DirectoryAccount
from pusher.models import Account, Secret
from pusher.next_commands import NextCommands
from pusher.problems import Problem
from pusher.transports.ticket import ticket_credential
from pusher.wiring.directory import directory_over

Unread = Callable[[Account, Problem], None]
"""Told of an account that the directory could not be asked about."""


def _to_nobody(_: Account, __: Problem) -> None:
    """Whoever asks is told by what he asked."""


@dataclass(frozen=True, kw_only=True)
class SignInResources:
    """Open; see ``open_sign_in``. ``directory`` and ``readings`` are None where the accounts file names none."""

    accounts: AccountsFile
    guard: LockoutGuard
    kerberos: Krb5
    directory: Directory | None
    readings: Readings | None
    reader_secret: Secret | None
    nameservers: Sequence[str]

    def tickets(self, secrets: Mapping[str, Secret]) -> Tickets:
        """Of the accounts whose ``secrets`` these are; each is read in the directory first, where there is one."""
        if self.readings is None:
            return Tickets(self.kerberos, self.guard, secrets, utc_now)
        return Tickets(self.kerberos, self.guard, secrets, utc_now, self.readings.before)

    def laps(self, learn: Callable[[Secret], None]) -> Laps | None:
        """Machines' own passwords, each of which ``learn`` is told; None where no account needs one."""
        reader = self.accounts.directory
        if reader is None or self.directory is None or not any(is_laps(one) for one in self.accounts.accounts):
            return None
        return Laps(self.directory, base_of(reader.domain), learn, self._unprotect(reader))

    def _unprotect(self, account: DirectoryAccount) -> DpapiNg:
        """Who decrypts LAPS passwords, as the directory's reader: it signs in for that once, within its own budget."""
        reader, secret = reader_of(account), self.reader_secret
        tickets = Tickets(self.kerberos, self.guard, {reader.name: secret} if secret is not None else {}, utc_now)
        locate = SrvLocator(self.nameservers)
        return DpapiNg(account, lambda: tickets.ticket(reader), ticket_credential, locate, utc_now)


@asynccontextmanager
async def open_sign_in(
    accounts: AccountsFile,
    guard: LockoutGuard,
    reader_secret: Secret | None,
    nameservers: Sequence[str] = (),
    unread: Unread = _to_nobody,
) -> AsyncIterator[SignInResources]:
    """``reader_secret``: the password of the account that reads the directory.

    The directory is contacted by whoever asks it first, and by nobody where no account needs it.
    """
    async with AsyncExitStack() as stack:
        kerberos = Krb5(utc_now)
        stack.callback(kerberos.close)
        directory: Directory | None = None
        readings: Readings | None = None
        if accounts.directory is not None:
            directory = directory_over(accounts.directory, reader_secret, nameservers, guard)
            stack.push_async_callback(directory.close)
            readings = Readings(directory, accounts.directory.domain, guard, unread)
        yield SignInResources(
            accounts=accounts,
            guard=guard,
            kerberos=kerberos,
            directory=directory,
            readings=readings,
            reader_secret=reader_secret,
            nameservers=nameservers,
        )


@asynccontextmanager
async def open_examiner(
    accounts: AccountsFile, guard: LockoutGuard, reader_secret: Secret | None, following: NextCommands
) -> AsyncIterator[Examiner]:
    """What testing accounts takes, and nothing that pushing takes: no target, no transport."""
    async with open_sign_in(accounts, guard, reader_secret) as made:
        realm = accounts.directory.domain.upper() if accounts.directory is not None else None
        yield Examiner(made.kerberos, guard, read_secret, utc_now, made.readings, realm, following=following)
