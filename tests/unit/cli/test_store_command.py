"""``pusher store``, as its user sees it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from pusher.store.opening import HEAD
from tests.unit.cli.workplace import Workplace


def test_a_store_is_made_and_is_then_as_it_should_be(place: Workplace) -> None:
    made = place.run("store", "upgrade")
    assert made.status == 0 and f"has the schema {HEAD} now (it is new)" in " ".join(made.out.split())
    again = place.run("store", "upgrade", "--json")
    assert json.loads(again.out) == {
        "store": str(place.folder / "data" / "pusher" / "pusher.sqlite"), "before": HEAD, "schema": HEAD,
    }  # fmt: skip
    assert "already" in place.run("store", "upgrade").out


def test_old_runs_are_pruned_and_their_outcomes_stay(place: Workplace) -> None:
    place.check()
    with closing(sqlite3.connect(place.folder / "data" / "pusher" / "pusher.sqlite")) as connection:
        connection.execute("UPDATE runs SET ended_at = '2020-01-01T00:00:00.000000+00:00'")
        connection.commit()
        before = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    rehearsed = json.loads(place.run("store", "prune", "--dry-run", "--json").out)
    assert rehearsed["dry_run"] and rehearsed["rows"]["events"] == before > 0
    assert place.run("store", "prune", "--keep", "90d").out.startswith(f"Deleted: {before} of events")
    assert place.run("store", "prune").out == "Deleted: nothing.\n"
    assert set(place.show().verdicts) == set("abcdef")


@pytest.mark.parametrize(
    ("keep", "found"),
    [
        ("90", "--keep: '90' is not a duration; expected a duration of a day at least"),
        ("1h", "--keep 1h is too short"),
        ("999999999d", "--keep 999999999d is longer than there is time"),
    ],
)
def test_a_time_that_makes_no_sense_deletes_nothing(place: Workplace, keep: str, found: str) -> None:
    said = place.run("store", "prune", "--keep", keep)
    assert said.status == 2 and found in said.err
