"""A run over groups of the directory: what is read first, what is asked when, and that nothing is asked in vain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pusher.cli.app import main
from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.credentials.lockout.budget import LockoutPolicy
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.directory.ldap import LdapDirectory
from pusher.directory.memory import MemoryDirectory, entry
from pusher.models import Verb
from pusher.problems import BadInput, ProblemError
from pusher.settings import Options
from pusher.targets.inventory import Inventory, load_inventory
from pusher.wiring.directory import directory_of
from pusher.wiring.engine import open_engine
from pusher.wiring.inventory import inventory_of
from pusher.wiring.run_plan import RunPlan, prepare_run

BASE = "DC=corp,DC=example"
ACCOUNTS = '[directory]\ndomain = "corp.example"\nuser = "reader@corp.example"\nsecret = "env:READER"\n'


def directory(**given: object) -> MemoryDirectory:
    category = f"CN=Computer,CN=Schema,{BASE}"
    computers = [
        entry(f"CN={name},{BASE}", {"objectCategory": category, "dNSHostName": f"{name}.corp.example",
                                    "userAccountControl": flags})
        for name, flags in (("pc1", 4096), ("pc2", 4098), ("dc1", 0x82000))
    ]  # fmt: skip
    return MemoryDirectory([entry(BASE), *computers], **given)  # type: ignore[arg-type]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "i.yaml"
    path.write_text(f"version: 1\ngroups:\n  all:\n    directory: {{base: '{BASE}'}}\n")
    return path


def plan(path: Path, found: MemoryDirectory | None, limit: Sequence[str] = ()) -> RunPlan:
    with open_engine() as engine:
        made = prepare_run(Options(inventory=path, limit=limit), Verb.CHECK, engine, found)
        assert not engine.is_open, "a store is for what signs in"
    return made


def alone(path: Path) -> Inventory:
    with open_engine() as engine:
        made = inventory_of(Options(inventory=path), engine)
        assert not engine.is_open
    return made


def test_computers_are_targets_and_the_rest_is_told_why(inventory: Path) -> None:
    found = directory()
    run = plan(inventory, found)
    assert [target.name for target in run.targets()] == ["pc1.corp.example"]
    assert {target.name: why.code for target, why in run.left_out()} == {
        "pc2.corp.example": "computer-disabled", "dc1.corp.example": "domain-controller-refused",
    }  # fmt: skip
    assert found.closed


def test_a_limit_may_name_what_only_the_directory_knows(inventory: Path) -> None:
    assert [target.name for target in plan(inventory, directory(), ["pc1"]).targets()] == ["pc1.corp.example"]
    with pytest.raises(BadInput, match="names no host"):
        plan(inventory, directory(), ["pc9"])


def test_bad_accounts_are_told_before_the_directory_is_asked(inventory: Path) -> None:
    (inventory.parent / "accounts.toml").write_text("[account]\n")
    found = directory()
    with pytest.raises(BadInput):
        plan(inventory, found)
    assert found.searches == []


def test_a_directory_that_fails_is_closed(inventory: Path) -> None:
    found = directory(fails={"": "directory-unreachable"})
    with pytest.raises(ProblemError):
        plan(inventory, found)
    assert found.closed


@pytest.mark.parametrize("accounts", [None, "[fallback]\nenabled = true\n"])
def test_a_group_without_a_directory(inventory: Path, accounts: str | None) -> None:
    if accounts is not None:
        (inventory.parent / "accounts.toml").write_text(accounts)
    expected = (
        f"{inventory}:4:5: this group asks the directory, and the accounts file does not say who reads it; "
        "expected [directory] with domain, user and secret in the accounts file"
    )
    with pytest.raises(BadInput) as caught:
        plan(inventory, None)
    assert caught.value.sentence == expected
    with pytest.raises(BadInput) as caught:
        alone(inventory)
    assert caught.value.sentence == expected


GUARD = LockoutGuard(LockoutPolicy(threshold=3, reserve=2))


def test_an_authority_that_is_none(inventory: Path) -> None:
    accounts = inventory.parent / "accounts.toml"
    accounts.write_text(ACCOUNTS + 'server = "dc1.corp.example"\nca = "i.yaml"\n')
    with pytest.raises(BadInput, match="holds no certificate"):
        directory_of(load_accounts(accounts), load_inventory(inventory), GUARD)


def test_the_directory_of_the_accounts_file(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READER", "x")
    accounts = inventory.parent / "accounts.toml"
    accounts.write_text(ACCOUNTS)
    assert isinstance(directory_of(load_accounts(accounts), load_inventory(inventory), GUARD), LdapDirectory)


def test_the_reader_is_not_locked_out_by_runs(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READER", "x")
    (inventory.parent / "accounts.toml").write_text(ACCOUNTS)
    found = directory(fails={"": "directory-sign-in-failed"})
    monkeypatch.setattr("pusher.wiring.directory.ldap_directory", lambda *given: found.within(given[-1]))
    options = Options(inventory=inventory, store=str(inventory.parent / "store.sqlite"))
    for _ in range(3):
        with open_engine(options.store) as engine:
            with pytest.raises(ProblemError, match="directory-sign-in-failed"):
                prepare_run(options, Verb.CHECK, engine)
            with pytest.raises(ProblemError, match="directory-sign-in-failed"):
                inventory_of(options, engine)
    assert found.signed_in == 1


@pytest.mark.parametrize("by", ["--store", "PUSHER_STORE"])
def test_a_resolve_counts_the_reader_where_a_push_does(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    """In another store the reader would have a second budget, and could be locked out."""
    folder, store = inventory.parent, str(inventory.parent / "shared.sqlite")
    monkeypatch.setenv("READER", "x")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "own"))
    (folder / "accounts.toml").write_text(ACCOUNTS)
    found = directory(fails={"": "directory-sign-in-failed"})
    monkeypatch.setattr("pusher.wiring.directory.ldap_directory", lambda *given: found.within(given[-1]))
    given = ["--store", store] if by == "--store" else []
    if not given:
        monkeypatch.setenv(by, store)
    monkeypatch.setattr("sys.argv", ["pusher", "resolve", str(inventory), *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, "directory-sign-in-failed" in capsys.readouterr().err) == (2, True)
    with open_engine(store) as engine, pytest.raises(ProblemError, match="directory-sign-in-failed"):
        prepare_run(Options(inventory=inventory, store=store), Verb.CHECK, engine)
    assert found.signed_in == 1
    assert not (folder / "own").exists()


def test_without_groups_of_it_nobody_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "i.yaml"
    path.write_text("version: 1\ngroups: {a: {hosts: [x.corp.example]}}\n")
    found = directory()
    assert [target.name for target in plan(path, found).targets()] == ["x.corp.example"]
    assert [one.target.name for one in alone(path).targets()] == ["x.corp.example"]
    assert found.searches == []
    with pytest.raises(BadInput):
        directory_of(AccountsFile.own_identity_only(), load_inventory(path), GUARD)
