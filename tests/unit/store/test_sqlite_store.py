"""The store on SQLite: the contract, and what concerns its file."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from pusher.models import Mark, Status
from pusher.problems import BadInput, ProblemError
from pusher.store import StoreError, open_store, shown_url
from pusher.store.opening import HEAD
from pusher.store.schema import metadata
from tests.unit.store.registry_contract import RegistryContract
from tests.unit.store.store_contract import StoreContract, a_run, an_outcome
from tests.unit.store.test_migrations import migrate
from tests.unit.store.work_contract import WorkContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/pusher.sqlite"


class TestSqliteWork(WorkContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/pusher.sqlite"


class TestSqliteRegistry(RegistryContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/pusher.sqlite"


def refused(url: str | Path) -> str:
    with pytest.raises(BadInput) as caught:
        open_store(str(url))
    return caught.value.sentence


def test_a_path_is_as_good_as_a_url(tmp_path: Path) -> None:
    made = open_store(str(tmp_path / "deep" / "er" / "pusher.sqlite"))
    made.begin_run(a_run(), {}, [])
    made.close()
    again = open_store(f"sqlite:///{tmp_path}/deep/er/pusher.sqlite")
    assert again.run("r") is not None
    again.close()


def test_a_transaction_leaves_no_garbage(tmp_path: Path) -> None:
    """A run makes tens of thousands, and the search for it stops the run."""
    store = open_store(str(tmp_path / "pusher.sqlite"))
    writer = store._database.writer
    writer.write_now(lambda _: None)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            writer.write_now(lambda _: None)
        assert gc.collect() == 0
    finally:
        gc.enable()
    store.close()


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    """A question mark begins no parameters, and nothing is unquoted."""
    open_store(str(tmp_path / "a?b%20c=d.sqlite")).close()
    assert [path.name for path in tmp_path.iterdir()] == ["a?b%20c=d.sqlite"]


SECRET = "hidden-by-all"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"://{SECRET}", "***"),
        (f"://u:{SECRET}@h/db", "***"),
        (f"u:{SECRET}@h://db", "***"),
        (f"postgresql://u:{SECRET}@h:port/db", "postgresql://***"),
        (f"foo://u:{SECRET}@h/db", "foo://u:***@h/db"),
        (f"foo+bar://h/db?password={SECRET}&connect_timeout=1", "foo+bar://h/db?connect_timeout=1&password=***"),
        (f"foo://h/db?sslpassword={SECRET}&password=a&password={SECRET}", "foo://h/db?password=***&sslpassword=***"),
        (f"foo://h/db?PWD={SECRET}&sslmode=verify-full", "foo://h/db?PWD=***&sslmode=verify-full"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_without_its_secret(url: str, shown: str) -> None:
    sentence = refused(url)
    assert f"the store {shown} " in sentence
    assert SECRET not in sentence
    assert shown_url(url) == shown


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("~/pusher.sqlite").close()
    assert (tmp_path / "pusher.sqlite").exists()


async def test_its_files_are_the_operators_own(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(str(tmp_path / "pusher.sqlite"))
        store.begin_run(a_run(), {}, [])
        await store.outcome(an_outcome("ws01"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"pusher.sqlite": 0o600, "pusher.sqlite-wal": 0o600, "pusher.sqlite-shm": 0o600}
    store.close()


def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    """NORMAL could lose the last commits at a power loss, and with them a journal's intent."""
    store = open_store(str(tmp_path / "pusher.sqlite"))
    with store._database.engine.connect() as connection:
        settings = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}  # fmt: skip
    store.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    open_store(str(tmp_path / "pusher.sqlite")).close()
    assert_schema_is_head(tmp_path / "pusher.sqlite")


def assert_schema_is_head(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        # A column's type is a word to SQLite, and the first schema's words stay.
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
    engine.dispose()


def test_a_store_of_the_first_schema_is_brought_up_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "pusher.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine, "0001")
    engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO runs (id, verb, inventory, operator, options, started_at) "
            "VALUES ('r', 'push', 'lab.yaml', 'me@here', '{}', '2026-03-01T12:00:00.000000+00:00')"
        )
        connection.execute("INSERT INTO targets (run, name) VALUES ('r', 'ws01')")
    again = open_store(str(path))
    assert again.unfinished("r") == [("ws01", False)]
    assert dict(again.ledger.accounts()) == {}
    again.close()


def test_a_store_of_the_third_schema_is_brought_up_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "pusher.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parent / "schema_0003.sql").read_text())
    store = open_store(str(path))
    run = store.run("last")
    assert run is not None
    assert (run.id, run.counts) == ("20260301-a", {Status.INSTALLED: 1})
    assert store.options(run.id) == {"concurrency": 5}
    assert store.worker(run.id) == {"pid": 1, "host": "here"}
    assert store.unfinished(run.id) == [("ws02", False)]
    assert [outcome.agent_version for outcome in store.outcomes(run.id)] == ["1.4.2"]
    assert [attempt.code for attempt in store.attempts(run.id, "ws01")] == ["timed-out", None]
    assert [(place.number, event.kind) for place, event in store.events_since(run.id)] == [
        (1, "identity"), (2, "transport-failed"),
    ]  # fmt: skip
    (journal,) = store.open_journals("ws02", "labagent")
    assert (journal.before, [step.mark for step in journal.steps]) == ({"was_running": True}, [Mark.INTENT])
    assert store.ledger.accounts() == {"corp\\admin": {"failures": 1}}
    store.begin_run(a_run(), {}, [])
    store.close()
    assert_schema_is_head(path)


