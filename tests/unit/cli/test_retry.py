"""``pusher retry``: who was spared by a run is spared by every run that is made from it, whatever the flags."""

from __future__ import annotations

import pytest

from pusher.models import Status
from pusher.problems import CATALOGUE, Part
from tests.unit.cli.workplace import Workplace

EXCLUDED = ("skipped", "excluded")
ACCOUNTS = (
    '[[account]]\nname = "push"\nuser = \'.\\pushadm\'\nsecret = "env:PUSH"\n'
    "[lockout]\nreserve = 0\nassume_threshold = 99\n"
)
"""A local one: each host counts for itself, so that one where it fails stops nothing elsewhere."""


@pytest.fixture(autouse=True)
def nobody_gets_in(place: Workplace) -> None:
    place.accounts(ACCOUNTS)
    place.let_in("")


def test_who_was_excluded_stays_out(place: Workplace) -> None:
    first = place.check("--exclude", "b", "--exclude", "c")
    assert first.verdicts["b"] == first.verdicts["c"] == EXCLUDED
    assert first.pushed == set("adef")
    place.let_in("abcdef")
    again = place.retry()
    assert again.pushed == set("adef")
    assert place.host("b").calls["sign-in"] == place.host("c").calls["sign-in"] == 0
    with_flags = place.retry(place.recorded_run(1), "--limit", "*", "--exclude", "a", "--concurrency", "2")
    assert with_flags.pushed == set("def")


def test_a_retry_of_a_retry(place: Workplace) -> None:
    place.check("--limit", "a,b,c,d", "--exclude", "b")
    assert place.retry("last", "--exclude", "c").pushed == set("ad")
    place.let_in("a")
    assert place.retry("last").pushed == set("ad")
    place.let_in("abcdef")
    assert place.retry("last").pushed == {"d"}
    record = place.recorded()
    assert record["origin"]["limits"] == [["a,b,c,d"]]
    assert record["origin"]["exclude"] == ["b", "c"]


def test_a_limit_narrows_and_never_widens(place: Workplace) -> None:
    place.check("--limit", "a,b")
    assert place.retry("last", "--limit", "b,c,d").pushed == {"b"}
    nothing = place.retry("last", "--limit", "c")
    assert nothing.status == 2 and "no target of run" in nothing.err
    wrong = place.retry("last", "--limit", "nosuch")
    assert wrong.status == 2 and "names no host" in wrong.err


def test_what_a_newer_inventory_says_spares_too(place: Workplace) -> None:
    place.inventory({"all": "abcdef"})
    assert place.check("--exclude", "f").pushed == set("abcde")
    place.let_in("abcdef")
    # a and the excluded f are gone, b is excluded, c is a domain controller.
    place.inventory({"all": "bde", "domain-controllers": "c"}, {"all": "exclude: [b.*]"})
    again = place.retry()
    assert again.pushed == set("de")
    assert again.verdicts["b"] == EXCLUDED
    assert again.verdicts["c"][0] == "skipped"
    (note,) = again.notes
    assert note.startswith("no longer in") and note.endswith("left alone: a.corp.example")


def test_what_the_inventory_spared_then_is_spared_still(place: Workplace) -> None:
    """Although the inventory would let it in by now."""
    place.inventory({"all": "abc", "domain-controllers": "d"}, {"all": "exclude: [b.*]"})
    first = place.check()
    assert (first.verdicts["b"], first.verdicts["d"][0]) == (EXCLUDED, "skipped")
    place.let_in("abcdef")
    place.accounts(ACCOUNTS.replace("[lockout]", "domain_controllers = true\n[lockout]"))
    place.inventory({"all": "abc", "domain-controllers": "d"}, {"domain-controllers": "domain_controller: allow"})
    assert set(place.retry().verdicts) == set("ac")


def test_a_duplicate_stays_one(place: Workplace) -> None:
    listed = "[{name: a.corp.example, address: 10.0.0.1}, {name: z.corp.example, address: 10.0.0.1}]"
    (place.folder / "i.yaml").write_text(f"version: 1\ngroups: {{all: {{hosts: {listed}}}}}\n")
    first = place.check()
    assert first.verdicts["z"] == ("skipped", "duplicate")
    place.inventory({"all": "a"})
    (place.folder / "i.yaml").write_text("version: 1\ngroups: {all: {hosts: [z.corp.example, a.corp.example]}}\n")
    assert place.retry("last", "--connect-timeout", "1").verdicts.keys() == {"a"}


@pytest.mark.parametrize("code", sorted(code for code, row in CATALOGUE.items() if row.status is Status.SKIPPED))
def test_a_complete_list_of_who_is_spared(code: str) -> None:
    """What was left alone for what it is stays out; what only had to wait, or was found newer, may be tried."""
    again = {"outside-window", "newer-version-present"}
    assert (CATALOGUE[code].part is Part.TARGET) == (code in again)
