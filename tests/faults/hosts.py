"""The hosts: machines in memory behind a socket, each with a record of who changed it when.

One connection is one link of one attempt of one worker. Where that worker is killed the kernel closes it, and the host
lets go of what it held open, as a file server does. ``forgetful`` hosts let go of a lock, too, whose owner has not been
heard for ``FORGETS`` seconds, while its connection stays up: so a worker that was frozen and wakes finds nothing on the
host that keeps it from going on, and only the queue's own fence does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pusher.problems import ProblemError
from pusher.transports.memory import MemoryHost, MemoryTransport
from tests.faults.wire import packed, read_message

FORGETS = 2.0
"""Less than a lease, so that another worker can begin before the one that is frozen wakes."""

CHANGES = frozenset({
    "make_folder", "remove_folder", "put", "rename", "remove", "create_service", "configure_service", "start_service",
    "stop_service", "delete_service",
})  # fmt: skip
_PROBES = "pusher-check"
"""The folder that the check of rights makes and removes: whoever looks may do that at any time."""
_LOCK = "hold"
_INFINITE = 3600.0


@dataclass(frozen=True, slots=True)
class Change:
    """``link`` numbers the connection that asked for it, and ``worker`` is the process behind it."""

    at: float
    worker: str
    link: int
    call: str
    what: str = ""


@dataclass
class Machine:
    """A host with its record: what was changed on it, by which link, in this order."""

    host: MemoryHost
    forgetful: bool = False
    changes: list[Change] = field(default_factory=list)

    def interleaved(self) -> bool:
        """Whether a link changed something after another one had begun to: two were at it at once."""
        owners = [link for link, _ in itertools.groupby(self.changes, key=lambda change: change.link)]
        return len(owners) != len(set(owners))

    def record(self) -> str:
        """A line a change."""
        began = self.changes[0].at if self.changes else 0.0
        return "\n".join(f"    {c.at - began:6.2f} s {c.worker} link {c.link}: {c.call} {c.what}" for c in self.changes)

    @property
    def starts(self) -> int:
        return sum(change.call == "start_service" for change in self.changes)


class Hosts:
    """Of addresses; ``serve`` until closed. ``cut`` drops all connections to one of them."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self.machines = machines
        self._transport = _Forgetting({address: machine.host for address, machine in machines.items()})
        self._numbers = itertools.count(1)
        self._links: dict[str, set[_Served]] = {address: set() for address in machines}

    @contextlib.asynccontextmanager
    async def serving(self, path: Path) -> Any:
        server = await asyncio.start_unix_server(self._connected, path)
        forgetting = asyncio.create_task(self._forget())
        try:
            yield
        finally:
            forgetting.cancel()
            server.close()
            for links in self._links.values():
                for link in list(links):
                    link.close()

    def cut(self, address: str) -> int:
        """How many there were."""
        links = list(self._links[address])
        for link in links:
            link.close()
        return len(links)

    @property
    def busy(self) -> list[str]:
        """Addresses on which somebody is at work."""
        return [address for address, links in self._links.items() if links]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            asked = await read_message(reader)
            if asked["call"] == "probe":
                problem = await self._transport.probe(asked["endpoint"], asked["seconds"])
                writer.write(packed({"value": problem}))
                await writer.drain()
            else:
                await self._linked(asked, reader, writer)
        writer.close()

    async def _linked(
        self, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address = asked["endpoint"].address
        try:
            link = await self._transport.open(asked["endpoint"], asked["limits"])
        except ProblemError as error:
            writer.write(packed({"problem": error.problem}))
            await writer.drain()
            return
        writer.write(packed({"value": None}))
        served = _Served(self.machines[address], link, next(self._numbers), asked["worker"], writer)
        self._links[address].add(served)
        try:
            while True:
                served.serve(await read_message(reader))
        finally:
            self._links[address].discard(served)
            await served.end()

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(FORGETS / 4)
            for links in self._links.values():
                for link in links:
                    link.forget()


class _Forgetting(MemoryTransport):
    """Counts no calls and keeps no connections: there are many."""

    def due(self, call: str) -> None:
        return None

    async def open(self, *arguments: Any) -> Any:
        link = await super().open(*arguments)
        self._wires.clear()
        return link


class _Served:
    """One link's calls, answered as they end."""

    def __init__(self, machine: Machine, link: Any, number: int, worker: str, writer: asyncio.StreamWriter) -> None:
        self._machine, self._link, self._number, self._worker = machine, link, number, worker
        self._writer, self._session, self._holds = writer, None, dict[int, Any]()
        self._heard = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, message: Mapping[str, Any]) -> None:
        self._heard = time.monotonic()
        self._begin(self._answer(message))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        self._writer.transport.abort()

    def forget(self) -> None:
        if self._machine.forgetful and self._holds and time.monotonic() - self._heard > FORGETS:
            holds, self._holds = self._holds, {}
            for hold in holds.values():
                self._begin(hold.close())

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()

    async def _answer(self, message: Mapping[str, Any]) -> None:
        try:
            answer = {"value": await self._call(**message)}
        except ProblemError as error:
            answer = {"problem": error.problem}
        answer |= {"number": message["number"], "secret_sent": self._link.secret_sent}
        self._writer.write(packed(answer))

    async def _call(self, call: str, arguments: tuple[Any, ...], named: Mapping[str, Any], **_: Any) -> Any:
        if call == "identify":
            return await self._link.identify()
        if call == "sign_in":
            self._session = await self._link.sign_in(*arguments)
            return None
        if call == "release":
            if hold := self._holds.pop(arguments[0], None):
                await hold.close()
            return None
        assert self._session is not None
        what = str(arguments[0]) if arguments else ""
        if call in CHANGES and _PROBES not in what:
            self._machine.changes.append(Change(time.monotonic(), self._worker, self._number, call, what))
        done = await getattr(self._session, call)(*arguments, **named)
        if call != _LOCK:
            return done
        number = max(self._holds, default=0) + 1
        self._holds[number] = done
        return number
