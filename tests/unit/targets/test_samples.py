"""The samples under inventory/ load, so that what a reader copies works."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pusher.credentials.accounts_file import load_accounts
from pusher.install.package import load_package, placeholders, render_command
from pusher.targets.inventory import load_inventory

SAMPLES = Path(__file__).parents[3] / "inventory"


@pytest.mark.parametrize(
    ("name", "count", "groups"),
    [
        ("example.yaml", 390, {"paris", "london", "labs", "offices"}),
        ("example.csv", 9, {"paris", "pilots", "london"}),
        ("example-hosts.txt", 35, set()),
        ("example-ansible.ini", 58, {"paris", "london", "offices"}),
    ],
)
def test_sample_inventories(name: str, count: int, groups: set[str]) -> None:
    inventory = load_inventory(SAMPLES / name)
    assert inventory.count() == count == sum(1 for _ in inventory.targets())
    assert set(inventory.group_names) == groups
    decisions = [s.decision for s in inventory.targets()]
    assert sum(d.included for d in decisions) == (389 if name == "example.yaml" else count)


def test_the_sample_of_a_directory() -> None:
    inventory = load_inventory(SAMPLES / "example-directory.yaml")
    assert [group.name for group in inventory.directory_groups] == ["servers", "kiosks", "test-floor"]


def test_sample_accounts() -> None:
    file = load_accounts(SAMPLES / "example-accounts.toml")
    assert file.directory is not None and file.directory.domain == "corp.example"
    assert [account.name for account in file.accounts] == ["push-2026", "labs-local"]
    assert file.fallback is None


def test_the_sample_package_fits_the_sample_inventory(tmp_path: Path) -> None:
    text = (SAMPLES / "example-package" / "package.toml.sample").read_text(encoding="utf-8")
    agent = b"MZ"
    (tmp_path / "labagent.exe").write_bytes(agent)
    (tmp_path / "package.toml").write_text(text.replace("0" * 64, hashlib.sha256(agent).hexdigest()), encoding="utf-8")
    package = load_package(tmp_path)
    assert package.service is not None
    assert placeholders(package.service) == ("site", "channel")
    for selected in load_inventory(SAMPLES / "example.yaml").targets():
        assert "--channel" in render_command(package.service, selected.target, package.source)
