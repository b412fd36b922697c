"""The writer on PostgreSQL: a server that goes away, an answer that is lost, two processes in each other's way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, text

from lab.postgresql import Server
from pusher.clock import utc_now
from pusher.models import Mark
from pusher.problems import ProblemError
from pusher.store import Store, StoreError, open_store, postgresql_server, transactions
from pusher.store.postgresql_server import ServerBatches
from pusher.store.schema import writers
from pusher.store.sqlite_file import LOCK_PATIENCE
from tests.contract.ledger_contract import add
from tests.unit.store.link import linked
from tests.unit.store.store_contract import NOON, a_run, an_event, an_outcome

pytestmark = pytest.mark.process

TARGETS = 60
_SIGNED = text("UPDATE runs SET operator = operator || :by WHERE id = :run")


@pytest.fixture
def durable(_end_orderly: None) -> Iterator[Server]:
    """One of this test's own that keeps what it has committed, and may be killed."""
    server = Server(durable=True)
    try:
        server.up()
        yield server
    finally:
        server.down()


async def one_push(store: Store, target: str) -> None:
    """What a push writes, in its order."""
    store.event(an_event(target, "begun"))
    await store.ledger.change("svc", add)
    journal = await store.open_journal(host=target, service="s", run="r", target=target, before={}, at=NOON)
    for step in ("stage", "place", "start"):
        await store.mark(journal.id, step, Mark.INTENT, NOON)
        await asyncio.sleep(0.05)
        await store.mark(journal.id, step, Mark.DONE, NOON)
    await store.close_journal(journal.id, "committed")
    store.event(an_event(target, "ended"))
    await store.outcome(an_outcome(target))


def assert_all_is_there_once(store: Store) -> None:
    names = [f"ws{number:02}" for number in range(TARGETS)]
    assert [outcome.target for outcome in store.outcomes("r")] == names
    assert store.unfinished("r") == []
    told = [(event.target, event.kind) for _, event in store.events_since("r")]
    assert sorted(told) == sorted((name, kind) for name in names for kind in ("begun", "ended"))
    assert store.ledger.read("svc") == {"count": TARGETS}
    for name in names:
        (journal,) = store.closed_journals(name, "s", "committed")
        assert [(one.step, one.mark) for one in journal.steps] == [
            (step, mark) for step in ("stage", "place", "start") for mark in (Mark.INTENT, Mark.DONE)
        ]
        assert store.open_journals(name, "s") == []


def begun(url: str) -> Store:
    store = open_store(url)
    store.begin_run(a_run(), {}, [(f"ws{number:02}", None, None) for number in range(TARGETS)])
    return store


async def pushes(store: Store, ended: list[str]) -> None:
    room = asyncio.Semaphore(10)

    async def one(name: str) -> None:
        async with room:
            await one_push(store, name)
            ended.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(TARGETS):
            group.create_task(one(f"ws{number:02}"))


