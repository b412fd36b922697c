"""The catalogue: each code has its row, and what a room does about codes is a column there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pusher
from pusher.problems import CATALOGUE, Code
from pusher.problems.catalogue.directory import DIRECTORY
from pusher.problems.catalogue.install import INSTALL
from pusher.problems.catalogue.installers import INSTALLERS
from pusher.problems.catalogue.queue import QUEUE
from pusher.problems.catalogue.reach import IDENTIFY, REACH
from pusher.problems.catalogue.resolve import RESOLVE
from pusher.problems.catalogue.rights import RIGHTS
from pusher.problems.catalogue.row import Row
from pusher.problems.catalogue.sign_in import SIGN_IN
from pusher.problems.catalogue.store import STORE

ROOMS = Path(pusher.__file__).parent


TABLES = (RESOLVE, DIRECTORY, REACH, IDENTIFY, SIGN_IN, RIGHTS, INSTALL, INSTALLERS, STORE, QUEUE)


def test_the_catalogue_is_complete() -> None:
    """A code has one row: of two the later one would hold, and nobody would see it."""
    assert sorted(row.code for table in TABLES for row in table) == sorted(Code)
    assert {row.code: row for table in TABLES for row in table} == CATALOGUE


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.code)
def test_each_row_says_what_it_means_and_what_can_be_done(row: Row) -> None:
    assert len(row.meaning) > 10 and not row.meaning.endswith("."), "it is the rest of a sentence"
    assert len(row.advice) > 10 and row.advice.endswith("."), "it is a sentence"


def lists_of_codes(text: str) -> list[int]:
    """The lines on which two codes or more stand in one set, list or tuple.

    Not those of ``_A, _B = Code.A, Code.B``: short names, which keep the rows of a table on their lines.
    """
    tree = ast.parse(text)
    names = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign) and len(node.targets) == 1
             and isinstance(node.targets[0], ast.Tuple)}  # fmt: skip
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Set | ast.List | ast.Tuple)
        and id(node) not in names
        and sum(map(_is_code, node.elts)) > 1
    ]


def _is_code(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"


def test_the_search_finds_what_it_looks_for() -> None:
    assert lists_of_codes("A = frozenset({Code.A, Code.B})\nif code in (Code.A, Code.B): pass") == [1, 2]
    assert lists_of_codes("_A, _B = Code.A, Code.B\nC = {1: Code.A, 2: Code.B}\nD = {Code.A}") == []


def test_the_columns_are_complete() -> None:
    """A room that lists codes holds a column of the catalogue, which nobody finds who adds a code."""
    found = {str(file.relative_to(ROOMS)): lines for file in sorted(ROOMS.rglob("*.py"))
             if (lines := lists_of_codes(file.read_text()))}  # fmt: skip
    assert found == {}, "make each a column of the catalogue"
