"""Workers of one store over hosts in memory, in a loop whose time flies: the store's time flies with it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from pusher.models import Outcome, Run, Target, Verb
from pusher.push.context import Stop
from pusher.push.dispatcher import Dispatcher
from pusher.queue.waves import Rollout
from pusher.queue.windows import ALWAYS, Window, Windows
from pusher.scheduler.admission import Caps
from pusher.scheduler.retry import RetryPolicy
from pusher.store import Store
from pusher.transports.memory import Fault, MemoryHost, MemoryTransport
from pusher.wiring.rollout import wave_plan
from pusher.worker.claimed_run import ClaimedRun, Selection
from pusher.worker.worker import Worker, WorkerSettings
from tests.unit.push.harness import Names, make_context, make_host, make_package, make_payload

PACKAGE = make_package()
PAYLOAD = make_payload(PACKAGE)
_BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
_numbers = itertools.count(1)


@contextmanager
def flying_store_time() -> Iterator[None]:
    """Within a flying loop: the store's clock is the loop's."""
    loop = asyncio.get_running_loop()
    with mock.patch("pusher.store.server_time.utc_now", lambda: _BEGAN + timedelta(seconds=loop.time())):
        yield


def now() -> datetime:
    return _BEGAN + timedelta(seconds=asyncio.get_running_loop().time())


class Heard(MemoryTransport):
    """Keeps when which of its calls were made."""

    def __init__(self, hosts: Mapping[str, MemoryHost], *faults: Fault) -> None:
        super().__init__(hosts, *faults)
        self.heard = list[tuple[float, str]]()

    def due(self, call: str) -> Fault | None:
        self.heard.append((asyncio.get_running_loop().time(), call))
        return super().due(call)


class Mortal(Store):
    """The store as a process has it that may be killed: then nothing that it asks for is done, nor answered."""

    def __init__(self, store: Store) -> None:
        self.__dict__.update(store.__dict__)
        self.is_dead = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("is_dead", "__dict__") or not callable(found) or not self.is_dead:
            return found
        if asyncio.iscoroutinefunction(found):
            return _never
        return lambda *_, **__: Future()


async def _never(*_: Any, **__: Any) -> Any:
    await asyncio.get_running_loop().create_future()


@dataclass
class Running:
    """A worker's process."""

    store: Mortal
    transport: Heard
    task: asyncio.Task[None]

    async def kill(self) -> None:
        self.store.is_dead = True
        self.transport.die()
        while not self.task.done():
            self.task.cancel()
            await asyncio.sleep(0.01)


@dataclass
class Site:
    """Hosts with a queued run over them."""

    store: Store
    hosts: list[MemoryHost]
    run: str = ""
    reported: list[Outcome] = field(default_factory=list)
    windows: Windows = ALWAYS
    rollout: Rollout | None = None

    def __post_init__(self) -> None:
        self.run = self.submit(windows=self.windows, rollout=self.rollout)

    def submit(
        self,
        priority: int = 100,
        targets: Sequence[str] = (),
        windows: Windows = ALWAYS,
        rollout: Rollout | None = None,
    ) -> str:
        run, names = f"queued-{next(_numbers):04}", list(targets) or [host.name for host in self.hosts]
        self.store.begin_run(
            Run(id=run, verb=Verb.PUSH, inventory="-", package="labagent", version="1.4.2", operator="-",
                started_at=now()),
            {}, [(name, None, None) for name in names], priority=priority,
            windows=[window.to_json() for each in windows.sets for window in each],
            waves=wave_plan(run, rollout, None, [Target(name=name) for name in names]),
        )  # fmt: skip
        return run

    @property
    def addresses(self) -> dict[str, str]:
        return {host.name: f"10.0.{number // 200}.{number % 200 + 1}" for number, host in enumerate(self.hosts)}

    def transport(self, *faults: Fault) -> Heard:
        return Heard({self.addresses[host.name]: host for host in self.hosts}, *faults)

    def selection(self) -> Selection:
        return Selection(targets={host.name: Target(name=host.name) for host in self.hosts}, spared={})

    async def work(
        self, claimed: ClaimedRun, run: str, transport: MemoryTransport, stop: Stop, places: int = 5
    ) -> None:
        context = make_context(
            claimed, transport, package=PACKAGE, payload=PAYLOAD, run=run, stop=stop, now=now,
            resolver=Names(self.addresses), claims=claimed,
        )  # fmt: skip
        dispatcher = Dispatcher(context, Caps(total=places, subnet=0), RetryPolicy(attempts=1), self.reported.append)
        await dispatcher.run(claimed)

    def running(self, name: str, **changes: Any) -> Running:
        store, transport = Mortal(self.store), self.transport()
        serving = self.worker(name, transport, store, **changes).serve()
        return Running(store, transport, asyncio.create_task(serving))

    def worker(
        self,
        name: str,
        transport: MemoryTransport | None = None,
        store: Store | None = None,
        opening: Callable[[str], Awaitable[object]] | None = None,
        note: Callable[[str], None] = lambda _: None,
        **changes: Any,
    ) -> Worker:
        """``opening``: what opening a run takes, or how it fails."""
        loop = asyncio.get_running_loop()
        defaults: dict[str, Any] = {"most": 5, "is_gone": lambda _: False, "clock": loop.time, "now": now}
        settings = WorkerSettings(name=name, process={"name": name}, **(defaults | changes))
        used = transport or self.transport()

        @asynccontextmanager
        async def open_run(run: str) -> AsyncIterator[_Open]:
            if opening is not None:
                await opening(run)
            yield _Open(self, run, used)

        return Worker(store or self.store, open_run, settings, note)

    def statuses(self, run: str = "") -> dict[str, str]:
        return {outcome.target: outcome.status.value for outcome in self.store.outcomes(run or self.run)}

    def starts(self) -> list[int]:
        return [host.calls["start_service"] for host in self.hosts]


@dataclass
class _Open:
    site: Site
    name: str
    transport: MemoryTransport

    @property
    def run(self) -> Run:
        found = self.site.store.run(self.name)
        assert found is not None
        return found

    @property
    def selection(self) -> Selection:
        return self.site.selection()

    @property
    def places(self) -> int:
        return 5

    @property
    def windows(self) -> Windows:
        return Windows(sets=(tuple(map(Window.from_json, self.site.store.windows(self.name))),))

    async def work(self, claimed: ClaimedRun, stop: Stop) -> None:
        await self.site.work(claimed, self.name, self.transport, stop)


def some_hosts(count: int) -> list[MemoryHost]:
    return [make_host() for _ in range(count)]
