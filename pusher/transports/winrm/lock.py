"""The machine's lock over WinRM: a file that a waiting command keeps open. Blocking, one thread at a time.

``set /p`` asks for a line of input that never comes; its question goes into the lock's file. cmd opens the file of a
redirection without sharing it for writing (and, on Windows, without letting it be deleted), so the machine itself
sees to it that there is one such command. It runs in a shell of its own, which the target ends when nobody has asked
for it within the idle time: that is how the lock of a pusher that vanished is freed. The file may stay behind then;
a file that nobody has open is no lock.

Two things are not taken for granted: that a refused redirection has an exit code (Wine's cmd has none), and that the
command has begun when it is said to have been started. So it says that it has; and the lock is ours when its file
holds our question, or, where a file that is open for writing cannot be read (Wine), when nobody else can open it and
our command still waits.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable

from pypsrp.exceptions import WSManFaultError

from pusher.transports.winrm.faults import SHELL_GONE, fault_number
from pusher.transports.winrm.shell import Command, Shell, quoted

_BEGIN, _END = 20.0, 5.0
"""Seconds for the command to have opened its file, and to have ended once its input has."""


class Lock:
    """Made by ``take``; ``keep`` has to be called now and then, ``close`` once, by one thread at a time."""

    def __init__(self, shell: Shell, command: Command, remove: Callable[[], None]) -> None:
        self._shell, self._command, self._remove = shell, command, remove
        self._asked = time.monotonic()
        self._closed = self._gone = False

    @property
    def lost(self) -> bool:
        """The command has ended although nobody told it to."""
        return (self._gone or self._command.done) and not self._closed

    def keep(self) -> None:
        """Keep the shell from running out of its idle time."""
        if self._closed or self.lost or time.monotonic() - self._asked < self._shell.idle / 3:
            return
        try:
            self._command.receive(1.0)
        except WSManFaultError as error:
            if fault_number(error) != SHELL_GONE:
                raise
            self._gone = True
        self._asked = time.monotonic()

    def close(self) -> None:
        """Free the lock and remove its file; the second time nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._command.end_input()
            until = time.monotonic() + _END
            while not self._command.done and time.monotonic() < until:
                self._command.receive(1.0)
        finally:
            try:
                self._shell.close()
            finally:
                self._remove()


def take(place: str, own: Shell, other: Shell, remove: Callable[[], None]) -> Lock | None:
    """The lock of the file at ``place``, or None where the target does not let it be opened.

    ``own`` is the shell that the lock shall live in, ``other`` one that may be asked about it; ``remove`` removes the
    file, without complaint where it cannot.
    """
    question = secrets.token_hex(16) + "f"  # a digit before ">" would be the number of a handle
    begun = secrets.token_hex(8)
    command = own.start(f"echo {begun}& set /p _={question}>{quoted(place)}")
    try:
        until = time.monotonic() + _BEGIN
        while time.monotonic() < until:
            command.receive(1.0)
            if command.done:
                break
            if begun.encode() not in command.stdout.data:
                continue
            shown = other.run(f"type {quoted(place)}", keep=256).stdout.strip()
            if shown.endswith(question.encode()):
                return Lock(own, command, remove)
            if not shown and _taken(place, other):
                command.receive(1.0)
                if not command.done:
                    return Lock(own, command, remove)
    except BaseException:
        _forget(command, own)
        raise
    _forget(command, own)
    return None


def _taken(place: str, other: Shell) -> bool:
    """Whether nobody can open the file for writing: cmd complains then, in whatever words. It changes nothing."""
    probe = other.run(f"type nul>>{quoted(place)}")
    return bool(probe.exit_code or probe.stdout or probe.stderr)


def _forget(command: Command, own: Shell) -> None:
    # What went wrong before is what is to be reported.
    with contextlib.suppress(Exception):
        try:
            if not command.done:
                command.end_input()
        finally:
            own.close()
