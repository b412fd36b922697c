"""``python -m bench scale [N...]``: a run over so many machines in memory, with the real dispatcher, store and log.

A check of machines whose every answer takes 10 to 30 ms, addresses in order; every fifth is silent and every twentieth
refuses. A silent one costs the whole connect timeout, in real time: ``CONNECT`` seconds here, a tenth of what a slow
network is given. Each line is a process of its own. CPU is that process's, what is simulated of the machines included.
``stall`` is the longest time for which no other task of the event loop got its turn; ``turn``, how much CPU the loop's
thread spent at most in giving each task that could go on its turn, which another process's load changes less. ``full``
is how many of ``--concurrency`` are in work at once where every machine takes for ever, and when so many were.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from pusher.cli.execute import execute
from pusher.models import TransportKind, Verb
from pusher.problems import Code
from pusher.push.dispatcher import Dispatcher
from pusher.report.views import QuietView
from pusher.settings import Options
from pusher.transports.memory import Fault, MemoryHost, MemoryTransport, User
from pusher.transports.port import Endpoint, Limits, Link
from pusher.wiring.engine import open_engine
from pusher.wiring.run_plan import prepare_run

SIZES = (1_000, 10_000, 100_000)
CONCURRENCIES = (50, 200, 1_000)
CAPS = (25, 0)
CONNECT = 1.0
SILENT, REFUSING = 20, 5
"""Of a hundred."""

_FIRST = int(ipaddress.ip_address("10.16.0.1"))
_FOREVER = 3600.0
_KEPT = 5_000
"""Machines: as many as are looked ahead, and those in work."""
_SETTLED = 3.0
"""Seconds without another one in work, after which it is as full as it gets."""


def main(arguments: list[str]) -> None:
    sizes = [int(one.replace(",", "").replace("_", "")) for one in arguments] or SIZES
    print(f"{SILENT} % silent for {CONNECT:g} s, {REFUSING} % refuse; addresses in order")
    heads = ("targets", 9), ("at once", 9), ("per /24", 9), ("CPU each", 11), ("wall", 9), ("begin", 8), ("memory", 9)
    print("".join(f"{head:>{width}}" for head, width in (*heads, ("stall", 10), ("turn", 10))) + "  full")
    for size in sizes:
        for concurrency in CONCURRENCIES:
            for cap in CAPS:
                _line(size, concurrency, cap)


def _line(size: int, concurrency: int, cap: int) -> None:
    ran, full = (_apart(what, size, concurrency, cap) for what in ("run", "fill"))
    print(
        f"{size:>9,}{concurrency:>9,}{cap or '-':>9}{ran['cpu'] * 1000 / size:>8.2f} ms{ran['wall']:>7.1f} s"
        f"{ran['begin']:>6.1f} s{ran['memory']:>6.0f} MB{ran['stall'] * 1000:>7.0f} ms"
        f"{ran['turn'] * 1000:>7.0f} ms  {full['full']:.0f} after {full['after']:.1f} s",
        flush=True,
    )


def _apart(what: str, size: int, concurrency: int, cap: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.scale", what, str(size), str(concurrency), str(cap)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class _Hosts(Mapping[str, MemoryHost]):
    """Made when asked for; the last ones are kept. ``for_ever``: all answer a probe, and nothing else."""

    def __init__(self, size: int, *, for_ever: bool) -> None:
        self._size, self._for_ever = size, for_ever
        self._user = User(password="pw")  # noqa: S106 - of machines in memory
        self._silent, self._refusing = MemoryHost(name="", mute=True), MemoryHost(name="", refuses=Code.PORT_CLOSED)
        self._made: dict[str, MemoryHost] = {}

    def __getitem__(self, address: str) -> MemoryHost:
        number = int(ipaddress.ip_address(address)) - _FIRST
        kind = 100 if self._for_ever else number * 7919 % 100
        if kind < SILENT:
            return self._silent
        if kind < SILENT + REFUSING:
            return self._refusing
        host = self._made.get(address)
        if host is None:
            latency = _FOREVER if self._for_ever else 0.01 + number % 21 / 1000
            name = f"h{number}.corp.example"
            host = self._made[address] = MemoryHost(name=name, users={"pushadm": self._user}, latency=latency)
            if len(self._made) > _KEPT:
                del self._made[next(iter(self._made))]
        return host

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        return self._size


class _Transport(MemoryTransport):
    """Remembers no calls and no connections: there are millions."""

    def due(self, call: str) -> Fault | None:
        return None

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        link = await super().open(endpoint, limits)
        self._wires.clear()
        return link


def _one(what: str, size: int, concurrency: int, cap: int) -> dict[str, float]:
    """One run in this process; what it took."""
    transports = {TransportKind.SMB: _Transport(_Hosts(size, for_ever=what == "fill"))}
    took: dict[str, float] = {"stall": 0.0, "turn": 0.0, "full": 0.0, "after": 0.0}
    run = Dispatcher.run

    async def watched(dispatcher: Dispatcher, *arguments: Any) -> None:
        took["begin"] = time.monotonic() - began
        work = asyncio.ensure_future(run(dispatcher, *arguments))
        watching = _filling(dispatcher, took, work) if what == "fill" else _stalls(took)
        watch = asyncio.create_task(watching)
        try:
            with contextlib.suppress(asyncio.CancelledError), _turns_timed(took):
                await work
        finally:
            watch.cancel()

    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name, contextlib.ExitStack() as stack:
        options = _options(Path(name), size, concurrency, cap)
        engine = stack.enter_context(open_engine(options.store, options.log))
        plan = prepare_run(options, Verb.CHECK, engine)
        stack.enter_context(mock.patch.object(Dispatcher, "run", watched))
        opened = contextlib.nullcontext(transports)
        stack.enter_context(mock.patch("pusher.wiring.run_resources.open_transports", return_value=opened))
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        began, cpu = time.monotonic(), _cpu()
        execute(plan, QuietView(nowhere), engine)
        took.update(wall=time.monotonic() - began, cpu=_cpu() - cpu)
    took["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return took


def _options(folder: Path, size: int, concurrency: int, cap: int) -> Options:
    """As an operator would write them, but for the time given to what is silent."""
    last = ipaddress.ip_address(_FIRST + size - 1)
    ranges = f"groups:\n  all:\n    ranges: ['{ipaddress.ip_address(_FIRST)}-{last}']\n"
    (folder / "inventory.yaml").write_text(f"version: 1\ndefaults: {{site: hq}}\n{ranges}")
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text("pw")
    account = f"[[account]]\nname = 'push'\nuser = '.\\pushadm'\nsecret = 'file:{folder / 'secret'}'\n"
    (folder / "accounts.toml").write_text(account)
    return Options(
        inventory=folder / "inventory.yaml", store=str(folder / "bench.sqlite"), log=folder / "bench.log",
        transport="smb", concurrency=concurrency, per_subnet=cap, connect_timeout=CONNECT,
    )  # fmt: skip


async def _stalls(took: dict[str, float]) -> None:
    tick = 0.005
    last = time.monotonic()
    while True:
        await asyncio.sleep(tick)
        took["stall"] = max(took["stall"], time.monotonic() - last - tick)
        last = time.monotonic()


@contextlib.contextmanager
def _turns_timed(took: dict[str, float]) -> Iterator[None]:
    turn = asyncio.BaseEventLoop._run_once  # type: ignore[attr-defined]

    def timed(loop: asyncio.BaseEventLoop) -> None:
        began = time.thread_time()
        turn(loop)
        took["turn"] = max(took["turn"], time.thread_time() - began)

    with mock.patch.object(asyncio.BaseEventLoop, "_run_once", timed):
        yield


async def _filling(dispatcher: Dispatcher, took: dict[str, float], work: asyncio.Future[None]) -> None:
    began, admission, caps = time.monotonic(), dispatcher._admission, dispatcher._caps
    while took["full"] < caps.total and time.monotonic() - began < took["after"] + _SETTLED:
        await asyncio.sleep(0.005)
        if admission.running > took["full"]:
            took.update(full=admission.running, after=time.monotonic() - began)
    work.cancel()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(json.dumps(_one(sys.argv[1], *(int(one) for one in sys.argv[2:5]))))
