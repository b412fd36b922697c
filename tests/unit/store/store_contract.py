"""What every engine under the store does. Subclasses give ``url``; each test has an empty store of its own there."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError, OperationalError

from pusher.models import (
    AccountTried,
    Attempt,
    Check,
    CheckResult,
    Event,
    Mark,
    NextMove,
    Outcome,
    Protocol,
    Run,
    Stage,
    Status,
    StepTime,
    TransportKind,
    Verb,
)
from pusher.store import Store, StoreError, open_store, schema, writer
from pusher.store.events import MOST_EVENTS, START, Place
from pusher.store.writer import Writer

_numbers = itertools.count(1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
hostile = "a\0b\ud800c\udfff\0"
as_stored = "a\ufffdb\ufffdc\ufffd\ufffd"
"""No engine takes NUL, or half a surrogate pair, in every place: where one cannot, none is given it."""
times = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2100, 1, 1),
    timezones=st.integers(-14, 14).map(lambda h: timezone(timedelta(hours=h))),
)
outcomes = st.builds(
    Outcome,
    run=st.just("r"),
    target=text,
    address=st.none() | st.ip_addresses().map(str),
    status=st.sampled_from(Status),
    stage=st.sampled_from(Stage),
    code=st.none() | text,
    message=st.none() | text,
    remedy=st.none() | text,
    next_move=st.none() | st.sampled_from(NextMove),
    account=st.none() | text,
    transport=st.none() | st.sampled_from(TransportKind),
    protocol=st.none() | st.sampled_from(Protocol),
    attempts=st.integers(0, 1000),
    seconds=st.floats(0, 1e6),
    accounts_tried=st.lists(st.builds(AccountTried, account=text, code=st.none() | text), max_size=3).map(tuple),
    checks=st.lists(st.builds(Check, check=text, result=st.sampled_from(CheckResult), evidence=text), max_size=3).map(
        tuple
    ),
    steps=st.lists(st.builds(StepTime, step=text, seconds=st.floats(0, 1e6)), max_size=3).map(tuple),
    bytes_copied=st.integers(0, 2**31 - 1),
    agent_version=st.none() | text,
    previous_version=st.none() | text,
    machine=st.none() | text,
    site=st.none() | text,
    started_at=times,
    ended_at=times,
)
shared = settings(
    deadline=None,
    max_examples=50,
    # One contract is told to several engines: each is a class of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def a_run(name: str = "r", at: datetime = NOON, **changes: Any) -> Run:
    defaults: dict[str, Any] = {"verb": Verb.PUSH, "inventory": "lab.yaml", "package": "p", "version": "1",
                                "operator": "me@here"}  # fmt: skip
    return Run(id=name, started_at=at, **(defaults | changes))


def an_outcome(target: str, **changes: Any) -> Outcome:
    made = Outcome(
        run="r",
        target=target,
        address=None,
        status=Status.INSTALLED,
        stage=Stage.RECORD,
        started_at=NOON,
        ended_at=NOON,
    )
    return replace(made, **changes)


def an_event(target: str, kind: str) -> Event:
    return Event(run="r", target=target, at=NOON, stage=Stage.REACH, kind=kind, detail="…")


def an_attempt(**changes: Any) -> Attempt:
    made = Attempt(
        run="r", target="ws01", number=1, stage=Stage.REACH, code=None, account="admin", started_at=NOON, ended_at=NOON
    )
    return replace(made, **changes)


class StoreContract:
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        made = open_store(url)
        made.begin_run(a_run(), {"x": 1}, [("ws01", "10.0.0.1", "paris"), ("ws02", None, None)])
        yield made
        made.close()

    # Outcomes

    @shared
    @given(outcome=outcomes)
    def test_an_outcome_comes_back_as_it_went(self, store: Store, outcome: Outcome) -> None:
        asyncio.run(store.outcome(outcome))
        found = store.outcome_of("r", outcome.target)
        assert found == outcome
        assert found.started_at.utcoffset() == timedelta(0)
        assert all(type(getattr(found, name)) is type(getattr(outcome, name)) for name in ("status", "stage", "checks"))

    async def test_a_second_outcome_replaces_the_first(self, store: Store) -> None:
        await store.outcome(an_outcome("ws01", status=Status.FAILED, code="timed-out"))
        await store.outcome(an_outcome("ws01"))
        assert [outcome.status for outcome in store.outcomes("r")] == [Status.INSTALLED]

    async def test_outcomes_come_by_name_and_by_run(self, store: Store) -> None:
        store.begin_run(a_run("other"), {}, [])
        for name in ("ws10", "ws02", "WS03", "ws01"):
            await store.outcome(an_outcome(name))
        await store.outcome(an_outcome("ws01", run="other"))
        assert [outcome.target for outcome in store.outcomes("r")] == sorted(["ws10", "ws02", "WS03", "ws01"])
        found = store.outcome_of("r", "Ws03")
        assert found is not None
        assert found.target == "WS03"
        assert store.outcome_of("r", "ws99") is None
        assert store.outcome_of("none", "ws01") is None

    async def test_what_has_no_outcome_yet(self, store: Store) -> None:
        assert store.unfinished("r") == [("ws01", False), ("ws02", False)]
        store.target_began("r", "ws02", NOON)
        await store.outcome(an_outcome("ws01"))
        assert store.unfinished("r") == [("ws02", True)]

    async def test_what_no_text_can_hold_is_replaced_everywhere_and_found_under_what_was_written(
        self, store: Store
    ) -> None:
        names = ("address", "code", "message", "remedy", "account", "agent_version", "machine", "site")
        said = dict.fromkeys(names, hostile)
        nested: dict[str, Any] = {
            "accounts_tried": (AccountTried(account=hostile, code=hostile),),
            "checks": (Check(check=hostile, result=CheckResult.FAIL, evidence=hostile),),
            "steps": (StepTime(step=hostile, seconds=1.0),),
        }
        await store.outcome(an_outcome(hostile, **said, **nested))
        await store.outcome(an_outcome("ws02", message="ws02"))
        found = store.outcome_of("r", hostile)
        assert found == an_outcome(
            as_stored,
            **dict.fromkeys(said, as_stored),
            accounts_tried=(AccountTried(account=as_stored, code=as_stored),),
            checks=(Check(check=as_stored, result=CheckResult.FAIL, evidence=as_stored),),
            steps=(StepTime(step=as_stored, seconds=1.0),),
        )
        event = Event(run="r", target=hostile, at=NOON, stage=Stage.REACH, kind=hostile, detail=hostile)
        store.event(event)
        attempt = an_attempt(target=hostile, code=hostile, account=hostile)
        store.attempt(attempt)
        before = {hostile: [hostile, {"a": (hostile,)}]}
        journal = await store.open_journal(
            host=hostile, service=hostile, run="r", target=hostile, before=before, at=NOON
        )
        await store.mark(journal.id, hostile, Mark.INTENT, NOON)
        assert store.events("r", hostile) == [replace(event, target=as_stored, kind=as_stored, detail=as_stored)]
        assert store.attempts("r", hostile) == [replace(attempt, target=as_stored, code=as_stored, account=as_stored)]
        (kept,) = store.open_journals(hostile, hostile)
        assert (kept.target, kept.steps[0].step) == (as_stored, as_stored)
        assert kept.before == {as_stored: [as_stored, {"a": [as_stored]}]}
        store.begin_run(
            a_run(hostile, inventory=hostile, package=hostile, version=hostile, operator=hostile),
            {"x": hostile}, [(hostile, hostile, hostile)], {"y": hostile},
        )  # fmt: skip
        run = store.run(hostile)
        assert run == a_run(as_stored, inventory=as_stored, package=as_stored, version=as_stored, operator=as_stored)
        assert store.options(hostile) == {"x": as_stored}
        assert store.worker(hostile) == {"y": as_stored}
        assert store.unfinished(hostile) == [(as_stored, False)]

    async def test_nothing_is_too_long_or_too_big(self, store: Store) -> None:
        """A machine's version, an administrator's names: each is bounded where it is read, and not here."""
        long = "0123456789" * 1000
        wide = an_outcome(
            "n" * 300, attempts=2**40, bytes_copied=3 * 2**40,
            **dict.fromkeys(("address", "code", "message", "account", "agent_version", "machine", "site"), long),
        )  # fmt: skip
        await store.outcome(wide)
        assert store.outcome_of("r", "n" * 300) == wide
        attempt = an_attempt(number=2**40, code=long, account=long)
        store.attempt(attempt)
        event = replace(an_event("n" * 300, long), detail=long)
        posted = store.event(event)
        journal = await store.open_journal(
            host="h" * 600, service="s" * 600, run="r", target="n" * 300, before={"a": long}, at=NOON
        )
        await store.mark(journal.id, "s" * 300, Mark.INTENT, NOON)
        await store.close_journal(journal.id, "c" * 300)
        assert [kept.before for kept in store.closed_journals("H" * 600, "s" * 600, "c" * 300)] == [{"a": long}]
        assert posted.exception(30) is None
        assert store.attempts("r", "ws01") == [attempt]
        assert store.events("r", "n" * 300) == [event]
        run = a_run("i" * 300, NOON + timedelta(days=1), version=long, operator=long, parent="p" * 300)
        store.begin_run(run, {}, [("n" * 300, long, long)])
        assert store.run("last") == run

    async def test_more_events_than_two_billion(self, store: Store) -> None:
        await store._database.writer.write(
            lambda c: c.execute(schema.events.insert(), {**_EVENT, "id": 2**31, "kind": "old"})
        )
        ((place, told),) = store.events_since("r")
        assert (place.number, told.kind) == (2**31, "old")
        assert store.events_since("r", place) == []

    async def test_names_are_the_same_in_whatever_ascii_case_and_in_the_order_of_their_characters(
        self, store: Store
    ) -> None:
        names = ["WSÄ1", "wsä1", "ws-1", "ws_1", "WS1", "ws 1", "ws10", "ws2", "\U0001f5a5", "\uffee"]
        for name in names:
            await store.outcome(an_outcome(name))
        assert [outcome.target for outcome in store.outcomes("r")] == sorted(names)
        for asked in ("wsÄ1", "WSÄ1"):
            found = store.outcome_of("r", asked)
            assert found is not None
            assert found.target == "WSÄ1"
        store.begin_run(a_run("ordered"), {}, [(name, None, None) for name in names])
        assert [name for name, _ in store.unfinished("ordered")] == sorted(names)

    # Runs

    async def test_a_run_comes_back_with_its_counts(self, store: Store) -> None:
        await store.outcome(an_outcome("ws01"))
        await store.outcome(an_outcome("ws02", status=Status.FAILED))
        ended = store.end_run("r", NOON + timedelta(minutes=1))
        counts = {Status.INSTALLED: 1, Status.FAILED: 1}
        assert ended == a_run(ended_at=NOON + timedelta(minutes=1), counts=counts)
        assert ended.total == 2
        assert store.options("r") == {"x": 1}

    def test_runs_are_found_by_what_they_start_with(self, store: Store) -> None:
        for number, name in enumerate(("20260301-a", "20260301-b", "2026_", "100%"), start=1):
            store.begin_run(a_run(name, NOON + timedelta(hours=number), parent="r"), {}, [])
        found = store.run("20260301-a")
        assert found is not None
        assert (found.id, found.parent) == ("20260301-a", "r")
        assert store.run("20260301") is None, "several begin so"
        assert store.run("nothing") is None
        found = store.run("2026_")
        assert found is not None
        assert found.id == "2026_", "an underscore is itself"
        assert store.run("%") is None
        newest = store.run("last")
        assert newest is not None
        assert newest.id == "100%"
        assert [run.id for run in store.runs(2)] == ["100%", "2026_"]

    def test_no_run_is_the_last_of_none(self, url: str) -> None:
        empty = open_store(url)
        assert empty.run("last") is None
        assert empty.runs() == []
        empty.close()

    def test_targets_of_a_long_inventory(self, store: Store) -> None:
        names = [f"ws{number:05}" for number in range(2501)]
        store.begin_run(a_run("long"), {}, [(name, None, None) for name in names])
        assert [name for name, _ in store.unfinished("long")] == names

    def test_a_name_that_is_there_twice_is_one_target(self, store: Store) -> None:
        store.begin_run(a_run("twice"), {}, [("ws01", None, None), ("ws01", "10.0.0.1", None)])
        assert store.unfinished("twice") == [("ws01", False)]

    def test_a_cancel_is_seen(self, store: Store) -> None:
        assert not store.cancel_asked("r")
        store.ask_cancel("r", NOON)
        assert store.cancel_asked("r")
        assert not store.cancel_asked("no such run")

    # Events and attempts

    async def test_events_come_in_their_order(self, store: Store) -> None:
        for number in range(300):
            store.event(an_event("ws01" if number % 2 else "WS02", f"e{number}"))
        await store.outcome(an_outcome("ws01"))
        assert [event.kind for event in store.events("r", "WS01")] == [f"e{number}" for number in range(1, 300, 2)]
        assert store.events("r", "ws02")[0] == an_event("WS02", "e0")
        assert store.events("r", "ws03") == []

    @settings(shared, max_examples=25)
    @given(
        story=st.lists(st.sampled_from(["ws01", "ws02", "other run", "commit", "look"]), max_size=40),
        limit=st.integers(1, 5),
    )
    def test_who_follows_a_run_has_each_of_its_events_once_and_in_order(
        self, store: Store, story: list[str], limit: int
    ) -> None:
        run, other = f"followed-{next(_numbers)}", f"other-{next(_numbers)}"
        store.begin_run(a_run(run), {}, [])
        store.begin_run(a_run(other), {}, [])
        told: list[Event] = []
        seen: list[tuple[Place, Event]] = []

        def look() -> None:
            page = store.events_since(run, seen[-1][0] if seen else START, limit)
            assert len(page) <= limit
            seen.extend(page)

        posted: list[Future[Any]] = []
        for number, what in enumerate(story):
            if what == "look":
                look()
            elif what == "commit":
                wait(posted)
            else:
                is_others = what == "other run"
                event = replace(an_event(what, str(number)), run=other if is_others else run)
                posted.append(store.event(event))
                told += [] if is_others else [event]
        wait(posted)
        for _ in told:
            look()
        assert [event for _, event in seen] == told
        assert [place for place, _ in seen] == sorted({place for place, _ in seen})

    async def test_events_are_followed_from_another_process_and_never_all_at_once(self, store: Store, url: str) -> None:
        reader = open_store(url)
        assert reader.events_since("r") == []
        for number in range(MOST_EVENTS + 1):
            store.event(an_event("ws01", str(number)))
        await store.outcome(an_outcome("ws01"))
        first = reader.events_since("r", START, 10**9)
        assert len(first) == MOST_EVENTS == len(reader.events_since("r"))
        ((_, last),) = reader.events_since("r", first[-1][0])
        assert last.kind == str(MOST_EVENTS)
        assert reader.events_since("r", Place(-(10**30), -1), 1) == first[:1]
        for beyond in (Place(10**30, 0), Place(0, 10**30), Place(2**63 - 2, 0)):
            assert reader.events_since("r", beyond) == []
        assert reader.events_since("no such run") == []
        for limit in (0, -1):
            with pytest.raises(ValueError, match=str(limit)):
                reader.events_since("r", START, limit)
        reader.close()

    async def test_attempts_come_in_their_order(self, store: Store) -> None:
        store.begin_run(a_run("other"), {}, [])
        silent = an_attempt(code="timed-out", account=None, ended_at=NOON + timedelta(seconds=4))
        ended = an_attempt(number=2, stage=Stage.RECORD, started_at=NOON + timedelta(seconds=9))
        for made in (ended, silent, an_attempt(target="WS02"), an_attempt(run="other", code="disk-full")):
            store.attempt(made)
        await store.outcome(an_outcome("ws01"))
        assert store.attempts("r", "Ws01") == [silent, ended]
        assert store.attempts("r", "ws02") == [an_attempt(target="WS02")]
        assert store.attempts("r", "ws03") == []

    # Journals

    async def test_a_journal_comes_back_as_it_was_left(self, store: Store) -> None:
        before = {"replaced": ["a\\b"], "service": {"start_type": 2}, "was_running": True, "nothing": None}
        journal = await store.open_journal(
            host="WS01.corp", service="LabAgent", run="r", target="ws01", before=before, at=NOON
        )
        for step, mark in (("stage", Mark.INTENT), ("stage", Mark.DONE), ("place", Mark.INTENT)):
            await store.mark(journal.id, step, mark, NOON)
        (found,) = store.open_journals("ws01.CORP", "labagent")
        assert (found.id, found.run, found.target, found.before) == (journal.id, "r", "ws01", before)
        assert [(step.step, step.mark) for step in found.steps] == [
            ("stage", Mark.INTENT), ("stage", Mark.DONE), ("place", Mark.INTENT),
        ]  # fmt: skip

    async def test_a_closed_journal_is_not_open(self, store: Store) -> None:
        ids = []
        for number in range(3):
            at = NOON + timedelta(seconds=3 - number)
            journal = await store.open_journal(host="h", service="s", run="r", target="t", before={}, at=at)
            ids.append(journal.id)
        await store.close_journal(ids[1], "undone")
        assert [journal.id for journal in store.open_journals("h", "s")] == [ids[2], ids[0]], "oldest first"
        assert store.open_journals("h", "other") == store.open_journals("other", "s") == []

    async def test_journals_of_a_target_under_other_names(self, store: Store) -> None:
        ids = {}
        for host, target in (("m", "t"), ("T", "t"), ("10.0.0.1", "t"), ("other", "t"), ("m", "x"), ("t", "y")):
            made = await store.open_journal(host=host, service="s", run="r", target=target, before={}, at=NOON)
            ids[made.id] = (host, target)

        def found(host: str, **asked: Any) -> set[tuple[str, str]]:
            return {ids[journal.id] for journal in store.open_journals(host, "s", **asked)}

        assert found("M") == {("m", "t"), ("m", "x")}
        assert found("M", target="t", under=("t", "10.0.0.1")) == {*found("m"), ("T", "t"), ("10.0.0.1", "t")}
        assert found("t", target="t", under=None) == {
            ("m", "t"), ("T", "t"), ("10.0.0.1", "t"), ("other", "t"), ("t", "y"),
        }  # fmt: skip
        assert store.open_journals("m", "none", target="t", under=None) == []

    async def test_a_finished_step_is_durable_with_the_next_intent_and_before_it(self, store: Store) -> None:
        journal = await store.open_journal(host="h", service="s", run="r", target="t", before={}, at=NOON)
        await store.mark(journal.id, "stage", Mark.INTENT, NOON)
        done = store.mark_done(journal.id, "stage", NOON)
        await store.mark(journal.id, "place", Mark.INTENT, NOON)
        assert done.done()
        (kept,) = await store.journals("H", "s", None)
        assert [(one.step, one.mark) for one in kept.steps] == [
            ("stage", Mark.INTENT), ("stage", Mark.DONE), ("place", Mark.INTENT),
        ]  # fmt: skip
        assert await store.journals("h", "s", "committed") == []
        wrong = store.mark_done("no such journal", "stage", NOON)
        assert isinstance(wrong.exception(30), StoreError)

    async def test_the_event_loop_goes_on_while_journals_are_read(self, store: Store) -> None:
        """However many are waited for already."""
        gate = threading.Event()
        for _ in range(store._database.readers._max_workers):
            store._database.readers.submit(gate.wait, 30)
        reading = asyncio.create_task(store.journals("h", "s", None))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not reading.done()
        gate.set()
        assert await reading == []

    async def test_journals_are_read_by_two_questions_however_many_there_are(self, store: Store) -> None:
        for number in range(5):
            journal = await store.open_journal(host="h", service="s", run="r", target="t", before={}, at=NOON)
            await store.mark(journal.id, f"step{number}", Mark.INTENT, NOON)
        asked: list[object] = []
        sqlalchemy_event.listen(store._database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
        found = await store.journals("h", "s", None)
        assert sorted(step.step for journal in found for step in journal.steps) == [f"step{n}" for n in range(5)]
        assert len(asked) == 2

    async def test_a_mark_may_be_made_twice(self, store: Store) -> None:
        journal = await store.open_journal(host="h", service="s", run="r", target="t", before={}, at=NOON)
        for _ in range(2):
            await store.mark(journal.id, "stage", Mark.UNDONE, NOON)
        assert len(store.open_journals("h", "s")[0].steps) == 1

    # What is in it may be anything: another hand has been at it, or the disk

    @pytest.mark.parametrize(
        ("entry", "asked"),
        [
            (schema.runs.c.verb, "run"), (schema.runs.c.verb, "runs"), (schema.runs.c.verb, "end_run"),
            (schema.runs.c.started_at, "run"), (schema.outcomes.c.status, "runs"),
            (schema.outcomes.c.stage, "outcome_of"), (schema.outcomes.c.stage, "outcomes"),
            (schema.outcomes.c.transport, "outcome_of"), (schema.outcomes.c.ended_at, "outcomes"),
            (schema.events.c.stage, "events"), (schema.events.c.at, "events_since"),
            (schema.attempts.c.stage, "attempts"), (schema.journal_steps.c.mark, "open_journals"),
        ],
        ids=str,
    )  # fmt: skip
    async def test_an_entry_that_makes_no_sense_is_damage_whoever_reads_it(
        self, store: Store, entry: Column[Any], asked: str
    ) -> None:
        journal = await store.open_journal(host="ws01", service="s", run="r", target="ws01", before={}, at=NOON)
        await store.mark(journal.id, "stage", Mark.DONE, NOON)
        store.event(an_event("ws01", "e"))
        store.attempt(an_attempt())
        await store.outcome(an_outcome("ws01"))
        await store._database.writer.write(lambda c: c.execute(sql(f"UPDATE {entry.table} SET {entry.name} = 'what'")))
        reading: dict[str, Callable[[], object]] = {
            "run": lambda: store.run("r"),
            "runs": store.runs,
            "end_run": lambda: store.end_run("r", NOON),
            "outcome_of": lambda: store.outcome_of("r", "ws01"),
            "outcomes": lambda: list(store.outcomes("r")),
            "events": lambda: store.events("r", "ws01"),
            "events_since": lambda: store.events_since("r"),
            "attempts": lambda: store.attempts("r", "ws01"),
            "open_journals": lambda: store.open_journals("ws01", "s"),
        }
        with pytest.raises(StoreError) as told:
            reading[asked]()
        assert told.value.problem.code == "store-damaged"
        assert "what" not in str(told.value)

    # The writer

    async def test_what_is_handed_over_first_is_committed_first(self, store: Store) -> None:
        for number in range(1000):
            store.event(an_event("ws01", str(number)))
        await store.outcome(an_outcome("ws01"))
        assert len(store.events("r", "ws01")) == 1000, "what was posted before an awaited write is durable with it"

    async def test_what_nobody_waits_for_is_committed_with_what_somebody_does(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However long it would wait for company: whoever waits ends that."""
        monkeypatch.setattr(writer, "_LINGER", 2 * writer.PATIENCE)
        commits: list[object] = []
        sqlalchemy_event.listen(store._database.engine, "commit", commits.append)
        posted = [store.event(an_event("ws01", "first"))]
        while not store._database.writer._queue.empty():
            await asyncio.sleep(0)
        posted += [store.event(an_event("ws01", str(number))) for number in range(2)]
        await store.outcome(an_outcome("ws01"))
        assert [one.done() for one in posted] == [True] * 3
        assert len(commits) == 1
        store.event(an_event("ws01", "left"))  # closing waits for nobody's company

    async def test_rows_of_one_kind_go_together_and_in_their_order(self, store: Store) -> None:
        """Around work that comes in between; what is handed over last for a target is what stays."""
        gate = threading.Event()
        store._database.writer.post(lambda _: gate.wait(30))
        statements: list[str] = []
        sqlalchemy_event.listen(
            store._database.engine,
            "before_cursor_execute",
            lambda *told: statements.append(f"{told[2]} - -".split()[2]),
        )
        for number in range(4):
            store.event(an_event("ws01", str(number)))
            store.target_began("r", "ws01", NOON)
        first = asyncio.create_task(store.outcome(an_outcome("ws01")))
        await asyncio.sleep(0)
        seen = store._database.writer.submit(lambda c: c.execute(sql("SELECT count(*) FROM events")).scalar())
        second = asyncio.create_task(store.outcome(an_outcome("ws01", status=Status.FAILED)))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, second)
        assert seen.result(30) == 4
        assert [one for one in statements if one in ("events", "outcomes")] == ["events", "outcomes", "outcomes"]
        assert [one.kind for one in store.events("r", "ws01")] == ["0", "1", "2", "3"]
        assert [one.status for one in store.outcomes("r")] == [Status.FAILED]

    async def test_one_statement_that_fails_costs_only_itself(self, store: Store) -> None:
        """All of them in one batch: the writer is held up until they have gathered."""
        gate = threading.Event()
        store._database.writer.post(lambda _: gate.wait(30))
        for number in range(20):
            store.event(an_event("ws01", f"good{number}") if number % 5 else replace(an_event("x", "bad"), run="none"))
        writes = [asyncio.create_task(store.outcome(an_outcome(name))) for name in ("ws01", "ws02")]
        wrong = asyncio.create_task(store.outcome(an_outcome("ws03", run="none")))
        await asyncio.sleep(0)
        gate.set()
        ends = await asyncio.gather(*writes, wrong, return_exceptions=True)
        assert [end.problem.code if isinstance(end, StoreError) else end for end in ends] == [
            None, None, "store-refused",
        ]  # fmt: skip
        assert [event.kind for event in store.events("r", "ws01")] == [f"good{n}" for n in range(20) if n % 5]
        assert [outcome.target for outcome in store.outcomes("r")] == ["ws01", "ws02"]

    async def test_a_posted_write_that_fails_is_told_by_its_own_future_and_by_nothing_else(self, url: str) -> None:
        store = open_store(url)
        store.begin_run(a_run(), {}, [])
        wrong = store.event(replace(an_event("x", "bad"), run="none"))
        right = store.event(an_event("ws01", "good"))
        await store.outcome(an_outcome("ws01"))
        failure = wrong.exception(30)
        assert isinstance(failure, StoreError)
        assert failure.problem.code == "store-refused"
        assert isinstance(failure.__cause__, IntegrityError)
        assert right.exception(30) is None
        store.close()

    # A writer that does not write

    async def test_nobody_waits_for_a_writer_that_has_died(self, url: str) -> None:
        """Whatever ends its thread: those who wait are told, those who come later too, and it can be closed."""
        store = open_store(url)
        store.begin_run(a_run(), {}, [])
        begun, gate = threading.Event(), threading.Event()
        store._database.writer.post(lambda _: [begun.set(), gate.wait(30)])  # type: ignore[func-returns-value]
        assert begun.wait(30)
        waiting = [asyncio.create_task(store.outcome(an_outcome(f"ws{n:02}"))) for n in range(3)]
        posted = store.event(an_event("ws01", "late"))
        await asyncio.sleep(0)
        with patch.object(Writer, "_gather", _dying):
            gate.set()
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            store._database.writer._thread.join(30)
        ends += [posted.exception(30), store.event(an_event("ws01", "later")).exception(30)]
        with pytest.raises(StoreError) as told:
            await store.outcome(an_outcome("ws03"))
        ends.append(told.value)
        with pytest.raises(StoreError):
            store.end_run("r", NOON)
        assert [type(end) for end in ends] == [StoreError] * 6
        assert {end.problem.code for end in ends if isinstance(end, StoreError)} == {"store-unavailable"}
        store.close()

    async def test_a_database_that_does_not_answer_is_not_waited_for_for_ever(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer, "PATIENCE", 0.05)
        gate = threading.Event()
        store._database.writer.post(lambda _: gate.wait(30))
        with pytest.raises(StoreError) as told:
            await store.outcome(an_outcome("ws01"))
        assert told.value.problem.code == "store-unavailable"
        with pytest.raises(StoreError):
            store.end_run("r", NOON)
        gate.set()

    async def test_a_lock_is_waited_for_once_and_not_by_each_of_a_batch(self, store: Store) -> None:
        """Ten seconds for each of 256 would be most of an hour."""
        begun, gate, tried = threading.Event(), threading.Event(), list[str]()
        store._database.writer.post(lambda _: [begun.set(), gate.wait(30)])  # type: ignore[func-returns-value]
        assert begun.wait(30)

        def locked(_: Any) -> None:
            tried.append("locked")
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode, busy.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
            raise OperationalError("", None, busy)

        ends = [store._database.writer.post(locked) for _ in range(20)]
        gate.set()
        failures = [end.exception(30) for end in ends]
        codes = [failure.problem.code for failure in failures if isinstance(failure, StoreError)]
        assert codes == ["store-locked"] * 20
        assert len(tried) == 1

    async def test_a_cancelled_write_stops_nobody_elses(self, store: Store) -> None:
        gate = threading.Event()
        store._database.writer.post(lambda _: gate.wait(30))
        cancelled = asyncio.create_task(store.outcome(an_outcome("ws01")))
        other = asyncio.create_task(store.outcome(an_outcome("ws02")))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        gate.set()
        async with asyncio.timeout(30):
            await other
            await store.outcome(an_outcome("ws03"))
        assert cancelled.cancelled()
        assert {"ws02", "ws03"} <= {outcome.target for outcome in store.outcomes("r")}

    async def test_closing_commits_what_is_left(self, url: str) -> None:
        store = open_store(url)
        store.begin_run(a_run(), {}, [])
        for number in range(500):
            store.event(an_event("ws01", str(number)))
        store.close()
        again = open_store(url)
        assert len(again.events("r", "ws01")) == 500
        again.close()

    # Several at once

    async def test_readers_do_not_wait_for_the_writer(self, store: Store, url: str) -> None:
        """Another process looks at the run while a write is in the middle of its transaction."""
        await store.outcome(an_outcome("ws01"))
        inside, gate = threading.Event(), threading.Event()

        def slow(connection: Any) -> None:
            connection.execute(schema.runs.update().values(operator="changed"))
            inside.set()
            gate.wait(30)

        store._database.writer.post(slow)
        inside.wait(30)
        reader = open_store(url)
        try:
            run = reader.run("r")
            assert run is not None
            assert run.operator == "me@here"
            assert len(list(reader.outcomes("r"))) == 1
        finally:
            gate.set()
            reader.close()
        await store.outcome(an_outcome("ws02"))

    async def test_two_writers_share_one_store(self, store: Store, url: str) -> None:
        other = open_store(url)
        await asyncio.gather(
            *(store.outcome(an_outcome(f"a{n}")) for n in range(50)),
            *(other.outcome(an_outcome(f"b{n}")) for n in range(50)),
        )
        other.close()
        assert len(list(store.outcomes("r"))) == 100

    def test_a_long_list_is_read_while_it_grows(self, store: Store) -> None:
        for number in range(1200):
            store._database.writer.post(
                lambda c, n=number: c.execute(schema.outcomes.insert(), _row(an_outcome(f"ws{n:05}")))  # type: ignore[misc]
            )
        asyncio.run(store.outcome(an_outcome("last of the first")))
        seen = 0
        for outcome in store.outcomes("r"):
            if seen == 10:
                asyncio.run(store.outcome(an_outcome("ws99999")))
            seen += outcome.target.startswith("ws")
        assert 1200 <= seen <= 1201

    # Durability

    @pytest.mark.thorough
    @pytest.mark.parametrize("after", [1, 40])
    def test_what_was_awaited_survives_a_kill(self, url: str, after: int) -> None:
        """A process writes and says what has become durable; it is killed in the middle of it."""
        store = open_store(url)
        store.begin_run(a_run(), {}, [])
        store.close()
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.store.endless_writer", url], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        try:
            said = [writer.stdout.readline().strip() for _ in range(after)]
        finally:
            writer.kill()
            said += [line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            writer.wait()
            writer.stdout.close()
        assert writer.returncode == -9
        assert len(said) >= after
        again = open_store(url)
        assert set(said) <= {outcome.target for outcome in again.outcomes("r")}
        for name in said:
            (journal,) = again.open_journals(name, "s")
            assert [step.mark for step in journal.steps] == [Mark.INTENT]
            assert [event.kind for event in again.events("r", name)] == ["posted before"]
        again.close()


_EVENT = {"run": "r", "target": "ws01", "at": NOON, "stage": Stage.REACH.value, "kind": "k", "detail": ""}


def _row(outcome: Outcome) -> dict[str, Any]:
    from pusher.store.outcomes import outcome_row

    return outcome_row(outcome)


def _dying(_: Writer) -> bool:
    raise MemoryError
