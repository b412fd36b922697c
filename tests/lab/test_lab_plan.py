"""Which hosts a lab has, and what pusher is given for them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from lab import SCENARIOS, Host, HostSpec, PlanError, Scenario, every_scenario, from_file, healthy, inventory, plan
from lab.host_client import parse_sign_ins
from lab.plan import Addresses, members


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "wanted.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_is_every_scenario() -> None:
    specs = every_scenario()
    assert {spec.scenario.name for spec in specs} == set(SCENARIOS)
    assert sum(spec.scenario.name == "healthy" for spec in specs) == 3
    plan.check(specs)


def test_a_file_names_scenarios_counts_and_names(tmp_path: Path) -> None:
    path = write(tmp_path, '[[host]]\nscenario = "disk-full"\nname = "full"\n[[host]]\ncount = 2\n')
    assert [(spec.name, spec.scenario.name) for spec in from_file(path)] == [
        ("full", "disk-full"),
        ("ws02", "healthy"),
        ("ws03", "healthy"),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[host]\n", "wanted.toml.*line 1"),
        ("", "expected one or more tables"),
        ('[[host]]\nscenario = "nope"\n', "number 1: no scenario 'nope'"),
        ("[[host]]\n[[host]]\nsize = 3\n", "number 2: unknown key 'size'"),
        ("[[host]]\ncount = 0\n", "count 0"),
        ('[[host]]\ncount = 2\nname = "a"\n', "goes with one host"),
        ('[[host]]\nname = "A_B"\n', "host name 'A_B'"),
        ('[[host]]\nname = "a"\n[[host]]\nname = "a"\n', "given twice"),
        ('[[host]]\nscenario = "stale-name"\n', "needs a healthy host"),
    ],
)
def test_bad_files_are_refused_by_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        from_file(write(tmp_path, text))


def test_addresses_of_a_network() -> None:
    addresses = Addresses.of("127.0.21.0/24")
    assert (addresses.host(1), addresses.dns, addresses.room) == ("127.0.21.1", "127.0.21.254", 253)
    large = Addresses.of("127.20.0.0/16")
    assert large.host(300) == "127.20.1.44"
    for bad in ("10.0.0.0/24", "127.0.0.0/30", "somewhere"):
        with pytest.raises(PlanError, match="--network"):
            Addresses.of(bad)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=str)
def test_a_scenario_survives_json(scenario: Scenario) -> None:
    assert Scenario.from_json(json.loads(json.dumps(scenario.to_json()))) == scenario


def hosts(specs: list[HostSpec], port: int = 445) -> list[Host]:
    return [
        Host(
            name=spec.name,
            domain="ad.lab.test" if spec.joined else "lab.test",
            joined=spec.joined,
            address=f"127.0.20.{number}",
            port=port,
            scenario=spec.scenario,
            folder=Path("/nowhere"),
            boot=lambda host, fresh: None,
        )
        for number, spec in enumerate(specs, 1)
    ]


def test_the_inventory_has_every_host_in_its_group() -> None:
    content = yaml.safe_load(inventory.inventory_text(hosts(every_scenario()), "127.0.20.254:5353", {}))
    assert content["defaults"] == {
        "transports": ["smb"],
        "site": "lab",
        "nameservers": ["127.0.20.254:5353"],
        "winrm": {"ca": "lab-ca.pem"},
        "vars": {"fault": "none"},
    }
    names = [
        entry if isinstance(entry, str) else entry["name"] for g in content["groups"].values() for entry in g["hosts"]
    ]
    assert sorted(names) == [f"ws{number:02d}.lab.test" for number in range(1, len(every_scenario()) + 1)]
    faults = {entry["vars"]["fault"] for entry in content["groups"]["faulty"]["hosts"] if isinstance(entry, dict)}
    assert faults == {"exit", "pending", "hang", "fail"}


def test_another_port_is_said() -> None:
    assert yaml.safe_load(inventory.inventory_text(hosts(healthy(1), 10445), "x", {}))["defaults"]["port"] == 10445


def test_hosts_of_two_transports_and_pinned_certificates_are_said() -> None:
    specs = [HostSpec(name="ws01", scenario=SCENARIOS["winrm-pinned"]), *healthy(2)[1:]]
    content = yaml.safe_load(inventory.inventory_text(hosts(specs), "x", {"ws01": "ab" * 32}))
    assert content["groups"]["winrm"]["hosts"] == [
        {"name": "ws01.lab.test", "transports": ["smb", "winrm"], "winrm": {"fingerprint": "ab" * 32}}
    ]
    assert content["groups"]["healthy"]["hosts"] == ["ws02.lab.test"]


def test_every_host_over_winrm_is_in_the_demonstration_and_it_stays_small() -> None:
    assert len(every_scenario()) <= 43
    rows = [row for row in SCENARIOS.values() if row.transports == ("smb", "winrm")]
    assert {(row.expect_status, row.expect_code) for row in rows} >= {
        ("installed", None),
        ("unreachable", "port-closed"),
        ("unreachable", "timed-out"),
        *(("failed", code) for code in ("certificate-untrusted", "certificate-expired", "certificate-wrong-name")),
        *(("failed", code) for code in ("sign-in-refused", "winrm-quota")),
    }


def test_the_second_account_is_for_its_hosts_only() -> None:
    secrets = {name: Path(f"/secrets/{name}") for name in ("push-2026", "push-2025")}
    content = tomllib.loads(inventory.accounts_text(hosts(every_scenario()), secrets))
    first, second = content["account"]
    assert first == {"name": "push-2026", "user": ".\\pushadm", "secret": "file:/secrets/push-2026"}
    assert (second["user"], second["scope"]) == (".\\oldadm", ["ws06.lab.test"])
    assert content["lockout"] == {"reserve": 2, "assume_threshold": 3}
    assert len(tomllib.loads(inventory.accounts_text(hosts(healthy(2)), secrets))["account"]) == 1


def test_the_directorys_account_is_for_its_members_only() -> None:
    secrets = {name: Path(f"/secrets/{name}") for name in ("push-2026", "push-2025")}
    account = inventory.DomainAccount(user="push1@AD.LAB.TEST", secret=Path("/domain/push1"))
    content = tomllib.loads(inventory.accounts_text(hosts([*healthy(1), *members(1)]), secrets, account))
    first, second = content["account"]
    assert (first["user"], first["secret"]) == ("push1@AD.LAB.TEST", "file:/domain/push1")
    assert first["scope"] == ["ms01.ad.lab.test"]
    assert second["user"] == ".\\pushadm"


def test_the_package_has_the_agents_hash() -> None:
    content = tomllib.loads(inventory.package_text(b"agent"))
    assert content["file"][0]["sha256"] == "d4f0bc5a29de06b510f9aa428f1eedba926012b591fef7a518e776a7c9bd1824"
    assert content["service"]["command"] == r'"%SystemRoot%\labagent\labagent.exe" --site {site} --fault {fault}'


def test_writing_and_removing_leaves_other_files_alone(tmp_path: Path) -> None:
    agent = tmp_path / "agent.exe"
    agent.write_bytes(b"agent")
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "mine.yaml").touch()
    secrets = {name: tmp_path / name for name in ("push-2026", "push-2025")}
    ca = tmp_path / "ca.pem"
    ca.write_text("ca", encoding="ascii")
    inventory.write(folder, hosts=hosts(healthy(1)), nameserver="x", secrets=secrets, agent=agent, ca=ca)
    assert (folder / "lab-ca.pem").read_text(encoding="ascii") == "ca"
    assert (folder / "labagent" / "labagent.exe").read_bytes() == b"agent"
    inventory.remove(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_sign_ins_leave_the_labs_own_account_out() -> None:
    def line(user: str | None, kind: str = "Authentication") -> str:
        event = {
            "timestamp": "2026-01-01T00:00:00",
            "type": kind,
            kind: {"clientAccount": user, "status": "NT_STATUS_OK"},
        }
        return "  " + json.dumps(event)

    text = "\n".join(["[2026/01/01] words", line("pushadm"), line("labkeeper"), line(None), line("x", "Authorization")])
    assert [(attempt.user, attempt.status) for attempt in parse_sign_ins(text)] == [
        ("pushadm", "NT_STATUS_OK"),
        ("", "NT_STATUS_OK"),
    ]
