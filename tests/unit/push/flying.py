"""A loop whose time flies: when nothing is left to do but wait for a timer, the timer is due.

Nothing else moves its clock, so that the same story takes the same calls every time. While somebody waits for one
of the store's threads, which are real, time stands still.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar
from unittest import mock

from pusher.store import budget, database, writer

T = TypeVar("T")

_CLOCKED = (
    "pusher.install.steps",
    "pusher.install.executor",
    "pusher.transports.by_service",
    "pusher.push.recorder",
    "pusher.push.dispatcher",
)
_LOOK = 0.05


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.flown = 1000.0
        self.threads_awaited = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.threads_awaited:
            return super().select(min(timeout, _LOOK))
        ready = super().select(0)
        if not ready:
            self.flown += timeout
        return ready


class FlyingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.flying = _Selector()
        super().__init__(self.flying)

    def time(self) -> float:
        return self.flying.flown


class _Clock:
    """Stands for the ``time`` module in what is tested."""

    @staticmethod
    def monotonic() -> float:
        return asyncio.get_running_loop().time()


_in_loop = writer.in_loop


def _in_loop_while_time_stands(handed: Future[T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FlyingLoop)
    flying, told = loop.flying, _in_loop(handed)
    flying.threads_awaited += 1

    def over(_: object) -> None:
        flying.threads_awaited -= 1

    told.add_done_callback(over)
    return told


_to_thread = asyncio.to_thread


async def _to_thread_while_time_stands(work: Callable[..., T], *arguments: Any) -> T:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FlyingLoop)
    loop.flying.threads_awaited += 1
    try:
        return await _to_thread(work, *arguments)
    finally:
        loop.flying.threads_awaited -= 1


def fly(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end in a loop of its own whose time flies."""
    with ExitStack() as stack:
        for module in (writer, budget, database):
            stack.enter_context(mock.patch.object(module, "in_loop", _in_loop_while_time_stands))
        stack.enter_context(mock.patch.object(asyncio, "to_thread", _to_thread_while_time_stands))
        for name in _CLOCKED:
            stack.enter_context(mock.patch(f"{name}.time", _Clock))
        return stack.enter_context(asyncio.Runner(loop_factory=FlyingLoop)).run(work)
