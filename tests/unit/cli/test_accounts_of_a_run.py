"""What a run says of its accounts file, or of there being none, before anything is sent."""

from __future__ import annotations

import pytest

from tests.unit.cli.workplace import ACCOUNTS, Workplace


@pytest.mark.parametrize("as_json", [True, False])
def test_no_accounts_file(place: Workplace, as_json: bool) -> None:
    """One line beforehand; and the summary begins with it, ahead of what it led to."""
    (place.folder / "accounts.toml").unlink()
    ended = place.run("check", "i.yaml", *(["--json"] if as_json else []))
    assert ended.status == 1
    said = "there is no accounts file (accounts.toml): only this process's own identity"
    if as_json:
        (note,) = ended.notes
        assert note.startswith(said)
        return
    first, second = (at for at in range(len(ended.out)) if ended.out.startswith(said, at))
    assert first < ended.out.index("failed      ") < second < ended.out.index("Remedy")


def test_quiet_says_it_with_the_summary(place: Workplace) -> None:
    (place.folder / "accounts.toml").unlink()
    told = place.run("check", "i.yaml", "--quiet", "--log", "/dev/full").out
    assert told.count("there is no accounts file") == 2, "as a note, and first in the summary"
    assert told.count("note: the log /dev/full cannot be written") == 1
    place.accounts(ACCOUNTS)
    assert place.run("check", "i.yaml", "--quiet").out == ""


def test_a_slip_in_never_contacts_nobody(place: Workplace) -> None:
    place.accounts(ACCOUNTS + "never = ['group:teir0']\n")
    place.inventory({"tier0": "a", "rest": "bcdef"})
    ended = place.check()
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(
        "accounts.toml:5:10: never of push: 'group:teir0' names no group of i.yaml (did you mean"
    )
    assert sum(host.calls.total() for host in place.hosts.values()) == 0
    assert not (place.folder / "data").exists()


def test_a_slip_in_scope_is_told(place: Workplace) -> None:
    place.accounts(ACCOUNTS + "scope = ['group:tier0', 'group:teir1']\n")
    place.inventory({"tier0": "a", "rest": "bcdef"})
    ended = place.check()
    assert ended.notes[0].startswith("accounts.toml:5:25: scope of push: 'group:teir1' names no group of i.yaml")
    assert ended.verdicts["a"] == ("ready", None)
    assert {ended.verdicts[name] for name in "bcdef"} == {("failed", "no-account")}


def test_never_holds_for_addresses_that_are_looked_up(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name's address is known only once it was asked for; who must not go there does not."""
    place.accounts(ACCOUNTS + "never = ['10.0.0.1', '10.0.0.4/31']\n")
    (place.folder / "i.yaml").write_text(
        "version: 1\ngroups: {all: {hosts: [a.corp.example, b.corp.example, e.corp.example]}}\n"
    )
    known = {host.name: address for address, host in place.hosts.items()}
    monkeypatch.setattr("pusher.targets.system_resolver._getaddrinfo", lambda name: [known[name]])
    ended = place.check()
    assert {name: code for name, (_, code) in ended.verdicts.items()} == {
        "a": "no-account",
        "b": None,
        "e": "no-account",
    }
    assert place.host("a").calls["sign-in"] == place.host("e").calls["sign-in"] == 0
