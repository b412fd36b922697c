"""The bridge: blocking calls under deadlines, one at a time, and an end to each of them."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pusher.problems import ProblemError, Stage
from pusher.transports import threaded as bridge_module
from pusher.transports.threaded import CallProgress, Pool, ThreadedCalls


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(2)
    yield made
    made.close()


class Stuck:
    """A call that returns only when its socket is shut down, as libraries do; ``deaf``: not even then."""

    def __init__(self, deaf: bool = False) -> None:
        self.begun, self.shut, self.deaf = threading.Event(), threading.Event(), deaf
        self.aborts = 0
        self.free = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        (self.free if self.deaf else self.shut).wait(30)
        raise ConnectionError("closed")

    def abort(self) -> None:
        self.aborts += 1
        self.shut.set()


async def begun(stuck: Stuck) -> None:
    await asyncio.to_thread(stuck.begun.wait, 30)


def call(calls: ThreadedCalls, work: Callable[[], Any], deadline: float = 30.0, **options: Any) -> Any:
    return calls.call(work, deadline=deadline, stage=Stage.STAGE, what="testing", **options)


async def test_what_it_answers(pool: Pool) -> None:
    stuck = Stuck()
    calls = ThreadedCalls(pool, stuck.abort)
    assert await call(calls, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await call(calls, lambda: 1 / 0)
    assert stuck.aborts == 0


async def test_it_runs_in_a_thread_of_the_pool(pool: Pool) -> None:
    name = await call(ThreadedCalls(pool, lambda: None), lambda: threading.current_thread().name)
    assert name.startswith("transport")


@pytest.mark.parametrize("code", ["timed-out", "transfer-stalled"])
async def test_past_its_deadline_a_call_is_aborted(pool: Pool, code: str) -> None:
    stuck = Stuck()
    with pytest.raises(ProblemError) as caught:
        await call(ThreadedCalls(pool, stuck.abort), stuck, 0.05, code=code)
    assert (caught.value.problem.code, caught.value.problem.stage) == (code, Stage.STAGE)
    assert "testing: nothing for 0.05 s" in caught.value.problem.message
    assert stuck.aborts == 1


async def test_a_cancelled_call_is_aborted_and_has_ended_when_the_cancel_is_through(pool: Pool) -> None:
    stuck = Stuck()
    task = asyncio.create_task(call(ThreadedCalls(pool, stuck.abort), stuck))
    await begun(stuck)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stuck.aborts == 1
    assert stuck.shut.is_set()


async def test_a_thread_that_never_comes_back_is_not_waited_for(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_module, "_GRACE", 0.05)
    stuck = Stuck(deaf=True)
    with pytest.raises(ProblemError) as caught:
        await call(ThreadedCalls(pool, stuck.abort), stuck, 0.05)
    assert caught.value.problem.code == "timed-out"
    assert not stuck.free.is_set(), "it is still in there"
    assert await call(ThreadedCalls(pool, lambda: None), lambda: "others go on") == "others go on"
    stuck.free.set()


async def test_what_comes_after_everybody_has_gone_is_nobodys_trouble(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio's "exception was never retrieved" would stand on the operator's terminal."""
    monkeypatch.setattr(bridge_module, "_GRACE", 0.05)
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    stuck, ended = Stuck(deaf=True), asyncio.Event()

    def work() -> str:
        try:
            return stuck()
        finally:
            loop.call_soon_threadsafe(lambda: loop.call_later(0.05, ended.set))  # the future has its error by then

    loop = asyncio.get_running_loop()
    with pytest.raises(ProblemError):
        await call(ThreadedCalls(pool, stuck.abort), work, deadline=0.05)
    stuck.free.set()
    await ended.wait()
    gc.collect()
    assert complaints == []


async def test_calls_are_made_one_at_a_time(pool: Pool) -> None:
    calls, inside, most = ThreadedCalls(pool, lambda: None), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        for _ in range(1000):
            pass
        with lock:
            inside -= 1

    await asyncio.gather(*(call(calls, work) for _ in range(50)))
    assert most == 1


async def test_two_connections_are_served_at_once(pool: Pool) -> None:
    meeting = threading.Barrier(2, timeout=30)
    await asyncio.gather(*(call(ThreadedCalls(pool, lambda: None), meeting.wait) for _ in range(2)))


async def test_a_call_that_no_thread_was_free_for_is_never_begun(pool: Pool) -> None:
    """Its time is over, its caller has gone on: it must not act on the machine later."""
    busy, done = [Stuck(), Stuck()], list[str]()
    tasks = [asyncio.create_task(call(ThreadedCalls(pool, stuck.abort), stuck)) for stuck in busy]
    for stuck in busy:
        await begun(stuck)
    with pytest.raises(ProblemError) as caught:
        await call(ThreadedCalls(pool, lambda: None), lambda: done.append("acted"), 0.05)
    assert caught.value.problem.code == "timed-out"
    for stuck in busy:
        stuck.abort()
    for task in tasks:
        with pytest.raises(ConnectionError):
            await task
    assert await call(ThreadedCalls(pool, lambda: None), lambda: "next") == "next"
    assert done == []


async def test_a_pulse_gives_more_time(pool: Pool) -> None:
    """Time is measured from the last beat: a copy that moves may take as long as it likes."""
    call_progress, beats, release = CallProgress(), 0, threading.Event()

    class Clock:
        """The bridge's clock: it moves when the copy does, and stands at 100 s in the end."""

        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bridge_module, "time", clock)
        call_progress.made()

        def copy() -> str:
            nonlocal beats
            while beats < 10:
                clock.now += 10.0
                call_progress.made()
                beats += 1
                release.wait(0.02)
            return "copied"

        assert await call(ThreadedCalls(pool, lambda: None), copy, 0.05, call_progress=call_progress) == "copied"
    assert beats == 10


async def test_without_beats_a_pulse_gives_none(pool: Pool) -> None:
    stuck = Stuck()
    with pytest.raises(ProblemError) as caught:
        await call(ThreadedCalls(pool, stuck.abort), stuck, 0.05, call_progress=CallProgress(), code="transfer-stalled")
    assert caught.value.problem.code == "transfer-stalled"
    assert stuck.aborts == 1


async def test_the_next_call_waits_for_the_end_of_an_aborted_one(pool: Pool) -> None:
    stuck, order = Stuck(), list[str]()
    calls = ThreadedCalls(pool, stuck.abort)

    def first() -> None:
        try:
            stuck()
        except ConnectionError:
            order.append("first is out")

    task = asyncio.create_task(call(calls, first))
    await begun(stuck)
    second = asyncio.create_task(call(calls, lambda: order.append("second is in")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task, second})
    assert order == ["first is out", "second is in"]


async def test_closing_the_pool_drops_what_has_not_begun() -> None:
    pool = Pool(1)
    stuck = Stuck()
    tasks = [asyncio.create_task(call(ThreadedCalls(pool, stuck.abort), stuck)) for _ in range(3)]
    await begun(stuck)
    pool.close()
    stuck.abort()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [ConnectionError, asyncio.CancelledError, asyncio.CancelledError]
