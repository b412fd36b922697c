"""Who is spared by an address or a site that only the look-up of its name tells: by every command, and from then on."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.workplace import Said, Workplace

EXCLUDED = ("skipped", "excluded")
ACCOUNTS = (
    '[[account]]\nname = "push"\nuser = \'.\\pushadm\'\nsecret = "env:PUSH"\n'
    "[lockout]\nreserve = 0\nassume_threshold = 99\n"
)
NAMES = ", ".join(f"{name}.corp.example" for name in "abcde")
PLAIN = f"version: 1\ngroups:\n  all:\n    hosts: [{NAMES}]\n"
SITES = 'sites: {paris: ["10.0.0.2/31"]}\n'


@pytest.fixture(autouse=True)
def looked_up(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts by name, ``b`` and ``c`` at 10.0.0.2 and 10.0.0.3."""
    known = {host.name: address for address, host in place.hosts.items()}
    monkeypatch.setattr("pusher.targets.system_resolver._getaddrinfo", lambda name: [known[name]])
    place.accounts(ACCOUNTS)


def by_a_worker(place: Workplace, *options: str) -> Said:
    """Which has no inventory."""
    assert place.run("check", "i.yaml", "--queue", *options).status == 0
    (place.folder / "i.yaml").unlink()
    assert place.run("worker", "--until-idle").status == 0
    return place.show()


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize(
    ("inventory", "options"),
    [
        (PLAIN, ("--exclude", "10.0.0.2/31")),
        (PLAIN, ("--exclude", "10.0.0.[23]")),
        (PLAIN, ("--exclude", "10.0.0.[2:3]")),
        (PLAIN, ("--exclude", "~10.0.0.[23]$")),
        (PLAIN, ("--limit", "all,!10.0.0.2/31")),
        (PLAIN + "    exclude: [10.0.0.2/31]\n", ()),
        (SITES.join(PLAIN.partition("\n")[::2]).replace("1sites", "1\nsites") + "    exclude: ['site:paris']\n", ()),
        (PLAIN + "  spared: {hosts: [10.0.0.2, 10.0.0.3]}\n", ("--exclude", "group:spared")),
    ],
)
def test_who_is_spared_by_its_address(place: Workplace, inventory: str, options: tuple[str, ...], queued: bool) -> None:
    (place.folder / "i.yaml").write_text(inventory)
    told = place.run("resolve", "i.yaml", "--json", *options)
    assert told.status == 0, told.err
    rows = {row["target"]: row for row in map(json.loads, told.out.splitlines())}
    assert {name[0] for name, row in rows.items() if row["pushed"] and "corp" in name} == set("ade"), told.out
    ended = by_a_worker(place, *options) if queued else place.check(*options)
    assert ended.status == 0, "who is left out is no failure"
    assert ended.verdicts["b"] == ended.verdicts["c"] == EXCLUDED
    assert ended.pushed == set("ade")
    assert place.host("b").calls.total() == place.host("c").calls.total() == 0


def test_a_retry_spares_by_an_address_too(place: Workplace) -> None:
    (place.folder / "i.yaml").write_text(PLAIN)
    place.let_in("")
    assert place.check("--exclude", "10.0.0.2/32", "--limit", "*,!10.0.0.3/32").pushed == set("ade")
    place.let_in("abcde")
    assert place.retry("last", "--limit", "*,!10.0.0.4/31").pushed == {"a"}
    assert [place.host(name).calls["sign-in"] for name in "bc"] == [0, 0]


def test_a_positive_limit_by_a_block_means_known_addresses(place: Workplace) -> None:
    (place.folder / "i.yaml").write_text(PLAIN)
    ended = place.check("--limit", "10.0.0.0/24")
    assert (ended.status, ended.out) == (2, "") and "no target is left" in ended.err
