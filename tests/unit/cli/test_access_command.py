"""``pusher access`` and ``pusher machines``, as their user sees them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pusher.cli.app import app
from tests.unit.cli.workplace import Said, Workplace

UNDER = ("machines", "access", "audit")


class Registry:
    """The place's own registry. Each call is one command, which has to succeed."""

    def __init__(self, place: Workplace) -> None:
        self.place = place

    def do(self, *words: str) -> Said:
        said = self.place.run(*words)
        assert said.status == 0, said.err
        return said

    def access(self, text: str) -> Said:
        return self.do("access", *shlex.split(text))

    def lines(self, text: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.do(*shlex.split(text), "--json").out.splitlines()]

    def refused(self, text: str) -> str:
        """The one sentence of bad input."""
        said = self.place.run(*shlex.split(text))
        assert (said.status, said.out) == (2, "") and said.err.count("\n") == 1, said
        return said.err.strip()

    def explained(self, text: str) -> list[str]:
        """The lines of a refusal."""
        said = self.place.run("access", "explain", *shlex.split(text))
        assert said.status == 1 and said.err == "", said
        return said.out.splitlines()


@pytest.fixture
def registry(place: Workplace) -> Registry:
    """``lab`` holds a and b, ``tier0`` c. Ann is of the help desk, which pushes to the lab; root administers."""
    made = Registry(place)
    place.inventory({"lab": "ab", "tier0": "c"})
    made.do("machines", "sync", "i.yaml")
    for command in ("people add ann --name 'Ann Roy'", "people add bob", "groups add helpdesk",
                    "groups join ann helpdesk", "grants add helpdesk Operator", "grants add helpdesk Pusher --on i/lab",
                    "admin root"):  # fmt: skip
        made.access(command)
    return made


def test_who_may_is_told_by_what(registry: Registry) -> None:
    said = registry.access("explain ann machine.push a.corp.example")
    assert said.out == "Ann Roy may push to a.corp.example: helpdesk is allowed Pusher on i/lab.\n"
    (line,) = registry.lines("access explain ann machine.push machine:a.corp.example")
    assert (line["allowed"], line["rule"], line["object"]) == (True, "allow", "machine:a.corp.example")
    assert registry.lines("access who machine.push a.corp.example") == [
        {"person": "ann", "rule": "allow", "grant": line["grant"], "subject": "helpdesk", "role": "Pusher",
         "scope": "group:i/lab"},
        {"person": "root", "rule": "allow", "grant": "g8", "subject": "root", "role": "Server Administrator",
         "scope": "server"},
    ]  # fmt: skip


REFUSALS: list[tuple[tuple[str, ...], str, str, str, str]] = [
    ((), "bob machine.push a.corp.example",
     "bob may not push to a.corp.example: no role on the server gives bob the capability to push to machines.",
     "Operator, Deployment Administrator, Server Administrator", "root"),
    (("grants add ann Operator --deny",), "ann machine.push a.corp.example",
     "Ann Roy may not push to a.corp.example: Ann Roy is denied Operator on the server, and with it the capability.",
     "", "root"),
    (("grants add helpdesk Pusher --deny --on a.corp.example",), "ann machine.push a.corp.example",
     "Ann Roy may not push to a.corp.example: helpdesk is denied Pusher on a.corp.example.", "", "root"),
    ((), "ann machine.push c.corp.example",
     "Ann Roy may not push to c.corp.example: Ann Roy may not view it, since no role gives Ann Roy machine.view there.",
     "Pusher, Viewer, Modifier, Full Control, Server Administrator", "root"),
    ((), "ann machine.modify a.corp.example",
     "Ann Roy may not modify a.corp.example: no role gives Ann Roy machine.modify there.",
     "Modifier, Full Control, Server Administrator", "root"),
    (("people disable ann",), "ann machine.push a.corp.example",
     "Ann Roy may not push to a.corp.example: Ann Roy is disabled.", "", "root"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "asked", "sentence", "roles", "who"), REFUSALS, ids=[one[2][:60] for one in REFUSALS]
)
def test_every_kind_of_refusal_says_why_what_would_help_and_who_can(
    registry: Registry, before: tuple[str, ...], asked: str, sentence: str, roles: str, who: str
) -> None:
    for command in before:
        registry.access(command)
    first, *more = registry.explained(asked)
    assert first == sentence
    assert more[-1] == f"Who can change it: {who}."
    told = [line for line in more if line.startswith("Roles of which")]
    assert told == ([f"Roles of which each would do away with this: {roles}."] if roles else [])
    record = json.loads(registry.place.run("access", "explain", *asked.split(), "--json").out)
    assert (record["sentence"], ", ".join(record["roles"]), record["grantors"]) == (sentence, roles, [who])