@pytest.mark.parametrize("written", ["{", "5", "[1]"])
@pytest.mark.parametrize("asked", ["options", "worker"])
def test_a_document_that_is_none_is_damage(tmp_path: Path, written: str, asked: str) -> None:
    store = open_store(str(tmp_path / "pusher.sqlite"))
    store.begin_run(a_run(), {}, [], {"pid": 1})
    with contextlib.closing(sqlite3.connect(tmp_path / "pusher.sqlite")) as other:
        other.execute("UPDATE runs SET options = ?, worker = ?", (written, written))
        other.commit()
    reading: dict[str, Callable[[], object]] = {
        "options": lambda: store.options("r"),
        "worker": lambda: store.worker("r"),
    }
    with pytest.raises(ProblemError) as told:
        reading[asked]()
    assert told.value.problem.code == "store-damaged"
    store.close()


@pytest.mark.parametrize(
    ("written", "found"), [("{", "{"), ("5", 5), ("[]", []), ("null", "null"), ('""', ""), ("[" * 9999, "[" * 9999)]
)
async def test_what_is_no_document_in_the_ledger_is_handed_over_and_is_not_nothing(
    tmp_path: Path, written: str, found: object
) -> None:
    """Whoever finds nothing may sign in; of this only the guard knows what it means."""
    store = open_store(str(tmp_path / "pusher.sqlite"))
    await store.ledger.change("me", lambda _: ({"failures": []}, None))
    with contextlib.closing(sqlite3.connect(tmp_path / "pusher.sqlite")) as other:
        other.execute("UPDATE lockout SET standing = ?", (written,))
        other.commit()
    assert store.ledger.read("me") == await store.ledger.look("me") == store.ledger.accounts()["me"] == found
    assert await store.ledger.change("me", lambda seen: (None, seen)) == found
    assert store.ledger.read("me") is None
    store.close()


async def test_a_store_that_was_vacuumed_in_between_is_no_damage(tmp_path: Path) -> None:
    """It makes the file smaller, as cutting it short does."""
    path = tmp_path / "pusher.sqlite"
    store = open_store(str(path))
    store.begin_run(a_run(), {}, [(f"ws{n:05}", "10.0.0.1", "s" * 60) for n in range(5000)])
    await store.outcome(an_outcome("ws00001"))
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        await store.outcome(an_outcome("ws00002"))
        other.execute("DELETE FROM targets")
        other.commit()
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before // 2
    await store.outcome(an_outcome("ws00003"))
    store.close()


def test_a_run_that_is_begun_in_a_deleted_file_is_not_recorded(tmp_path: Path) -> None:
    """SQLite goes on writing to it, and whoever is told that the run is recorded would begin it."""
    store = open_store(str(tmp_path / "pusher.sqlite"))
    store.begin_run(a_run("before"), {}, [])
    (tmp_path / "pusher.sqlite").unlink()
    with pytest.raises(StoreError, match="store-damaged"):
        store.begin_run(a_run(), {}, [])
    store.close()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    open_store(str(tmp_path / "empty")).close()


def test_a_migration_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    """Alembic's table without a version: the migration's own transaction was rolled back."""
    with sqlite3.connect(tmp_path / "pusher.sqlite") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    store = open_store(str(tmp_path / "pusher.sqlite"))
    assert store.runs() == []
    store.close()


def test_a_newer_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pusher.sqlite"
    open_store(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    sentence = refused(path)
    assert "written by a newer pusher" in sentence
    assert "0999" in sentence
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    assert "another program's database" in refused(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database" * 100, b"\x00" * 5000])
def test_what_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert "cannot be opened" in refused(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be opened" in refused(tmp_path)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be opened" in refused(tmp_path / "file" / "pusher.sqlite")


def test_a_place_that_cannot_be_written() -> None:
    assert "cannot be opened" in refused("/proc/pusher.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be opened" in refused(tmp_path / "pusher.sqlite")


def test_a_url_of_an_engine_that_is_not_there() -> None:
    assert "cannot be opened" in refused("postgresql+nosuch://me@db.example/pusher")


_OPENS = "import sys; from pusher.store import open_store; open_store(sys.argv[1]).close()"


@pytest.mark.process
def test_several_who_come_first_at_once_find_one_store(tmp_path: Path) -> None:
    """Four commands start on a new machine in the same moment."""
    command = [sys.executable, "-c", _OPENS, str(tmp_path / "pusher.sqlite")]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ends = [(process.communicate()[1], process.returncode) for process in started]
    assert ends == [("", 0)] * 4


@pytest.mark.process
def test_a_store_that_another_process_makes_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was an empty file at the first look, and a whole store at the next one, is no other program's database."""
    file = tmp_path / "pusher.sqlite"
    looks = 0
    looking: Any = SQLiteDialect.get_table_names
    has_table: Any = SQLiteDialect.has_table

    def make() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            made = subprocess.run([sys.executable, "-c", _OPENS, str(file)], check=False, timeout=60)
            assert made.returncode == 0

    def after_look(*args: Any, **kwargs: Any) -> Any:
        found = looking(*args, **kwargs)
        make()
        return found

    def after_asking(*args: Any, **kwargs: Any) -> Any:
        found = has_table(*args, **kwargs)
        make()
        return found

    monkeypatch.setattr(SQLiteDialect, "get_table_names", after_look)
    monkeypatch.setattr(SQLiteDialect, "has_table", after_asking)
    open_store(str(file)).close()
    assert looks >= 2
