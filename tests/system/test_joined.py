"""Machines that are members of a directory: what their own logs say of whom they were asked to let in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import Host, Lab, SignIn
from lab.domain import Domain, Member
from lab.domain.recipe import LAPS_ACCOUNT
from lab.plan import members
from lab.samba import KEEPER
from pusher.models import LOGON_RIGHT
from tests.conftest import StartLab
from tests.system import witness
from tests.system.command import Ended, Pusher
from tests.system.memory_domain import Ground
from tests.system.site import Site, free_network
from tests.system.witness import new_sign_ins

pytestmark = pytest.mark.lab

QUICK = ("--attempts", "1", "--connect-timeout", "10")
STALE, CLOSED = "stale", "shut"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Three members with all they need, one whose port is closed, and a name in the DNS that leads to the first."""

    lab: Lab
    site: Site
    domain: Domain
    ground: Ground

    @property
    def hosts(self) -> list[Host]:
        return list(self.lab.hosts.values())

    @property
    def stale(self) -> str:
        return f"{STALE}.{self.domain.domain}"

    def inventory(self, folder: Path, names: Iterable[str] = (), query: str | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "fleet.yaml"
        hosts = "".join(f"      - {name}\n" for name in names)
        path.write_text(
            f"version: 1\ndefaults:\n  nameservers: ['{self.domain.nameserver}']\n"
            f"  site: lab\n  port: {self.hosts[0].port}\n  vars: {{fault: none}}\ngroups:\n  fleet:\n"
            + (f"    hosts:\n{hosts}" if query is None else f"    directory: {query}\n"),
            encoding="utf-8",
        )
        return path

    def pusher(self, folder: Path, accounts: Path, package: Path | None = None) -> Pusher:
        return Pusher(folder=folder, accounts=accounts, package=package, environment=self.domain.naming_environment)

    def query(self, filter: str) -> str:
        return f"{{base: '{self.domain.base_dn}', filter: '{filter}'}}"


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Joined]:
    folder = tmp_path_factory.mktemp("joined")
    lab = Lab(folder / "state", free_network(), folder / "inventory")
    start_lab(lab, members(3))
    assert lab.domain is not None
    lab.domain.add_member(Member(name=STALE, address=lab.hosts["ms01"].address))
    lab.domain.set_password(f"{STALE}$")  # so that a ticket could be had for it
    lab.domain.add_member(Member(name=CLOSED, address=lab.network.replace(".0/24", ".200")))
    ground = Ground(domain=lab.domain, folder=tmp_path_factory.mktemp("ground"))
    yield Joined(lab=lab, site=Site(lab=lab, files=folder / "inventory"), domain=lab.domain, ground=ground)
    leaked = ground.leaks()
    lab.down()
    assert leaked == []


