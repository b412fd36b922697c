"""A worker that stood still for longer than its lease wakes with all its connections, and asks for nothing more."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, cast

import pytest
import structlog

from pusher.models import Credential
from pusher.push.context import Stop
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, Moment
from pusher.transports.port import Endpoint, Limits, Link
from pusher.worker.claimed_run import ClaimedRun
from pusher.worker.lease import Lease
from tests.unit.push.harness import make_host
from tests.unit.worker.stories import Heard, Site, now
from tests.unit.worker.test_worker import SHORT, is_done, told, until

FROZEN = 300.0
"""Seconds: more than a lease, and than another worker needs."""


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with structlog.testing.capture_logs():
        yield


class _Late(Store):
    """The store as a process has it that stands still behind its ``number``-th mark, and wakes to the answer."""

    def __init__(self, store: Store, number: int) -> None:
        self.__dict__.update(store.__dict__)
        self.number, self.marks = number, 0

    async def mark(self, *arguments: Any, **named: Any) -> None:
        await super().mark(*arguments, **named)
        self.marks += 1
        if self.marks == self.number:
            await asyncio.sleep(FROZEN)


class _Asking(Heard):
    """Keeps when which call of a session was asked for, however long the machine takes until it does it."""

    def __init__(self, hosts: Mapping[str, MemoryHost], *faults: Fault) -> None:
        super().__init__(hosts, *faults)
        self.asked = list[tuple[float, str]]()

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        return cast(Link, _Recorded(await super().open(endpoint, limits), self.asked))


class _Recorded:
    def __init__(self, inner: Any, asked: list[tuple[float, str]]) -> None:
        self._inner, self._asked = inner, asked

    async def sign_in(self, credential: Credential) -> Any:
        return _Recorded(await self._inner.sign_in(credential), self._asked)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found) or name in ("identify", "close"):
            return found

        async def asked(*arguments: Any, **named: Any) -> Any:
            self._asked.append((asyncio.get_running_loop().time(), name))
            return await found(*arguments, **named)

        return asked


class _Woken:
    """A worker whose process stands still for longer than its lease, and goes on as if nothing had been.

    ``call``: behind which call of a host, counted from 1; ``mark``: behind which of the journal. Whoever holds the
    host's lock too is forgotten there meanwhile, so that another worker can begin.
    """

    def __init__(self, site: Site, *, call: int = 0, mark: int = 0) -> None:
        self.site = site
        faults = [Fault(how=How.LATE, number=call, moment=Moment.AFTER, seconds=FROZEN)] if call else []
        hosts = {site.addresses[host.name]: host for host in site.hosts}
        self.transport = _Asking(hosts, *faults)
        self.store = _Late(site.store, mark)

    @property
    def is_frozen(self) -> bool:
        return bool(self.transport.struck) or 0 < self.store.number <= self.store.marks

    def forget(self) -> None:
        for wire in self.transport._wires:
            for number in list(wire._held):
                wire.release(number)

    async def begin(self) -> asyncio.Task[None]:
        worker = await self.site.store.register(f"woken-{self.site.run}", {}, SHORT, lambda _: False) or ""
        lease, stop = Lease(SHORT, asyncio.get_running_loop().time), Stop()
        claimed = ClaimedRun(self.store, self.site.run, worker, 5, self.site.selection(), lease, stop, now)
        filling = asyncio.create_task(claimed.fill())

        async def working() -> None:
            await self.site.work(claimed, self.site.run, self.transport, stop)
            await filling

        return asyncio.create_task(working())


@pytest.mark.thorough
@pytest.mark.parametrize("behind", ["call", "mark"])
def test_frozen_wherever_and_woken_with_all_its_connections_it_changes_nothing_more(store: Store, behind: str) -> None:
    async def story(number: int) -> tuple[bool, list[str]]:
        site = Site(store, [make_host()])
        woken = _Woken(site, **{behind: number})
        working = await woken.begin()
        await until(lambda: woken.is_frozen or working.done())
        if not woken.is_frozen:
            await working
            return False, []
        froze = asyncio.get_running_loop().time()
        woken.forget()
        serving = asyncio.create_task(site.worker(f"other-{behind}-{number}").serve())
        await until(lambda: is_done(site), FROZEN - 10)
        await working
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        wrong = [f"{behind} {number}: {call}" for at, call in woken.transport.asked if at > froze]
        if list(site.statuses().values()) not in (["installed"], ["unchanged"]):
            wrong.append(f"{behind} {number}: {site.statuses()}")
        return True, wrong

    wrong, number, goes_on = list[str](), 0, True
    while goes_on:
        number += 1
        goes_on, found = told(lambda number=number: story(number))  # type: ignore[misc]
        wrong += found
    assert number > {"call": 20, "mark": 3}[behind], "all of them were met"
    assert not wrong, "\n".join(wrong)
