"""The store and the ledger on PostgreSQL: the contracts, and what concerns a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from lab.postgresql import Server
from pusher import installation
from pusher.credentials.lockout.ledger import Ledger
from pusher.problems import BadInput
from pusher.store import open_store, postgresql_server
from pusher.store.opening import HEAD
from pusher.store.schema import events, metadata
from tests.contract.ledger_contract import LedgerContract, add
from tests.unit.store.registry_contract import RegistryContract
from tests.unit.store.store_contract import NOON, StoreContract, a_run, an_event, an_outcome
from tests.unit.store.test_migrations import migrate
from tests.unit.store.work_contract import WorkContract

pytestmark = pytest.mark.process


class TestPostgresqlStore(StoreContract):
    @pytest.fixture
    def url(self, server_store: str) -> str:
        return server_store


class TestPostgresqlWork(WorkContract):
    @pytest.fixture
    def url(self, server_store: str) -> str:
        return server_store


class TestPostgresqlRegistry(RegistryContract):
    @pytest.fixture
    def url(self, server_store: str) -> str:
        return server_store


class TestPostgresqlLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, server_store: str) -> Iterator[Ledger]:
        store = open_store(server_store)
        yield store.ledger
        store.close()


def test_a_driver_that_is_missing_is_told_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr(installation, "add", lambda extra: f"<adds {extra}>")
    with pytest.raises(BadInput) as told:
        open_store("postgresql://db.example/pusher")
    assert told.value.sentence == (
        "the store postgresql://db.example/pusher needs the library of PostgreSQL, which is not installed; "
        "expected the extra postgresql: <adds postgresql>"
    )


def test_another_driver_that_is_missing_is_bad_input_too() -> None:
    with pytest.raises(BadInput, match="needs pymssql, which is not installed"):
        open_store("mssql+pymssql://db.example/pusher")


def test_a_store_that_may_only_be_read_is_opened(postgresql: Server, server_store: str) -> None:
    opened = open_store(server_store)
    opened.begin_run(a_run(), {}, [])
    opened.close()
    name = server_store.partition("?")[0].rpartition("/")[2]
    postgresql.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    opened = open_store(server_store)
    assert opened.cancel_asked("r") is False
    opened.close()


# The way to it


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    for url in ("postgresql://u:hunter2@127.0.0.1/db", "postgresql+psycopg://127.0.0.1/db?user=u&password=hunter2"):
        with pytest.raises(BadInput) as told:
            open_store(url)
        sentence = told.value.sentence
        assert "has a password in its URL" in sentence
        assert all(way in sentence for way in ("PGPASSFILE", "peer", "GSS"))
        assert "hunter2" not in sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("said", "defaults", "proven"),
    [
        ({}, {}, True),
        ({"host": "/run/postgresql"}, {}, True),
        ({"host": "@abstract"}, {}, True),
        ({"host": "127.8.9.1"}, {}, True),
        ({"host": "::1"}, {}, True),
        ({"host": "localhost"}, {}, True),
        ({"host": "localhost,/run"}, {}, True),
        ({"host": "localhost,db.corp.example"}, {}, False),
        ({"host": "localhost.corp.example"}, {}, False),
        ({"host": "localhost", "hostaddr": "10.0.0.1"}, {}, False),
        ({"host": "db.corp.example", "hostaddr": "127.0.0.1"}, {}, True),
        ({"host": "db.corp.example"}, {"sslmode": "prefer"}, False),
        ({"host": "db.corp.example", "sslmode": "require"}, {}, False),
        ({"host": "db.corp.example", "sslmode": "verify-ca"}, {}, False),
        ({"host": "db.corp.example", "sslmode": "verify-full"}, {"sslmode": "prefer"}, True),
        ({"host": "db.corp.example"}, {"sslmode": "verify-full"}, True),
        ({"host": "db.corp.example", "sslmode": "disable"}, {"sslmode": "verify-full"}, False),
        ({"host": "db.corp.example", "gssencmode": "require"}, {}, True),
        ({"host": "db.corp.example", "gssencmode": "prefer"}, {}, False),
        ({}, {"host": "db.corp.example"}, False),
        ({}, {"host": "localhost"}, True),
        ({"service": "pusher"}, {"sslmode": "verify-full"}, False),
        ({"host": "localhost"}, {"service": "pusher"}, False),
        ({"service": "pusher", "sslmode": "verify-full"}, {}, True),
    ],
)
def test_which_ways_to_a_server_are_proven(said: dict[str, str], defaults: dict[str, str], proven: bool) -> None:
    assert postgresql_server.is_proven_by(said, defaults) is proven


def test_a_server_elsewhere_that_would_not_be_proven_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by what the URL says nor by what the environment does."""
    asked: list[object] = []
    monkeypatch.setattr("psycopg.connect", lambda *_, **__: asked.append("connect"))
    for url, environment in (
        ("postgresql://db.corp.example/db?sslmode=require", ""),
        ("postgresql:///db", "db.example"),
    ):
        monkeypatch.setenv("PGHOST", environment)
        with pytest.raises(BadInput) as told:
            open_store(url)
        assert "sslmode=verify-full" in told.value.sentence
        assert "\n" not in told.value.sentence
    assert asked == []


