"""Names in ``scope`` and ``never`` that nothing in the inventory bears: a slip is found, a shared file stays usable."""

from __future__ import annotations

from pathlib import Path

import pytest

from pusher.credentials.accounts_file import load_accounts
from pusher.models import Verb
from pusher.problems import BadInput
from pusher.settings import Options
from pusher.targets.inventory import load_inventory
from pusher.wiring.engine import open_engine
from pusher.wiring.patterns import unborne
from pusher.wiring.run_plan import RunPlan, prepare_run
from tests.unit.test_wiring_directory import BASE, directory

INVENTORY = """version: 1
defaults: {site: paris}
sites: {lyon: ["10.2.0.0/16"]}
groups:
  tier0:
    hosts: [dc1.corp.example, {name: db, address: 10.1.2.3}]
  floor-1:
    hosts: ["ws[01:20].corp.example"]
    ranges: ["10.9.0.0/26"]
  empty: {hosts: []}
"""


@pytest.fixture
def notes(tmp_path: Path) -> object:
    (tmp_path / "i.yaml").write_text(INVENTORY)

    def found(key: str, pattern: str, more: str = "") -> list[str]:
        text = f"[[account]]\nname = 'push'\nuser = '.\\adm'\nsecret = 'env:X'\n{key} = ['*', '{pattern}']\n{more}"
        (tmp_path / "accounts.toml").write_text(text)
        said = unborne(load_accounts(tmp_path / "accounts.toml"), load_inventory(tmp_path / "i.yaml"))
        return [note.replace(str(tmp_path) + "/", "") for note in said]

    return found


BORNE = [
    "group:tier0", "group:TIER0", "group:floor-*", "group:empty", "group:domain-controllers",
    "site:paris", "site:LYON", "site:l*", "dc1.corp.example", "DC1.corp.example.", "db", "ws07.corp.example",
    "10.9.0.5", "10.77.0.1", "dmz*", "*.other.example", "10.77.0.0/16", "fd00::5", "fd00::/64",
]  # fmt: skip
SLIPS = [
    ("group:teir0", "no group", "tier0"), ("group:dmz*", "no group", None), ("site:pariss", "no site", "paris"),
    ("site:berlin", "no site", None), ("dc1.corp.exmaple", "no host", "dc1.corp.example"), ("dc1", "no host", None),
    ("ws21.corp.example", "no host", None), ("tier-9", "no host", None),
]  # fmt: skip


@pytest.mark.parametrize("key", ["scope", "never"])
@pytest.mark.parametrize("pattern", BORNE)
def test_what_is_borne(notes: object, key: str, pattern: str) -> None:
    assert notes(key, pattern) == []  # type: ignore[operator]


@pytest.mark.parametrize(("pattern", "found", "meant"), SLIPS)
def test_a_slip(notes: object, pattern: str, found: str, meant: str | None) -> None:
    """Bad input where it protects, told where it does not; with its place either way."""
    (note,) = notes("scope", pattern)  # type: ignore[operator]
    assert note.startswith(f"accounts.toml:5:15: scope of push: '{pattern}' names {found}")
    assert (f"did you mean {meant}?" in note) == (meant is not None) or meant is None
    with pytest.raises(BadInput) as caught:
        notes("never", pattern)  # type: ignore[operator]
    source = caught.value.source
    assert source is not None and (source.line, source.column) == (5, 15)
    assert pattern in caught.value.found and "[elsewhere]" in caught.value.expected
    assert notes("never", pattern, f"[elsewhere]\nnames = ['{pattern.upper()}']\n") == []  # type: ignore[operator]


def test_a_bare_word_in_never_is_a_group_too_and_in_scope_it_is_none(notes: object) -> None:
    assert notes("never", "tier0") == []  # type: ignore[operator]
    assert len(notes("scope", "tier0")) == 1  # type: ignore[operator]


def test_elsewhere_is_for_what_stands_there(notes: object) -> None:
    with pytest.raises(BadInput, match=r"stands in no scope and no never \(did you mean group:tier0\?\)"):
        notes("never", "group:tier0", "[elsewhere]\nnames = ['group:teir0']\n")  # type: ignore[operator]


@pytest.mark.parametrize("pattern", ["10.9.0.0/99", "10.9.0.1/26", "ws[001:010]", "~ws", "a,b", "!a", "&a"])
def test_what_would_fit_nothing_without_a_word(notes: object, pattern: str) -> None:
    for key in ("scope", "never"):
        with pytest.raises(BadInput) as caught:
            notes(key, pattern)  # type: ignore[operator]
        assert caught.value.source is not None and caught.value.source.line == 5


def test_the_own_identity_is_kept_away_by_names_too(notes: object) -> None:
    with pytest.raises(BadInput, match="never of own-identity"):
        notes("scope", "*", "[fallback]\nenabled = true\nnever = ['group:teir0']\n")  # type: ignore[operator]


def of_directory(tmp_path: Path, never: str) -> tuple[RunPlan | None, int]:
    """What comes of a run over a directory's computers, and how often the directory was asked."""
    (tmp_path / "i.yaml").write_text(f"version: 1\ngroups:\n  servers:\n    directory: {{base: '{BASE}'}}\n")
    text = "[[account]]\nname = 'push'\nuser = '.\\adm'\nsecret = 'env:PUSH'\n"
    (tmp_path / "accounts.toml").write_text(f"{text}never = ['{never}']\n")
    found = directory()
    try:
        with open_engine() as unused:
            made = prepare_run(Options(inventory=tmp_path / "i.yaml"), Verb.CHECK, unused, found)
    except BadInput:
        return None, len(found.searches)
    return made, len(found.searches)


def test_members_may_be_found_later_and_names_of_groups_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSH", "x")
    for never in ("group:servers", "group:domain-controllers", "pc1.corp.example"):
        made, _ = of_directory(tmp_path, never)
        assert made is not None and list(made.notes()) == [], never
    assert of_directory(tmp_path, "group:teir0") == (None, 0)
    refused, asked = of_directory(tmp_path, "pc9.corp.example")
    assert refused is None and asked > 0


SAMPLES = Path(__file__).parents[2] / "inventory"


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("example*.*") if path.suffix != ".toml"))
def test_the_samples_go_together(name: str) -> None:
    inventory = load_inventory(SAMPLES / name)
    accounts = load_accounts(SAMPLES / "example-accounts.toml")
    assert list(unborne(accounts, inventory, expanded=not inventory.directory_groups)) == []
