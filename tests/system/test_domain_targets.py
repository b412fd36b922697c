"""Which machines an account is never sent to: tiers, domain controllers, and another machine behind a name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.domain import Member
from tests.system.command import Pusher
from tests.system.memory_domain import Ground, account_state

pytestmark = pytest.mark.lab

QUICK = ("--per-subnet", "0", "--attempts", "1")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with account_state(tmp_path_factory.mktemp("domain"), tmp_path_factory.mktemp("ground")) as ground:
        yield ground


@pytest.mark.parametrize(("protocol", "never"), [("kerberos", "group:tier0"), ("ntlm", "tier0")])
def test_an_account_never_goes_to_a_tier(ground: Ground, protocol: str, never: str) -> None:
    fleet = ground.fleet(f"tiers-{protocol}-{never.partition(':')[0]}", 3)
    ground.serve(fleet)
    accounts = ground.accounts(fleet.folder / "a.toml", "push1", protocol=protocol, more=f'never = ["{never}"]\n')
    above, *ordinary = fleet.names
    fleet.inventory.write_text(f"{fleet.inventory.read_text()}  tier0:\n    hosts: [{above}]\n")
    ended = fleet.pusher(accounts, ground.environment).push(fleet.inventory, *QUICK)
    assert ended.verdicts == {above: ("failed", "no-account"), **dict.fromkeys(ordinary, ("installed", None))}
    assert never in ended.outcomes[above]["message"]
    assert {row["host"] for row in fleet.seen("asked")} == set(ordinary)


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_another_machine_behind_a_name_gets_no_authentication_message(ground: Ground, protocol: str) -> None:
    fleet = ground.fleet(f"stale-{protocol}", 2, claims={f"mem000.{ground.domain.domain}": "thief.ad.lab.test"})
    ground.serve(fleet)
    accounts = ground.accounts(fleet.folder / "a.toml", "push1", protocol=protocol)
    stale, right = fleet.names
    ended = fleet.pusher(accounts, ground.environment).push(fleet.inventory, *QUICK)
    assert ended.verdicts == {stale: ("failed", "wrong-host"), right: ("installed", None)}
    assert {row["host"] for row in fleet.seen("asked")} == {right}


def check(ground: Ground, folder: Path, accounts: Path, groups: str) -> Pusher:
    folder.mkdir()
    (folder / "i.yaml").write_text(
        f"version: 1\ndefaults: {{nameservers: ['{ground.domain.nameserver}']}}\ngroups:\n  {groups}\n"
    )
    return Pusher(folder=folder, accounts=accounts, environment=ground.environment)


@pytest.mark.parametrize(
    ("protocol", "groups"),
    [
        pytest.param("kerberos", "domain-controllers: {hosts: [dc1.ad.lab.test]}", id="file"),
        pytest.param(
            "ntlm", "fleet: {directory: {base: 'DC=ad,DC=lab,DC=test', filter: '(|(cn=dc1)(cn=pc01))'}}", id="directory"
        ),
    ],
)
def test_a_domain_controller_sees_nobody(ground: Ground, tmp_path: Path, protocol: str, groups: str) -> None:
    """Not allowed by the inventory and by the account, there is no sign-in there, and no pre-authentication either."""
    accounts = ground.accounts(tmp_path / "a.toml", "push1", protocol=protocol, directory="reader")
    judged = len(ground.judged("push1"))
    ended = check(ground, tmp_path / "run", accounts, groups).check(tmp_path / "run" / "i.yaml", *QUICK)
    assert ended.verdicts[ground.domain.fqdn] == ("skipped", "domain-controller-refused"), ended.everything_said()
    assert len(ground.judged("push1")) == judged


def test_a_domain_controller_that_its_domain_announces_sees_nobody(ground: Ground, tmp_path: Path) -> None:
    """Its name servers say so; no directory is asked, and the inventory has no group of that name."""
    accounts = ground.accounts(tmp_path / "a.toml", "push1", protocol="ntlm")
    judged = len(ground.judged("push1"))
    ended = check(ground, tmp_path / "run", accounts, "fleet: {hosts: [DC1.ad.lab.test]}").check(
        tmp_path / "run" / "i.yaml", *QUICK
    )
    assert ended.verdict == ("skipped", "domain-controller-refused"), ended.everything_said()
    assert len(ground.judged("push1")) == judged


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_a_domain_controller_that_nobody_knew_of(ground: Ground, tmp_path: Path, protocol: str) -> None:
    """It is found out on the session, before anything is done there."""
    accounts = ground.accounts(tmp_path / "a.toml", "push1", protocol=protocol)
    judged = len(ground.judged("push1"))
    pusher = check(ground, tmp_path / "run", accounts, "none: {}")
    (tmp_path / "run" / "i.yaml").write_text(
        f"version: 1\ngroups:\n  fleet: {{hosts: [{{name: dc1.ad.lab.test, address: {ground.domain.address}}}]}}\n"
    )
    ended = pusher.check(tmp_path / "run" / "i.yaml", *QUICK)
    assert ended.verdict == ("skipped", "domain-controller-refused"), ended.everything_said()
    assert len(ground.judged("push1")) > judged


def test_forty_targets_from_the_directory_and_from_a_file(ground: Ground) -> None:
    """Two of them are other machines than their names say, two may not be signed in to."""
    domain = ground.domain
    thieves = {f"ws{number:03d}.{domain.domain}": "thief.ad.lab.test" for number in (3, 17)}
    above = [f"ws{number:03d}.{domain.domain}" for number in (5, 30)]
    told = []
    for way in ("file", "directory"):
        fleet = ground.fleet(f"forty-{way}", 40, claims=thieves, prefix="ws")
        hosts = "    hosts:\n" + "".join(f"      - {name}\n" for name in fleet.names)
        query = f"    directory: {{base: '{domain.base_dn}', filter: '(cn=ws*)'}}\n"
        if way == "file":
            for number, name in enumerate(fleet.names):
                domain.add_member(Member(name=name.partition(".")[0], address=f"10.77.0.{number + 1}"))
        fleet.inventory.write_text(
            f"version: 1\ndefaults: {{nameservers: ['{domain.nameserver}']}}\ngroups:\n  fleet:\n"
            f"{query if way == 'directory' else hosts}  tier0:\n    hosts: [{', '.join(above)}]\n"
        )
        accounts = ground.accounts(
            fleet.folder / "a.toml", "push2", protocol="ntlm", directory="reader", more='never = ["tier0"]\n'
        )
        ended = fleet.pusher(accounts, ground.environment).push(fleet.inventory, *QUICK)
        assert {row["host"] for row in fleet.seen("asked")} == set(fleet.names) - set(thieves) - set(above)
        told.append({name.lower(): (*ended.verdicts[name], line["address"]) for name, line in ended.outcomes.items()})
    assert told[0] == told[1]
    codes = {name: code for name, (_, code, _) in told[0].items() if code is not None}
    assert codes == {**dict.fromkeys(thieves, "wrong-host"), **dict.fromkeys(above, "no-account")}
    assert len(told[0]) == 40
