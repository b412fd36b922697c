"""Accounts of a package: who signs in for it, and what the operator hears of the others."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from tests.unit.cli.workplace import ACCOUNTS, Said, Workplace

OWN = '[[account]]\nname = "own"\nuser = \'.\\pushadm\'\nsecret = "env:OWN"\npackages = ["{}"]\n'


@pytest.fixture(autouse=True)
def labagent(place: Workplace) -> None:
    folder = place.folder / "labagent"
    folder.mkdir()
    (folder / "agent.exe").write_bytes(b"MZ")
    digest = hashlib.sha256(b"MZ").hexdigest()
    (folder / "package.toml").write_text(
        'name = "labagent"\nversion = "1.0"\n[[file]]\nsource = "agent.exe"\n'
        f'dest = \'labagent\\agent.exe\'\nsha256 = "{digest}"\n[service]\nname = "LabAgent"\n'
        "command = '\"%SystemRoot%\\labagent\\agent.exe\"'\n"
    )


def tried(said: Said) -> list[str]:
    (line,) = said.out.splitlines()
    return [account["account"] for account in json.loads(line)["accounts_tried"]]


@pytest.mark.parametrize(
    ("names", "package", "right", "expected"),
    [
        ("labagent", True, True, ["own"]),
        ("LAB*", True, True, ["own"]),
        ("labagent", True, False, ["own"]),  # no general account stands in for one that is refused
        ("labtool", True, True, ["push"]),
        ("labagent", False, True, ["push"]),
    ],
)
def test_who_signs_in_for_a_package(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, names: str, package: bool, right: bool, expected: list[str]
) -> None:
    monkeypatch.setenv("OWN", "right" if right else "wrong")
    place.accounts(ACCOUNTS + OWN.format(names))
    ended = place.check("--limit", "a.*", *(["--package", "labagent"] if package else []))
    assert tried(ended) == expected, ended.err
    assert ended.status == (0 if right else 1)


def test_a_secret_that_no_account_of_the_run_has_is_not_asked_for(place: Workplace) -> None:
    place.accounts(ACCOUNTS + OWN.format("labtool"))  # OWN is not set
    assert place.check("--limit", "a.*", "--package", "labagent").status == 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--package", "labagent"), "every account is for other packages than labagent"),
        ((), "every account is for certain packages, and no package was named"),
    ],
)
def test_nobody_is_left(place: Workplace, options: tuple[str, ...], found: str) -> None:
    place.accounts(OWN.format("labtool"))
    ended = place.check(*options)
    assert (ended.status, ended.out) == (2, "") and found in ended.err
    assert not any(host.sign_ins for host in place.hosts.values())


def test_the_processes_own_identity_is_a_general_account(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN", "wrong")
    place.accounts(OWN.format("labagent") + "[fallback]\nenabled = true\n")
    assert tried(place.check("--limit", "a.*", "--package", "labagent")) == ["own"]


def test_a_name_that_is_nearly_the_packages_is_told(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN", "right")
    place.accounts(ACCOUNTS + OWN.format("labagnt"))
    ended = place.check("--limit", "a.*", "--package", "labagent")
    assert "account own is for the package labagnt (did you mean labagent?)" in ended.err
    assert tried(ended) == ["push"]


def test_a_removal_that_is_made_again_is_asked_about(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """``retry last`` may mean another run than whoever types it thinks of."""
    place.let_in("")
    removal = ("remove", "i.yaml", "--package", "labagent", "--limit", "a", "--json", "--yes")
    assert place.run(*removal).pushed == {"a"}
    monkeypatch.setattr("sys.stdin", io.StringIO())
    place.let_in("a")
    said = place.run("retry", "last", "--json")
    assert (said.status, said.out) == (2, "")
    assert said.err.endswith("there is nobody to ask before removing; expected --yes\n")
    assert place.run("retry", "last", "--json", "--yes").pushed == {"a"}
