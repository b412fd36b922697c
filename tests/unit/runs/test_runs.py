"""What is asked of a run, over a store of SQLite: who is taken up again, and why something is not done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest

from pusher.cli.run_requests import REFUSALS
from pusher.credentials.lockout.process import Process, this_process
from pusher.models import Status, Verb
from pusher.runs import Refusal, RunRefusedError, cancel, find, retry
from pusher.settings import Options
from pusher.store import Store, open_store
from tests.unit.store.store_contract import NOON, a_run, an_outcome

OPTIONS = Options(inventory=Path("/i.yaml"), exclude=("x",), deadline=5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(str(tmp_path / "pusher.sqlite"))
    yield made
    made.close()


def begin(store: Store, *names: str, run: str = "r", worker: Process | None = None) -> None:
    rows = [(name, None, None) for name in names]
    store.begin_run(a_run(run), OPTIONS.to_json(), rows, asdict(worker) if worker else None)


def end(store: Store, name: str, status: Status, code: str | None = None) -> None:
    asyncio.run(store.outcome(an_outcome(name, status=status, code=code)))


def refused(store: Store, name: str = "r") -> tuple[Refusal, str]:
    with pytest.raises(RunRefusedError) as raised:
        cancel(store, name, NOON)
    return raised.value.why, raised.value.run


def test_a_code_of_another_version_is_tried_again(store: Store) -> None:
    begin(store, "a")
    end(store, "a", Status.FAILED, "a-code-that-is-no-more")
    origin = retry(store, "r", frozenset(), {}).options.origin
    assert origin is not None
    assert origin.only == {"a"}


def test_a_retry_takes_up_what_did_not_succeed(store: Store) -> None:
    begin(store, "Done", "Failed", "silent", "spared", "newer", "never-begun")
    end(store, "Done", Status.INSTALLED)
    end(store, "Failed", Status.FAILED, "access-denied")
    end(store, "silent", Status.UNREACHABLE, "timed-out")
    end(store, "spared", Status.SKIPPED, "excluded")
    end(store, "newer", Status.SKIPPED, "newer-version-present")
    made = retry(store, "r", frozenset(), {"deadline": 7.0})
    origin = made.options.origin
    assert origin is not None
    assert (origin.run, origin.exclude) == ("r", ("x",))
    assert origin.only == {"failed", "silent", "newer", "never-begun"}
    assert (made.verb, made.options.deadline, made.options.inventory) == (Verb.PUSH, 7.0, Path("/i.yaml"))
    only = retry(store, "r", frozenset({Status.UNREACHABLE}), {}).options
    assert only.origin is not None
    assert (only.origin.only, only.deadline) == (frozenset({"silent"}), 5.0)


def test_where_all_is_done_nothing_is_left(store: Store) -> None:
    begin(store, "a", "b")
    for name in "ab":
        end(store, name, Status.INSTALLED)
    with pytest.raises(RunRefusedError) as raised:
        retry(store, "last", frozenset(), {})
    assert (raised.value.why, raised.value.run) == (Refusal.NOTHING_LEFT, "r")


def test_a_run_is_found_by_its_beginning_alone(store: Store) -> None:
    begin(store, run="20260301-a")
    begin(store, run="20260301-b")
    assert find(store, "20260301-a").id == "20260301-a"
    for name in ("20260301", "nothing", "%"):
        assert refused(store, name) == (Refusal.UNKNOWN, name)


def test_a_run_that_goes_on_is_asked_to_stop(store: Store) -> None:
    begin(store, "a", worker=this_process())
    asked = cancel(store, "last", NOON)
    assert (asked.run.id, asked.worker) == ("r", this_process())
    assert store.cancel_asked("r")


def test_where_nobody_would_hear_it_nothing_is_asked(store: Store) -> None:
    gone = replace(this_process(), started=1)
    begin(store, "a", worker=gone)
    with pytest.raises(RunRefusedError) as raised:
        cancel(store, "r", NOON)
    assert (raised.value.why, raised.value.worker) == (Refusal.ABANDONED, gone)
    store.end_run("r", NOON + timedelta(minutes=1))
    assert refused(store) == (Refusal.ENDED, "r")
    assert not store.cancel_asked("r")


def test_the_sentences_for_a_refusal_are_complete() -> None:
    worker = Process(host="h", place="p", pid=7, started=1)
    assert REFUSALS.keys() == set(Refusal)
    for found, expected in REFUSALS.values():
        assert "r1" in found.format(run="r1", worker=worker, store="s")
        assert expected.format(run="r1", worker=worker, store="s", runs="pusher runs", retry="pusher retry r1",
                               show="pusher show r1")  # fmt: skip