async def test_a_server_that_is_killed_in_mid_run_and_comes_back_costs_nothing(durable: Server) -> None:
    """Twice, and the second time it is away for longer than one attempt to reach it."""
    store = begun(durable.create("killed"))
    ended: list[str] = []
    running = asyncio.create_task(pushes(store, ended))
    for after, away in ((TARGETS // 4, 0.0), (TARGETS // 2, 8.0)):
        while len(ended) < after and not running.done():
            await asyncio.sleep(0.01)
        durable.kill()
        await asyncio.sleep(away)
        durable.start()
    await running
    assert_all_is_there_once(store)
    store.close()


async def test_a_commit_whose_answer_is_lost_is_not_done_twice(postgresql: Server, server_store: str) -> None:
    name = server_store.partition("?")[0].rpartition("/")[2]
    with linked(postgresql.port) as link:
        store = begun(postgresql.url(name, link.port))
        ended: list[str] = []
        running = asyncio.create_task(pushes(store, ended))
        for after in range(5, TARGETS - 10, 10):  # so that some are still to begin
            while len(ended) < after and not running.done():
                await asyncio.sleep(0.01)
            link.answers_lost += 1
        await running
        assert link.answers_lost == 0
        assert_all_is_there_once(store)
        store.close()


_REFUSES_TO_SAY = """
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM writers WHERE id = NEW.id AND batch >= NEW.batch) THEN
        RAISE EXCEPTION USING ERRCODE = '{}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuses BEFORE INSERT ON writers FOR EACH ROW EXECUTE FUNCTION refuses();
"""


@pytest.mark.parametrize("state", ["53100", "40001"])
async def test_what_may_have_been_committed_is_not_done_again_under_other_numbers(
    postgresql: Server, server_store: str, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Its answer is lost, and when it is asked for again the server does not say it either."""
    name = server_store.partition("?")[0].rpartition("/")[2]
    postgresql.sql(_REFUSES_TO_SAY.format(state), name)
    monkeypatch.setattr(transactions, "AWAY", 1.0)
    with linked(postgresql.port) as link:
        store = begun(postgresql.url(name, link.port))
        gate = threading.Event()
        store._database.writer.post(lambda _: gate.wait(30))
        store._database.writer.post(lambda _: setattr(link, "answers_lost", 1))
        posted = [store.event(an_event("ws00", str(number))) for number in range(3)]
        gate.set()
        assert [type(one.exception(60)) for one in posted] == [StoreError] * 3
        assert link.answers_lost == 0
        store.event(an_event("ws00", "next")).result(30)
        assert [event.kind for event in store.events("r", "ws00")] == ["0", "1", "2", "next"]
        store.close()


@pytest.mark.parametrize("answer", ["done", "refused"])
async def test_two_times_away_do_not_add_up(
    postgresql: Server, server_store: str, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """The second one comes an hour after the first, which ended with whatever the server then answered."""
    name = server_store.partition("?")[0].rpartition("/")[2]
    ends = {"done": "SELECT 1", "refused": "SELECT 1/0"}
    asked = iter(("SELECT pg_terminate_backend(pg_backend_pid())", ends[answer]))
    with linked(postgresql.port) as link:
        store = begun(postgresql.url(name, link.port))
        failure = store._database.writer.submit(lambda c: c.execute(text(next(asked)))).exception(60)
        assert isinstance(failure, StoreError) is (answer == "refused")
        monkeypatch.setattr(transactions, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 3600))
        link.answers_lost = 1
        await store.outcome(an_outcome("ws01"))
        assert link.answers_lost == 0
        assert [outcome.target for outcome in store.outcomes("r")] == ["ws01"]
        store.close()


@pytest.fixture
def impatient(server_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """One that waits for a lock for a moment only, and has written."""
    monkeypatch.setattr(postgresql_server, "_SET", postgresql_server._SET.replace(f"'{LOCK_PATIENCE}'", "'50'"))
    store = begun(server_store)
    store.event(an_event("ws00", "first")).result(30)
    yield store
    store.close()


def ends_at_the(number: int, session: Connection, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the store is refused, as it grows; at the refusal of that number the other session ends."""
    told: list[str] = []
    passes = ServerBatches.is_passing

    def refused(batches: ServerBatches, error: BaseException) -> bool:
        told.append(str(getattr(getattr(error, "orig", None), "sqlstate", None)))
        if len(told) == number:
            session.rollback()
        return passes(batches, error)

    monkeypatch.setattr(ServerBatches, "is_passing", refused)
    return told


async def test_the_session_of_a_lost_connection_that_still_has_our_row_is_waited_for(
    impatient: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server misses its client only after a while."""
    with impatient._database.engine.connect() as lost:
        lost.execute(writers.update().values(at=utc_now()))
        told = ends_at_the(3, lost, monkeypatch)
        await impatient.outcome(an_outcome("ws00"))
    assert told == ["55P03"] * 3
    assert [outcome.target for outcome in impatient.outcomes("r")] == ["ws00"]


async def test_a_row_that_another_has_for_too_long_is_a_failure_and_waited_for_once(
    impatient: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with impatient._database.engine.connect() as other:
        other.execute(_SIGNED, {"by": "other", "run": "r"})
        told = ends_at_the(2, other, monkeypatch)
        with pytest.raises(StoreError) as refused:
            impatient.end_run("r", NOON)
    assert refused.value.problem.code == "store-locked"
    assert told == ["55P03"]


def test_a_run_is_begun_once_though_the_server_is_away_or_does_not_answer(durable: Server) -> None:
    with linked(durable.port) as link:
        store = open_store(durable.url(durable.create("begun").partition("?")[0].rpartition("/")[2], link.port))
        link.answers_lost = 1
        store.begin_run(a_run(), {}, [("ws00", None, None)])
        assert (link.answers_lost, store.unfinished("r")) == (0, [("ws00", False)])
        durable.kill()
        beginning = threading.Thread(target=lambda: store.begin_run(a_run("later"), {}, [("ws01", None, None)]))
        beginning.start()
        durable.start()
        beginning.join(60)
        assert store.unfinished("later") == [("ws01", False)]
        store.close()


def test_a_run_is_not_begun_where_the_server_stays_away(durable: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(durable.create("away"))
    durable.kill()
    monkeypatch.setattr(transactions, "AWAY", 0.5)
    with pytest.raises(StoreError) as told:
        store.begin_run(a_run(), {}, [("ws00", None, None)])
    assert told.value.problem.code == "store-unavailable"
    store.close()


async def test_a_server_that_stays_away_is_not_waited_for_for_ever_nor_by_each(
    durable: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = begun(durable.create("away"))
    monkeypatch.setattr(transactions, "AWAY", 1.0)
    durable.kill()
    with pytest.raises(StoreError) as told:
        await store.outcome(an_outcome("ws00"))
    assert told.value.problem.code == "store-unavailable"
    monkeypatch.setattr(transactions, "AWAY", 0.0)  # what comes later finds that it was waited for
    with pytest.raises(StoreError):
        await store.outcome(an_outcome("ws01"))
    with pytest.raises(ProblemError) as refused:
        await store.ledger.change("svc", add)
    assert refused.value.problem.code == "budget-unavailable"
    durable.start()
    await store.outcome(an_outcome("ws02"))
    assert [outcome.target for outcome in store.outcomes("r")] == ["ws02"]
    store.close()


async def test_two_who_change_many_accounts_in_any_order_do_not_stand_in_each_others_way(
    postgresql: Server, server_store: str
) -> None:
    stores = [open_store(server_store) for _ in range(2)]
    gates = [threading.Event() for _ in stores]
    for store, gate in zip(stores, gates, strict=True):
        store._database.ledger_writer.post(lambda _, gate=gate: gate.wait(30))  # type: ignore[misc]
    names = [f"account{number:03}" for number in range(100)]
    orders = names, names[::-1]
    counts = [store.ledger.change(name, add) for store, order in zip(stores, orders, strict=True) for name in order]
    for gate in gates:
        gate.set()
    assert sorted(await asyncio.gather(*counts)) == [1] * 100 + [2] * 100
    assert all(document == {"count": 2} for document in stores[0].ledger.accounts().values())
    database = server_store.partition("?")[0].rpartition("/")[2]
    assert postgresql.sql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'") == "0"
    for store in stores:
        store.close()


async def test_a_transaction_that_another_one_was_in_the_way_of_is_done_again(server_store: str) -> None:
    """Whatever others do in our database: the one that the server ends to undo a deadlock is not lost."""
    stores = [open_store(server_store) for _ in range(2)]
    stores[0].begin_run(a_run(), {}, [])
    stores[0].begin_run(a_run("other"), {}, [])
    first = [threading.Event() for _ in stores]

    def crossing(mine: int, order: tuple[str, str]) -> asyncio.Future[None]:
        def work(connection: Connection) -> None:
            for run in order:
                connection.execute(_SIGNED, {"by": str(mine), "run": run})
                first[mine].set()
                first[1 - mine].wait(5)

        return asyncio.wrap_future(stores[mine]._database.writer.submit(work))

    await asyncio.gather(crossing(0, ("r", "other")), crossing(1, ("other", "r")))
    operators = [run.operator for run in stores[0].runs()]
    assert [sorted(one.removeprefix("me@here")) for one in operators] == [["0", "1"]] * 2
    for store in stores:
        store.close()


def test_reading_waits_for_a_server_that_is_away(durable: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = begun(durable.create("read"))
    assert store.open_journals("ws00", "s") == []
    durable.kill()
    found: list[object] = []
    reading = threading.Thread(target=lambda: found.append(store.unfinished("r")))
    reading.start()
    durable.start()
    reading.join(60)
    assert found == [[(f"ws{number:02}", False) for number in range(TARGETS)]]
    store.close()


async def test_writers_of_long_ago_are_forgotten_and_those_of_today_are_not(server_store: str) -> None:
    kept: list[list[str]] = []
    for age in (timedelta(days=2), timedelta(hours=1)):
        store = open_store(server_store)
        store.begin_run(a_run(f"r{age.days}"), {}, [])
        store.end_run(f"r{age.days}", NOON)
        with store._database.engine.begin() as connection:
            connection.execute(writers.update().values(at=utc_now() - age))
        store.close()
        again = open_store(server_store)
        with again._database.reading() as connection:
            kept.append(list(connection.execute(writers.select()).scalars()))
        again.close()
    assert [len(one) for one in kept] == [0, 2], "one began the run and one ended it"
