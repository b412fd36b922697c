"""Watching a running command from outside, as any user of the machine can: arguments and environment in /proc."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

_EVERY = 0.05


class Sampler:
    """Collects the command line and environment of every process of a session, again and again until it is left."""

    def __init__(self, session: int) -> None:
        self._session = str(session)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.commands: set[bytes] = set()
        self.environments: set[bytes] = set()

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        foreign: set[str] = set()  # of other sessions: nobody ever joins one, so each is looked at once
        while not self._over.wait(_EVERY):
            there = {name for name in os.listdir("/proc") if name.isdigit()}
            foreign &= there
            for name in there - foreign:
                with suppress(OSError):  # it has ended
                    if not self._look(Path("/proc", name)):
                        foreign.add(name)

    def _look(self, folder: Path) -> bool:
        """Whether it is of the session; then it is noted."""
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if fields[3] != self._session:
            return False
        self.commands.add((folder / "cmdline").read_bytes())
        self.environments.add((folder / "environ").read_bytes())
        return True