class HostLog:
    """What a host's own Samba has written since this was made: authentications (NTLM), authorizations (Kerberos too),
    and what was no ticket for it."""

    def __init__(self, host: Host) -> None:
        self._folder = host.folder / "log"
        self._before = {name: len(self._text(name)) for name in ("sign-ins.log", "log.smbd")}

    def _text(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _new(self, name: str) -> str:
        return self._text(name)[self._before[name] :]

    def let_in(self) -> set[tuple[str, str]]:
        """Account and protocol."""
        rows = [json.loads(line[line.index("{") :]) for line in self._new("sign-ins.log").splitlines() if "{" in line]
        events = [row["Authorization"] for row in rows if row["type"] == "Authorization"]
        return {(event["account"], event["authType"]) for event in events if event["account"] != KEEPER}

    def messages(self) -> list[str]:
        """Every sign of an authentication message."""
        asked = [line for line in self._new("sign-ins.log").splitlines() if "{" in line and f'"{KEEPER}"' not in line]
        return asked + re.findall(r".*(?:GSS|gss|gensec|krb5).*", self._new("log.smbd"))


def accounts_for_laps(joined: Joined, folder: Path, reader: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "laps.toml"
    account = f'[[account]]\nname = "laps"\nuser = \'.\\{LAPS_ACCOUNT}\'\nsecret = "laps:"\n'
    path.write_text(account + joined.ground.directory_table(reader), encoding="utf-8")
    return path


def users(seen: Iterable[SignIn]) -> list[tuple[str, str]]:
    return [(entry.user.rpartition("\\")[2].partition("@")[0].lower(), entry.status) for entry in seen]


def watched(stack: ExitStack, hosts: Sequence[Host]) -> dict[str, list[SignIn]]:
    return {host.fqdn: stack.enter_context(new_sign_ins(host)) for host in hosts}


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_a_push_by_an_account_of_the_directory(joined: Joined, tmp_path: Path, protocol: str) -> None:
    """And by Kerberos nobody but the domain controller sees what is made of the password."""
    accounts = joined.ground.accounts(tmp_path / "a.toml", "push1", protocol=protocol)
    inventory = joined.inventory(tmp_path, [host.fqdn for host in joined.hosts])
    package = joined.site.package_of(tmp_path / "package")
    logs = [HostLog(host) for host in joined.hosts]
    pusher = joined.pusher(joined.ground.folder / f"push-{protocol}", accounts, package)
    ended = pusher.push(inventory, *QUICK)
    assert ended.verdicts == {host.fqdn: ("installed", None) for host in joined.hosts}, ended.everything_said()
    way = {"kerberos": "krb5", "ntlm": "NTLMSSP"}[protocol]
    assert [log.let_in() for log in logs] == [{("push1", way)}] * len(logs)
    pre_authentications = [entry for entry in joined.ground.judged("push1") if entry.service == "Kerberos KDC"]
    assert pre_authentications and pre_authentications[-1].status == "NT_STATUS_OK"
    assert pusher.remove(inventory, *QUICK).status == 0


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_a_stale_record_leads_to_another_machine(joined: Joined, tmp_path: Path, protocol: str) -> None:
    """By its own log that machine is asked to let nobody in."""
    accounts = joined.ground.accounts(tmp_path / "a.toml", "push1", protocol=protocol)
    logs = [HostLog(host) for host in joined.hosts]
    inventory = joined.inventory(tmp_path, [joined.stale])
    ended = joined.pusher(joined.ground.folder / f"stale-{protocol}", accounts).check(inventory, *QUICK)
    assert [log.messages() for log in logs] == [[], [], []]
    assert ended.verdict == ("failed", "wrong-host"), ended.everything_said()
    assert joined.hosts[0].fqdn in ended.outcome["message"]
    assert ended.outcome["accounts_tried"] == []


def test_the_same_targets_from_the_directory_and_from_a_file(joined: Joined, tmp_path: Path) -> None:
    """Members that are ready, one whose port is closed, one whose name leads to another, one without a record."""
    accounts = joined.ground.accounts(tmp_path / "a.toml", "push1", directory="reader")
    names = [host.fqdn for host in joined.hosts] + [
        f"{name}.{joined.domain.domain}" for name in (STALE, CLOSED, "pc01")
    ]
    filter = f"(|(cn=ms*)(cn={CLOSED})(cn={STALE})(cn=pc01))"
    found: dict[str, Ended] = {}
    for way, inventory in {
        "file": joined.inventory(tmp_path / "file", names),
        "directory": joined.inventory(tmp_path / "directory", query=joined.query(filter)),
    }.items():
        package = joined.site.package_of(tmp_path / f"package-{way}")
        pusher = joined.pusher(joined.ground.folder / f"from-{way}", accounts, package)
        found[way] = pusher.push(inventory, *QUICK)
        pusher.remove(inventory, *QUICK, "--limit", "ms*")
    told = {
        way: {
            name.lower(): (
                line["status"],
                line["code"],
                line["stage"],
                line["account"],
                line["protocol"],
                line["address"],
            )
            for name, line in ended.outcomes.items()
        }
        for way, ended in found.items()
    }
    assert told["file"] == told["directory"]
    assert {name.partition(".")[0]: line[1] for name, line in told["file"].items()} == {
        **dict.fromkeys((host.name for host in joined.hosts), None),
        CLOSED: "port-closed",
        STALE: "wrong-host",
        "pc01": "name-not-found",
    }
    assert found["file"].status == found["directory"].status == 1


def test_laps_signs_in_as_each_machines_own_administrator(joined: Joined, tmp_path: Path) -> None:
    """Windows LAPS, legacy LAPS, and a machine without: each password is another, and is tried once."""
    windows, legacy, without = joined.hosts
    accounts = accounts_for_laps(joined, tmp_path, "lapsreader")
    for host in (windows, legacy):
        joined.ground.secrets[host.name] = joined.domain.laps_password(host.name)
    with ExitStack() as stack:
        seen = watched(stack, joined.hosts)
        inventory = joined.inventory(tmp_path, [host.fqdn for host in joined.hosts])
        ended = joined.pusher(joined.ground.folder / "laps", accounts).check(inventory, *QUICK)
    assert ended.verdicts == {
        windows.fqdn: ("ready", None),
        legacy.fqdn: ("ready", None),
        without.fqdn: ("failed", "laps-not-set"),
    }, ended.everything_said()
    assert users(seen[windows.fqdn]) == users(seen[legacy.fqdn]) == [(LAPS_ACCOUNT, "NT_STATUS_OK")]
    assert seen[without.fqdn] == []


def test_laps_without_the_right_to_read_it(joined: Joined, tmp_path: Path) -> None:
    windows, legacy, without = joined.hosts
    accounts = accounts_for_laps(joined, tmp_path, "nolaps")
    with ExitStack() as stack:
        seen = watched(stack, joined.hosts)
        inventory = joined.inventory(tmp_path, [host.fqdn for host in joined.hosts])
        ended = joined.pusher(joined.ground.folder / "no-right", accounts).check(inventory, *QUICK)
    assert {name: code for name, (_, code) in ended.verdicts.items()} == {
        windows.fqdn: "laps-no-right",
        legacy.fqdn: "laps-no-right",
        without.fqdn: "laps-not-set",
    }, ended.everything_said()
    assert all(entries == [] for entries in seen.values())


def test_a_laps_password_that_the_machine_does_not_have_is_tried_once(joined: Joined, tmp_path: Path) -> None:
    """In the directory it was changed, on the machine it was not yet (or it was restored from a backup)."""
    legacy = joined.hosts[1]
    (entry,) = joined.domain.read(f"(cn={legacy.name})", ["ms-Mcs-AdmPwd"])
    change = f"dn: {entry['dn'][0]}\nchangetype: modify\nreplace: ms-Mcs-AdmPwd\nms-Mcs-AdmPwd: "
    joined.domain.modify(f"{change}Not-the-one-it-has-1\n")
    accounts = accounts_for_laps(joined, tmp_path, "lapsreader")
    try:
        with new_sign_ins(legacy) as seen:
            inventory = joined.inventory(tmp_path, [legacy.fqdn])
            pusher = joined.pusher(joined.ground.folder / "other-laps", accounts)
            ended = pusher.check(inventory, "--attempts", "3", "--connect-timeout", "10")
    finally:
        joined.domain.modify(f"{change}{entry['ms-Mcs-AdmPwd'][0]}\n")
    assert ended.verdict == ("failed", "wrong-password"), ended.everything_said()
    assert users(seen) == [(LAPS_ACCOUNT, "NT_STATUS_WRONG_PASSWORD")]


def test_a_service_under_an_account_of_the_directory(joined: Joined, tmp_path: Path) -> None:
    """It is given its right, starts by its password, and loses the right with the agent."""
    host, account = joined.hosts[0], rf"{joined.domain.netbios}\push2"
    accounts = joined.ground.accounts(tmp_path / "a.toml", "push1", protocol="ntlm")
    inventory = joined.inventory(tmp_path, [host.fqdn])
    secret, wrong = joined.domain.secret_file("push2"), tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("Kx7-never-to-be-seen")

    def pusher(file: Path, grants: bool) -> Pusher:
        package = joined.site.package_of(tmp_path / "package", account=account)
        text = (package / "package.toml").read_text()
        more = f"secret = 'file:{file}'\ngrant_logon_right = {str(grants).lower()}\n"
        (package / "package.toml").write_text(text.replace("\n\n[verify]", f"\n{more}\n[verify]"))
        return joined.pusher(joined.ground.folder / "service", accounts, package)

    rights = host.folder / "logons.json"

    def holds() -> bool:
        kept = json.loads(rights.read_text())["rights"] if rights.exists() else {}
        return any(LOGON_RIGHT in held for sid, held in kept.items() if sid.startswith("S-1-5-21-"))

    for file, grants in ((secret, False), (wrong, True)):
        refused = pusher(file, grants).push(inventory, *QUICK)
        assert refused.verdict == ("failed", "service-account-invalid"), refused.everything_said()
        assert witness.service_of(host, "LabAgent") is None and not holds()
    ended = pusher(secret, True).push(inventory, *QUICK)
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert holds()
    (right,) = (c for c in ended.outcome["checks"] if c["check"] == "log-on-as-service")
    assert "a push gives it" in right["evidence"]
    again = pusher(secret, True).push(inventory, *QUICK)
    assert again.verdict == ("unchanged", None), again.everything_said()
    (right,) = (c for c in again.outcome["checks"] if c["check"] == "log-on-as-service")
    assert right["evidence"] == f"{account} holds {LOGON_RIGHT} by itself"
    removed = pusher(secret, True).remove(inventory, *QUICK)
    assert removed.verdict == ("removed", None), removed.everything_said()
    assert not holds()
    said = {"said": "".join(e.everything_said() for e in (ended, again, removed)).encode()}
    joined.ground.secrets["wrong"] = "Kx7-never-to-be-seen"
    assert joined.ground.leaks(said) == []
