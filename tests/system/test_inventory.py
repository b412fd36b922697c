"""Who is pushed to and in which order: selection, duplicates, limits, and a host that hangs among others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Host
from tests.system import witness
from tests.system.command import Pusher
from tests.system.site import Site
from tests.system.witness import new_sign_ins

pytestmark = pytest.mark.lab

ONCE = ("--attempts", "1", "--connect-timeout", "2")
PATIENT = ("--attempts", "1", "--connect-timeout", "10")


def test_resolve_tells_who_is_in_and_why(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """Over the lab's own name server, and without a word to any host."""
    one, two, three = (site.host(name) for name in ("spare1", "spare2", "spare3"))
    inventory = site.inventory_of(tmp_path, [one, two, three, "nosuch.lab.test"])
    inventory.write_text(inventory.read_text() + "    exclude: ['spare2.*']\n")
    with new_sign_ins(one) as seen:
        ended = pusher.run("resolve", inventory, "--exclude", three.fqdn, "--json")
    assert (ended.status, ended.stderr) == (0, ""), ended.everything_said()
    rows = {row["target"]: row for row in ended.lines}
    assert {name: row["pushed"] for name, row in rows.items()} == {
        one.fqdn: True,
        two.fqdn: False,
        three.fqdn: False,
        "nosuch.lab.test": True,
    }
    assert rows[one.fqdn]["address"] == one.address
    lines = [line.strip() for line in inventory.read_text().splitlines()]
    assert f"{inventory}:{lines.index(f'- {one.fqdn}') + 1}" in rows[one.fqdn]["why"]
    assert "exclude" in rows[two.fqdn]["why"] and f"{inventory}:{len(lines)}" in rows[two.fqdn]["why"]
    assert "--exclude" in rows[three.fqdn]["why"]
    assert "name-not-found" in rows["nosuch.lab.test"]["why"]
    assert seen == []
    said = pusher.run("resolve", inventory)
    assert said.status == 0 and one.fqdn in said.stdout and one.address in said.stdout


