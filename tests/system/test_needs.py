"""What a package asks of a machine beside its place: registry keys and rights, proved before anything is copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab import Host
from tests.system import witness
from tests.system.command import Ended
from tests.system.site import Site

pytestmark = pytest.mark.lab

UNKNOWN = "LAB\\agents$"
"""A group managed service account, which no machine of the lab knows."""


def check(ended: Ended, name: str) -> dict[str, Any]:
    (found,) = (one for one in ended.outcome["checks"] if one["check"] == name)
    return dict(found)


@pytest.fixture
def host(site: Site) -> Host:
    return site.host("spare2")


def test_registry_keys_are_opened_and_nothing_is_made(site: Site, host: Host, tmp_path: Path) -> None:
    needs = "\n[needs]\nregistry = ['HKLM\\SOFTWARE\\LabAgent\\Settings', 'HKLM\\SOFTWARE']\n"
    before = witness.snapshot(host)
    keys = site.witness(host).registry_keys("SOFTWARE")
    ended = site.pusher(tmp_path / "run", site.package_of(tmp_path / "package", more=needs)).check(
        site.inventory_of(tmp_path, [host])
    )
    assert ended.verdict == ("ready", None), ended.everything_said()
    registry = check(ended, "registry")
    assert registry["result"] == "pass"
    assert "HKLM\\SOFTWARE opened to create keys in" in registry["evidence"]
    assert "HKLM\\SOFTWARE opened for writing" in registry["evidence"]
    assert witness.snapshot(host) == before
    assert site.witness(host).registry_keys("SOFTWARE") == keys and "LabAgent" not in keys


def test_a_key_that_may_not_be_written_is_a_missing_right(site: Site, host: Host, tmp_path: Path) -> None:
    """Samba's registry has no such key, and none above it."""
    needs = "\n[needs]\nregistry = ['HKLM\\NOSUCH\\LabAgent']\n"
    ended = site.pusher(tmp_path / "run", site.package_of(tmp_path / "package", more=needs)).push(
        site.inventory_of(tmp_path, [host])
    )
    assert ended.verdict[0] == "failed" and ended.outcome["stage"] == "rights", ended.everything_said()
    assert check(ended, "registry")["result"] == "fail"
    assert ended.verdict[1] in ("registry-denied", "registry-unavailable", "path-not-found")


def test_built_in_service_accounts_need_no_proof(site: Site, host: Host, tmp_path: Path) -> None:
    needs = "\n[needs]\nrights = ['SeServiceLogonRight', 'SeTcbPrivilege', 'SeImpersonatePrivilege']\n"
    package = site.package_of(tmp_path / "package", more=needs, account="NetworkService")
    ended = site.pusher(tmp_path / "run", package).check(site.inventory_of(tmp_path, [host]))
    assert ended.verdict == ("ready", None), ended.everything_said()
    for name in ("log-on-as-service", "act-as-system", "impersonate"):
        assert check(ended, name)["result"] == "not-needed"


@pytest.mark.parametrize("asked", [False, True], ids=["not-asked", "asked"])
def test_a_service_account_that_the_machine_does_not_know_stops_the_push(
    site: Site, host: Host, tmp_path: Path, asked: bool
) -> None:
    """It is the package's account that is wrong, and not the one that pushes: that one goes on elsewhere."""
    before = witness.snapshot(host)
    needs = "\n[needs]\nrights = ['SeServiceLogonRight']\n" if asked else ""
    package = site.package_of(tmp_path / "package", more=needs, account=UNKNOWN)
    ended = site.pusher(tmp_path / "run", package).push(site.inventory_of(tmp_path, [host]))
    assert ended.verdict[1] in ("right-missing", "service-account-invalid"), ended.everything_said()
    assert ended.outcome["stage"] == "rights"
    assert ended.outcome["next_move"] == "give-up"
    assert "accounts file" not in ended.outcome["remedy"]
    assert check(ended, "log-on-as-service")["result"] == "fail"
    assert "agents$" in check(ended, "log-on-as-service")["evidence"]
    assert check(ended, "act-as-system")["result"] == "not-needed"
    assert witness.snapshot(host) == before


def test_another_architecture_is_refused(site: Site, host: Host, tmp_path: Path) -> None:
    package = site.package_of(tmp_path / "package", more="\n[needs]\narchitectures = ['arm64']\n")
    before = witness.snapshot(host)
    ended = site.pusher(tmp_path / "run", package).push(site.inventory_of(tmp_path, [host]))
    assert ended.verdict == ("failed", "wrong-architecture"), ended.everything_said()
    assert witness.snapshot(host) == before


def test_a_newer_version_is_left_alone(site: Site, tmp_path: Path) -> None:
    """The host has 1.4.2; a package that says 1.3.9 does not replace it."""
    host = site.host("same-version")
    older = site.package_of(tmp_path / "package", version="1.3.9", extra={"readme.txt": b"other content"})
    before = witness.snapshot(host)
    ended = site.pusher(tmp_path / "run", older).push(site.inventory_of(tmp_path, [host]))
    assert ended.verdict == ("skipped", "newer-version-present"), ended.everything_said()
    assert witness.snapshot(host) == before
