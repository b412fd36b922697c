"""One machine, two transports: the same outcomes; what crosses the wire of WinRM; connections that drop."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lab import SCENARIOS, Host, HostSpec, Lab, healthy
from tests.conftest import StartLab
from tests.system import crash, witness
from tests.system.between import Server
from tests.system.command import Ended
from tests.system.site import LEFTOVERS, ROLLBACK, Site, free_network

pytestmark = pytest.mark.lab

SAME = (
    "healthy", "same-version", "older-version", "foreign-service", "not-administrator", "second-account", "disk-full",
    "agent-exits", "agent-never-runs", "agent-never-connects", "agent-slow", "agent-fails", "locked-by-another",
)  # fmt: skip
REFUSED = ("failed", "sign-in-refused")
OTHERWISE = {
    # HTTP has one answer to whatever is wrong with an account.
    "wrong-password": REFUSED,
    "locked": REFUSED,
    "disabled": REFUSED,
    "must-change": REFUSED,
    "account-expired": REFUSED,
    # No share is needed.
    "no-admin-share": ("installed", None),
    "read-only-admin-share": ("installed", None),
}
"""Scenarios whose outcome over WinRM differs from that over SMB, and how."""

MARKER = b"a marker planted in the payload "


@dataclass(frozen=True, kw_only=True)
class Both:
    """The same machines pushed to twice, as new each time: by SMB, and by WinRM."""

    site: Site
    smb: Ended
    winrm: Ended


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Site]:
    """A small lab for tests that change its hosts."""
    folder = tmp_path_factory.mktemp("pair")
    lab = Lab(folder / "state", free_network(), folder / "inventory")
    yield Site(lab=start_lab(lab, healthy(4)), files=folder / "inventory")
    lab.down()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    specs = [HostSpec(name=f"t{n:02}", scenario=SCENARIOS[name]) for n, name in enumerate((*SAME, *OTHERWISE))]
    specs.append(HostSpec(name="rollback", scenario=ROLLBACK))
    lab = Lab(folder / "state", free_network(), folder / "inventory")
    site = Site(lab=start_lab(lab, specs), files=folder / "inventory")
    hosts = list(site.lab.hosts.values())
    inventory = site.inventory_of(folder, hosts, transports="smb, winrm")
    # The lab's endpoints start with their first connection; and two dozen hosts starting a service at once take more
    # than the ten seconds that Wine's service manager gives them.
    options = ("--concurrency", "4", "--attempts", "1", "--connect-timeout", "60")
    smb = site.pusher(folder / "smb").push(inventory, "--transport", "smb", *options)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Host.reset, hosts))
    winrm = site.pusher(folder / "winrm").push(inventory, "--transport", "winrm", *options)
    yield Both(site=site, smb=smb, winrm=winrm)
    lab.down()  # two dozen hosts that nobody needs any more


@pytest.mark.parametrize("name", [*SAME, "rollback"])
def test_the_same_outcome_over_both(both: Both, name: str) -> None:
    fqdn = both.site.host(name).fqdn
    over_smb, over_winrm = both.smb.outcomes[fqdn], both.winrm.outcomes[fqdn]
    assert (over_smb["transport"], over_winrm["transport"]) == ("smb", "winrm")
    for field in ("status", "code", "stage", "account", "agent_version", "machine", "bytes_copied", "accounts_tried"):
        assert over_winrm[field] == over_smb[field], f"{field} of {over_winrm}"


@pytest.mark.parametrize("name", OTHERWISE)
def test_where_the_outcome_differs(both: Both, name: str) -> None:
    fqdn = both.site.host(name).fqdn
    assert both.winrm.verdicts[fqdn] == OTHERWISE[name], both.winrm.outcomes[fqdn]
    assert both.smb.verdicts[fqdn] == (SCENARIOS[name].expect_status, SCENARIOS[name].expect_code)


def test_each_check_is_there_over_both(both: Both) -> None:
    fqdn = both.site.host("healthy").fqdn
    over_smb, over_winrm = (
        {check["check"]: check["result"] for check in ended.outcomes[fqdn]["checks"]}
        for ended in (both.smb, both.winrm)
    )
    assert over_winrm == over_smb


def test_independent_clients_agree_with_what_winrm_did(both: Both) -> None:
    host = both.site.host("healthy")
    sees = both.site.witness(host)
    assert sees.service_state() == "running"
    assert witness.sha256(sees.content(witness.AGENT)) == witness.sha256(both.site.agent)
    assert len(witness.agents(host)) == 1
    assert witness.litter(host) == []
    service = witness.service_of(host)
    assert service is not None
    assert service.image_path == r'"%SystemRoot%\labagent\labagent.exe" --site lab --fault none'
    assert (service.display_name, service.start_type) == ("Lab agent", 2)
    for name in ("rollback", "agent-fails", "agent-exits"):
        assert witness.litter(both.site.host(name)) == []


def test_no_shell_is_left_open(both: Both) -> None:
    assert {name: host.shells() for name, host in both.site.lab.hosts.items() if host.shells()} == {}


def test_an_account_signs_in_once_at_most(both: Both) -> None:
    """By the endpoint's own log: whatever a push does, it sends one AUTHENTICATE for each account."""
    for host in both.site.lab.hosts.values():
        tried = both.winrm.outcomes[host.fqdn]["accounts_tried"]
        assert len(host.winrm_log("sign-in")) <= len(tried), host


