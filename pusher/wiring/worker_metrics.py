"""A worker's figures over HTTP: /metrics for Prometheus, /healthz and /readyz for whoever watches it.

They are read when they are asked for. Names and codes are in them, no machine's and no account's. What must not live
here: what a worker does.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pusher.models import Outcome
from pusher.problems import BadInput
from pusher.store import Store, StoreError

READY_FOR = 30.0
"""Seconds since the last beat for which a worker is ready: it beats each 15."""
_ALIVE = 5.0
"""Seconds that the event loop may take for one turn."""


class Metrics:
    """Of one worker. ``clock`` in seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._beaten = clock, 0.0
        self.registry = CollectorRegistry()
        labels = ["status", "code"]
        self._ended = Counter("pusher_attempts_ended", "Attempts on machines that ended here.", labels,
                              registry=self.registry)  # fmt: skip
        self._beats = Counter("pusher_beats", "Beats that the store has heard.", registry=self.registry)
        self.registry.register(_Queue(store, self))

    def ended(self, outcome: Outcome) -> None:
        self._ended.labels(status=outcome.status.value, code=outcome.code or "").inc()

    def beaten(self) -> None:
        self._beaten = self._clock()
        self._beats.inc()

    @property
    def beat_age(self) -> float:
        """Seconds; without end where there has been none."""
        return self._clock() - self._beaten if self._beaten else float("inf")


class _Queue:
    """What the store says when it is asked."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store, self._metrics = store, metrics

    def describe(self) -> Sequence[Metric]:
        return []  # nothing is read before it is asked for

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("pusher_beat_age_seconds", "Since the store heard this worker's last beat.",
                                self._metrics.beat_age)  # fmt: skip
        try:
            found = self._store.queue_figures()
        except StoreError:
            yield GaugeMetricFamily("pusher_store_up", "Whether the store can be read.", 0)
            return
        yield GaugeMetricFamily("pusher_store_up", "Whether the store can be read.", 1)
        work = GaugeMetricFamily("pusher_work", "Machines of queued runs that are not done.", labels=["state"])
        for state, count in found.work.items():
            work.add_metric([state.value], count)
        yield work
        yield GaugeMetricFamily("pusher_work_parked", "Of those, how many wait for an account.", found.parked)
        yield GaugeMetricFamily("pusher_work_oldest_ready_seconds", "For how long the first has been ready.",
                                found.oldest)  # fmt: skip
        yield GaugeMetricFamily("pusher_workers_up", "Workers of the store.", found.workers)


@contextmanager
def served(metrics: Metrics, address: tuple[str, int], loop: asyncio.AbstractEventLoop) -> Iterator[int]:
    """Within it they are; the port. BadInput where nobody may listen there."""

    def is_alive() -> bool:
        turned = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
        try:
            turned.result(_ALIVE)
        except (TimeoutError, RuntimeError):
            turned.cancel()
            return False
        return True

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(metrics.registry), CONTENT_TYPE_LATEST)
            elif path in ("/healthz", "/readyz"):
                good = is_alive() if path == "/healthz" else metrics.beat_age < READY_FOR
                told = (HTTPStatus.OK, b"ok\n") if good else (HTTPStatus.SERVICE_UNAVAILABLE, b"no\n")
                self._answer(*told, "text/plain; charset=utf-8")
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics /healthz /readyz\n", "text/plain; charset=utf-8")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Whoever asks every few seconds is no event."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = _family(address[0])

        def handle_error(self, *_: Any) -> None:
            """A client that has gone."""

    try:
        server = Server(address, Handler)
    except OSError as error:
        found = f"--metrics {address[0]}:{address[1]} cannot be listened at: {error.strerror}"
        raise BadInput(None, found, "an address of this machine and a free port") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
