"""docs/architecture.md draws the floors that the import linter enforces."""

from __future__ import annotations

import tomllib
from typing import Any

from tests.unit.packaging.scripts import ROOT


def drawn() -> list[frozenset[str]]:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.partition("## Floors")[2].split("```")[1]
    names = (line.split("  ")[0] for line in drawing.strip().splitlines())
    return [frozenset(name.split(" | ")) for name in names]


def contracts() -> list[dict[str, Any]]:
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = read["tool"]["importlinter"]["contracts"]
    return found


def rooms() -> set[str]:
    return {path.name.removesuffix(".py") for path in (ROOT / "pusher").iterdir()
            if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}  # fmt: skip


def test_the_drawing_is_complete_and_true() -> None:
    (floors,) = (contract["layers"] for contract in contracts() if contract["type"] == "layers")
    enforced = [frozenset(floor.replace("pusher.", "").split(" | ")) for floor in floors]
    assert drawn() == enforced
    assert rooms() == set().union(*enforced)


def test_the_contract_on_databases_is_complete() -> None:
    """A new room must not speak to one merely because nobody wrote it down."""
    (held,) = (c["source_modules"] for c in contracts() if c["name"] == "Only the store speaks to a database")
    assert {name.replace("pusher.", "") for name in held} == rooms() - {"store"}
