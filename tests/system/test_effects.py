"""What changes on a host and what does not: pushing again, checking, removing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from lab import Host
from tests.system import witness
from tests.system.site import LEFTOVERS, ON_D, WITH_OLDER, Site

pytestmark = pytest.mark.lab

RIGHTS = (
    "admin-share-write",
    "folders",
    "service-creation",
    "registry",
    "log-on-as-service",
    "act-as-system",
    "impersonate",
)
READINESS = ("domain-controller", "free-space", "architecture", "pending-version")


@pytest.fixture(scope="module")
def hosts(site: Site) -> Iterator[list[Host]]:
    """Two machines as new: one empty, one with the older version."""
    found = [site.host("spare1"), site.host(WITH_OLDER)]
    for host in found:
        host.reset()
    yield found
    for host in found:
        host.reset()


@pytest.fixture
def inventory(site: Site, hosts: list[Host], tmp_path: Path) -> Path:
    return site.inventory_of(tmp_path, hosts)


def test_check_leaves_no_trace(site: Site, hosts: list[Host], inventory: Path, tmp_path: Path) -> None:
    before = [witness.snapshot(host) for host in hosts]
    ended = site.pusher(tmp_path).check(inventory)
    assert ended.status == 0, ended.everything_said()
    assert set(ended.verdicts.values()) == {("ready", None)}
    assert [witness.snapshot(host) for host in hosts] == before


def test_check_proves_each_right_with_evidence(site: Site, hosts: list[Host], inventory: Path, tmp_path: Path) -> None:
    outcomes = site.pusher(tmp_path).check(inventory).outcomes
    for host in hosts:
        checks = {check["check"]: check for check in outcomes[host.fqdn]["checks"]}
        assert set(checks) == {*RIGHTS, *READINESS}
        assert all(check["evidence"] for check in checks.values())
        results = {name: check["result"] for name, check in checks.items()}
        assert {name: result for name, result in results.items() if result != "pass"} == {
            "log-on-as-service": "not-needed",
            "act-as-system": "not-needed",
            "impersonate": "not-needed",
        }
        assert checks["architecture"]["evidence"] == "x64"
    evidence = [
        next(c["evidence"] for c in outcomes[host.fqdn]["checks"] if c["check"] == "pending-version") for host in hosts
    ]
    assert "nothing is there" in evidence[0] and "1.3.0" in evidence[1]


def test_check_without_a_package(site: Site, hosts: list[Host], inventory: Path, tmp_path: Path) -> None:
    before = [witness.snapshot(host) for host in hosts]
    ended = site.pusher(tmp_path).run(
        *("check", inventory, "--accounts", site.accounts, "--store", tmp_path / "s", "--log", tmp_path / "l", "--json")
    )
    assert (ended.status, set(ended.verdicts.values())) == (0, {("ready", None)}), ended.everything_said()
    assert [witness.snapshot(host) for host in hosts] == before


@pytest.mark.parametrize("name", ["not-administrator", "read-only-admin-share", "no-admin-share", "disk-full"])
def test_check_says_what_is_missing_and_leaves_no_trace(site: Site, tmp_path: Path, name: str) -> None:
    host = site.host(name)
    before = witness.snapshot(host)
    ended = site.pusher(tmp_path).check(site.inventory_of(tmp_path, [host]))
    assert ended.status == 1
    assert ended.verdict == ("failed", host.scenario.expect_code)
    results = {check["check"]: check["result"] for check in ended.outcome["checks"]}
    assert "fail" in results.values()
    assert set(results) == {*RIGHTS, *READINESS}, "one missing right does not hide the others"
    assert witness.snapshot(host) == before


def test_push_then_nothing_to_do_then_remove(site: Site, hosts: list[Host], inventory: Path, tmp_path: Path) -> None:
    """One story, since each part is the next one's beginning."""
    pusher = site.pusher(tmp_path / "run", site.package_of(tmp_path / "package"))
    first = pusher.push(inventory)
    assert (first.status, list(first.verdicts.values())) == (0, [("installed", None), ("upgraded", None)]), first

    before = [witness.snapshot(host) for host in hosts]
    again = pusher.push(inventory)
    assert again.status == 0
    assert set(again.verdicts.values()) == {("unchanged", None)}
    assert {line["bytes_copied"] for line in again.outcomes.values()} == {0}
    assert [witness.snapshot(host) for host in hosts] == before  # no file, no service, no process is another

    removed = pusher.remove(inventory)
    assert removed.status == 0, removed.everything_said()
    assert set(removed.verdicts.values()) == {("removed", None)}
    for host in hosts:
        sees = site.witness(host)
        assert sees.service_state() is None
        assert sees.names("labagent") == ["heartbeat.txt"], "the agent's own file, which the package does not name"
        assert sees.names(r"pusher") == []
        assert witness.agents(host) == ()
        assert witness.litter(host) == []

    before = [witness.snapshot(host) for host in hosts]
    twice = pusher.remove(inventory)
    assert (twice.status, set(twice.verdicts.values())) == (0, {("unchanged", None)})
    assert [witness.snapshot(host) for host in hosts] == before


