"""The shells that this process has made on targets and not seen deleted. No network here.

A shell outlives the connection it was made on: with it lives what runs in it, the lock of the machine for one, until
its idle time is over. The same account may delete it over a new connection, so what a lost connection left behind is
ended as soon as there is another.
Source: MS-WSMV 3.1.4.1 (a shell belongs to the user who made it, not to a connection).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field

from pusher.transports.winrm.wire import Wire


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose shells: an account at a listener."""

    address: str
    port: int
    user: str


@dataclass(frozen=True, slots=True)
class Made:
    """A shell, by its resource URI and ShellId."""

    uri: str
    identifier: str


@dataclass(slots=True)
class Register:
    """One for the process; any thread may call."""

    _guard: threading.Lock = field(default_factory=threading.Lock)
    _made: dict[Owner, dict[Made, Wire]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, owner: Owner, made: Made, wire: Wire) -> None:
        with self._guard:
            self._made[owner][made] = wire

    def remove(self, owner: Owner, made: Made) -> None:
        with self._guard:
            self._made[owner].pop(made, None)
            if not self._made[owner]:
                del self._made[owner]

    def made_on(self, owner: Owner, wire: Wire) -> list[Made]:
        """Those of one session, still there."""
        with self._guard:
            return [made for made, its in self._made.get(owner, {}).items() if its is wire]

    def orphans(self, owner: Owner) -> list[Made]:
        """Those whose connection is gone; one that another session still uses is none."""
        with self._guard:
            return [made for made, wire in self._made.get(owner, {}).items() if wire.lost]
