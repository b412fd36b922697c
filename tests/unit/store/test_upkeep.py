"""What is deleted of a store, and what never is: on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from pusher.clock import utc_now
from pusher.models import ContentKind, RunNeeds
from pusher.store import Store, open_store, upkeep
from tests.contract.ledger_contract import add
from tests.unit.store.content_contract import a_file, a_package, hashed
from tests.unit.store.store_contract import a_run, an_attempt, an_event, an_outcome
from tests.unit.store.work_contract import begin

OLD, NOW = utc_now() - timedelta(days=100), utc_now()
KEPT = utc_now() - timedelta(days=90)
TABLES = ("events", "attempts", "work", "machines", "refusals")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    in_a_file = f"sqlite:///{tmp_path}/pusher.sqlite"
    made = open_store(in_a_file if request.param == "sqlite" else str(request.getfixturevalue("server_store")))
    yield made
    made.close()


def rows(store: Store, table: str) -> set[str]:
    """The runs of which it has some."""
    with store._database.engine.connect() as connection:
        return set(connection.execute(sql(f"SELECT run FROM {table}")).scalars())


async def a_whole_run(store: Store, run: str, ended: datetime | None, needs: RunNeeds | None = None) -> None:
    """With a row in every table that runs have, and a journal that is open."""
    targets = [("a", None, None), ("b", None, None)]
    await asyncio.to_thread(store.begin_run, a_run(run), {}, targets, None, 100, needs)
    worker = await begin(store)
    claim, *_ = await store.claim(run, worker, 1)
    await store.claim_machine(claim, "key")
    await asyncio.wrap_future(store.event(replace(an_event("a", "k"), run=run)))
    await asyncio.wrap_future(store.attempt(an_attempt(run=run, target="a")))
    await store.open_journal(host="a", service="s", run=run, target="a", before={}, at=OLD, claim=claim)
    await store.finish(claim, an_outcome("a", run=run))
    await store.leave(worker)
    await asyncio.to_thread(store.refuse, run, "w", [], "accounts-differ")
    if ended is not None:
        await asyncio.to_thread(store.end_run, run, ended)


async def prune(store: Store, dry_run: bool = False) -> dict[str, int]:
    return dict(await asyncio.to_thread(lambda: store.prune(KEPT, dry_run=dry_run)))


async def test_what_old_runs_left_goes_and_what_others_have_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST", 1)
    for run, ended in (("old", OLD), ("new", NOW), ("live", None)):
        await a_whole_run(store, run, ended)
    expected = {"events": 1, "attempts": 1, "work": 2, "machines": 1, "refusals": 1, "workers": 0, "blobs": 0}
    assert await prune(store, dry_run=True) == expected
    assert all(rows(store, table) == {"old", "new", "live"} for table in TABLES), "it was a rehearsal"
    assert await prune(store) == expected
    assert all(rows(store, table) == {"new", "live"} for table in TABLES)
    assert sum((await prune(store)).values()) == 0


async def test_what_a_person_asks_for_later_stays(store: Store) -> None:
    """Outcomes, what is half done on a host, and how often an account has failed."""
    await a_whole_run(store, "old", OLD)
    await store.ledger.change("svc", add)
    await prune(store)
    assert [outcome.target for outcome in store.outcomes("old")] == ["a"]
    assert store.targets("old") == ["a", "b"] and store.run("old") is not None
    assert len(await store.journals("a", "s", None, under=None)) == 1
    assert store.ledger.read("svc") is not None


async def test_a_worker_that_has_long_been_gone_is_forgotten(store: Store) -> None:
    worker, _ = await begin(store), await begin(store)
    await store.leave(worker)
    assert (await prune(store))["workers"] == 0, "it left a moment ago"
    with store._database.engine.begin() as connection:
        connection.execute(sql("UPDATE workers SET lease_until = '2020-01-01T00:00:00.000000+00:00'"))
    assert (await prune(store))["workers"] == 1


def aged(store: Store) -> None:
    """All content is two days older."""
    long_ago = (utc_now() - timedelta(days=2)).isoformat(timespec="microseconds")
    with store._database.engine.begin() as connection:
        connection.execute(sql(f"UPDATE blobs SET begun_at = '{long_ago}'"))
        connection.execute(sql(f"UPDATE blobs SET stored_at = '{long_ago}' WHERE stored_at IS NOT NULL"))


def inventory(store: Store, content: bytes) -> str:
    store.store_content(hashed(content), ContentKind.INVENTORY, [content])
    return hashed(content)


async def test_content_that_nothing_needs_goes_a_day_later(store: Store) -> None:
    def content() -> None:
        live = RunNeeds(inventory=inventory(store, b"live"), authority=inventory(store, b"authority"))
        store.begin_run(a_run("live"), {}, [("a", None, None)], priority=100, needs=live)
        ended = RunNeeds(inventory=inventory(store, b"ended"))
        store.begin_run(a_run("ended"), {}, [("a", None, None)], priority=100, needs=ended)
        store.end_run("ended", OLD)
        lately = RunNeeds(inventory=inventory(store, b"lately"))
        store.begin_run(a_run("lately"), {}, [("a", None, None)], priority=100, needs=lately)
        store.end_run("lately", NOW)  # what it did may be taken back
        a_package(store, b"package", a_file(store, b"in a package"))
        a_file(store, b"in none")

    kept = {hashed(content) for content in (b"live", b"authority", b"lately", b"package", b"in a package")}
    gone = {hashed(content) for content in (b"ended", b"in none")}
    await asyncio.to_thread(content)
    assert (await prune(store))["blobs"] == 0, "somebody may be about to name it"
    await asyncio.to_thread(aged, store)
    assert (await prune(store, dry_run=True))["blobs"] == 2
    assert await asyncio.to_thread(store.stored, kept | gone) == kept | gone
    assert (await prune(store))["blobs"] == 2
    assert await asyncio.to_thread(store.stored, kept | gone) == kept


async def test_what_was_never_whole_goes_with_its_bytes(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield b"ag"
        raise KeyboardInterrupt

    def begun() -> None:
        with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("pusher.store.content.drop", lambda *_: None)  # killed: nobody takes it back
            store.store_content(hashed(b"agent"), ContentKind.FILE, broken())
        aged(store)

    await asyncio.to_thread(begun)
    assert (await prune(store))["blobs"] == 1
    with store._database.engine.connect() as connection:
        assert connection.execute(sql("SELECT count(*) FROM chunks")).scalar() == 0


async def test_what_is_stored_again_is_as_new(store: Store) -> None:
    def again() -> None:
        inventory(store, b"again")
        aged(store)
        inventory(store, b"again")

    await asyncio.to_thread(again)
    assert (await prune(store))["blobs"] == 0
