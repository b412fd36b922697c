"""docs/architecture.md draws the floors that the import linter enforces."""

from __future__ import annotations

import tomllib

from tests.unit.packaging.scripts import ROOT


def drawn() -> list[frozenset[str]]:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.partition("## Floors")[2].split("```")[1]
    names = (line.split("  ")[0] for line in drawing.strip().splitlines())
    return [frozenset(name.split(" | ")) for name in names]


def test_the_drawing_is_complete_and_true() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (floors,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    enforced = [frozenset(floor.replace("pusher.", "").split(" | ")) for floor in floors]
    assert drawn() == enforced
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "pusher").iterdir()
             if path.suffix == ".py" or (path / "__init__.py").exists()}  # fmt: skip
    assert rooms - {"__init__"} == set().union(*enforced)
