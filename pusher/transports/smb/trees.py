"""The session's tree connects: made when first asked for, the two that every push needs in one round trip.

Source: MS-SMB2 2.2.9. What must not live here: what is done in a share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from pusher.remote.paths import SYSTEM_DRIVE
from pusher.transports.codes import Operation
from pusher.transports.smb.faults import translating
from pusher.transports.smb.messages import Answer, tree_connect
from pusher.transports.smb.wire import Wire

_ALWAYS = ("ADMIN$", "IPC$")


async def _usual_drive() -> str:
    return SYSTEM_DRIVE


class Trees:
    """``known``: trees that are connected already; ``drive``: asks for the share of the system drive."""

    def __init__(
        self,
        wire: Wire,
        server: str,
        known: Mapping[str, int] | None = None,
        drive: Callable[[], Awaitable[str]] = _usual_drive,
    ) -> None:
        self._wire, self._server, self.drive = wire, server, drive
        self._trees = dict(known or {})
        self._asked: dict[str, asyncio.Future[Answer]] = {}

    async def tree(self, share: str) -> int:
        """The TreeId of a share; ProblemError where it is refused."""
        key = share.upper()
        if key not in self._trees:
            operation = Operation.ADMIN_SHARE if key == "ADMIN$" else Operation.SHARE
            name = await self.drive() if key == SYSTEM_DRIVE else share
            with translating(operation, "" if operation is Operation.ADMIN_SHARE else name):
                try:
                    self._trees[key] = (await self._answer(key, name)).must().tree
                finally:
                    self._asked.pop(key, None)  # one that was refused may be asked for again
        return self._trees[key]

    async def _answer(self, key: str, name: str) -> Answer:
        """Asked once, by whoever comes first; of the two that all need the other one is asked for with it."""
        if key not in self._asked:
            names = {key: name}
            if key in _ALWAYS:
                names |= {each: each for each in _ALWAYS if each not in self._trees and each not in self._asked}
            for each, named in names.items():
                asking = self._wire.ask(0, tree_connect(f"\\\\{self._server}\\{named}"))
                self._asked[each] = asyncio.ensure_future(_first(asking))
                self._asked[each].add_done_callback(_seen)
        return await asyncio.shield(self._asked[key])


async def _first(asking: Awaitable[list[Answer]]) -> Answer:
    (answer,) = await asking
    return answer


def _seen(answer: asyncio.Future[Answer]) -> None:
    """One that nobody has wanted in the end may have failed."""
    if not answer.cancelled():
        answer.exception()
