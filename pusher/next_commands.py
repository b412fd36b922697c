"""The commands that messages and reports suggest, each as it works when pasted into a shell.

Here: every command that is printed with its arguments, with the options that the running command was given and the
next one needs too. What must not live here: the words around them, and what a command takes (``cli``). What is printed
as a pattern (``pusher show RUN HOST``, in help and in remedies) stands where it is printed.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class NextCommands:
    """``store``: the file or the URL, without its password; ``accounts``: the file. None: not given, so not printed."""

    store: str | None = None
    accounts: str | None = None

    def runs(self) -> str:
        return self._command("runs", store=self.store)

    def show(self, run: str) -> str:
        return self._command("show", run, store=self.store)

    def report(self, run: str, format: str, output: str | None = None) -> str:
        return self._command("report", run, format=format, output=output, store=self.store)

    def retry(self, run: str) -> str:
        """Everything else that the run was given is in its record."""
        return self._command("retry", run, store=self.store)

    def cancel(self, run: str) -> str:
        return self._command("cancel", run, store=self.store)

    def resume(self, run: str) -> str:
        return self._command("resume", run, store=self.store)

    def worker(self) -> str:
        return self._command("worker", store=self.store)

    def upgrade(self) -> str:
        return self._command("store", "upgrade", store=self.store)

    def check(self) -> str:
        """INVENTORY and HOST are the reader's to fill in."""
        return self._command("check", "INVENTORY", limit="HOST", accounts=self.accounts, store=self.store)

    def budget(self) -> str:
        return self._command("accounts", "budget", accounts=self.accounts, store=self.store)

    def clear(self, user: str, host: str | None = None) -> str:
        """What is counted under ``user``; ``host``: of a local account, the machine that counts it."""
        return self._command("accounts", "clear", user, host=host, store=self.store)

    def _command(self, *words: str, **options: str | None) -> str:
        given = [part for name, value in options.items() if value is not None for part in (f"--{name}", value)]
        return shlex.join(["pusher", *words, *given])


NONE_GIVEN = NextCommands()
"""Of a command that was given neither."""
