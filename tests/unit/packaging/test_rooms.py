"""Each room says what lives in it and what must not, and what it says of others is true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.packaging.scripts import ROOT
from tests.unit.packaging.test_floors_page import drawn

HOUSE = ROOT / "pusher"
MODULES = [path for path in sorted(HOUSE.rglob("*.py")) if "migrations" not in path.parts]
ROOMS = [path for path in MODULES if path.name == "__init__.py"]
_NOT_HERE = re.compile(r"(?:must not live here|[Nn]ot here):?(.*?)(?:\.\s|\.?\Z)", re.S)
_IN_BRACKETS = re.compile(r"\(([^()]*)\)")
_NAME = re.compile(r"``([a-z_]+(?:\.[a-z_]+)*)``")


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def placed(path: Path) -> Iterator[str]:
    """The places that the module's docstring names for what is not in it."""
    for said in _NOT_HERE.findall(docstring(path)):
        for bracket in _IN_BRACKETS.findall(said):
            yield from _NAME.findall(bracket)


def is_there(name: str, seen_from: Path) -> bool:
    """A module or a room of that name, beside it or above it; or a function of the module's own."""
    above = [folder for folder in seen_from.parents if folder == HOUSE or HOUSE in folder.parents]
    places = [folder.joinpath(*name.split(".")) for folder in above]
    own = re.search(rf"^ *(?:async )?def {re.escape(name)}\(", seen_from.read_text(encoding="utf-8"), re.M) is not None
    return own or any(place.with_suffix(".py").exists() or (place / "__init__.py").exists() for place in places)


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_room_says_what_lives_in_it_and_what_must_not(room: Path) -> None:
    here, found, _ = re.sub(r"\s+", " ", docstring(room)).partition("must not live here:")
    assert found, "What must not live here: …"
    assert len(here) > 40


def test_what_is_said_to_be_elsewhere_is_there() -> None:
    missing = {str(path.relative_to(ROOT)): names for path in MODULES
               if (names := [name for name in placed(path) if not is_there(name, path)])}  # fmt: skip
    assert missing == {}
    assert sum(1 for path in MODULES for _ in placed(path)) > 50, "they are found"


def test_the_drawing_says_what_each_room_is_for() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = page.partition("## Floors")[2].split("```")[1].strip().splitlines()
    words = {frozenset(line.split("  ")[0].split(" | ")): line.partition("  ")[2].strip() for line in lines}
    assert list(words) == drawn()
    several = {floor: said.split("; ") for floor, said in words.items() if len(floor) > 1}
    assert {floor for floor, said in words.items() if not said} == {frozenset({"__main__"})}
    assert [floor for floor, said in several.items() if len(said) != len(floor)] == []
