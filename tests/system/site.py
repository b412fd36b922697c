"""The machines that the system tests push to: every scenario of the lab once, and some hosts kept for one purpose.

Tests write their own small inventories and packages here, in the formats that users write.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType

from lab import SCENARIOS, Host, HostSpec, Lab, LabError, Scenario, SignIn, every_scenario
from lab.plan import DNS_PORT
from tests.system.command import Ended, Pusher
from tests.system.witness import Witness

NETWORKS = range(51, 70)
"""127.0.N.0/24: the lab takes the first that nobody has, so that two checkouts may be tested at once."""

_unused = count()

_HEALTHY, _OLDER = SCENARIOS["healthy"], SCENARIOS["older-version"]
ROLLBACK = replace(
    _OLDER,
    name="older-version-fails",
    description="an older agent is there and runs; the new one ends at once",
    expect_status="failed",
    expect_code="service-exited",
    vars=MappingProxyType({"fault": "exit"}),
)
SIGNED_ONLY = replace(
    _HEALTHY, name="signed-only", description="the server signs and does not encrypt", encryption="off"
)

SPARE = ("spare1", "spare2", "spare3")
WITH_OLDER = "older1"
SIGNED = "signed"
ON_D = "ond"
"""Its Windows is on drive D:."""
NEVER_PUSHED = "asnew"
"""The older version as the lab installed it: to compare with, never to push to."""
_KEPT: Mapping[str, Scenario] = {
    **dict.fromkeys(SPARE, _HEALTHY),
    WITH_OLDER: _OLDER,
    SIGNED: SIGNED_ONLY,
    NEVER_PUSHED: _OLDER,
    ON_D: SCENARIOS["windows-on-d"],
}
SCENARIO_HOSTS = [*every_scenario()[: len(SCENARIOS)], HostSpec(name="rollback", scenario=ROLLBACK)]
HOSTS = SCENARIO_HOSTS + [HostSpec(name=name, scenario=scenario) for name, scenario in _KEPT.items()]

LEFTOVERS = "\n[remove]\nleftovers = ['labagent\\heartbeat.txt']\n"
"""Of a package.toml: the file that the agent itself makes."""

COMMAND = r'"%SystemRoot%\labagent\labagent.exe" --site {site} --fault {fault}'
"""As the lab's own package has it, so that what the lab has preinstalled needs no other configuration."""


def free_network() -> str:
    """A network whose name server's port nobody has taken; other ones for each worker of a session."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for number in NETWORKS[worker::workers]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind((f"127.0.{number}.254", DNS_PORT))
            return f"127.0.{number}.0/24"
    raise LabError(f"a lab runs in each of the networks 127.0.{NETWORKS[0]}.0/24 to 127.0.{NETWORKS[-1]}.0/24")


def unused_address() -> str:
    """Another one at each call, which no host has: for servers that a test makes itself."""
    return f"127.0.50.{1 + next(_unused) % 250}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """The running lab, and what pusher is given to work on it."""

    lab: Lab
    files: Path  # the lab's inventory, accounts and package

    @property
    def inventory(self) -> Path:
        """All hosts."""
        return self.files / "lab.yaml"

    @property
    def accounts(self) -> Path:
        return self.files / "lab-accounts.toml"

    @property
    def package(self) -> Path:
        return self.files / "labagent"

    @property
    def agent(self) -> bytes:
        """The executable that the package brings."""
        return (self.package / "labagent.exe").read_bytes()

    @property
    def secrets(self) -> dict[str, str]:
        return {name: self.lab.secret(name) for name in ("push-2026", "push-2025", "clerk")}

    def host(self, name: str) -> Host:
        """By its name, or by the name of its scenario."""
        hosts = self.lab.hosts
        return hosts[name] if name in hosts else next(h for h in hosts.values() if h.scenario.name == name)

    def witness(self, host: Host) -> Witness:
        """With the account that is an administrator there."""
        if host.scenario.second_account:
            return Witness(self.lab, host, "oldadm", "push-2025")
        return Witness(self.lab, host)

    def pusher(self, folder: Path, package: Path | None = None) -> Pusher:
        return Pusher(folder=folder, accounts=self.accounts, package=package or self.package)

    def inventory_of(
        self,
        folder: Path,
        hosts: Iterable[Host | str],
        *,
        name: str = "some.yaml",
        fault: str = "none",
        transports: str = "smb",
    ) -> Path:
        """An inventory of some hosts; a text is taken as it is, as an item of the list of hosts."""
        items = [host if isinstance(host, str) else _entry(host) for host in hosts]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(
            "version: 1\n"
            "defaults:\n"
            "  site: lab\n"
            f"  transports: [{transports}]\n"
            f"  winrm: {{ca: {json.dumps(str(self.lab.ca))}}}\n"
            f"  port: {next(iter(self.lab.hosts.values())).port}\n"
            f'  nameservers: ["{self.lab.nameserver}"]\n'
            f"  vars: {{fault: {fault}}}\n"
            "groups:\n  some:\n    hosts:\n" + "".join(f"      - {item}\n" for item in items),
            encoding="utf-8",
        )
        return path

    def package_of(
        self,
        folder: Path,
        *,
        stay_running: str = "500ms",
        version: str = "1.4.2",
        extra: Mapping[str, bytes] = MappingProxyType({}),
        more: str = "",
        account: str = "LocalSystem",
        display_name: str = "Lab agent",
    ) -> Path:
        """A package with the lab's agent and ``extra`` files beside it; ``more`` is TOML for its end."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"labagent.exe": self.agent, **extra}
        text = f'name = "labagent"\nversion = "{version}"\n'
        for name, data in content.items():
            (folder / name).write_bytes(data)
            text += (
                f"\n[[file]]\nsource = '{name}'\ndest = 'labagent\\{name}'\n"
                f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n'
            )
        text += (
            f'\n[service]\nname = "LabAgent"\ndisplay_name = "{display_name}"\ncommand = \'{COMMAND}\'\n'
            f"account = '{account}'\n\n[verify]\nstay_running = \"{stay_running}\"\n{more}"
        )
        (folder / "package.toml").write_text(text, encoding="utf-8")
        return folder


@dataclass(frozen=True, kw_only=True)
class FirstPush:
    """A push over every scenario, what any user of the machine could see of its processes meanwhile, and the sign-ins
    that the hosts saw, by host."""

    pusher: Pusher
    ended: Ended
    sign_ins: Mapping[str, list[SignIn]]
    commands: frozenset[bytes]
    environments: frozenset[bytes]


def accounts_text(*accounts: Mapping[str, str], threshold: int = 3, reserve: int = 2) -> str:
    """An accounts file; each account by its keys."""
    text = ""
    for account in accounts:
        text += "\n[[account]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in account.items())
    return text + f"\n[lockout]\nreserve = {reserve}\nassume_threshold = {threshold}\n"


def _entry(host: Host) -> str:
    if not host.scenario.vars:
        return host.fqdn
    return json.dumps({"name": host.fqdn, "vars": dict(host.scenario.vars)})