def test_where_nobody_can_help_it_says_so(place: Workplace) -> None:
    made = Registry(place)
    made.access("people add ann")
    assert "nobody here; pusher access admin NAME" in made.explained("ann run.create")[-1]


def test_the_machines_that_somebody_may_push_to_are_listed(registry: Registry) -> None:
    def listed(options: str) -> list[str]:
        return [line["machine"].partition(".")[0] for line in registry.lines(f"machines list {options}")]

    assert listed("") == ["a", "b", "c"] and listed("--group i/tier0") == ["c"]
    assert listed("--who ann --may machine.push") == ["a", "b"] == listed("--who ann")
    assert listed("--who bob") == [] and listed("--who root --group i/tier0") == ["c"]
    registry.access("grants add ann Pusher --deny --on b.corp.example")
    assert listed("--who ann --may machine.push") == ["a"] and listed("--who ann") == ["a", "b"]
    registry.place.inventory({"lab": "a"})
    (line,) = registry.lines("machines sync i.yaml")
    assert (line["machines"], line["added"], line["gone"], line["back"], line["changed"]) == (1, 0, 2, 0, True)
    assert listed("") == ["a"] and listed("--gone") == ["b", "c"]
    assert "No machine." in registry.do("machines", "list", "--group", "i/lab", "--gone").out


def test_groups_of_machines_are_filled_and_found(registry: Registry) -> None:
    registry.do("machines", "groups", "add", "pilot")
    registry.do("machines", "groups", "put", "a.corp.example", "pilot")
    registry.do("machines", "groups", "add", "rest", "--query", "*,!group:pilot", "--within", "i/lab")
    rows = {line["group"]: line for line in registry.lines("machines groups list")}
    assert {name: (row["origin"], row["holds"]) for name, row in rows.items()} == {
        "i": ("inventory", 3), "i/lab": ("inventory", 2), "i/tier0": ("inventory", 1), "pilot": ("static", 1),
        "rest": ("dynamic", 1)}  # fmt: skip
    assert [line["machine"] for line in registry.lines("machines list --group rest")] == ["b.corp.example"]
    registry.access("grants add bob Viewer --on result:rest")
    assert registry.place.run("access", "explain", "bob", "machine.view", "b.corp.example").status == 0
    assert registry.place.run("access", "explain", "bob", "group.view", "rest").status == 1


def test_what_somebody_has_is_listed_and_taken_away_at_once(registry: Registry) -> None:
    registry.access("objects add account push-2026")
    registry.access("objects own push-2026 ann")
    assert registry.access("remains ann").out.splitlines() == [
        "owner of push-2026", "Operator on the server as a member of helpdesk",
        "Pusher on i/lab as a member of helpdesk"]  # fmt: skip
    assert [line["way"] for line in registry.lines("access remains ann")] == ["owner", "group-grant", "group-grant"]
    assert registry.refused("access revoke ann").startswith("there is nobody to ask")
    assert "expected --owner" in registry.refused("access revoke ann --yes")
    said = registry.access("revoke ann --yes --owner helpdesk")
    assert said.out == "ann is disabled, and has nothing any more; taken away: 1 membership, 1 ownership.\n"
    assert registry.access("remains ann").out == "Nothing gives ann anything.\n"
    assert "already" in registry.access("revoke ann --yes").out
    assert "nobody is left to administer" in registry.refused("access revoke root --yes")


def test_a_role_that_lacks_what_its_act_needs_is_told_of_when_it_is_saved(registry: Registry) -> None:
    gives = "--permission machine.push --permission run.create --capability machine.push"
    words = f"roles save Workers --include Viewer {gives}"
    said = registry.access(words)
    assert said.err == "note: Workers has part in push and lacks package.assign, account.assign\n"
    (line,) = registry.lines(f"access {words} --complete")
    assert line["notes"] == []
    (role,) = registry.lines("access roles list workers")
    assert {"package.assign", "account.assign"} <= set(role["adds"]) and role["predefined"] is False
    assert registry.access("roles remove Workers").out == "Removed the role Workers.\n"


def test_lists_say_what_there_is(registry: Registry) -> None:
    assert registry.lines("access people list")[0] == {
        "person": "ann", "name": "Ann Roy", "standing": "enabled", "groups": ["helpdesk"]}  # fmt: skip
    assert registry.lines("access groups list") == [{"group": "helpdesk", "sid": None, "in": [], "members": ["ann"]}]
    grants = registry.lines("access grants list --who helpdesk")
    assert [(one["role"], one["scope"]) for one in grants] == [("Operator", "server"), ("Pusher", "group:i/lab")]
    assert registry.lines("access grants list --on i/lab")[0]["grant"] == grants[1]["grant"]
    assert {one["kind"] for one in registry.lines("access objects list")} == {"machine", "group"}
    assert len(registry.lines("access roles list")) == 7
    for command in ("people list", "groups list", "grants list", "objects list", "roles list", "roles list Pusher",
                    "who machine.push a.corp.example"):  # fmt: skip
        assert registry.access(command).out.strip()


