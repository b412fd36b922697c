"""packaging/postgresql-roles.sql on a real server: what each role needs it can do, and what it may not it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError

from lab.postgresql import Server
from pusher.clock import utc_now
from pusher.models import ContentKind, Mark, RunNeeds, Status, WaveState
from pusher.problems import BadInput
from pusher.runs import resume
from pusher.store import Store, StoreError, open_store, schema
from tests.contract.ledger_contract import add
from tests.unit.store.content_contract import hashed
from tests.unit.store.store_contract import NOON, a_run, an_attempt, an_event, an_outcome
from tests.unit.store.work_contract import LEASE, PROCESS, in_waves, nobody_is_gone, setting

pytestmark = pytest.mark.process
ROLES = (Path(__file__).parents[3] / "packaging" / "postgresql-roles.sql").read_text(encoding="utf-8")
OWNER, WORKER, CONSOLE = "pusher_owner", "pusher_worker", "pusher_console"
DATABASE = "roles"
INSUFFICIENT = "42501"

URLS = Mapping[str, str]


@pytest.fixture(scope="module")
def urls(postgresql: Server) -> Iterator[URLS]:
    """A store that its owner has made, by role."""
    postgresql.sql(ROLES)  # in any database: the roles are the server's
    postgresql.create(DATABASE, f"OWNER {OWNER}")

    def url(role: str) -> str:
        return f"postgresql://{role}@/{DATABASE}?host={postgresql.folder}&port={postgresql.port}"

    open_store(url(OWNER), upgrade=True).close()
    for _ in range(2):
        with by(url(OWNER)) as connection:
            connection.exec_driver_sql(ROLES.replace("%", "%%"))
    yield {role: url(role) for role in (OWNER, WORKER, CONSOLE)}
    postgresql.drop(DATABASE)


@contextmanager
def by(url: str) -> Iterator[Connection]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def submitted(console: Store, run: str, *targets: str) -> None:
    content = f"inventory of {run}".encode()
    console.store_content(hashed(content), ContentKind.INVENTORY, [content])
    console.store_content(hashed(b"file"), ContentKind.FILE, [b"file"])
    manifest = f"package of {run}".encode()
    assert console.store_whole(hashed(manifest), ContentKind.PACKAGE, manifest, [hashed(b"file")]) == set()
    needs = RunNeeds(package=hashed(manifest), inventory=hashed(content), profile="accounts", profile_digest="d")
    console.begin_run(a_run(run), {}, [(name, None, "paris") for name in targets], priority=100, needs=needs)


async def test_the_console_submits_and_a_worker_does_it(urls: URLS) -> None:
    console, worker = (open_store(urls[role]) for role in (CONSOLE, WORKER))
    await asyncio.to_thread(submitted, console, "r1", "a", "b", "c")
    await console.spare(an_outcome("spared", run="r1", status=Status.SKIPPED))
    assert worker.clock_offset() == timedelta() and worker.known_sites() == ["paris"]
    me = await worker.register("w1", PROCESS, LEASE, nobody_is_gone)
    assert me is not None and await worker.beat(me, LEASE)
    assert (await worker.look()).ready == ["r1"]
    needs = await asyncio.to_thread(worker.needs, "r1")
    assert b"".join(worker.content(needs.package or "")) == b"package of r1"
    await asyncio.to_thread(worker.refuse, "r1", "w1", ["paris"], "accounts-differ")
    await asyncio.to_thread(worker.take_back_refusal, "r1", "w1")
    first, second, third = await worker.claim("r1", me, 3)
    assert await worker.claim_machine(first, "key") is None
    await asyncio.wrap_future(worker.target_began("r1", "a", NOON))
    await asyncio.wrap_future(worker.event(replace(an_event("a", "k"), run="r1")))
    await asyncio.wrap_future(worker.attempt(an_attempt(run="r1", target="a")))
    await worker.ledger.change("svc", add)
    journal = await worker.open_journal(
        host="a", service="s", run="r1", target="a", before={}, at=NOON, claim=first
    )  # fmt: skip
    await worker.mark(journal.id, "copy", Mark.INTENT, NOON, first)
    await worker.close_journal(journal.id, "committed", first)
    assert await worker.finish(first, an_outcome("a", run="r1"))
    assert await worker.put_off(second, an_outcome("b", run="r1"), utc_now() + timedelta(hours=1), {}, "svc")
    assert await worker.give_back(third)
    assert await asyncio.to_thread(worker.release, "svc") == 1
    await asyncio.to_thread(console.ask_cancel, "r1", NOON)
    ended = await asyncio.to_thread(
        worker.end_unclaimed, "r1", lambda name, _: an_outcome(name, run="r1", status=Status.CANCELLED)
    )
    assert ended == 2
    assert (await worker.tidy(nobody_is_gone)).ended == ["r1"]
    await worker.leave(me)
    assert [(one.target, one.status.value) for one in console.outcomes("r1")] == [
        ("a", "installed"), ("b", "installed"), ("c", "cancelled"), ("spared", "skipped"),
    ]  # fmt: skip
    assert len(console.events("r1", "a")) == 1 and console.run("r1") is not None
    assert (await asyncio.to_thread(worker.queue_figures)).parked == 0
    console.close()
    worker.close()
    owner = open_store(urls[OWNER])
    pruned = await asyncio.to_thread(owner.prune, utc_now() + timedelta(days=1))
    owner.close()
    assert pruned["events"] == pruned["attempts"] == 1 and pruned["work"] == 3


async def test_a_worker_opens_waves_and_stops_a_run_and_the_console_resumes_it(urls: URLS) -> None:
    console, worker = (open_store(urls[role]) for role in (CONSOLE, WORKER))
    await asyncio.to_thread(in_waves, console, "r-waves", {"a-waves": 1, "b-waves": 2})
    me = await worker.register("w-waves", PROCESS, LEASE, nobody_is_gone)
    assert me is not None and await worker.rolling_out() == ["r-waves"]
    await asyncio.to_thread(worker.advance_waves, "r-waves", setting({1: WaveState.OPEN}))
    assert await asyncio.to_thread(worker.open_work, "r-waves") == 1
    (claim,) = await worker.claim("r-waves", me, 9)
    await asyncio.to_thread(worker.advance_waves, "r-waves", setting({1: WaveState.STOPPED}))
    assert await worker.finish(claim, an_outcome("a-waves", run="r-waves"))
    assert console.is_stopped("r-waves")
    await asyncio.to_thread(resume, console, "r-waves", 2)
    assert await asyncio.to_thread(worker.open_work, "r-waves") == 1
    (claim,) = await worker.claim("r-waves", me, 9)
    assert claim.target == "b-waves"
    await worker.leave(me)
    console.close()
    worker.close()


FORBIDDEN = {
    WORKER: [
        "CREATE TABLE mine (id int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP TABLE work",
        "ALTER TABLE work ADD COLUMN mine int",
        "UPDATE alembic_version SET version_num = '9999'",
        "INSERT INTO runs (id, verb, inventory, operator, options, started_at) VALUES ('x', 'push', '', '', '{}', '')",
        "UPDATE runs SET package_digest = 'another'",
        "UPDATE runs SET options = '{}'",
        "DELETE FROM runs",
        "INSERT INTO work (run, target, host, state, priority, epoch) VALUES ('r1', 'x', 'x', 'ready', 1, 0)",
        "DELETE FROM work",
        "INSERT INTO targets (run, name) VALUES ('r1', 'x')",
        "INSERT INTO chunks (blob, number, content) VALUES ('x', 0, '')",
        "UPDATE chunks SET content = ''",
        "UPDATE blobs SET sha256 = 'another'",
        "DELETE FROM outcomes",
        "DELETE FROM events",
        "UPDATE events SET detail = ''",
        "DELETE FROM journals",
        "DELETE FROM lockout",
        "SELECT * FROM people",
        "INSERT INTO grants SELECT * FROM grants",
        "SELECT * FROM audit",
        "DELETE FROM audit",
        "SET ROLE pusher_owner",
        "ALTER TABLE outcomes DISABLE ROW LEVEL SECURITY",
        "CREATE ROLE mine",
    ],
    CONSOLE: [
        "CREATE TABLE mine (id int)",
        "DROP TABLE outcomes",
        "UPDATE alembic_version SET version_num = '9999'",
        "SELECT * FROM lockout",
        "DELETE FROM lockout",
        "SELECT * FROM journals",
        "SELECT * FROM journal_steps",
        "INSERT INTO journals (id, host, service, run, target, before, opened_at) VALUES ('x','','','r1','','{}','')",
        "UPDATE outcomes SET status = 'installed'",
        "DELETE FROM outcomes",
        "UPDATE work SET state = 'done'",
        "DELETE FROM work",
        "UPDATE runs SET package_digest = 'another'",
        "UPDATE runs SET operator = 'another'",
        "UPDATE runs SET ended_at = NULL",
        "DELETE FROM runs",
        "INSERT INTO events (run, target, at, stage, kind, detail) VALUES ('r1', '', '', '', '', '')",
        "INSERT INTO workers (id, name, process, state, since, lease_until) VALUES ('x', '', '{}', 'up', '', '')",
        "DELETE FROM refusals",
        "UPDATE audit SET hash = ''",
        "DELETE FROM audit",
        "SET ROLE pusher_worker",
        "DROP POLICY pusher_spares ON outcomes",
    ],
}


@pytest.mark.parametrize(("role", "statement"), [(role, one) for role, those in FORBIDDEN.items() for one in those])
def test_what_a_role_may_not_do_it_cannot(urls: URLS, role: str, statement: str) -> None:
    with pytest.raises(ProgrammingError) as told, by(urls[role]) as connection:
        connection.execute(text(statement))
    assert getattr(told.value.orig, "sqlstate", None) == INSUFFICIENT, told.value


async def test_the_console_records_no_machine_as_done(urls: URLS) -> None:
    console = open_store(urls[CONSOLE])
    await asyncio.to_thread(submitted, console, "r2", "a")
    for status in (Status.INSTALLED, Status.FAILED, Status.CANCELLED):
        with pytest.raises(StoreError):
            await console.spare(an_outcome("a", run="r2", status=status))
    with pytest.raises(StoreError):
        await console.outcome(an_outcome("a", run="r2", status=Status.SKIPPED))
    assert list(console.outcomes("r2")) == []
    console.close()


@pytest.mark.parametrize("role", [WORKER, CONSOLE])
def test_only_the_owner_upgrades(urls: URLS, role: str) -> None:
    with by(urls[OWNER]) as connection:
        before = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
    try:
        with pytest.raises(BadInput, match="pusher store upgrade"):
            open_store(urls[role])
        with pytest.raises(BadInput, match="cannot be opened"):
            open_store(urls[role], upgrade=True)
    finally:
        with by(urls[OWNER]) as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{before}'"))


def test_every_table_is_somebodys_complete() -> None:
    """Whoever adds one says who may do what with it."""
    import pusher.store.registry_schema  # noqa: F401

    words = set(ROLES.replace(",", " ").replace(";", " ").split())
    assert [name for name in schema.metadata.tables if name not in words] == []
