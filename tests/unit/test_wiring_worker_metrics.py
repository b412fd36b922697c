"""What a worker tells over HTTP, and when it says that it is well."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pusher.models import Status
from pusher.problems import BadInput
from pusher.store import Store, open_store
from pusher.wiring.worker_metrics import READY_FOR, Metrics, served
from tests.unit.store.store_contract import a_run, an_outcome
from tests.unit.store.work_contract import begin


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(str(tmp_path / "s.sqlite"))
    yield made
    made.close()


async def asked(port: int, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def test_the_queue_and_what_ended_are_told(store: Store) -> None:
    targets = [(name, None, None) for name in "abc"]
    await asyncio.to_thread(store.begin_run, a_run("r"), {}, targets, None, 100)
    claim, *_ = await store.claim("r", await begin(store), 1)
    metrics = Metrics(store, Clock())
    metrics.beaten()
    metrics.ended(an_outcome("secret-host", status=Status.FAILED, code="wrong-password"))
    with served(metrics, ("127.0.0.1", 0), asyncio.get_running_loop()) as port:
        status, text = await asked(port, "/metrics")
        await store.finish(claim, an_outcome("a", run="r"))
        _, later = await asked(port, "/metrics")
        missing, _ = await asked(port, "/")
    lines = text.splitlines()
    assert status == 200 and missing == 404
    for line in (
        'pusher_work{state="ready"} 2.0', 'pusher_work{state="running"} 1.0', 'pusher_work{state="waiting"} 0.0',
        "pusher_work_parked 0.0", "pusher_workers_up 1.0", "pusher_store_up 1.0", "pusher_beats_total 1.0",
        "pusher_beat_age_seconds 0.0", 'pusher_attempts_ended_total{code="wrong-password",status="failed"} 1.0',
    ):  # fmt: skip
        assert line in lines, text
    assert 'pusher_work{state="running"} 0.0' in later
    assert "secret-host" not in text


async def test_a_worker_is_ready_as_long_as_its_beats_are_heard(store: Store) -> None:
    clock = Clock()
    metrics = Metrics(store, clock)
    with served(metrics, ("127.0.0.1", 0), asyncio.get_running_loop()) as port:
        assert (await asked(port, "/readyz"))[0] == 503, "it has not begun"
        metrics.beaten()
        assert await asked(port, "/readyz") == (200, "ok\n")
        clock.now += READY_FOR - 1
        assert (await asked(port, "/readyz"))[0] == 200
        clock.now += 1
        assert (await asked(port, "/readyz"))[0] == 503
        assert (await asked(port, "/healthz"))[0] == 200, "it lives, though the store may be away"


async def test_a_store_that_cannot_be_read_is_a_figure_too(store: Store, tmp_path: Path) -> None:
    with store._database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE work RENAME TO gone")
    with served(Metrics(store), ("127.0.0.1", 0), asyncio.get_running_loop()) as port:
        status, text = await asked(port, "/metrics")
    assert status == 200 and "pusher_store_up 0.0" in text and "pusher_work{" not in text


def test_a_loop_that_does_not_turn_is_not_alive(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pusher.wiring.worker_metrics._ALIVE", 0.2)
    loop, hung = asyncio.new_event_loop(), threading.Event()
    turning = threading.Thread(target=loop.run_forever, daemon=True)
    turning.start()
    with served(Metrics(store), ("127.0.0.1", 0), loop) as port:
        assert asyncio.run(asked(port, "/healthz"))[0] == 200
        loop.call_soon_threadsafe(hung.wait)
        assert asyncio.run(asked(port, "/healthz"))[0] == 503
        hung.set()
        loop.call_soon_threadsafe(loop.stop)
        turning.join()
    loop.close()


async def test_an_address_that_is_taken_is_bad_input(store: Store) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BadInput) as told,
        served(Metrics(store), taken.getsockname()[:2], asyncio.get_running_loop()),
    ):
        pytest.fail("it was listened at")
    assert "cannot be listened at: Address already in use; expected" in told.value.sentence
