"""A run whose view, store or canceller fails: it goes to its end, says so, and does not end 0."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from pusher.cli import interruption
from pusher.cli.streams import OUTPUT_LOST
from pusher.credentials.lockout import process
from pusher.models import Credential, Outcome
from pusher.push import attempt
from pusher.push.account_selection import AccountSelection
from pusher.push.dispatcher import Dispatcher
from pusher.report.views import JsonView, PlainView
from pusher.store import Store, StoreError
from pusher.store.faults import store_error
from pusher.store.writer import Writer
from pusher.transports.memory import MemoryHost, User
from tests.unit.cli.workplace import ACCOUNTS, SECRET, Workplace


def test_a_view_that_fails_costs_no_outcome(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(JsonView, "outcome", broken)
    monkeypatch.setattr(JsonView, "stage", broken)
    ended = place.check()
    assert ended.status == OUTPUT_LOST
    assert ended.out == ""
    assert "could not be shown to its end (ZeroDivisionError)" in ended.err
    assert "Traceback" not in ended.err
    assert place.show().verdicts == dict.fromkeys("abcdef", ("ready", None))


def test_a_view_that_fails_before_anything_is_done(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(PlainView, "started", broken)
    ended = place.run("check", "i.yaml")
    assert (ended.status, ended.out) == (OUTPUT_LOST, "")
    assert place.show().verdicts == dict.fromkeys("abcdef", ("ready", None))


def _fail_outcomes_of(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As an engine does that refuses one row."""
    write = Store.outcome

    async def outcome(store: Store, told: Outcome) -> None:
        if told.target.partition(".")[0] in names:
            with closing(sqlite3.connect(":memory:")) as connection:
                try:
                    connection.execute("INSERT INTO nowhere VALUES (1)")
                except sqlite3.Error as error:
                    raise store_error(error, "the store") or error from error
        await write(store, told)

    monkeypatch.setattr(Store, "outcome", outcome)


