"""Targets from the directory by the command: who is in and out and why, and what stops a run before any machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.domain import Domain
from tests.contract.lab_domain import started
from tests.system.command import Ended, Pusher, eventually

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with started(tmp_path_factory.mktemp("domain")) as domain:
        yield domain


@pytest.fixture
def pusher(domain: Domain, tmp_path: Path) -> Pusher:
    return Pusher(folder=tmp_path / "run", environment=domain.naming_environment)


def accounts(domain: Domain, folder: Path, user: str = "reader", secret: str | None = None, more: str = "") -> Path:
    path = folder / "accounts.toml"
    path.write_text(
        f'[directory]\ndomain = "{domain.domain}"\nuser = "{user}@{domain.domain}"\n'
        f'secret = "{secret or f"file:{domain.secret_file(user)}"}"\n{more}[fallback]\nenabled = true\n'
    )
    return path


def inventory(domain: Domain, folder: Path, query: str = "", base: str | None = None) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(
        f"version: 1\ndefaults: {{nameservers: ['{domain.nameserver}']}}\n"
        f"groups:\n  fleet:\n    directory: {{base: '{base or domain.base_dn}'{query}}}\n"
    )
    return path


def rows(ended: Ended) -> dict[str, tuple[bool, str]]:
    assert ended.status == 0, ended.everything_said()
    return {line["target"].partition(".")[0].lower(): (line["pushed"], line["why"]) for line in ended.lines}


@pytest.mark.parametrize("way", ["kerberos", "ldaps", "keytab"])
def test_resolve_asks_the_directory(domain: Domain, pusher: Pusher, tmp_path: Path, way: str) -> None:
    """Which domain controller: its SRV records tell, asked of the inventory's own name servers."""
    more = f'server = "{domain.fqdn}"\nca = "{domain.ca}"\n' if way == "ldaps" else ""
    accounts(domain, tmp_path, secret=f"keytab:{domain.keytab('reader')}" if way == "keytab" else None, more=more)
    ended = pusher.run("resolve", inventory(domain, tmp_path, ", stale_after: 90d"), "--json")
    found = rows(ended)
    assert {name for name, (pushed, _) in found.items() if pushed} == {"pc01", "pc02", "pc03", "pc04"}
    assert "disabled in the directory" in found["pcoff"][1]
    assert "last seen by its domain on 2016" in found["pcstale"][1]
    assert "domain controller" in found["dc1"][1] or "says that it is one" in found["dc1"][1]
    assert ended.stderr == ""
    assert domain.password("reader") not in ended.stdout


def test_a_nested_group_and_a_limit(domain: Domain, pusher: Pusher, tmp_path: Path) -> None:
    accounts(domain, tmp_path)
    path = inventory(domain, tmp_path, f", group: 'CN=Push-Targets,OU=Push,{domain.base_dn}'")
    found = rows(pusher.run("resolve", path, "--json", "--exclude", "pc01"))
    assert {name: pushed for name, (pushed, _) in found.items()} == {
        "pc01": False, "pc02": True, "pcoff": False, "pcstale": True,
    }  # fmt: skip


def test_who_is_left_out_has_an_outcome(domain: Domain, pusher: Pusher, tmp_path: Path) -> None:
    accounts(domain, tmp_path)
    path = inventory(domain, tmp_path, ", stale_after: 90d")
    ended = pusher.check(path, "--accounts", tmp_path / "accounts.toml", "--attempts", "1", "--connect-timeout", "1")
    assert ended.status == 1, ended.everything_said()
    codes = {name.partition(".")[0].lower(): verdict for name, verdict in ended.verdicts.items()}
    assert codes["pcoff"] == ("skipped", "computer-disabled")
    assert codes["pcstale"] == ("skipped", "computer-stale")
    assert codes["dc1"] == ("skipped", "domain-controller-refused")
    assert set(codes) == {"pc01", "pc02", "pc03", "pc04", "pcoff", "pcstale", "dc1"}


def test_nothing_left_is_bad_input(domain: Domain, pusher: Pusher, tmp_path: Path) -> None:
    accounts(domain, tmp_path)
    path = inventory(domain, tmp_path, ", filter: '(|(cn=pcoff)(cn=pc01))'")
    path.write_text(path.read_text() + "    exclude: [pc01]\n")
    ended = pusher.check(path, "--accounts", tmp_path / "accounts.toml")
    assert ended.status == 2 and "no target is left" in ended.stderr


@pytest.mark.parametrize(
    ("query", "base", "words"),
    [
        ("", "OU=Nowhere,{base}", ":5:23: the directory holds no 'OU=Nowhere,"),
        ("", "DC=other,DC=example", ":5:23: 'DC=other,DC=example' is no name of the domain"),
        (", group: 'CN=Nobody,{base}'", None, ":5:54: the directory holds no group 'CN=Nobody,"),
        (", filter: '(cn=nothing-like-it)'", None, ":5:5: the directory holds no computer that this means"),
    ],
)
def test_a_query_that_finds_nothing_is_bad_input(
    domain: Domain, pusher: Pusher, tmp_path: Path, query: str, base: str | None, words: str
) -> None:
    accounts(domain, tmp_path)
    path = inventory(domain, tmp_path, query.format(base=domain.base_dn), base and base.format(base=domain.base_dn))
    for verb in ("resolve", "check"):
        ended = pusher.run(verb, path, "--accounts", tmp_path / "accounts.toml")
        assert (ended.status, ended.stdout) == (2, ""), ended.everything_said()
        assert f"fleet.yaml{words}" in ended.stderr, ended.stderr


def test_a_wrong_password_costs_the_reader_one_failure(domain: Domain, pusher: Pusher, tmp_path: Path) -> None:
    domain.unlock("reader")
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    wrong.chmod(0o600)
    accounts(domain, tmp_path, secret=f"file:{wrong}")
    ended = pusher.check(inventory(domain, tmp_path), "--accounts", tmp_path / "accounts.toml")
    assert (ended.status, ended.stdout) == (2, ""), ended.everything_said()
    assert ended.stderr.startswith("directory-sign-in-failed: ") and "[directory]" in ended.stderr
    assert domain.bad_password_count("reader") == 1
    domain.unlock("reader")


def test_a_domain_controller_that_is_away(domain: Domain, pusher: Pusher, tmp_path: Path) -> None:
    accounts(domain, tmp_path, more=f'server = "{domain.fqdn}"\n')
    domain.stop()
    try:
        ended = pusher.check(inventory(domain, tmp_path), "--accounts", tmp_path / "accounts.toml")
    finally:
        domain.start()
    assert (ended.status, ended.stdout) == (2, ""), ended.everything_said()
    assert ended.stderr.startswith("directory-unreachable: ") and domain.fqdn in ended.stderr


def test_an_interrupted_question_leaves_nothing(domain: Domain, pusher: Pusher, tmp_path: Path) -> None:
    """Ctrl-C while the directory is silent: at once, and without a process that waits on."""
    accounts(domain, tmp_path, more=f'server = "{domain.fqdn}"\n')
    path = inventory(domain, tmp_path)
    domain.freeze()
    try:
        with pusher.start("resolve", path) as running:
            eventually(lambda: bool(children(running.pid)), "the process that speaks LDAP")
            speaking = children(running.pid)
            running.interrupt()
            ended = running.wait(20)
    finally:
        domain.thaw()
    assert ended.status == 130, ended.everything_said()
    assert "Traceback" not in ended.stderr
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in speaking), "its end")


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]
