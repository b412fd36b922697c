"""The session's tree connects: made when first asked for, the two that every push needs in one round trip.

Source: MS-SMB2 2.2.9. What must not live here: what is done in a share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pusher.remote.paths import SYSTEM_DRIVE
from pusher.transports.codes import Operation
from pusher.transports.smb.faults import guarded
from pusher.transports.smb.messages import Answer, tree_connect
from pusher.transports.smb.wire import Chain, Wire

_ALWAYS = ("ADMIN$", "IPC$")


class Trees:
    """``known``: trees that are connected already; ``drive``: the share of the system drive."""

    def __init__(
        self,
        wire: Wire,
        server: str,
        known: Mapping[str, int] | None = None,
        drive: Callable[[], str] = lambda: SYSTEM_DRIVE,
    ) -> None:
        self._wire, self._server, self.drive = wire, server, drive
        self._trees = dict(known or {})
        self._asked: dict[str, Answer] = {}

    def tree(self, share: str) -> int:
        """The TreeId of a share; ProblemError where it is refused."""
        key = share.upper()
        if key not in self._trees:
            operation = Operation.ADMIN_SHARE if key == "ADMIN$" else Operation.SHARE
            name = self.drive() if key == SYSTEM_DRIVE else share
            detail = "" if operation is Operation.ADMIN_SHARE else name
            self._trees[key] = guarded(operation, lambda: self._connected(key, name), detail)
        return self._trees[key]

    def _connected(self, key: str, name: str) -> int:
        if key not in self._asked:
            names = [name] if key not in _ALWAYS else [each for each in _ALWAYS if each not in self._trees]
            requests = [Chain(0, [tree_connect(f"\\\\{self._server}\\{each}")]) for each in names]
            for each, (answer,) in zip(names, self._wire.flight(requests), strict=True):
                self._asked[each if key in _ALWAYS else key] = answer
        return self._asked.pop(key).must().tree
