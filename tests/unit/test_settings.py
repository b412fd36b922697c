"""A run's record: whatever shaped it is in it, and a later run is made from it."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from pusher.settings import Options, Origin, is_recorded

OTHERS: dict[str, Any] = {
    "inventory": Path("/i.yaml"),
    "package": Path("/package"),
    "accounts": Path("/accounts.toml"),
    "limit": ("group:paris", "~ws(1|2)"),
    "exclude": ("ws1",),
    "store": "/store",
    "log": Path("/log"),
    "concurrency": 7,
    "per_site": 3,
    "per_subnet": 4,
    "transport": "winrm",
    "ca": Path("/ca.pem"),
    "content_port": 8443,
    "attempts": 5,
    "deadline": 12.5,
    "connect_timeout": 1.5,
    "max_failures": 9,
    "origin": Origin(run="r0", only=frozenset({"a"}), limits=(("x*", "y"), ("~z",)), exclude=("b", "group:c")),
}
"""None of them the default."""
NOT_TAKEN_OVER = {"limit", "exclude", "origin", "store", "log"}


@pytest.mark.parametrize("kind", [Options, Origin])
def test_a_complete_record(kind: type) -> None:
    """A field that somebody adds is in the record, or its definition says why not."""
    made = Options(**OTHERS)
    value = made if kind is Options else made.origin
    record = made.to_json() if kind is Options else made.to_json()["origin"]
    for one in fields(kind):
        if is_recorded(one):
            assert one.name in record, one.name
            assert record[one.name] is not None, f"{one.name}: say here what its record is to be"
        else:
            assert one.name not in record
            (why,) = one.metadata.values()
            assert len(why) > 10, one.name
        if one.default is not MISSING:
            assert getattr(value, one.name) != one.default, f"{one.name}: a value of its own for this test"


def test_another_run_is_told_the_same() -> None:
    record = json.loads(json.dumps(Options(**OTHERS).to_json()))
    made = Options.made_from(record, "r1", frozenset({"a"}), {"store": "/other"})
    for one in fields(Options):
        if one.name not in NOT_TAKEN_OVER:
            assert getattr(made, one.name) == OTHERS[one.name], one.name
    assert (made.limit, made.exclude, made.store, made.log) == ((), (), "/other", None)
    assert made.origin == Origin(
        run="r1",
        only=frozenset({"a"}),
        limits=(("x*", "y"), ("~z",), ("group:paris", "~ws(1|2)")),
        exclude=("b", "group:c", "ws1"),
    )


def test_what_is_given_goes_before_the_record_and_spares_nobody_less() -> None:
    given = {"concurrency": 1, "package": Path("/new"), "limit": ["w*"], "exclude": ["v"], "max_failures": 0}
    made = Options.made_from(Options(**OTHERS).to_json(), "r1", frozenset(), given)
    assert (made.concurrency, made.package, made.max_failures, made.deadline) == (1, Path("/new"), 0, 12.5)
    assert (made.limit, made.exclude) == (["w*"], ["v"])
    assert made.origin is not None and "ws1" in made.origin.exclude


def test_a_record_of_an_earlier_version() -> None:
    made = Options.made_from({"inventory": "/i.yaml", "package": None, "later": 1}, "r1", frozenset({"a"}), {})
    assert made == Options(inventory=Path("/i.yaml"), origin=Origin(run="r1", only=frozenset({"a"})))


def test_paths_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options(inventory=Path("i.yaml")).to_json()["inventory"] == str(tmp_path / "i.yaml")
