"""docs/exercises.md: its changes fit the code as it is, and none takes more than three files and its test."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.unit.packaging.scripts import ROOT

EXERCISES = re.findall(
    r"^## (.+?)$.*?^```diff\n(.*?)^```", (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8"), re.M | re.S
)


def test_there_are_three() -> None:
    assert [title for title, _ in EXERCISES] == ["Add a failure code", "Add a check", "Add an option"]


@pytest.mark.parametrize(("title", "diff"), EXERCISES)
def test_it_fits(title: str, diff: str) -> None:
    tried = subprocess.run(
        ["git", "apply", "--check", "-"], input=diff, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (tried.returncode, tried.stderr) == (0, ""), title
    files = re.findall(r"^\+\+\+ b/(.+)$", diff, re.M)
    assert len([file for file in files if not file.startswith("tests/")]) <= 3
    assert len([file for file in files if file.startswith("tests/")]) == 1
