"""``push --queue`` puts a run into the queue, and ``worker`` takes work from it: what is printed, and what signals do.

Not here: a worker's life (``worker``), and what is recorded of a queued run (``wiring.queued_run``).
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pusher.cli.garbage import search_as_memory_grows, short_searches_only
from pusher.cli.interruption import HANG_UP, INSISTED_ON
from pusher.cli.loop_threads import started_threads
from pusher.cli.narrator import Narrator
from pusher.cli.service_manager import tell
from pusher.cli.verdict import FAILURE_LIMIT
from pusher.credentials.lockout.process import Process, is_gone, this_process
from pusher.models import Outcome, Run
from pusher.next_commands import NextCommands
from pusher.problems import BadInput
from pusher.report.style import console_for
from pusher.report.text import hosts, visible
from pusher.report.views import JsonView, PlainView, QuietView, Unfailing, View
from pusher.settings import next_commands
from pusher.store import StoreNotThereError
from pusher.wiring.engine import Engine, open_engine
from pusher.wiring.queued_run import Audience, ItsOwn, open_queued, submit
from pusher.wiring.run_plan import RunPlan
from pusher.wiring.worker_settings import WorkerSettingsFile, load_worker_settings
from pusher.worker.worker import LEASE, NameTakenError, Worker, WorkerSettings

if TYPE_CHECKING:
    from pusher.wiring.worker_metrics import Metrics

_TAKEN, _AGAIN = LEASE.total_seconds() + 10, 5.0
"""Seconds for which a name that another worker has is waited for, and between two tries."""
_GRACE = 120.0
"""Seconds in which a worker that is asked to leave may end what it has begun, before it puts that back."""
_CLOCK = timedelta(seconds=30)
"""How far a worker's clock may be off the store's."""
_EXPECTED = "HOST:PORT, such as 127.0.0.1:9464, or a port alone, which is loopback's"
_DONE, _NOT_DONE, _INTERRUPTED = 0, 1, 130


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line says; None: nothing."""

    accounts: Path | None
    store: str | None
    concurrency: int | None
    name: str | None
    until_idle: bool
    log: Path | None
    settings: Path | None = None
    metrics: str | None = None


def put_into_the_queue(plan: RunPlan, engine: Engine, as_json: bool) -> None:
    """BadInput where no worker could take it up."""
    for note in plan.notes():
        print(visible(note), file=sys.stderr)
    made = asyncio.run(submit(plan, engine))
    run, following = made.run.id, next_commands(plan.options.store)
    if as_json:
        print(json.dumps({"run": run, "queued": made.queued, "left_out": made.spared, "priority": made.run.priority}))
        return
    left_out = f"; {made.spared:,} left out" if made.spared else ""
    console_for(sys.stdout).print(
        f"Run {run} is in the queue: {hosts(made.queued)}{left_out}.\n"
        f"A worker takes it up:  {following.worker()}\n"
        f"How it stands:         {following.show(run)}\n"
        f"To stop it:            {following.cancel(run)}"
    )


def work(asked: Asked, as_json: bool, quiet: bool) -> int:
    """Until it is told to leave, or has nothing left to do where it is to leave then; the exit status.

    3 where a run has stopped by itself; 1 where one could not be worked on here, the store is not there (yet), or
    another worker has the name; 130 where it was ended at once.
    """
    settings = _settings(asked)
    address = _address(asked.metrics) if asked.metrics is not None else None
    with open_engine(asked.store, asked.log) as engine:
        try:
            store = engine.store()
            _refuse_wrong_clock(store.clock_offset())
            settings.refuse_unknown_sites(store.known_sites() if settings.sites else [])
            store.sites = settings.site_names
        except StoreNotThereError as error:
            _note(error.sentence)  # whoever starts it may start it again: a server comes up in its own time
            return _NOT_DONE
        return asyncio.run(
            _serve(asked, settings, address, engine, partial(_view, as_json, quiet, next_commands(asked.store)))
        )


def _refuse_wrong_clock(offset: timedelta) -> None:
    """What is due when, Kerberos, TLS and the window of a lockout threshold all go by it."""
    if abs(offset) <= _CLOCK:
        return
    how = f"{abs(offset).total_seconds():,.0f} s {'behind' if offset > timedelta() else 'ahead of'}"
    found = f"this machine's clock is {how} the store's"
    raise BadInput(None, found, f"at most {_CLOCK.total_seconds():g} s: have both set by a time server (timedatectl)")


def _settings(asked: Asked) -> WorkerSettingsFile:
    """BadInput before a store is opened."""
    if asked.settings is None:
        return WorkerSettingsFile()
    settings = load_worker_settings(asked.settings)
    if settings.profiles is not None and asked.accounts is not None:
        found = f"--accounts is given, and {asked.settings} has profiles"
        raise BadInput(None, found, "one of the two: a profile names the accounts of each run")
    return settings