KILLED_AT = ("stage:effect", "register:done")


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A push that was killed, and the same one again, which mostly waits: for a minute, while other tests run."""

    host: Host
    first: Ended
    again: Future[Ended]


@pytest.fixture(scope="module")
def killed(pair: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Killed]]:
    def tell(point: str, host: Host) -> Killed:
        folder = tmp_path_factory.mktemp("killed")
        pusher = pair.pusher(folder / "run", pair.package_of(folder / "package", more=LEFTOVERS))
        inventory = pair.inventory_of(folder, [host], transports="winrm")
        first = replace(pusher, command=(sys.executable, "-P", crash.__file__, point)).push(inventory)
        return Killed(host=host, first=first, again=pool.submit(pusher.push, inventory))

    with ThreadPoolExecutor(len(KILLED_AT)) as pool:
        yield {point: tell(point, pair.host(name)) for point, name in zip(KILLED_AT, ("ws03", "ws04"), strict=True)}


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_push_over_winrm_is_killed(killed: Mapping[str, Killed], point: str) -> None:
    assert killed[point].first.status == -signal.SIGKILL, killed[point].first.everything_said()


def test_a_service_is_removed_over_winrm(pair: Site, tmp_path: Path) -> None:
    host = pair.host("ws01")
    host.reset()
    package = pair.package_of(tmp_path / "package", more=LEFTOVERS)
    pusher = pair.pusher(tmp_path / "run", package)
    inventory = pair.inventory_of(tmp_path, [host], transports="winrm")
    verdicts = [
        command(inventory).verdict for command in (pusher.push, pusher.push, pusher.check, pusher.remove, pusher.remove)
    ]
    assert verdicts == [
        ("installed", None),
        ("unchanged", None),
        ("ready", None),
        ("removed", None),
        ("unchanged", None),
    ]
    assert witness.service_of(host) is None
    assert witness.traces(host) == []
    assert host.shells() == []


class Tap:
    """Passes every connection on to a port of a host, and keeps all that is said."""

    def __init__(self, host: Host, port: int) -> None:
        self._to = (host.address, port)
        self.said = bytearray()
        self.server = Server(self._pass_on)

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(self._to) as host:
            back = threading.Thread(target=self._copy, args=(host, client), daemon=True)
            back.start()
            self._copy(client, host)
            back.join(10)

    def _copy(self, source: socket.socket, to: socket.socket) -> None:
        while data := source.recv(65536):
            self.said += data
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("fetches", [True, False], ids=["fetched", "sent"])
def test_the_wire_of_an_encrypted_session_shows_nothing(pair: Site, tmp_path: Path, fetches: bool) -> None:
    host = pair.host("ws01")
    host.reset()
    if not fetches:
        (host.admin_share / "system32" / "curl.exe").unlink()
    package = pair.package_of(tmp_path / "package", extra={"data.bin": MARKER * 500})
    tap = Tap(host, 5985)
    with tap.server as server:
        way = f"{{name: {host.fqdn}, address: {server.address}, winrm: {{scheme: http, port: {server.port}}}}}"
        ended = pair.pusher(tmp_path / "run", package).push(pair.inventory_of(tmp_path, [way], transports="winrm"))
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert (host.admin_share / "labagent" / "data.bin").read_bytes() == MARKER * 500
    assert len(tap.said) > 10_000
    for telling in (MARKER, MARKER.decode().encode("utf-16-le"), b"Envelope", b"labagent", b"Win32_Service"):
        assert telling not in tap.said
    said = bytes(tap.said)
    assert b"application/HTTP-SPNEGO-session-encrypted" in said, "it is WinRM that was looked at"


DROPS = ("Win32_Service.Create", "Win32_Service.StartService", "curl.exe", "certutil.exe", "mkdir")


@pytest.mark.parametrize("operation", DROPS)
def test_a_connection_that_drops_in_an_operation(pair: Site, tmp_path: Path, operation: str) -> None:
    """Whether the machine has carried it out or not is unknown: the next attempt looks, and all ends well."""
    host = pair.host("ws02")
    host.reset()
    host.winrm(drop_on=operation)
    package = pair.package_of(tmp_path / "package", more=LEFTOVERS)
    inventory = pair.inventory_of(tmp_path, [host], transports="winrm")
    ended = pair.pusher(tmp_path / "run", package).push(inventory, "--attempts", "3")
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert ended.outcome["attempts"] >= 2 or "undo" not in str(ended.outcome["steps"])
    assert len(witness.agents(host)) == 1
    assert [s.name for s in host.services() if "labagent" in s.image_path.lower()] == [witness.SERVICE]
    assert witness.litter(host) == []
    assert eventually(lambda: host.shells() == []), host.shells()


@pytest.mark.parametrize("point", KILLED_AT)
def test_the_next_push_makes_it_good(killed: Mapping[str, Killed], point: str) -> None:
    """The lock is the target's to free, once the shell that holds it has been idle for long enough."""
    story = killed[point]
    again = story.again.result()
    assert again.verdict == ("installed", None), again.everything_said()
    assert len(witness.agents(story.host)) == 1
    assert witness.litter(story.host) == []
    assert eventually(lambda: story.host.shells() == []), story.host.shells()


def eventually(true: Callable[[], bool], seconds: float = 90) -> bool:
    """A shell whose client vanished goes with its IdleTimeOut."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True