@pytest.mark.parametrize("transport", ["smb", "winrm"])
def test_files_that_are_read_only_hidden_and_system(
    site: Site, fresh: Callable[[str], Host], tmp_path: Path, transport: str
) -> None:
    """As they come off a CD or out of version control: replaced and removed all the same, and nothing stays."""
    host = fresh(WITH_OLDER)
    sees, inventory = site.witness(host), site.inventory_of(tmp_path, [host], transports=transport)
    pusher = site.pusher(tmp_path / "run", site.package_of(tmp_path / "package", more=LEFTOVERS))
    sees.smb(f"setmode {witness.AGENT} +rhs")
    upgraded = pusher.push(inventory)
    assert upgraded.verdict == ("upgraded", None), upgraded.everything_said()
    assert (witness.agent_file(host), witness.litter(host)) == (site.agent, [])
    sees.smb(f"setmode {witness.AGENT} +rhs")
    removed = pusher.remove(inventory)
    assert removed.verdict == ("removed", None), removed.everything_said()
    assert (sees.names("labagent"), sees.service_state()) == ([], None)


def test_windows_on_another_drive(site: Site, fresh: Callable[[str], Host], tmp_path: Path) -> None:
    """The command's %SystemRoot% comes back as D:\\Windows, and %ProgramData% is not behind C$."""
    host, data = fresh(ON_D), b"some configuration"
    place = "source = 'a.conf'\ndest = '%ProgramData%\\labagent\\a.conf'"
    more = f"[[file]]\n{place}\nsha256 = '{sha256(data).hexdigest()}'\n"
    package = site.package_of(tmp_path / "package", more=more)
    (package / "a.conf").write_bytes(data)
    kinds = ("smb", "winrm")
    over = {kind: site.inventory_of(tmp_path, [host], name=f"{kind}.yaml", transports=kind) for kind in kinds}
    pusher = site.pusher(tmp_path / "run", package)
    first = pusher.push(over["smb"])
    assert first.verdict == ("installed", None), first.everything_said()
    placed = host.admin_share.parent / "ProgramData" / "labagent" / "a.conf"
    assert placed.read_bytes() == data
    before = witness.snapshot(host)
    assert len(before.agents) == 1
    agents = {name: at for name, at in before.files.items() if "labagent" in name}
    assert len(agents) == 4
    for kind, inventory in over.items():
        again = pusher.push(inventory)
        assert (again.verdict, again.outcome["transport"]) == (("unchanged", None), kind), again.everything_said()
        now = witness.snapshot(host)  # WinRM's shells make their users a profile, so not of the whole drive
        assert (now.service, now.agents) == (before.service, before.agents)
        assert {name: at for name, at in now.files.items() if "labagent" in name} == agents
    removed = pusher.remove(over["smb"])
    assert removed.verdict == ("removed", None), removed.everything_said()
    assert not placed.parent.exists()


def test_remove_takes_the_named_leftovers_and_the_folder(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    host = fresh("spare1")
    inventory, pusher = site.inventory_of(tmp_path, [host]), site.pusher(tmp_path / "run", quick)
    before = witness.files(host)
    assert pusher.push(inventory).verdict == ("installed", None)
    assert pusher.remove(inventory).verdict == ("removed", None)
    assert witness.files(host).keys() == before.keys()
    assert site.witness(host).service_state() is None
    assert site.witness(host).names("labagent") == []


def test_remove_leaves_another_products_service_alone(site: Site, tmp_path: Path) -> None:
    host = site.host("foreign-service")
    before = witness.snapshot(host)
    ended = site.pusher(tmp_path).remove(site.inventory_of(tmp_path, [host]))
    assert (ended.status, ended.verdict) == (1, ("failed", "service-exists-foreign"))
    assert site.witness(host).service_state() == "running"
    assert witness.snapshot(host) == before


def test_remove_asks_first(site: Site, hosts: list[Host], inventory: Path, tmp_path: Path) -> None:
    """Without --yes and with nobody to ask, nothing happens."""
    pusher = site.pusher(tmp_path / "run")
    ended = pusher.run("remove", inventory, "--accounts", site.accounts, "--package", site.package)
    assert ended.status == 2
    assert (ended.stdout, len(ended.stderr.splitlines())) == ("", 1)
    assert "--yes" in ended.stderr


def test_an_agent_that_stops_soon_after_its_start_is_taken_back(
    site: Site, fresh: Callable[[str], Host], tmp_path: Path
) -> None:
    """It reports that it runs, and two seconds later that it has failed: that is no installation."""
    host = fresh(WITH_OLDER)
    before = witness.snapshot(host)
    package = site.package_of(tmp_path / "package", stay_running="5s")
    inventory = site.inventory_of(tmp_path, [host], fault="exit-later")
    ended = site.pusher(tmp_path / "run", package).push(inventory)
    assert ended.verdict == ("failed", "service-failed"), ended.everything_said()
    assert ended.outcome["stage"] == "verify"
    assert "42" in ended.outcome["message"]
    after = witness.snapshot(host)
    assert (after.files, after.service) == (before.files, before.service)
    assert len(after.agents) == 1