def _address(text: str) -> tuple[str, int]:
    """Host and port; BadInput. A port alone is loopback's."""
    host, _, port = text.rpartition(":")
    try:
        number = int(port)
        where = str(ip_address(host.strip("[]"))) if host else "127.0.0.1"
    except ValueError as error:
        raise BadInput(None, f"--metrics {text} is no address to listen at", _EXPECTED) from error
    if not 0 <= number <= 65_535:
        raise BadInput(None, f"--metrics {text} has no such port", _EXPECTED)
    return where, number


def _view(as_json: bool, quiet: bool, following: NextCommands) -> View:
    if as_json:
        return JsonView(sys.stdout, sys.stderr)
    return QuietView(sys.stdout, following) if quiet else PlainView(sys.stdout, time.monotonic, following)


async def _serve(
    asked: Asked, settings: WorkerSettingsFile, address: tuple[str, int] | None, engine: Engine, view: partial[View]
) -> int:
    asyncio.get_running_loop().set_default_executor(started_threads())
    note = _note
    engine.redactor(note)
    given = {name: value for name in ("accounts", "concurrency", "store", "log")
             if (value := getattr(asked, name)) is not None}  # fmt: skip
    name = asked.name or socket.gethostname()
    metrics = _metrics(engine) if address is not None else None
    its_own = ItsOwn(name=name, given=given, settings=settings)
    of_its_life = WorkerSettings(
        name=name,
        process=asdict(this_process()),
        is_gone=_is_gone,
        most=asked.concurrency,
        until_idle=asked.until_idle,
        beaten=partial(_beaten, metrics),
    )

    def audience_of(plan: RunPlan, run: Run, count: int) -> Audience:
        narrator = Narrator(run, Unfailing(view()), plan.no_accounts)
        narrator.started(count)
        for words in plan.notes():
            narrator.note(words)

        def ended(outcome: Outcome) -> None:
            if metrics is not None:
                metrics.ended(outcome)
            narrator.outcome(outcome)

        return Audience(watcher=narrator, outcome=ended)

    def open_run(run: str) -> Any:
        return open_queued(run, engine, its_own, audience_of, note)

    worker = Worker(engine.store(), open_run, of_its_life, note)
    with ExitStack() as stack:
        if address is not None and metrics is not None:
            from pusher.wiring.worker_metrics import served

            port = stack.enter_context(served(metrics, address, asyncio.get_running_loop()))
            note(f"Metrics at {address[0]}:{port}.")
        return await _to_its_end(worker, name)


async def _to_its_end(worker: Worker, name: str) -> int:
    """The exit status."""
    serving = asyncio.create_task(_once_the_name_is_free(worker, name))
    searching = asyncio.create_task(search_as_memory_grows())
    with _heeded(worker, serving), short_searches_only():
        try:
            return await serving
        except asyncio.CancelledError:
            _note("Left at once: what was in work is undone by whoever takes it up next.")
            return _INTERRUPTED
        finally:
            searching.cancel()


def _metrics(engine: Engine) -> Metrics:
    from pusher.wiring.worker_metrics import Metrics  # and the library, which most workers do without

    return Metrics(engine.store())


def _beaten(metrics: Metrics | None) -> None:
    if metrics is not None:
        metrics.beaten()
    tell("READY=1\nWATCHDOG=1")


async def _once_the_name_is_free(worker: Worker, name: str) -> int:
    """The exit status. A worker that was reset a moment ago has its name for as long as its lease lasts."""
    until = time.monotonic() + _TAKEN
    while not worker.is_leaving:
        try:
            await worker.serve()
        except NameTakenError:
            if time.monotonic() >= until:
                _note(f"a worker called {name} is at work on this store; expected another --name, or that one's end")
                return _NOT_DONE
            await asyncio.sleep(_AGAIN)
        else:
            break
    if worker.stopped and not worker.is_leaving:
        return FAILURE_LIMIT
    return _NOT_DONE if worker.left else _DONE


def _note(words: str) -> None:
    print(visible(words), file=sys.stderr, flush=True)


def _is_gone(process: Mapping[str, Any]) -> bool:
    try:
        return is_gone(Process(**process))
    except TypeError:  # as another version writes it
        return False


@contextmanager
def _heeded(worker: Worker, serving: asyncio.Task[int]) -> Iterator[None]:
    """Within it a first signal asks the worker to leave, and a second one ends it at once."""
    loop, count = asyncio.get_running_loop(), 0

    def asked(insists: bool) -> None:
        nonlocal count
        count += 1
        if count == 1:
            tell("STOPPING=1")
            _note("Leaving: what is in work comes to its end; once more to stop at once.")
            worker.leave()
            loop.call_later(_GRACE, worker.hurry)
        elif insists:
            serving.cancel()

    numbers = [*INSISTED_ON, *([] if signal.getsignal(HANG_UP) is signal.SIG_IGN else [HANG_UP])]
    for number in numbers:
        loop.add_signal_handler(number, asked, number in INSISTED_ON)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
