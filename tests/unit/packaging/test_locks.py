"""The locks: every package pinned and hashed, no place named, and true to the ranges of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.packaging.scripts import ROOT, script

lock = script("lock")
newest = script("newest")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {one.name: one for one in lock.locks(list(EXTRAS))}
_LINE = re.compile(r"[a-z0-9-]+==[0-9][a-z0-9.]*(?: ; [^\\]+)? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def text(name: str) -> str:
    return Path(ROOT, LOCKS[name].file).read_text(encoding="utf-8")


def pins(name: str) -> list[Requirement]:
    return [Requirement(line.removesuffix("\\")) for line in text(name).splitlines() if not line.startswith(" ")]


def ranges(name: str) -> list[str]:
    """What the lock is made from."""
    if LOCKS[name].source.endswith(".in"):
        lines = (ROOT / LOCKS[name].source).read_text(encoding="utf-8").splitlines()
        return [line.partition("#")[0] for line in lines if line.partition("#")[0].strip()]
    if name == "dev":
        return [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
    return [*PROJECT["dependencies"], *EXTRAS.get(name, [])]


def test_the_set_of_locks_is_complete() -> None:
    """One for the plain install and for each extra; none of an extra that is gone."""
    assert {path.stem for path in (ROOT / "locks").glob("*.txt")} == set(LOCKS)
    assert set(LOCKS) == {"plain", "build", "tools", *EXTRAS}


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_every_line_is_a_pin_or_a_hash(name: str) -> None:
    """So no index, no folder of this machine and no address can be in it."""
    lines = text(name).splitlines()
    assert lines
    before = ""
    for line in lines:
        pinned = _LINE.fullmatch(line)
        assert pinned or _HASH.fullmatch(line), line
        if pinned:
            assert not before.endswith("\\"), f"{before} has no hash"
        else:
            assert before.endswith("\\"), f"{line} belongs to nothing"
        before = line
    assert not before.endswith("\\")


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_what_the_ranges_ask_for_is_pinned_within_them(name: str) -> None:
    held: dict[str, list[Requirement]] = {}
    for pin in pins(name):
        held.setdefault(canonicalize_name(pin.name), []).append(pin)
    for wanted in map(Requirement, ranges(name)):
        found = held.get(canonicalize_name(wanted.name))
        assert found, f"{wanted} is not in {name}.txt: make lock"
        for pin in found:
            (version,) = pin.specifier
            assert wanted.specifier.contains(version.version), f"{pin} is not within {wanted}: make lock"


@pytest.mark.parametrize("name", sorted(set(LOCKS) - {"tools"}))
def test_a_package_has_one_version_in_all_locks(name: str) -> None:
    everywhere = {str(pin) for pin in pins("dev")}
    known = {canonicalize_name(pin.name) for pin in pins("dev")}
    strays = [str(pin) for pin in pins(name) if canonicalize_name(pin.name) in known and str(pin) not in everywhere]
    # A marker may differ where fewer packages ask for it; the version may not.
    versions = {one.split(";")[0].strip() for one in everywhere}
    assert [one for one in strays if one.split(";")[0].strip() not in versions] == []


def test_what_is_newer_is_told() -> None:
    pinned = newest.locked("a==1 \\\n    --hash=sha256:00\nb==2 ; python_version < '3.12' \\\n    --hash=sha256:11\n")
    assert pinned == {"a": "1", "b": "2"}
    assert newest.differences(pinned, {"a": "1", "b": "3", "c": "1"}) == ["b 2 -> 3", "c (not in the lock) -> 1"]
    outdated = [
        {"name": "a", "version": "1", "latest_version": "2"},
        {"name": "x", "version": "1", "latest_version": "2"},
    ]
    assert newest.held_back(outdated, {"a", "b"}) == ["a 1; there is 2"]
