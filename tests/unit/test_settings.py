"""A run's record: whatever shaped it is in it, and a later run is made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pusher.problems import BadInput
from pusher.settings import OPTIONS, Options, Origin, Unrecorded, from_environment, is_recorded, variable

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
    "windows": Path("/nights.toml"),
    "priority": 7,
    "waves": "1,10,100",
    "canary": "brave",
    "soak": "2h",
    "stop_at": "5%",
    "origin": Origin(run="r0", only=frozenset({"a"}), limits=(("x*", "y"), ("~z",)), exclude=("b", "group:c")),
    "replaces": "1.4.2",
}
"""None of them the default."""
IN_WAVES = ("waves", "canary", "soak", "stop_at")
NOT_TAKEN_OVER = {"limit", "exclude", "origin", "store", "log", "priority", "windows", *IN_WAVES}


SAID_EACH_TIME = {"inventory", "package", "accounts", "ca", "limit", "exclude", "priority", "windows", *IN_WAVES}
"""What a run is about, and what lies beside its inventory: no variable that somebody has forgotten may say it."""


@pytest.mark.parametrize("kind", [Options, Origin])
def test_a_complete_record(kind: type[Options] | type[Origin]) -> None:
    """A field that somebody adds is in the record, or its definition says why not."""
    made = Options(**OTHERS)
    value = made if kind is Options else made.origin
    record = made.to_json() if kind is Options else made.to_json()["origin"]
    for name, one in kind.model_fields.items():
        if is_recorded(one):
            assert name in record, name
            assert record[name] is not None, f"{name}: say here what its record is to be"
        else:
            assert name not in record
            (why,) = (said.why for said in one.metadata if isinstance(said, Unrecorded))
            assert len(why) > 10, name
        if not one.is_required():
            assert getattr(value, name) != one.default, f"{name}: a value of its own for this test"


def test_a_complete_list_of_options() -> None:
    """Each field but the origin is an option, with its help; each option but what a run is about has its variable."""
    assert OPTIONS.keys() == Options.model_fields.keys() - {"origin", "replaces"}
    assert all(option.help.endswith(".") for option in OPTIONS.values())
    assert {name for name in OPTIONS if variable(name) is None} == SAID_EACH_TIME


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - SAID_EACH_TIME))
def test_each_variable_is_complete(name: str) -> None:
    """It gives what the option gives, as the option's own type; unset or empty it gives nothing."""
    said = {f"PUSHER_{name.upper()}": str(OTHERS[name])}
    assert from_environment(name, said) == OTHERS[name]
    assert type(from_environment(name, said)) is type(OTHERS[name])
    assert from_environment(name, dict.fromkeys(said, "")) is from_environment(name, {}) is None


@pytest.mark.parametrize("name", sorted(SAID_EACH_TIME))
def test_what_a_run_is_about_is_in_no_variable(name: str) -> None:
    assert from_environment(name, {f"PUSHER_{name.upper()}": "x"}) is None


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("concurrency", "many", "many is not a whole number; expected a whole number from 1 to 1000"),
        ("concurrency", "1001", "1001 is out of range; expected a whole number from 1 to 1000"),
        ("per_site", "-1", "-1 is out of range; expected a whole number, 0 or more"),
        ("deadline", "nan", "nan is out of range; expected a number, 1 or more"),
        ("deadline", "inf", "inf is out of range; expected a number, 1 or more"),
        ("connect_timeout", "5s", "5s is not a number; expected a number, 0.1 or more"),
        ("transport", "ssh", "ssh is unknown; expected smb, winrm or auto"),
    ],
)
def test_a_bad_value_in_the_environment(name: str, text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        from_environment(name, {f"PUSHER_{name.upper()}": text})
    assert raised.value.sentence == f"PUSHER_{name.upper()} {sentence}"


def test_a_complete_record_tells_another_run_the_same() -> None:
    record = json.loads(json.dumps(Options(**OTHERS).to_json()))
    made = Options.made_from(record, "r1", frozenset({"a"}), {"store": "/other"})
    for name in Options.model_fields:
        if name not in NOT_TAKEN_OVER:
            assert getattr(made, name) == OTHERS[name], name
    assert (made.limit, made.exclude, made.store, made.log) == ((), (), "/other", None)
    assert (made.priority, made.windows) == (None, None)
    assert {getattr(made, name) for name in IN_WAVES} == {None}
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


@pytest.mark.parametrize("record", [{}, {"inventory": "/i.yaml", "concurrency": 0}, {"inventory": 5}])
def test_a_record_that_cannot_be_used(record: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"^the record of run r1 has no (inventory|concurrency) that can be used; "):
        Options.made_from(record, "r1", frozenset({"a"}), {})


def test_paths_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options(inventory=Path("i.yaml")).to_json()["inventory"] == str(tmp_path / "i.yaml")


def test_a_record_of_a_time_without_end_is_retried_with_the_default() -> None:
    """An earlier version took --deadline inf, which JSON has no number for."""
    record = Options(**OTHERS).to_json() | {"deadline": None}
    assert Options.made_from(record, "r1", frozenset({"a"}), {}).deadline == Options.model_fields["deadline"].default