@pytest.mark.parametrize("quiet", [(), ("--quiet",), ("--json",)], ids=["plain", "quiet", "json"])
def test_an_outcome_that_cannot_be_stored_is_in_a_file_beside_the_store_and_told(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, quiet: tuple[str, ...]
) -> None:
    _fail_outcomes_of(monkeypatch, *"abcdef")
    ended = place.run("check", "i.yaml", *quiet)
    assert ended.status == 1
    (file,) = (place.folder / "data" / "pusher").glob("unstored-*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["target"].partition(".")[0] for line in lines} == set("abcdef")
    assert str(file) in ended.err
    assert "6 outcomes could not be stored (store-damaged" in ended.err
    assert "Traceback" not in ended.err
    if quiet == ("--json",):
        assert [json.loads(line) for line in ended.out.splitlines()] == lines
    else:
        assert "a.corp.example" in ended.err


def test_what_no_file_takes_is_printed(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_outcomes_of(monkeypatch, "a")
    monkeypatch.setattr("os.write", _no_room)
    ended = place.run("check", "i.yaml", "--quiet", "--limit", "a*")
    assert ended.status == 1
    (line,) = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    assert line["target"] == "a.corp.example"
    assert "no file could be written either" in ended.err
    assert list((place.folder / "data" / "pusher").glob("unstored-*")) == []


def _no_room(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_run_whose_end_cannot_be_stored_does_not_end_well(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(writer: Writer, _: object) -> None:
        raise StoreError(writer._gone.problem)

    monkeypatch.setattr(Writer, "write_now", fail)
    ended = place.check()
    assert ended.status == 1
    assert "The end of run" in ended.err
    assert set(ended.verdicts.values()) == {("ready", None)}


def test_a_run_whose_resources_cannot_be_opened_has_an_end_all_the_same(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("pusher.wiring.run_resources.open_sign_in", broken)
    ended = place.check()
    assert ended.status == 1
    assert "The run ended early by a fault of pusher's own (ZeroDivisionError)" in ended.err
    assert "6 targets have no outcome" in ended.err
    (run,) = (json.loads(line) for line in place.run("runs", "--json").out.splitlines())
    assert run["ended_at"] is not None


def test_no_run_ends_well_with_a_target_that_has_no_outcome(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever mistake of ours may lose one."""
    write = Store.outcome

    async def outcome(store: Store, told: Outcome) -> None:
        if not told.target.startswith("c."):
            await write(store, told)

    monkeypatch.setattr(Store, "outcome", outcome)
    ended = place.check()
    assert ended.status == 1
    assert "1 targets have no outcome" in ended.err


def test_a_run_that_cannot_be_recorded_contacts_nobody(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(store: Store, *_: object, **__: object) -> None:
        raise StoreError(store._database.writer._gone.problem)

    monkeypatch.setattr(Store, "begin_run", fail)
    ended = place.check()
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("store-unavailable: ")
    assert len(ended.err.splitlines()) == 1
    assert not any(host.calls for host in place.hosts.values())


# Cancelling


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., threading.Event]:
    """``looked(first)``: the first look for a cancel does ``first``; the event is set when there was a second."""

    def make(first: Callable[[], bool]) -> threading.Event:
        monkeypatch.setattr(interruption, "_POLL_CANCEL", 0.001)
        times, second = [0], threading.Event()

        def cancel_asked(_: Store, __: str) -> bool:
            times[0] += 1
            if times[0] == 1:
                return first()
            second.set()
            return False

        monkeypatch.setattr(Store, "cancel_asked", cancel_asked)
        return second

    return make


def test_a_look_for_a_cancel_that_fails_ends_nothing(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, looked: Callable[..., threading.Event]
) -> None:
    def fail() -> bool:
        raise ZeroDivisionError

    second = looked(fail)
    monkeypatch.setattr("pusher.push.dispatcher.resolve", _until(second, attempt.resolve))
    ended = place.check()
    assert (ended.status, ended.pushed) == (0, set("abcdef"))
    assert "cancel-not-readable" in place.log.read_text()
    assert second.is_set()


def test_no_thread_is_started_in_the_middle_of_a_run(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, looked: Callable[..., threading.Event]
) -> None:
    """Where memory is short by then, Python would wait for ever for one that never came to run."""
    second, begun, late = looked(lambda: False), threading.Event(), list[str]()
    start, admit = threading.Thread.start, MemoryHost.admit

    def starting(thread: threading.Thread) -> None:
        if begun.is_set():
            late.append(thread.name)
        start(thread)

    def admitting(host: MemoryHost, credential: Credential) -> User:
        begun.set()
        return admit(host, credential)

    monkeypatch.setattr(threading.Thread, "start", starting)
    monkeypatch.setattr(MemoryHost, "admit", admitting)
    monkeypatch.setattr(interruption, "_POLL_CANCEL", 0.001)
    monkeypatch.setattr(AccountSelection, "_prove_rights", _until(second, AccountSelection._prove_rights))
    assert place.check("--limit", "a*").status == 0
    assert begun.is_set()
    assert second.is_set()
    # asyncio's own, once all is recorded, waits for the event loop's threads to end.
    assert [name for name in late if "_do_shutdown" not in name] == []


def _until(second: threading.Event, then: Callable[..., Any]) -> Callable[..., Any]:
    async def waiting(*arguments: Any) -> Any:
        async with asyncio.timeout(60):
            while not second.is_set():
                await asyncio.sleep(0.001)
        return await then(*arguments)

    return waiting


def _leave_a_run_behind(place: Workplace, worker: dict[str, Any] | None) -> None:
    """As a pusher that was killed."""
    assert place.check().status == 0
    with closing(sqlite3.connect(place.folder / "data" / "pusher" / "pusher.sqlite")) as connection:
        connection.execute("UPDATE runs SET ended_at = NULL, worker = ?", (json.dumps(worker),))
        connection.commit()


def test_a_run_that_nobody_works_on_cannot_be_cancelled(place: Workplace) -> None:
    here = process.this_process()
    gone = {"host": here.host, "place": here.place, "pid": here.pid, "started": here.started + 1}
    _leave_a_run_behind(place, gone)
    ended = place.run("cancel", "last")
    assert (ended.status, ended.out) == (2, "")
    assert f"(pid {here.pid} on {here.host}) has ended" in ended.err
    assert "pusher retry" in ended.err


def test_a_run_of_before_this_machine_was_started_anew_is_worked_on_by_nobody(place: Workplace) -> None:
    here = process.this_process()
    _leave_a_run_behind(place, {"host": here.host, "place": "another-boot/4026531836", "pid": 1, "started": 1})
    assert place.run("cancel", "last").status == 2


@pytest.mark.parametrize("worker", ["alive", "elsewhere", "unknown", "nonsense"])
def test_a_run_that_may_be_worked_on_is_asked_to_stop(place: Workplace, worker: str) -> None:
    here = process.this_process()
    workers: dict[str, dict[str, Any] | None] = {
        "alive": {"host": here.host, "place": here.place, "pid": here.pid, "started": here.started},
        "elsewhere": {"host": "another-machine", "place": "another-boot/1", "pid": 1, "started": 1},
        "unknown": None,
        "nonsense": {"who": "knows"},
    }
    _leave_a_run_behind(place, workers[worker])
    ended = place.run("cancel", "last")
    assert (ended.status, ended.err) == (0, "")
    assert "to stop; what is in flight finishes or is undone" in " ".join(ended.out.split())


# Secrets


def test_a_secret_is_read_once_for_all_hosts_of_a_run(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes it in the middle of a run does not make every other host fail."""
    file = place.folder / "push.secret"
    file.touch(mode=0o600)
    file.write_text(SECRET)
    place.accounts(ACCOUNTS.replace("env:PUSH", f"file:{file}"))
    admit = MemoryHost.admit

    def admitting(host: MemoryHost, credential: Credential) -> User:
        file.write_text("what it was changed to")
        return admit(host, credential)

    monkeypatch.setattr(MemoryHost, "admit", admitting)
    ended = place.check("--concurrency", "1")
    assert (ended.status, ended.pushed) == (0, set("abcdef"))
    assert file.read_text() == "what it was changed to"


def test_what_there_is_before_a_run_is_not_looked_through_while_it_goes(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's search for garbage would stop the run each time; what is kept out of it comes back at the end."""
    kept_out: list[int] = []
    run = Dispatcher.run

    async def watched(dispatcher: Dispatcher, *arguments: Any) -> None:
        kept_out.append(gc.get_freeze_count())
        await run(dispatcher, *arguments)

    monkeypatch.setattr(Dispatcher, "run", watched)
    before = gc.get_freeze_count()
    assert place.check().status == 0
    assert kept_out[0] > before + 10_000
    assert gc.get_freeze_count() == before


def test_a_run_that_is_in_another_store_is_told_where_it_was_looked_for(place: Workplace) -> None:
    """The commands that a run's end suggests hold for the store that it was recorded in."""
    place.check("--store", "other.sqlite")
    for command in (["show", "last"], ["retry", "last"], ["cancel", "last"], ["report", "last"]):
        said = place.run(*command)
        own = place.folder / "data" / "pusher" / "pusher.sqlite"
        assert (said.status, f"no single run of the store {own} has an id that begins with 'last'" in said.err) == (
            2,
            True,
        )
