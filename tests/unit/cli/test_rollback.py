"""``rollback``: what a run in the queue did is taken back by runs in the queue."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.workplace import Said, Workplace
from tests.unit.push.harness import program

PROGRAM = "Windows\\agent\\agent.exe"


@pytest.fixture(autouse=True)
def place_with_packages(place: Workplace) -> None:
    for version in ("1.0", "2.0"):
        package(place, version)


def package(place: Workplace, version: str) -> Path:
    folder, content = place.folder / f"v{version}", program(version)
    folder.mkdir()
    (folder / "agent.exe").write_bytes(content)
    (folder / "package.toml").write_text(
        f'name = "agent"\nversion = "{version}"\n'
        "[[file]]\nsource = \"agent.exe\"\ndest = 'agent\\agent.exe'\n"
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        '[service]\nname = "Agent"\ndisplay_name = "Agent"\ncommand = \'"%SystemRoot%\\agent\\agent.exe"\'\n'
        '[verify]\nstay_running = "100ms"\n'
    )
    return folder


def pushed(place: Workplace, version: str, *options: str) -> str:
    """The run's id."""
    said = place.run("push", "i.yaml", "--package", f"v{version}", "--queue", "--json", *options)
    assert said.status == 0, said.err
    worked(place)
    return str(json.loads(said.out)["run"])


def worked(place: Workplace) -> Said:
    said = place.run("worker", "--until-idle", "--json")
    assert said.status == 0, said.err
    return said


def taken_back(place: Workplace, run: str) -> dict[str, dict[str, object]]:
    """What was queued, by verb."""
    said = place.run("rollback", run, "--yes", "--json")
    assert said.status == 0, said.err
    return {f"{made['verb']} {made['version']}": made for made in map(json.loads, said.out.splitlines())}


def in_order(place: Workplace, run: str) -> list[str]:
    """The run's targets as they were begun on."""
    lines = [json.loads(line) for line in place.run("show", run, "--json").out.splitlines()]
    return [line["target"] for line in sorted(lines, key=lambda one: str(one["started_at"]))]


def version_on(place: Workplace, name: str) -> str | None:
    """Which version's program is there, with its service."""

    async def looked() -> dict[str, Any]:
        return place.host(name).snapshot()

    seen = asyncio.run(looked())
    there = seen["disk"].get(PROGRAM.lower())
    assert bool(seen["services"]) == (there is not None)
    return next((one for one in ("1.0", "2.0") if there == program(one)), None)


def test_what_was_installed_goes_and_what_was_upgraded_is_what_it_was(place: Workplace) -> None:
    pushed(place, "1.0", "--limit", "a,b")
    run = pushed(place, "2.0", "--limit", "a,b,c")
    assert [version_on(place, name) for name in "abcd"] == ["2.0", "2.0", "2.0", None]
    made = taken_back(place, run)
    assert {what: one["queued"] for what, one in made.items()} == {"remove 2.0": 1, "push 1.0": 2}
    worked(place)
    assert [version_on(place, name) for name in "abcd"] == ["1.0", "1.0", None, None]
    listed = [json.loads(line) for line in place.run("runs", "--json").out.splitlines()]
    assert [one["parent"] for one in listed[:2]] == [run, run]
    again = place.run("push", "i.yaml", "--package", "v1.0", "--json", "--limit", "a")
    assert again.verdicts == {"a": ("unchanged", None)}


def test_where_the_earlier_package_is_not_known_nothing_is_touched(place: Workplace) -> None:
    pushed(place, "1.0", "--limit", "a")
    run = pushed(place, "2.0", "--limit", "a,b")
    assert place.run("packages", "remove", "agent@1.0").status in (0, 2)
    digests = [json.loads(line) for line in place.run("packages", "list", "--json").out.splitlines()]
    for one in digests:
        if one["version"] == "1.0":
            assert place.run("packages", "remove", one["digest"]).status == 0
    made = taken_back(place, run)
    assert {what: (one["queued"], one["unknown"]) for what, one in made.items()} == {
        "remove 2.0": (1, 0), "push None": (0, 1),
    }  # fmt: skip
    worked(place)
    assert [version_on(place, name) for name in "ab"] == ["2.0", None]
    assert place.show(str(made["push None"]["run"])).verdicts == {"a": ("skipped", "rollback-unknown")}


