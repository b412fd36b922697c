"""A snapshot of an inventory selects, and spares, what the inventory does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pusher.problems import BadInput
from pusher.targets.inventory import Inventory, load_inventory
from pusher.targets.snapshot import inventory_of, snapshot_of

WRITTEN = """
version: 1
defaults: {site: hq, transports: [winrm, smb], winrm: {port: 5986, fingerprint: "%s"}, vars: {channel: stable},
           nameservers: ["10.0.0.53"]}
sites: {paris: ["10.1.0.0/16"]}
groups:
  paris:
    site: paris
    vars: {channel: beta, password: Hunter2}
    hosts: ["ws[001:020:3].paris.example", {name: srv7, address: 10.1.2.7, port: 4455, vars: {token: Tok3n}},
            {name: web, machine: ws501.corp.example, address: 10.9.2.5}]
    exclude: ["10.1.2.0/28", "ws004.*", "site:lyon"]
  labs:
    ranges: ["10.9.0.0/28", "10.9.1.10-14", "2001:db8::1-2001:db8::3"]
    children: [paris]
    domain_controller: allow
  "domain-controllers":
    hosts: [dc1.corp.example]
""" % ("ab" * 32)
ANSIBLE = """
[win]
a ansible_host=10.0.0.1 ansible_password=Hunter2 channel=beta
b[1:3].corp.example
[other]
c ansible_connection=ssh
"""
FORMS = {"i.yaml": WRITTEN, "i.ini": ANSIBLE, "i.txt": "a.corp.example\n10.0.0.0/29\n", "i.csv": "name,site\nw1,x\n"}
FOUND = ["10.1.2.7", "10.1.2.8", "10.9.0.3", "10.9.2.5", "2001:db8::1", "192.0.2.1", "10.0.0.1"]


@pytest.fixture(params=FORMS)
def inventory(request: pytest.FixtureRequest, tmp_path: Path) -> Inventory:
    file = tmp_path / request.param
    file.write_text(FORMS[request.param])
    return load_inventory(file)


def variables(inventory: Inventory) -> set[str]:
    return {name for selected in inventory.targets() for name in selected.target.variables}


def test_it_has_the_same_targets_with_the_same_decisions(inventory: Inventory) -> None:
    again = inventory_of(snapshot_of(inventory, variables(inventory)))
    selector = inventory.selector(exclude=["group:win" if "win" in inventory.group_names else "10.*"])
    assert list(again.targets(selector)) == list(inventory.targets(selector))
    assert (again.nameservers, again.notes, again.file) == (inventory.nameservers, inventory.notes, inventory.file)
    assert (again.site_names, again.group_names) == (inventory.site_names, inventory.group_names)


def test_it_spares_by_an_address_or_a_site_that_is_found_later_as_the_inventory_does(inventory: Inventory) -> None:
    again, selector = inventory_of(snapshot_of(inventory, ())), inventory.selector(exclude=["192.0.2.0/24"])
    spared = 0
    for selected in inventory.targets(selector):
        for address in FOUND:
            for site in (selected.target.site, "lyon"):
                target = replace(selected.target, address=address, site=site)
                found = again.spared(target, selector)
                assert found == inventory.spared(target, selector)
                spared += found is not None
    assert spared


def test_variables_that_nobody_asks_for_are_not_in_it(inventory: Inventory) -> None:
    content = snapshot_of(inventory, {"channel"})
    assert b"Hunter2" not in content and b"Tok3n" not in content
    again = inventory_of(content)
    for one, other in zip(inventory.targets(), again.targets(), strict=True):
        kept = {name: value for name, value in one.target.variables.items() if name == "channel"}
        assert dict(other.target.variables) == kept


def test_the_same_inventory_is_the_same_content(inventory: Inventory) -> None:
    assert snapshot_of(load_inventory(Path(inventory.file)), ()) == snapshot_of(inventory, ())
    assert snapshot_of(inventory_of(snapshot_of(inventory, ())), ()) == snapshot_of(inventory, ())


def _more(tree: dict[str, Any]) -> None:
    tree["groups"][0]["spares_more"] = True


def _less(tree: dict[str, Any]) -> None:
    del tree["form"]


def _another_kind(tree: dict[str, Any]) -> None:
    tree["groups"][0]["excludes"] = "all"


def _no_pattern(tree: dict[str, Any]) -> None:
    next(group for group in tree["groups"] if "hosts" in group)["hosts"][0]["pattern"] = "ws[1:"


@pytest.mark.parametrize("change", [_more, _less, _another_kind, _no_pattern])
def test_what_this_version_does_not_understand_to_its_end_is_refused(
    inventory: Inventory, change: Callable[[dict[str, Any]], None]
) -> None:
    tree = json.loads(snapshot_of(inventory, ()))
    change(tree)
    with pytest.raises(BadInput, match="is not as this version of pusher writes it"):
        inventory_of(json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"groups": 3}', b"\xff"])
def test_what_is_no_snapshot_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match="is not as this version of pusher writes it"):
        inventory_of(content)
