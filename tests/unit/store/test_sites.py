"""Which work a worker of some sites sees, what it refuses, and how far its clock is off: on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest

from pusher.clock import utc_now
from pusher.store import Store, open_store
from tests.unit.store.store_contract import a_run
from tests.unit.store.work_contract import begin

SITES = {"a": "paris", "b": "lyon", "c": None, "d": "Paris"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    in_a_file = f"sqlite:///{tmp_path}/pusher.sqlite"
    made = open_store(in_a_file if request.param == "sqlite" else str(request.getfixturevalue("server_store")))
    yield made
    made.close()


def submit(store: Store, run: str, sites: dict[str, str | None]) -> None:
    store.begin_run(a_run(run), {}, [(target, None, site) for target, site in sites.items()], priority=100)


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ((), {"a", "b", "c", "d"}),
        (("paris",), {"a"}),
        (("lyon", "paris"), {"a", "b"}),
        (("berlin",), set()),
    ],
)
async def test_work_of_other_sites_is_neither_seen_nor_claimed(
    store: Store, sites: tuple[str, ...], expected: set[str]
) -> None:
    submit(store, "r1", SITES)
    submit(store, "r2", {"x": "lyon"})
    store.sites = sites
    worker = await begin(store)
    seen = await store.look()
    assert sum(work.count for work in seen.work if work.run == "r1") == len(expected)
    assert ("r2" in seen.ready) == (not sites or "lyon" in sites)
    assert {claim.target for claim in await store.claim("r1", worker, 9)} == expected


async def test_a_host_that_is_worked_on_at_another_site_is_not_claimed_here(store: Store) -> None:
    submit(store, "r1", {"a": "lyon"})
    submit(store, "r2", {"A": "paris"})
    worker = await begin(store)
    store.sites = ("lyon",)
    assert len(await store.claim("r1", worker, 9)) == 1
    store.sites = ("paris",)
    assert await store.claim("r2", worker, 9) == [] and (await store.look()).ready == []


def test_the_sites_that_are_known(store: Store) -> None:
    assert store.known_sites() == []
    submit(store, "r1", SITES)
    assert store.known_sites() == ["Paris", "lyon", "paris"]


def test_a_refusal_stays_until_it_is_taken_back(store: Store) -> None:
    submit(store, "r1", SITES)
    submit(store, "r2", {"x": None})
    store.refuse("r1", "w1", ["lyon", "berlin"], "accounts-differ")
    (first,) = store.refusals("r1")
    assert (first.worker, first.sites, first.code) == ("w1", ("berlin", "lyon"), "accounts-differ")
    store.refuse("r1", "w1", ["lyon", "berlin"], "accounts-differ")
    assert store.refusals("r1") == [first], "said again it is as old as it was"
    store.refuse("r1", "w2", [], "profile-unknown")
    store.refuse("r1", "w1", [], "package-not-allowed")
    found = [(one.worker, one.sites, one.code) for one in store.refusals("r1")]
    assert found == [("w1", (), "package-not-allowed"), ("w2", (), "profile-unknown")]
    store.take_back_refusal("r1", "w1")
    store.take_back_refusal("r2", "w2")
    assert [one.worker for one in store.refusals("r1")] == ["w2"] and store.refusals("r2") == []


def test_a_clock_that_is_right_is_not_off(store: Store) -> None:
    assert store.clock_offset() == timedelta()


@pytest.mark.process
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_off_a_servers_is_told_by_how_much(server_store: str, seconds: int) -> None:
    made = open_store(server_store)
    with mock.patch("pusher.store.store.utc_now", lambda: utc_now() + timedelta(seconds=seconds)):
        offset = made.clock_offset()
    made.close()
    assert abs(offset + timedelta(seconds=seconds)) < timedelta(seconds=60)
