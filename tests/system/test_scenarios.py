"""Every scenario of the lab: what a push records of it, and what other clients then find on the host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.scenarios import CURRENT_VERSION, OLDER_VERSION, SCENARIOS, Kind, Preinstalled
from tests.system import witness
from tests.system.site import NEVER_PUSHED, ROLLBACK, FirstPush, Site
from tests.system.witness import sha256

pytestmark = pytest.mark.lab

ROWS = {**SCENARIOS, ROLLBACK.name: ROLLBACK}
ONCE = {"winrm-drops": ("failed", "connection-lost")}
"""What a single attempt comes to, where the scenario's outcome takes a second one."""
EXPECTED = {name: (row.expect_status, row.expect_code) for name, row in ROWS.items()} | ONCE
INSTALLED = [name for name, (status, _) in EXPECTED.items() if status in ("installed", "upgraded", "unchanged")]
HANGING = "agent-never-runs"
"""Its process takes no orders and cannot be ended over the network, so its entry stays, marked for deletion."""
UNTOUCHED = [
    name
    for name, row in ROWS.items()
    if row.kind is Kind.WINDOWS and row.preinstalled is Preinstalled.NONE and name not in (*INSTALLED, HANGING)
]
STAGES = {
    "service-exists-foreign": "service",
    "not-administrator": "rights",
    "wrong-password": "sign-in",
    "account-locked": "sign-in",
    "account-disabled": "sign-in",
    "password-must-change": "sign-in",
    "account-expired": "sign-in",
    "admin-share-missing": "rights",
    "admin-share-read-only": "rights",
    "disk-full": "rights",
    "port-closed": "reach",
    "wrong-host": "identify",
    "service-exited": "start",
    "service-start-timeout": "start",
    "service-failed": "start",
    "transfer-stalled": "stage",
    "connection-lost": "stage",
    "push-in-progress": "lock",
    "protocol-error": "reach",
    "certificate-untrusted": "reach",
    "certificate-expired": "reach",
    "certificate-wrong-name": "reach",
    "sign-in-refused": "sign-in",
    "winrm-quota": "rights",
}
STAGE_OF = {
    "silent": "reach",
    "mute": "reach",
    "halfway": "identify",
    "winrm-hangs": "rights",
    "winrm-drops": "rights",
}
"""Where the code alone does not tell it."""


def test_exit_status_and_a_line_for_every_host(site: Site, first_push: FirstPush) -> None:
    assert first_push.ended.status == 1, first_push.ended.everything_said()
    assert set(first_push.ended.outcomes) == {site.host(name).fqdn for name in ROWS}


@pytest.mark.parametrize("name", ROWS)
def test_outcome(site: Site, first_push: FirstPush, name: str) -> None:
    row, host = ROWS[name], site.host(name)
    line = first_push.ended.outcomes[host.fqdn]
    status, code = EXPECTED[name]
    assert (line["status"], line["code"]) == (status, code), str(line)
    assert line["address"] == host.address
    assert line["run"] == first_push.ended.run
    assert line["started_at"] <= line["ended_at"] and line["started_at"].endswith("Z")
    if code is None:
        assert line["stage"] == "record"
        assert (line["message"], line["remedy"], line["next_move"]) == (None, None, None)
        assert line["agent_version"] == CURRENT_VERSION
        assert line["accounts_tried"][-1] == {"account": line["account"], "code": None}
        return
    assert line["stage"] == STAGE_OF.get(name, STAGES.get(code))
    assert line["message"] and line["remedy"] and line["next_move"], line
    assert line["agent_version"] is None
    if line["stage"] in ("reach", "identify"):
        assert line["accounts_tried"] == [] and line["account"] is None
    else:
        blamed = line["stage"] == "sign-in" or code == "not-administrator"
        assert line["accounts_tried"] == [{"account": "push-2026", "code": code if blamed else None}]
        assert (line["transport"], line["protocol"]) == ("smb" if row.smb else "winrm", "ntlm")


