"""Computers of a directory as targets: names, sites, what is left out and why, and what is wrong with a query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pusher.directory.memory import MemoryDirectory, Values, entry
from pusher.directory.port import Bounds, Entry
from pusher.problems import BadInput, ProblemError
from pusher.targets.directory_query import expand
from pusher.targets.inventory import Inventory, Selected, load_inventory

BASE = "DC=corp,DC=example"
SERVERS = f"OU=Servers,{BASE}"
CONFIGURATION = f"CN=Configuration,{BASE}"
SUBNETS = f"CN=Subnets,CN=Sites,{CONFIGURATION}"
CATEGORY = f"CN=Computer,CN=Schema,{CONFIGURATION}"
ROOT: Mapping[str, Values] = {"namingContexts": [BASE, CONFIGURATION], "configurationNamingContext": CONFIGURATION}
NOW = datetime(2026, 3, 4, tzinfo=UTC)
WORKSTATION, SERVER_TRUST, READ_ONLY_DC, DISABLED = 0x1000, 0x82000, 0x5001000, 0x2


def ago(days: int) -> int:
    return int((NOW - timedelta(days=days) - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000


def computer(cn: str, place: str = SERVERS, **more: Values) -> Entry:
    given: dict[str, Values] = {
        "objectClass": "computer", "objectCategory": CATEGORY, "name": cn, "sAMAccountName": f"{cn}$",
        "dNSHostName": f"{cn}.corp.example", "userAccountControl": WORKSTATION, **more,
    }  # fmt: skip
    return entry(f"CN={cn},{place}", {key: value for key, value in given.items() if value != ""})


def subnet(cn: str, site: str, **more: Values) -> Entry:
    where = f"CN={site},CN=Sites,{CONFIGURATION}"
    name = cn.replace("/", "_")
    return entry(f"CN={name},{SUBNETS}", {"objectClass": "subnet", "cn": cn, "siteObject": where, **more})


def directory(*entries: Entry, **given: object) -> MemoryDirectory:
    frame = [entry(BASE), entry(SERVERS), entry(f"OU=Old,{SERVERS}"), entry(SUBNETS)]
    return MemoryDirectory([*frame, *entries], root=ROOT, **given)  # type: ignore[arg-type]


def written(folder: Path, query: str = "", more: str = "") -> Path:
    path = folder / "i.yaml"
    path.write_text(f"version: 1\ngroups:\n  servers:\n    directory: {{base: '{SERVERS}'{query}}}\n{more}")
    return path


async def expanded(found: MemoryDirectory, path: Path) -> Inventory:
    return await expand(load_inventory(path), found, lambda: NOW)


def by_name(inventory: Inventory) -> dict[str, Selected]:
    return {one.target.name: one for one in inventory.targets()}


async def test_computers_become_targets_of_the_group(tmp_path: Path) -> None:
    found = directory(computer("PC1"), computer("PC2", f"OU=Old,{SERVERS}"), computer("X", BASE))
    inventory = await expanded(found, written(tmp_path, more="    port: 4450\n"))
    targets = by_name(inventory)
    assert list(targets) == ["PC1.corp.example", "PC2.corp.example"]
    assert all(one.decision.included and one.target.port == 4450 for one in targets.values())
    assert targets["PC1.corp.example"].target.groups == ("servers",)
    assert targets["PC1.corp.example"].decision.why == f"group servers ({tmp_path}/i.yaml:4)"


async def test_one_level(tmp_path: Path) -> None:
    found = directory(computer("PC1"), computer("PC2", f"OU=Old,{SERVERS}"))
    assert list(by_name(await expanded(found, written(tmp_path, ", one_level: true")))) == ["PC1.corp.example"]


async def test_a_filter_of_the_operator(tmp_path: Path) -> None:
    found = directory(computer("PC1", operatingSystem="Windows Server 2022"), computer("PC2", operatingSystem="W11"))
    path = written(tmp_path, ", filter: '(operatingSystem=Windows Server*)'")
    assert list(by_name(await expanded(found, path))) == ["PC1.corp.example"]


async def test_only_computers(tmp_path: Path) -> None:
    """A filter cannot widen the query to what is no computer."""
    user = entry(f"CN=u,{SERVERS}", {"objectClass": "user", "dNSHostName": "u.corp.example"})
    path = written(tmp_path, ", filter: (dNSHostName=*)")
    assert list(by_name(await expanded(directory(computer("PC1"), user), path))) == ["PC1.corp.example"]


async def test_a_group_counts_nested_members(tmp_path: Path) -> None:
    outer, inner = f"CN=Out (er),{BASE}", f"CN=Inner,{BASE}"
    groups = [entry(outer, {"objectClass": "group"}), entry(inner, {"objectClass": "group", "memberOf": outer})]
    found = directory(*groups, computer("PC1", memberOf=inner), computer("PC2", memberOf=outer), computer("PC3"))
    path = written(tmp_path, f", group: '{outer}'")
    assert sorted(by_name(await expanded(found, path))) == ["PC1.corp.example", "PC2.corp.example"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"dNSHostName": "other.dmz.example"}, "other.dmz.example"),
        ({"dNSHostName": ""}, "PC1.corp.example"),
        ({"dNSHostName": "ws[001:900].corp.example"}, "PC1.corp.example"),
        ({"dNSHostName": "10.0.0.0/8"}, "PC1.corp.example"),
        ({"dNSHostName": "10.1.2.3"}, "PC1.corp.example"),
        ({"dNSHostName": b"\xff\xfe"}, "PC1.corp.example"),
        ({"dNSHostName": "a\x1b[2J.corp.example"}, "PC1.corp.example"),
        ({"dNSHostName": "x" * 300}, "PC1.corp.example"),
        ({"dNSHostName": "", "name": ""}, "PC1.corp.example"),  # by sAMAccountName
    ],
)
async def test_names(tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    assert list(by_name(await expanded(directory(computer("PC1", **changes)), written(tmp_path)))) == [name]


async def test_one_without_a_usable_name_is_noted(tmp_path: Path) -> None:
    found = directory(computer("PC1"), computer("b d", dNSHostName=""))
    inventory = await expanded(found, written(tmp_path))
    assert list(by_name(inventory)) == ["PC1.corp.example"]
    assert any("without a usable DNS name" in note and "CN=b d" in note for note in inventory.notes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"userAccountControl": WORKSTATION | DISABLED}, "computer-disabled"),
        ({"lastLogonTimestamp": ago(89)}, None),
        ({"lastLogonTimestamp": ago(91)}, "computer-stale"),
        ({"lastLogonTimestamp": ago(300), "pwdLastSet": ago(20)}, None),
        ({"lastLogonTimestamp": 0, "pwdLastSet": ago(200)}, "computer-stale"),
        ({"whenCreated": f"{NOW - timedelta(days=100):%Y%m%d%H%M%S}.0Z"}, "computer-stale"),
        ({"whenCreated": f"{NOW - timedelta(days=10):%Y%m%d%H%M%S}.0Z"}, None),
        ({"lastLogonTimestamp": "nonsense"}, None),
        ({"userAccountControl": SERVER_TRUST}, "domain-controller-refused"),
        ({"userAccountControl": READ_ONLY_DC}, "domain-controller-refused"),
    ],
)
async def test_who_is_left_out_and_why(tmp_path: Path, changes: dict[str, Any], code: str | None) -> None:
    inventory = await expanded(directory(computer("PC1", **changes)), written(tmp_path, ", stale_after: 90d"))
    decision = by_name(inventory)["PC1.corp.example"].decision
    assert (decision.included, decision.code) == (code is None, code)
    assert code in {None, "domain-controller-refused"} or f"CN=PC1,{SERVERS}" in decision.why


async def test_nothing_is_stale_unless_it_is_asked_for(tmp_path: Path) -> None:
    inventory = await expanded(directory(computer("PC1", lastLogonTimestamp=ago(3000))), written(tmp_path))
    assert by_name(inventory)["PC1.corp.example"].decision.included


async def test_domain_controllers_where_the_inventory_allows_them(tmp_path: Path) -> None:
    found = directory(computer("DC1", userAccountControl=SERVER_TRUST), computer("PC1"))
    inventory = await expanded(found, written(tmp_path, more="    domain_controller: allow\n"))
    targets = by_name(inventory)
    assert targets["DC1.corp.example"].decision.included
    assert targets["DC1.corp.example"].target.groups == ("servers", "domain-controllers")
    assert targets["PC1.corp.example"].target.groups == ("servers",)
    selector = inventory.selector(limit="!group:domain-controllers")
    assert [one.target.name for one in inventory.targets(selector) if one.decision.included] == ["PC1.corp.example"]


async def test_an_exclusion_goes_before_a_finding(tmp_path: Path) -> None:
    found = directory(computer("PC1", userAccountControl=WORKSTATION | DISABLED), computer("PC2"))
    inventory = await expanded(found, written(tmp_path, more="    exclude: ['pc1.*']\n"))
    assert by_name(inventory)["PC1.corp.example"].decision.code == "excluded"


async def test_a_host_of_the_file_that_the_directory_disabled(tmp_path: Path) -> None:
    found = directory(computer("PC1", userAccountControl=WORKSTATION | DISABLED), computer("PC2"))
    path = written(tmp_path, more="  more: {hosts: [pc1.corp.example, pc9.corp.example]}\n")
    inventory = await expanded(found, path)
    targets = {name.lower(): one for name, one in by_name(inventory).items()}
    assert {name: one.decision.code for name, one in targets.items()} == {
        "pc1.corp.example": "computer-disabled", "pc2.corp.example": None, "pc9.corp.example": None,
    }  # fmt: skip
    assert targets["pc1.corp.example"].target.groups == ("servers", "more")


async def test_two_objects_of_one_name_are_one_target(tmp_path: Path) -> None:
    """Set up anew, a machine leaves its old object behind."""
    old = computer("OLD", userAccountControl=WORKSTATION | DISABLED, dNSHostName="pc1.corp.example")
    for entries in ([old, computer("PC1")], [computer("PC1"), old]):
        inventory = await expanded(directory(*entries), written(tmp_path))
        (one,) = inventory.targets()
        assert one.decision.included
        assert any("share one DNS name" in note for note in inventory.notes)


async def test_sites_by_the_longest_prefix(tmp_path: Path) -> None:
    found = directory(
        computer("PC1"), subnet("10.0.0.0/8", "HQ"), subnet("10.9.0.0/16", "Paris"), subnet("10.1.0.0/16", "Rome"),
        subnet("10.2.0.1/16", "Bad"), subnet("2001:db8::/32", "Lab"), subnet("10.3.0.0/16", "no site"),
    )  # fmt: skip
    path = written(tmp_path, more="sites: {own: [10.1.0.0/16]}\n")
    inventory = await expanded(found, path)
    of = inventory.sites.site_of
    assert (of("10.9.1.1"), of("10.8.1.1"), of("10.1.1.1"), of("2001:db8::1")) == ("Paris", "HQ", "own", "Lab")
    assert {"HQ", "Paris", "Lab", "own"} == inventory.site_names
    assert any("subnets of the directory that cannot be used" in note for note in inventory.notes)
    inventory.selector(limit="site:Paris")


async def test_sites_that_may_not_be_read_are_a_note(tmp_path: Path) -> None:
    found = directory(computer("PC1"), fails={SUBNETS: "directory-denied"})
    inventory = await expanded(found, written(tmp_path))
    assert list(by_name(inventory)) and any("sites cannot be read" in note for note in inventory.notes)


async def test_an_inventory_without_directory_groups_asks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "i.yaml"
    path.write_text("version: 1\ngroups: {a: {hosts: [x]}}\n")
    inventory, found = load_inventory(path), directory()
    assert await expand(inventory, found) is inventory
    assert found.searches == []


async def test_targets_are_not_to_be_had_before(tmp_path: Path) -> None:
    """A group that was not asked for would be silently missing."""
    inventory = load_inventory(written(tmp_path, more="  more: {hosts: [a]}\n"))
    with pytest.raises(RuntimeError):
        inventory.targets()


@pytest.mark.parametrize(
    ("query", "found", "expected"),
    [
        ("", "4:23: the directory holds no 'OU=Servers,DC=corp,DC=example'; expected a base that is there", "base"),
        (", group: 'CN=No,DC=corp,DC=example'",
         "4:63: the directory holds no group 'CN=No,DC=corp,DC=example'; expected the name of one", "group"),
        (", group: 'CN=No,DC=other'",
         "4:63: 'CN=No,DC=other' is no name of the domain that [directory] reads; expected a name of that domain", ""),
        (", filter: '(x=y)'",
         "4:64: the directory does not understand '(x=y)'; expected an LDAP filter over its own attributes", "filter"),
        ("", "4:5: the directory holds no computer that this means; expected a base, filter or group that means some",
         "none"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_query(tmp_path: Path, query: str, found: str, expected: str) -> None:
    missing = MemoryDirectory([entry(BASE)], root=ROOT)
    places = {
        "base": missing,
        "filter": directory(fails={SERVERS: "directory-filter-wrong"}),
    }
    path = written(tmp_path, query)
    with pytest.raises(BadInput) as caught:
        await expanded(places.get(expected, directory()), path)
    assert caught.value.sentence == f"{path}:{found}"


@pytest.mark.parametrize("code", ["directory-unreachable", "directory-timed-out", "directory-sign-in-failed"])
async def test_a_directory_that_does_not_answer(tmp_path: Path, code: str) -> None:
    for where in ("", SERVERS):
        with pytest.raises(ProblemError) as caught:
            await expanded(directory(computer("PC1"), fails={where: code}), written(tmp_path))
        assert caught.value.problem.code == code


@pytest.mark.thorough
async def test_ten_thousand_computers_leave_the_event_loop_its_turns(tmp_path: Path) -> None:
    found = directory(*(computer(f"PC{number:05}") for number in range(10_000)), bounds=Bounds(page=500))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    inventory = await expanded(found, written(tmp_path))
    task.cancel()
    assert inventory.count() == 10_000
    assert found.pages >= 20 and turns >= 20
    assert sum(one.decision.included for one in inventory.targets()) == 10_000
