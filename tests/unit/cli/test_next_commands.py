"""What is printed to be run next works as printed: with the store and the accounts file that this command was given."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from pusher.cli.app import app
from pusher.credentials.lockout import process
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.report.summary import summarise
from pusher.report.terminal import LiveView
from pusher.report.views import PlainView, QuietView, View
from pusher.settings import next_commands
from tests.unit.cli.workplace import Said, Workplace
from tests.unit.report import report_samples as samples

STORE = "the runs' store.sqlite"
"""Written without quotes it would be three words, the last one unended."""
FILE = "push accounts.toml"
GIVEN = NextCommands(store=STORE, accounts=FILE)


def understood(command: str) -> dict[str, Any]:
    """The printed command's name and parameters, as the command line reads what a shell makes of it."""
    pusher, *words = shlex.split(command)
    assert pusher == "pusher"
    found: Any = typer.main.get_command(app)
    path: list[str] = []
    while hasattr(found, "commands"):
        path.append(words.pop(0))
        found = found.commands[path[-1]]
    params: dict[str, Any] = found.make_context(path[-1], words).params
    return {"command": " ".join(path)} | params


@pytest.mark.parametrize(
    ("made", "read"),
    [
        (NextCommands.runs, {"command": "runs", "store": STORE}),
        (lambda given: given.show("r 1"), {"command": "show", "run": "r 1", "host": None, "store": STORE}),
        (
            lambda given: given.report("r1", "csv"),
            {"command": "report", "run": "r1", "format": "csv", "output": None, "store": STORE},
        ),
        (
            lambda given: given.report("r1", "html", "the report.html"),
            {"command": "report", "run": "r1", "format": "html", "output": Path("the report.html"), "store": STORE},
        ),
        (lambda given: given.retry("r1"), {"command": "retry", "run": "r1", "store": STORE}),
        (
            NextCommands.check,
            {"command": "check", "inventory": Path("INVENTORY"), "limit": ["HOST"], "accounts": Path(FILE),
             "store": STORE},
        ),
        (NextCommands.budget, {"command": "accounts budget", "accounts": Path(FILE), "store": STORE}),
        (
            lambda given: given.clear("CORP\\svc $1", "ws 1"),
            {"command": "accounts clear", "name": "CORP\\svc $1", "host": "ws 1", "store": STORE},
        ),
    ],
)  # fmt: skip
def test_each_is_read_as_it_is_meant(made: Callable[[NextCommands], str], read: dict[str, Any]) -> None:
    taken = understood(made(GIVEN))
    assert {name: taken[name] for name in read} == read
    assert "--" not in re.sub("--(format|output|limit|host)", "", made(NONE_GIVEN)), "what was not given is not said"


def test_a_password_of_the_stores_url_is_not_printed() -> None:
    commands = next_commands("postgresql+psycopg://u:Kx7-secret@db.corp.example/pusher")
    assert understood(commands.runs())["store"] == "postgresql+psycopg://u@db.corp.example/pusher"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Workplace:
    return Workplace(tmp_path, monkeypatch, capfd)


def printed(text: str) -> list[str]:
    """Each line's command, which ends with its line."""
    said = [line for line in text.splitlines() if "pusher " in line and "--store" in line]
    return [line[line.index("pusher ") :].rstrip() for line in said]


def as_printed(place: Workplace, command: str) -> Said:
    return place.run(*shlex.split(command)[1:])


def failed_run(place: Workplace) -> Said:
    place.let_in("ab")
    said = place.run("check", "i.yaml", "--store", STORE)
    assert said.status == 1
    return said


def test_what_a_run_ends_with_works_as_printed(place: Workplace) -> None:
    show, report, retry = printed(failed_run(place).out)
    assert "4 failed" in as_printed(place, show).out
    assert as_printed(place, report).status == 0
    page = (place.folder / "report.html").read_text(encoding="utf-8")
    assert f"<code>{show}</code>".replace("'", "&#39;").replace('"', "&#34;") in page
    assert "(4 hosts)" in as_printed(place, retry).out


def test_a_run_that_is_not_there_is_looked_for_in_the_store_that_was_given(place: Workplace) -> None:
    failed_run(place)
    said = place.run("show", "no-such-run", "--store", STORE)
    (runs,) = printed(said.err)
    assert said.status == 2
    assert "i.yaml" in as_printed(place, runs).out


def test_a_machine_that_is_not_in_the_run_is_one_of_those_that_are_listed(place: Workplace) -> None:
    failed_run(place)
    said = place.run("show", "last", "zz", "--store", STORE)
    (show,) = printed(said.err)
    assert said.status == 2
    assert "f.corp.example" in as_printed(place, show).out


def test_a_run_that_was_left_is_taken_up_as_printed(place: Workplace) -> None:
    failed_run(place)
    here = process.this_process()
    gone = f'{{"host": "{here.host}", "place": "{here.place}", "pid": {here.pid}, "started": {here.started + 1}}}'
    with closing(sqlite3.connect(place.folder / STORE)) as store, store:
        store.execute("UPDATE runs SET ended_at = NULL, worker = ?", (gone,))
        store.execute("DELETE FROM outcomes WHERE target LIKE 'a.%'")
    (of_cancel,) = printed(place.run("cancel", "last", "--store", STORE).err)
    (of_show,) = printed(place.run("show", "last", "--store", STORE).out)
    assert of_cancel == of_show
    assert "(5 hosts)" in as_printed(place, of_show).out


def test_the_budget_is_that_of_the_same_store_and_accounts_file(place: Workplace) -> None:
    (place.folder / FILE).write_text((place.folder / "accounts.toml").read_text())
    said = place.run("accounts", "clear", "push", "--yes", "--store", STORE, "--accounts", FILE)
    (budget,) = printed(said.out)
    assert understood(budget)["accounts"] == Path(FILE)
    assert f"in the store {STORE}" in as_printed(place, budget).out


def test_a_local_account_is_tried_with_the_same_store_and_accounts_file(place: Workplace) -> None:
    (place.folder / FILE).write_text("[[account]]\nname = 'l'\nuser = '.\\l'\nsecret = 'env:PUSH'\n")
    said = place.run("accounts", "test", "--json", "--store", STORE, "--accounts", FILE)
    words = json.loads(said.out)["message"]
    command = words[words.index("pusher ") :]
    taken = understood(command)
    assert (taken["store"], taken["accounts"]) == (STORE, Path(FILE))


def live(out: StringIO, given: NextCommands) -> View:
    return LiveView(Console(file=out, width=30, force_terminal=True), lambda: 0.0, given, auto_refresh=False)


@pytest.mark.parametrize(
    "made",
    [lambda out, given: PlainView(out, lambda: 0.0, given), QuietView, live],
    ids=["plain", "quiet", "live"],
)
def test_a_command_is_one_line_however_narrow_the_terminal(made: Callable[[StringIO, NextCommands], View]) -> None:
    out, long = StringIO(), NextCommands(store="/srv/" + "deep/" * 30 + "pusher.sqlite")
    made(out, long).finished(samples.run(), summarise([samples.failure("timed-out", "h")]))
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-z]", "", line) for line in out.getvalue().splitlines()]
    for command in (long.show("01JRUN"), long.report("01JRUN", "html", "report.html"), long.retry("01JRUN")):
        assert [line for line in lines if line.endswith(f"  {command}")]