@pytest.mark.parametrize("name", INSTALLED)
def test_installed_host(site: Site, first_push: FirstPush, name: str) -> None:
    host = site.host(name)
    if host.scenario.smb:
        sees = site.witness(host)
        assert sees.service_state() == "running"
        assert sha256(sees.content(witness.AGENT)) == sha256(site.agent)
        assert set(sees.names("labagent")) == {"labagent.exe", "heartbeat.txt"}
        assert sees.names(r"pusher") == []
    assert sha256(witness.agent_file(host)) == sha256(site.agent)
    assert len(witness.agents(host)) == 1
    assert witness.litter(host) == []
    service = witness.service_of(host)
    assert service is not None
    fault = host.scenario.vars.get("fault", "none")
    assert service.image_path == rf'"%SystemRoot%\labagent\labagent.exe" --site lab --fault {fault}'
    assert (service.display_name, service.start_type) == ("Lab agent", 2)
    moved = first_push.ended.outcomes[host.fqdn]["bytes_copied"]
    assert moved == (0 if host.scenario.preinstalled is Preinstalled.CURRENT else len(site.agent))


@pytest.mark.parametrize("name", UNTOUCHED)
def test_failed_host_is_as_it_was(site: Site, first_push: FirstPush, name: str) -> None:
    """Looked at from outside: most of these hosts let nobody in."""
    host = site.host(name)
    left = witness.traces(host)
    if name == "locked-by-another":  # the other's lock is none of ours to remove
        assert [path.lower() for path in left] == [r"windows/pusher", r"windows/pusher/labagent.lock"]
    else:
        assert left == []
    assert witness.service_of(host) is None
    assert witness.agents(host) == ()


def test_host_whose_agent_hangs(site: Site, first_push: FirstPush, quick: Path, tmp_path: Path) -> None:
    """All that can be taken back is; what cannot is said and marked for deletion, and does not bar the next push.

    (Windows drops a marked entry when its process ends or with the next boot; Wine forgets the mark with the boot.)
    """
    host = site.host(HANGING)
    sees = site.witness(host)
    assert witness.traces(host) == []
    assert sees.service_state() == "start pending"
    assert "WERR_SERVICE_MARKED_FOR_DELETE" in sees.net("delete", witness.SERVICE)
    line = first_push.ended.outcomes[host.fqdn]
    assert "still on the host (service-marked-for-delete)" in line["message"], line["message"]
    host.kill()
    host.start()
    inventory = tmp_path / "mended.yaml"
    text = site.inventory.read_text().replace("pending", "none")
    inventory.write_text(text.replace(f"ca: {site.lab.ca.name}", f"ca: {site.lab.ca}"))
    ended = replace(first_push.pusher, package=quick).push(inventory, "--limit", host.fqdn)
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert sees.service_state() == "running"
    assert len(witness.agents(host)) == 1


def test_foreign_service_is_left_alone(site: Site, first_push: FirstPush) -> None:
    host = site.host("foreign-service")
    assert site.witness(host).service_state() == "running"
    service = witness.service_of(host)
    assert service is not None and "Contoso" in service.image_path and service.display_name == "Contoso agent"
    assert witness.traces(host) == []
    assert "Contoso" in first_push.ended.outcomes[host.fqdn]["message"]


def test_failed_upgrade_brings_the_old_version_back(site: Site, first_push: FirstPush) -> None:
    """Byte for byte as on the host that nobody has pushed to yet, and running."""
    host, as_new = site.host("rollback"), site.host(NEVER_PUSHED)
    sees = site.witness(host)
    assert sees.service_state() == "running"
    old = sees.content(witness.AGENT)
    assert OLDER_VERSION.encode() in old
    assert sha256(old) == sha256(witness.agent_file(as_new)) != sha256(site.agent)
    assert witness.service_of(host) == witness.service_of(as_new)
    assert len(witness.agents(host)) == 1
    assert witness.litter(host) == []


def test_each_account_is_refused_once_at_most(site: Site, first_push: FirstPush) -> None:
    """By the hosts' own logs: a sign-in that was refused is never repeated, and none was refused unrecorded."""
    for host in site.lab.hosts.values():
        tried = first_push.ended.outcomes.get(host.fqdn, {}).get("accounts_tried", [])
        if not host.scenario.smb:
            assert len(host.winrm_log("sign-in")) <= len(tried), host
            continue
        recorded = [entry for entry in tried if STAGES.get(entry["code"]) == "sign-in"]
        refused = [entry for entry in first_push.sign_ins[host.name] if entry.status != "NT_STATUS_OK"]
        assert len(refused) == len(recorded), (host, refused)
