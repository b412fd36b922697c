"""The log's file: written a line at a time, and no line of it is worth a run.

A full disk, a file system that is read-only by now, a folder that was deleted: it is said once, lines are lost, and
when it can be written again the log says how many. What must not live here: what an entry is.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_OURS = 0o600


class LogFile:
    """Appended to, and made anew where somebody deletes it meanwhile. ``note`` is told of a loss, once."""

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        self._path, self._note = path, note
        self._descriptor: int | None = None
        self._closed = self._torn = self._noted = False
        self._lost = 0

    def open(self) -> None:
        """OSError where it cannot be opened."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OURS)

    def write(self, text: str) -> int:
        """Never fails."""
        if not self._closed:
            try:
                self._append(text.encode("utf-8", "backslashreplace"))
            except OSError as error:
                self._lost += 1
                if not self._noted:
                    self._noted = True
                    self._note(f"the log {self._path} cannot be written ({error.strerror}); the run goes on without it")
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self._closed = True
        self._let_go()

    def _append(self, line: bytes) -> None:
        self._reopen_if_gone()
        assert self._descriptor is not None, "it is open now"
        if self._lost:
            line = (
                json.dumps({"event": "log-lines-lost", "level": "warning", "count": self._lost}).encode() + b"\n" + line
            )
        if self._torn:
            line = b"\n" + line
        written = os.write(self._descriptor, line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._lost = 0

    def _reopen_if_gone(self) -> None:
        """A deleted file takes what is written, and nobody will ever read it."""
        if self._descriptor is not None:
            found = os.fstat(self._descriptor)
            if found.st_nlink or not stat.S_ISREG(found.st_mode):
                return
            self._let_go()
        self.open()
        self._torn = False

    def _let_go(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):
                os.close(descriptor)