def test_grants_have_an_end_a_note_and_are_removed(registry: Registry) -> None:
    registry.access("grants add bob Viewer --on i/lab --until 8h --note 'for the move'")
    (grant,) = registry.lines("access grants list --who bob")
    assert grant["until"].endswith("Z") and grant["note"] == "for the move" and "@" in grant["by"]
    registry.access(f"grants remove {grant['grant']}")
    assert registry.lines("access grants list --who bob") == []


BAD = [
    ("access grants add nobody Viewer", "'nobody' is nobody"),
    ("access grants add ann Viewer --on nowhere", "there is no object 'nowhere'"),
    ("access grants add ann Viewer --until tomorrow", "'tomorrow' is no end of a grant"),
    ("access explain zoe machine.push a.corp.example", "there is nobody called 'zoe'"),
    ("access explain ann machine.psuh a.corp.example", "there is no permission 'machine.psuh'; expected machine.push"),
    ("access explain ann machine.push i/lab", "machine.push is not asked of i/lab"),
    ("access who machine.push nowhere", "there is no object 'nowhere'"),
    ("access remains zoe", "there is nobody called 'zoe'"),
    ("access revoke zoe --yes", "there is nobody called 'zoe'"),
    ("access admin helpdesk", "helpdesk is a group of people"),
    ("access roles save New --permission machine.fly", "there is no permission 'machine.fly'"),
    ("access roles list Nothing", "there is no role 'Nothing'"),
    ("access objects add machine x", "a 'machine' cannot be added"),
    ("access objects add package missing", "package.toml"),
    ("access objects list --kind run", "--kind run is unknown"),
    ("access objects own i/lab zoe", "'zoe' is nobody and cannot be an owner"),
    ("access groups join helpdesk helpdesk", "a circle of groups"),
    ("machines groups put i/lab i/lab", "is a group of an inventory"),
    ("machines groups add new --query '~ws('", "--query: "),
    ("machines list --who zoe", "there is nobody called 'zoe'"),
    ("machines list --who ann --may run.create", "run.create is not asked of machines"),
    ("machines list --who ann --may machine.create", "machine.create is asked of no machine"),
    ("machines list --who ann --may package.view", "package.view is not asked of machines"),
    ("machines list --group nowhere", "there is no object 'nowhere'"),
    ("machines sync missing.yaml", "does not exist"),
]


@pytest.mark.parametrize(("command", "said"), BAD, ids=[one[0] for one in BAD])
def test_bad_input_is_one_sentence_and_changes_nothing(registry: Registry, command: str, said: str) -> None:
    lists = [f"access {one} list" for one in ("people", "groups", "grants", "roles", "objects")]
    before = [registry.lines(one) for one in lists]
    entries = registry.place.run("audit", "verify").out
    assert said in registry.refused(command)
    assert [registry.lines(one) for one in lists] == before
    assert registry.place.run("audit", "verify").out == entries


def test_each_change_is_in_the_audit_with_who_made_it(registry: Registry) -> None:
    entries = [json.loads(line) for line in registry.do("audit", "export").out.splitlines()]
    assert [one["act"] for one in entries] == [
        "machines.sync", "people.add", "people.add", "groups.add", "groups.join", "grants.add", "grants.add",
        "access.admin", "audit.export"]  # fmt: skip
    assert {(one["via"], one["decision"]) for one in entries} == {("command", "not-asked")}
    assert entries[6]["after"]["scope"] == "group:i/lab" and entries[6]["before"] is None


def commands(of: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(of, "commands"):
        for name, one in of.commands.items():
            yield from commands(one, *words, name)
    else:
        yield words, of


ALL = [(words, one) for words, one in commands(typer.main.get_command(app)) if words[0] in UNDER]


def test_they_are_all_looked_at() -> None:
    assert len(ALL) > 30


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_each_command_has_help_with_an_example_that_it_understands(words: tuple[str, ...], command: Any) -> None:
    said = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
    assert "Example: pusher " in said and "--store" in said
    assert "--json" in said or words in {("audit", "export"), ("audit", "anchor")}
    assert command.help is not None
    for example in command.help.partition("Example: ")[2].split("; "):
        program, *given = shlex.split(example.partition(" | ")[0])
        assert program == "pusher" and tuple(given[: len(words)]) == words
        with command.make_context("x", given[len(words) :], resilient_parsing=False):
            pass