@pytest.mark.parametrize(("state", "passes"), [("57P05", True), ("25P03", True), ("25006", True), ("23505", False)])
def test_what_of_a_server_passes(state: str, passes: bool) -> None:
    cause = type("Told", (Exception,), {"sqlstate": state})()
    assert postgresql_server.is_passing(DBAPIError("COMMIT", {}, cause)) is passes


# What a server's administrator may have set


@pytest.fixture(params=["ICU_LOCALE 'en-US' LOCALE_PROVIDER icu", "LC_COLLATE 'C.UTF-8'"])
def collated(postgresql: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    yield postgresql.create("collated", f"TEMPLATE template0 {request.param}")
    postgresql.drop("collated")


async def test_names_come_in_one_order_whatever_the_server_makes_of_them(collated: str) -> None:
    store = open_store(collated)
    names = ["ws10", "ws02", "WS03", "a-b", "ab", "Äb", "äb", "_"]
    store.begin_run(a_run(), {}, [(name, None, None) for name in names])
    assert [name for name, _ in store.unfinished("r")] == sorted(names)
    for name in names:
        await store.outcome(an_outcome(name))
        await store.ledger.change(name, add)
    assert [outcome.target for outcome in store.outcomes("r")] == sorted(names)
    assert list(store.ledger.accounts()) == sorted(names)
    found = store.outcome_of("r", "ÄB")
    assert found is not None
    assert found.target == "Äb"
    store.close()


HOSTILE_SETTINGS = {
    "default_transaction_isolation": ("'serializable'", "serializable"),
    "statement_timeout": ("'50ms'", "0"),
    "transaction_timeout": ("'50ms'", "0"),
    "idle_session_timeout": ("'50ms'", "0"),
    "lock_timeout": ("'50ms'", "10s"),
    "idle_in_transaction_session_timeout": ("'50ms'", "30s"),
    "synchronous_commit": ("off", "on"),
    "client_encoding": ("'LATIN1'", "UTF8"),
    "standard_conforming_strings": ("off", "on"),
    "extra_float_digits": ("-15", "1"),
    "TimeZone": ("'Asia/Kathmandu'", "UTC"),
}
"""What an administrator may have set, and what stands in our sessions all the same. The isolation is set for each
transaction."""


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_two_who_count_for_one_account_lose_nothing_whatever_the_servers_isolation(
    postgresql: Server, server_store: str, isolation: str
) -> None:
    name = server_store.partition("?")[0].rpartition("/")[2]
    postgresql.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    stores = [open_store(server_store) for _ in range(2)]
    counts = await asyncio.gather(*(store.ledger.change("svc", add) for _ in range(40) for store in stores))
    assert sorted(counts) == list(range(1, 81))
    for store in stores:
        store.close()


@pytest.mark.parametrize("whose", ["DATABASE {}", "ROLE pusher IN DATABASE {}"])
async def test_what_is_set_for_those_who_ask_by_hand_is_not_ours(
    postgresql: Server, server_store: str, whose: str
) -> None:
    name = server_store.partition("?")[0].rpartition("/")[2]
    known = set(postgresql.sql("SELECT name FROM pg_settings").split())
    assert known >= HOSTILE_SETTINGS.keys() - {"transaction_timeout"}, "which came with version 17"
    for setting in known & HOSTILE_SETTINGS.keys():
        postgresql.sql(f"ALTER {whose.format(name)} SET {setting} = {HOSTILE_SETTINGS[setting][0]}")
    store = open_store(server_store)
    store.begin_run(a_run(), {}, [])
    slow = store._database.writer.submit(lambda c: c.execute(text("SELECT pg_sleep(0.3)")).scalar())
    await asyncio.wrap_future(slow)
    said = an_outcome("\N{SNOWMAN} \\'", seconds=0.1234567890123)
    await store.outcome(said)
    assert list(store.outcomes("r")) == [said]
    with store._database.reading() as connection:
        shown = {one: connection.exec_driver_sql(f"SHOW {one}").scalar() for one in known & HOSTILE_SETTINGS.keys()}
    assert shown == {setting: HOSTILE_SETTINGS[setting][1] for setting in shown}
    store.close()


def test_who_sets_that_nothing_is_written_is_not_overruled(postgresql: Server, server_store: str) -> None:
    name = server_store.partition("?")[0].rpartition("/")[2]
    postgresql.sql(f"ALTER ROLE pusher IN DATABASE {name} SET default_transaction_read_only = on")
    store = open_store(server_store)
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
    store.close()


# Who follows a run that several write


@pytest.mark.parametrize("number", ["first", "last"])
async def test_an_event_that_is_committed_late_is_not_missed(server_store: str, number: str) -> None:
    """Of two writers one begins first and commits last, whichever number it gets; who looks in between has both."""
    stores = [open_store(server_store) for _ in range(2)]
    stores[0].begin_run(a_run(), {}, [])
    inside, gate = threading.Event(), threading.Event()
    stores[0].event(an_event("ws01", "before")).result(30)

    def slow(connection: Connection) -> None:
        row = {"run": "r", "target": "ws01", "at": NOON, "stage": "reach", "kind": "committed late", "detail": ""}
        if number == "first":
            connection.execute(events.insert(), row)
        inside.set()
        gate.wait(30)
        if number == "last":
            connection.execute(events.insert(), row)

    late = stores[0]._database.writer.submit(slow)
    assert inside.wait(30)
    stores[1].event(an_event("ws01", "committed first")).result(30)
    seen = stores[1].events_since("r")
    gate.set()
    late.result(30)
    seen += stores[1].events_since("r", seen[-1][0])
    assert [event.kind for _, event in seen] == ["before", "committed late", "committed first"]
    for store in stores:
        store.close()


# Migrations

_OPENS = "import sys; from pusher.store import open_store; open_store(sys.argv[1]).close()"


def is_of_another_type(context: MigrationContext, _: Any, __: Any, found: Any, said: Any) -> bool:
    """But for the collation, which the library does not find out."""
    assert context.connection is not None
    names = (one.compile(context.connection.dialect).partition(" COLLATE ")[0] for one in (found, said))
    return len(set(names)) > 1


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
def test_the_migrations_make_what_the_tables_say(server_store: str) -> None:
    store = open_store(server_store)
    with store._database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": is_of_another_type})
        assert compare_metadata(context, metadata) == []
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
        kept = connection.exec_driver_sql("""
            SELECT table_name, column_name, collation_name FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
        """)
        assert kept.all() == []
        assert set(connection.exec_driver_sql("SELECT data_type FROM information_schema.sequences").scalars()) == {
            "bigint"
        }
    store.close()


async def test_a_store_of_the_fourth_schema_is_brought_up_with_all_it_holds(empty_database: str) -> None:
    engine = create_engine(empty_database.replace("postgresql:", "postgresql+psycopg:"))
    migrate(engine, "0004")
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO runs (id, verb, inventory, operator, options, started_at) "
            "VALUES ('r', 'push', 'lab.yaml', 'me@here', '{\"x\": 1}', '2026-03-01T12:00:00.000000+00:00')",
            "INSERT INTO targets (run, name) VALUES ('r', 'ws01'), ('r', 'WS02')",
            "INSERT INTO events (run, target, at, stage, kind, detail) "
            "VALUES ('r', 'ws01', '2026-03-01T12:00:00.000000+00:00', 'reach', 'k', 'd')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    store = open_store(empty_database, upgrade=True)
    assert store.options("r") == {"x": 1}
    assert store.unfinished("r") == [("WS02", False), ("ws01", False)]
    store.event(an_event("ws01", "next"))
    await store.outcome(an_outcome("ws01", site="s" * 300))
    assert [(place.number, event.kind) for place, event in store.events_since("r")] == [(1, "k"), (2, "next")]
    store.close()


def test_several_who_come_first_at_once_find_one_store(empty_database: str) -> None:
    """Four commands start on new machines in the same moment."""
    started = [
        subprocess.Popen([sys.executable, "-c", _OPENS, empty_database], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ends = [(process.communicate()[1], process.returncode) for process in started]
    assert ends == [("", 0)] * 4


def test_who_comes_while_another_migrates_waits_and_finds_it_done(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes: a large store is written anew."""
    inside, gate, upgrade = threading.Event(), threading.Event(), command.upgrade
    begun: list[str] = []

    def slow(config: Config, revision: str) -> None:
        begun.append(revision)
        inside.set()
        assert gate.wait(60)
        upgrade(config, revision)

    monkeypatch.setattr(command, "upgrade", slow)
    monkeypatch.setattr(postgresql_server, "LOCK_PATIENCE", 1)
    with ThreadPoolExecutor() as pool:
        stores = [pool.submit(open_store, empty_database)]
        assert inside.wait(60)
        stores += [pool.submit(open_store, empty_database) for _ in range(2)]
        try:
            until = time.monotonic() + 60
            while waiting_for_a_lock(empty_database) < 2 and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            gate.set()
        for opened in stores:
            opened.result(60).close()
    assert begun == [HEAD]


def waiting_for_a_lock(url: str) -> int:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        asked = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        found = int(asked.scalar_one())
    engine.dispose()
    return found


def test_a_newer_store_is_refused_in_one_sentence_and_left_as_it_is(postgresql: Server, server_store: str) -> None:
    name = server_store.partition("?")[0].rpartition("/")[2]
    postgresql.sql("UPDATE alembic_version SET version_num = '0999'", name)
    with pytest.raises(BadInput) as told:
        open_store(server_store)
    assert "was written by a newer pusher (schema 0999)" in told.value.sentence
    assert "\n" not in told.value.sentence
    assert postgresql.sql("SELECT version_num FROM alembic_version", name) == "0999"


def test_another_programs_database_is_refused_and_left_as_it_is(postgresql: Server, empty_database: str) -> None:
    name = empty_database.partition("?")[0].rpartition("/")[2]
    postgresql.sql("CREATE TABLE bookmarks (url TEXT)", name)
    with pytest.raises(BadInput, match="another program's database"):
        open_store(empty_database)
    assert postgresql.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == "1"


# The server of these tests

_ABANDONS = """
import os
from lab.postgresql import Server
server = Server()
server.up()
print(server.folder, server._server.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_whose_owner_is_killed_goes_with_it(postgresql: Server) -> None:
    done = subprocess.run([sys.executable, "-c", _ABANDONS], stdout=subprocess.PIPE, text=True, check=False)
    folder, pid = done.stdout.split()
    until = time.monotonic() + 60
    while (Path(folder).exists() or Path(f"/proc/{pid}").exists()) and time.monotonic() < until:
        time.sleep(0.05)
    assert (Path(folder).exists(), Path(f"/proc/{pid}").exists()) == (False, False)
    assert done.returncode == -9