def test_a_label_is_pushed_to_by_what_its_address_calls_itself(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """Refused; told, with no account, what the machine is called; and with that line in the inventory ready."""
    host = site.host("spare1")
    label = site.inventory_of(tmp_path, [f"{{name: web-frontend, address: {host.address}}}"])
    with new_sign_ins(host) as seen:
        refused = pusher.check(label)
        told = pusher.run("resolve", label, "--identify", "--json")
    assert refused.verdict == ("failed", "wrong-host"), refused.everything_said()
    assert f"{host.fqdn} answers at {host.address}, the address that the inventory gives" in refused.outcome["message"]
    assert (told.status, told.stderr) == (0, ""), told.everything_said()
    (row,) = told.lines
    assert (row["machine"], row["fits"], row["code"]) == (host.fqdn, False, "wrong-host")
    assert seen == []
    folder = tmp_path / "pasted"
    folder.mkdir()
    pasted = site.inventory_of(folder, [row["paste"].removeprefix("- ")])
    assert pusher.check(pasted).verdict == ("ready", None)
    (row,) = pusher.run("resolve", pasted, "--identify", "--json").lines
    assert (row["machine"], row["fits"], row["code"], row["paste"]) == (host.fqdn, True, None, None)


def test_an_unknown_name_is_an_outcome(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    ended = pusher.push(site.inventory_of(tmp_path, ["nosuch.lab.test"]))
    assert (ended.status, ended.verdict) == (1, ("unreachable", "name-not-found"))
    assert (ended.outcome["stage"], ended.outcome["attempts"], ended.outcome["address"]) == ("resolve", 0, None)


def test_limit_and_exclude_choose(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    hosts = [site.host(name) for name in ("spare1", "spare2", "spare3")]
    inventory = site.inventory_of(tmp_path, hosts)
    left_out = hosts[1:]
    before = [len(host.sign_ins()) for host in left_out]
    ended = pusher.check(inventory, "--limit", "spare*", "--exclude", "spare2.*", "--limit", "!spare3.*")
    assert ended.status == 0, ended.everything_said()
    assert ended.verdicts[hosts[0].fqdn] == ("ready", None)
    assert {verdict for name, verdict in ended.verdicts.items() if name != hosts[0].fqdn} <= {("skipped", "excluded")}
    assert [len(host.sign_ins()) for host in left_out] == before


def test_what_the_inventory_excludes_is_an_outcome(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """Who asks in a year why a machine was not pushed to finds the answer in the record."""
    hosts = [site.host(name) for name in ("spare1", "spare2")]
    inventory = site.inventory_of(tmp_path, hosts)
    inventory.write_text(inventory.read_text() + "    exclude: ['spare2.*']\n")
    ended = pusher.check(inventory)
    assert ended.verdicts == {hosts[0].fqdn: ("ready", None), hosts[1].fqdn: ("skipped", "excluded")}
    assert ended.outcomes[hosts[1].fqdn]["attempts"] == 0


@pytest.mark.parametrize("way", ["address", "address-given", "short-name", "other-case"])
def test_one_machine_under_two_names_is_pushed_to_once(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path, way: str
) -> None:
    host = fresh("spare1")
    named = {
        "address": [host.fqdn, f'"{host.address}"'],
        "address-given": [f"{{name: {host.fqdn}, address: {host.address}}}", f'"{host.address}"'],
        "short-name": [host.fqdn, f"{{name: {host.name}, address: {host.address}}}"],
        "other-case": [host.fqdn, host.fqdn.upper()],
    }[way]
    ended = site.pusher(tmp_path / "run", quick).push(site.inventory_of(tmp_path, named))
    verdicts = sorted(ended.verdicts.values(), key=str)
    assert verdicts == [("installed", None), ("skipped", "duplicate")], ended.everything_said()
    assert ended.status == 0
    # What calls itself the machine has shown that it is, unless the inventory told already.
    attempts = sum(outcome["attempts"] for outcome in ended.outcomes.values())
    assert len([entry for entry in host.sign_ins() if entry.user == "pushadm"]) == attempts
    assert len(witness.agents(host)) == 1


def test_two_ports_of_one_address_are_two_machines(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """As behind a router that forwards ports: neither is left out for the other's sake."""
    items = [f"{{name: {name}.lab.test, address: 127.0.51.250, port: {port}}}" for name, port in (("a", 9), ("b", 10))]
    ended = pusher.check(site.inventory_of(tmp_path, items))
    assert ended.verdicts == dict.fromkeys(("a.lab.test", "b.lab.test"), ("unreachable", "port-closed"))


def test_a_host_that_hangs_holds_nobody_up(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    """Two of three places are taken by hosts that hang: the others go on through the third."""
    hung = [site.host(name) for name in ("mute", "halfway")]
    well = [site.host(name) for name in ("spare1", "spare2", "spare3", "same-version", "signed")]
    ended = pusher.check(site.inventory_of(tmp_path, [*hung, *well]), "--concurrency", "3", *PATIENT)
    assert {ended.verdicts[host.fqdn] for host in well} == {("ready", None)}, ended.everything_said()
    assert {ended.verdicts[host.fqdn] for host in hung} == {("unreachable", "timed-out")}
    let_go = min(ended.outcomes[host.fqdn]["ended_at"] for host in hung)
    meanwhile = [host for host in well if ended.outcomes[host.fqdn]["ended_at"] < let_go]
    assert len(meanwhile) >= 2, ended.everything_said()


def test_a_failure_limit_stops_the_run(site: Site, pusher: Pusher, tmp_path: Path) -> None:
    bad = [site.host(name) for name in ("port-closed", "no-admin-share")]
    rest = [site.host(name) for name in ("spare1", "spare2", "spare3")]
    before = [len(host.sign_ins()) for host in rest]
    ended = pusher.push(site.inventory_of(tmp_path, [*bad, *rest]), "--max-failures", "2", "--concurrency", "1")
    assert ended.status == 3, ended.everything_said()
    assert len(ended.outcomes) == 5
    assert {ended.verdicts[host.fqdn] for host in rest} == {("cancelled", "failure-limit")}
    assert [len(host.sign_ins()) for host in rest] == before


def test_a_lost_connection_is_tried_again(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    host = fresh("spare1")
    host.link("reset", after=100_000, times=1)
    ended = site.pusher(tmp_path / "run", quick).push(site.inventory_of(tmp_path, [host]))
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert ended.outcome["attempts"] == 2
    assert witness.litter(host) == []
    assert len(witness.agents(host)) == 1
