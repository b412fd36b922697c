"""The engine: what a process has once, however many runs it makes, one after the other or at once.

Here: the store, with the lockout ledger in it; the log; Kerberos' one setting. Each is opened by whoever needs it
first, and all are closed with the engine. What is a run's own comes on top of it (``run_resources``): its transports
and their threads, its tickets, which do not outlive it, and its lockout guard, since its accounts file says the policy.
Guards of one engine share its ledger, and so one budget; they take turns as those of two processes do. What must not
live here: anything of one run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.kerberos.settings import host_names_as_written
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.log import Redactor, start_log
from pusher.problems import BadInput
from pusher.settings import data_folder, open_default_store
from pusher.store import Store
from pusher.wiring.lockout import guard_of

Note = Callable[[str], None]
"""Told, in a sentence, what the operator should read."""


class Engine:
    """Open; see ``open_engine``. Its methods may be called from any thread."""

    def __init__(self, url: str | None, log: Path | None, stack: ExitStack) -> None:
        self._url, self._log, self._stack = url, log, stack
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._redactor: Redactor | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a store by now."""
        return self._store is not None

    def store(self) -> Store:
        """The one store, opened by the first who asks; BadInput."""
        with self._lock:
            if self._store is None:
                self._store = open_default_store(self._url)
                self._stack.callback(self._store.close)
            return self._store

    def guard(self, accounts: AccountsFile, run: str = "") -> LockoutGuard:
        """One that counts in the store. ``run``: the id by which the ledger knows whose sign-ins these are; empty where
        none will be made."""
        return guard_of(accounts, self.store(), self._url, run)

    def redactor(self, note: Note) -> Redactor:
        """The log's, begun by the first who asks, who is told where it cannot be written. BadInput.

        Kerberos asks for hosts by the names as written from then on: before any thread of a run begins.
        """
        with self._lock:
            if self._redactor is None:
                self._redactor = self._begun_log(note)
                self._stack.enter_context(host_names_as_written())
            return self._redactor

    def _begun_log(self, note: Note) -> Redactor:
        log = self._log or data_folder() / "pusher.log"
        file, redactor = start_log(log, note)
        try:
            file.open()
        except OSError as error:
            # One that was asked for is bad input; of the other the first line says that it cannot be written.
            if self._log is not None:
                found = f"the log {log} cannot be written: {error.strerror}"
                raise BadInput(None, found, "a writable file") from error
        self._stack.callback(file.close)
        return redactor


@contextmanager
def open_engine(url: str | None = None, log: Path | None = None) -> Iterator[Engine]:
    """Over the store at ``url`` and the log ``log``, or the user's own. Nothing is opened until somebody needs it."""
    with ExitStack() as stack:
        yield Engine(url, log, stack)