def test_what_another_run_has_changed_since_is_left_alone(place: Workplace) -> None:
    run = pushed(place, "1.0", "--limit", "a,b,c")
    pushed(place, "2.0", "--limit", "a")
    made = taken_back(place, run)
    assert {what: (one["queued"], one["unknown"]) for what, one in made.items()} == {
        "remove 1.0": (2, 0), "push None": (0, 1),
    }  # fmt: skip
    worked(place)
    assert [version_on(place, name) for name in "abc"] == ["2.0", None, None]
    again = taken_back(place, run)
    assert [(one["queued"], one["unknown"]) for one in again.values()] == [(0, 3)], "it is taken back once"


def test_the_newest_wave_comes_first(place: Workplace) -> None:
    run = pushed(place, "1.0", "--waves", "20,50,100")
    last = in_order(place, run)[-3:]
    made = taken_back(place, run)
    place.run("worker", "--until-idle", "--concurrency", "1")
    order = in_order(place, str(made["remove 1.0"]["run"]))
    assert len(order) == 6 and set(order[:3]) == set(last)
    assert [version_on(place, name) for name in "abcdef"] == [None] * 6


def test_a_retry_of_a_rollback_never_pushes_what_was_taken_back(place: Workplace) -> None:
    pushed(place, "1.0", "--limit", "a")
    run = pushed(place, "2.0", "--limit", "a")
    made = taken_back(place, run)
    place.run("cancel", str(made["push 1.0"]["run"]))
    said = place.run("retry", str(made["push 1.0"]["run"]))
    assert said.status == 2 and "push needs a package; expected --package DIR" in said.err
    said = place.run("retry", str(made["push 1.0"]["run"]), "--package", "v1.0", "--json")
    assert said.verdicts == {"a": ("upgraded", None)} and version_on(place, "a") == "1.0"


def test_a_newer_version_is_replaced_by_a_rollback_alone(place: Workplace) -> None:
    pushed(place, "2.0", "--limit", "a")
    said = place.run("push", "i.yaml", "--package", "v1.0", "--json", "--limit", "a")
    assert said.verdicts == {"a": ("skipped", "newer-version-present")}


@pytest.mark.parametrize("how", ["check", "plain", "nothing", "goes-on"])
def test_what_cannot_be_taken_back_is_refused(place: Workplace, how: str) -> None:
    if how == "check":
        place.run("check", "i.yaml", "--queue")
        worked(place)
    elif how == "plain":
        place.run("push", "i.yaml", "--package", "v1.0", "--limit", "a")
    elif how == "nothing":
        for host in place.hosts.values():
            host.name = "elsewhere.corp.example"
        place.run("push", "i.yaml", "--package", "v1.0", "--queue")
        worked(place)
    else:
        place.run("push", "i.yaml", "--package", "v1.0", "--queue")
    count = len(place.run("runs", "--json").out.splitlines())
    said = place.run("rollback", "last", "--yes")
    words = {
        "check": "has installed nothing: it did check",
        "plain": "did not go by way of the queue",
        "nothing": "has installed and upgraded nothing",
        "goes-on": "goes on; expected one that has ended",
    }
    assert said.status == 2 and words[how] in said.err
    assert len(place.run("runs", "--json").out.splitlines()) == count


def test_somebody_is_asked_before(place: Workplace) -> None:
    run = pushed(place, "1.0", "--limit", "a")
    said = place.run("rollback", run)
    assert said.status == 2 and "there is nobody to ask before rolling back; expected --yes" in said.err
