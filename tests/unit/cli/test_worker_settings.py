"""A worker with settings: its sites, what it pushes for whom, and with which accounts."""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from pusher.credentials.accounts.profile import profile_digest
from pusher.credentials.accounts_file import load_accounts
from pusher.problems import CATALOGUE, Code
from tests.unit.cli.test_packages_command import make_package
from tests.unit.cli.workplace import ACCOUNTS, Said, Workplace

ALL = dict.fromkeys("abcdef", ("ready", None))


def queue(place: Workplace, *options: str) -> str:
    said = place.run("check", "i.yaml", "--queue", "--json", *options)
    assert said.status == 0, said.err
    return str(json.loads(said.out)["run"])


def work(place: Workplace, settings: str, *options: str) -> Said:
    file = place.folder / "worker.toml"
    file.write_text(settings)
    return place.run("worker", "--until-idle", "--settings", str(file), "--json", *options)


def shown(place: Workplace, run: str) -> str:
    return " ".join(place.run("show", run).out.split())


def test_a_worker_takes_the_machines_of_its_sites_alone(place: Workplace) -> None:
    place.inventory({"paris": "ab", "lyon": "cd", "none": "ef"}, {"paris": "site: paris", "lyon": "site: lyon"})
    run = queue(place)
    assert work(place, 'sites = ["lyon"]').verdicts == dict.fromkeys("cd", ("ready", None))
    assert not any(place.host(name).calls for name in "abef")
    assert "4 ready for a worker" in shown(place, run)
    assert work(place, 'sites = ["lyon", "paris"]').verdicts == dict.fromkeys("ab", ("ready", None))
    assert work(place, "").verdicts == dict.fromkeys("ef", ("ready", None)), "who serves every site has the rest"


def test_a_worker_for_a_site_that_nobody_has_is_told_which_there_are(place: Workplace) -> None:
    assert work(place, 'sites = ["pairs"]').status == 0, "no run is there yet to know any"
    place.inventory({"paris": "abcdef"}, {"paris": "site: paris"})
    queue(place)
    said = work(place, '\nsites = ["paris", "pairs"]')
    assert said.status == 2
    assert "worker.toml:2:19: no machine of any run is in the site 'pairs' (did you mean paris?)" in said.err
    assert not any(host.calls for host in place.hosts.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sites = []", "sites is empty; expected a list of sites"),
        ("sites = ['a b']", "worker.toml:1:10: 'a b' cannot be the name of a site"),
        ("site = ['a']", "worker.toml:1:1: site is not a known key"),
        ("packages = ['abc']", "is not a digest"),
        ("requesters = 'me'", "worker.toml:1:14: requesters is text"),
        ("sites = [", "worker.toml:1"),
        ("[profiles]\naccounts = 'nowhere.toml'", "nowhere.toml"),
        ("[profiles]\n", "worker.toml:1:1: profiles is empty"),
    ],
)
def test_settings_that_cannot_be_understood_are_bad_input(place: Workplace, text: str, expected: str) -> None:
    queue(place)
    said = work(place, text)
    assert said.status == 2 and expected in said.err, said.err
    assert len(said.err.splitlines()) == 1
    assert not any(host.calls for host in place.hosts.values())


def test_settings_that_are_not_there_are_bad_input(place: Workplace) -> None:
    said = place.run("worker", "--settings", "nowhere.toml")
    assert said.status == 2 and "nowhere.toml" in said.err


def test_accounts_and_profiles_are_not_both_given(place: Workplace) -> None:
    said = work(place, "[profiles]\naccounts = 'accounts.toml'", "--accounts", "accounts.toml")
    assert said.status == 2 and "has profiles; expected one of the two" in said.err


def refused(place: Workplace, run: str, said: Said, code: Code) -> None:
    """By this worker: said by it and where the run is shown, and no machine was asked."""
    assert said.status == 1
    assert f"Run {run} is left to other workers: {code}" in said.err
    page = shown(place, run)
    assert f"Not taken up by the worker {socket.gethostname()}" in page
    assert f"{code}: {' '.join(CATALOGUE[code].meaning.split())}" in page
    assert not any(host.calls for host in place.hosts.values())


def test_another_package_than_those_allowed_is_refused(place: Workplace) -> None:
    folder = make_package(place)
    added = json.loads(place.run("packages", "add", str(folder), "--json").out)["digest"]
    run = queue(place, "--package", str(folder))
    other = hashlib.sha256(b"other").hexdigest()
    refused(place, run, work(place, f"packages = ['{other}']"), Code.PACKAGE_NOT_ALLOWED)
    assert work(place, f"packages = ['{other}', '{added.upper()}']").verdicts == ALL
    assert "Not taken up" not in shown(place, run)


