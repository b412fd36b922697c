"""The options on the command line, against their definitions; and the variables that give what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pusher.cli.app import app
from pusher.settings import OPTIONS, variable
from tests.unit.cli.workplace import Workplace

README = (Path(__file__).parents[3] / "README.md").read_text()
VARIABLES = {str(variable(name)) for name in OPTIONS if variable(name)}


@pytest.mark.parametrize("command", ["push", "check", "remove", "retry"])
def test_the_options_of_a_command_are_complete(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    for name in OPTIONS.keys() - {"inventory"}:
        assert f"--{name.replace('_', '-')} <" in said, name
    assert ("--json" in said, "--quiet" in said) == (True, True)


def test_the_variables_that_are_told_of_are_complete() -> None:
    said = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name in VARIABLES:
        assert name in said, name
    assert "Each option has a variable, `PUSHER_` and its name in" in README
    without = {f"--{name.replace('_', '-')}" for name in OPTIONS if variable(name) is None} - {
        "--inventory",
        "--package",
        "--accounts",
    }
    assert [
        name for name in sorted(without) if f"`{name}`" not in README.partition("What a run is about")[2][:220]
    ] == []


def test_a_variable_gives_what_the_command_line_does_not(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_CONCURRENCY", "7")
    monkeypatch.setenv("PUSHER_PER_SUBNET", "3")
    place.check("--limit", "a", "--per-subnet", "25")  # the default, but given
    record = place.recorded()
    assert (record["concurrency"], record["per_subnet"], record["per_site"]) == (7, 25, 0)


def test_a_retry_keeps_to_its_run_whatever_the_environment_says(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.let_in("")
    place.check("--limit", "a", "--concurrency", "3")
    monkeypatch.setenv("PUSHER_CONCURRENCY", "7")
    monkeypatch.setenv("PUSHER_PER_SUBNET", "9")
    place.retry()
    assert (place.recorded()["concurrency"], place.recorded()["per_subnet"]) == (3, 25)


def test_every_command_uses_the_store_of_the_environment(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_STORE", str(place.folder / "shared.sqlite"))
    place.let_in("")
    assert place.check("--limit", "a").pushed == {"a"}
    assert place.run("show", "last", "--json").pushed == {"a"}
    assert place.retry().pushed == {"a"}
    assert len(place.run("runs", "--json").out.splitlines()) == 2
    assert (place.folder / "shared.sqlite").exists() and not (
        place.folder / "data" / "pusher" / "pusher.sqlite"
    ).exists()


def test_a_bad_variable_is_bad_input_that_names_it(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_TRANSPORT", "ssh")
    for command in (["check", "i.yaml"], ["resolve", "i.yaml"]):
        said = place.run(*command)
        assert (said.status, said.out) == (2, "")
        assert said.err == "PUSHER_TRANSPORT ssh is unknown; expected smb, winrm or auto\n"
    assert not any(host.calls.total() for host in place.hosts.values())