def test_a_run_without_a_package_pushes_none(place: Workplace) -> None:
    queue(place)
    assert work(place, f"packages = ['{hashlib.sha256(b'other').hexdigest()}']").verdicts == ALL


def test_a_run_of_another_requester_is_refused(place: Workplace) -> None:
    run, me = queue(place), f"{getpass.getuser()}@{socket.gethostname()}"
    refused(place, run, work(place, f"requesters = ['x{me}', '*@console']"), Code.REQUESTER_NOT_ALLOWED)
    assert work(place, f"requesters = ['{me.partition('@')[0]}@*']").verdicts == ALL


def test_accounts_come_by_the_profile_that_the_run_names(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.accounts(ACCOUNTS.replace("env:PUSH", "env:ELSEWHERE"))
    (place.folder / "accounts.toml").rename(place.folder / "servers.toml")
    run = queue(place, "--accounts", "servers.toml")
    (place.folder / "servers.toml").unlink()
    (place.folder / "mine.toml").write_text(ACCOUNTS)
    refused(place, run, work(place, "[profiles]\nclients = 'mine.toml'"), Code.PROFILE_UNKNOWN)
    assert work(place, "[profiles]\nservers = 'mine.toml'").verdicts == ALL


def test_a_submitter_without_accounts_leaves_them_to_each_worker(place: Workplace) -> None:
    (place.folder / "accounts.toml").rename(place.folder / "mine.toml")
    run = queue(place)
    refused(place, run, work(place, "[profiles]\naccounts = 'mine.toml'"), Code.PROFILE_UNKNOWN)
    assert work(place, "[profiles]\ndefault = 'mine.toml'").verdicts == ALL


OTHERS = {
    "another user": ACCOUNTS.replace("pushadm", "other"),
    "another scope": ACCOUNTS + "scope = ['*.corp.example']\n",
    "less spared": ACCOUNTS.replace("corp\\pushadm", "corp\\pushadm") + "domain_controllers = true\n",
    "one more": ACCOUNTS + ACCOUNTS.replace("push", "more"),
    "another protocol": ACCOUNTS + "protocol = 'kerberos'\nrealm = 'CORP.EXAMPLE'\n",
    "the process itself": ACCOUNTS + "[fallback]\nenabled = true\n",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("by_profile", [False, True])
def test_a_worker_with_other_accounts_holds_the_run(place: Workplace, text: str, by_profile: bool) -> None:
    run = queue(place)
    mine = place.folder / "mine.toml"
    mine.write_text(text)
    if by_profile:
        said = work(place, "[profiles]\naccounts = 'mine.toml'")
    else:
        said = place.run("worker", "--until-idle", "--accounts", str(mine))
    refused(place, run, said, Code.ACCOUNTS_DIFFER)
    assert place.run("worker", "--until-idle", "--json").verdicts == ALL, "and another worker has it"
    assert "Not taken up" not in place.run("show", run).out


def test_where_secrets_lie_and_how_a_user_is_spelled_are_no_difference(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        file = tmp_path / "accounts.toml"
        file.write_text(text)
        return profile_digest(load_accounts(file))

    same = [ACCOUNTS, ACCOUNTS.replace("env:PUSH", "keyring:push/adm"), ACCOUNTS.replace("corp\\", "CORP\\"),
            "# by hand\n" + ACCOUNTS, ACCOUNTS + "[lockout]\nreserve = 1\n",
            ACCOUNTS + ACCOUNTS.replace("push", "service") + "use = 'run'\n"]  # fmt: skip
    assert len({digest(text) for text in same}) == 1
    assert len({digest(text) for text in (ACCOUNTS, *OTHERS.values())}) == 1 + len(OTHERS)
    two = ACCOUNTS + ACCOUNTS.replace("push", "more")
    assert digest(two) != digest(ACCOUNTS.replace("push", "more") + ACCOUNTS), "the order is one of trying"


@pytest.mark.parametrize("seconds", [31, -31, 29, -29])
def test_a_worker_whose_clock_is_off_does_not_start(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    queue(place)
    monkeypatch.setattr("pusher.store.Store.clock_offset", lambda _: timedelta(seconds=seconds))
    said = place.run("worker", "--until-idle")
    if abs(seconds) < 30:
        assert said.status == 0
        return
    assert said.status == 2 and not any(host.calls for host in place.hosts.values())
    assert f"this machine's clock is 31 s {'behind' if seconds > 0 else 'ahead of'} the store's; expected" in said.err
