"""What pusher is given to push to the lab: inventory, accounts and package, in pusher's own formats.

Here: text from hosts. Not here: which hosts there are (plan.py), how they are made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.host_client import Host
from lab.processes import remove_written, write_atomically
from lab.scenarios import CA, CURRENT_VERSION, Certificate

SITE = "lab"
SERVICE_COMMAND = r'"%SystemRoot%\labagent\labagent.exe" --site {site} --fault {fault}'

_INVENTORY, _ACCOUNTS, _PACKAGE = "lab.yaml", "lab-accounts.toml", "labagent"
_DEFAULT_PORT = 445
_DEFAULT_TRANSPORTS = ("smb",)
_MADE_BY = "# Written by `python -m lab up`, removed by `python -m lab down`.\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainAccount:
    """An account of the lab's directory: its UPN, and the file with its password."""

    user: str
    secret: Path


def write(
    folder: Path,
    *,
    hosts: Sequence[Host],
    nameserver: str,
    secrets: Mapping[str, Path],
    agent: Path,
    ca: Path,
    for_members: DomainAccount | None = None,
) -> None:
    """Write all of it into `folder`."""
    pinned = [host for host in hosts if host.scenario.winrm.certificate is Certificate.SELF_SIGNED]
    fingerprints = {host.name: host.fingerprint for host in pinned}
    (folder / _PACKAGE).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(agent, folder / _PACKAGE / "labagent.exe")
    write_atomically(folder / _PACKAGE / "package.toml", package_text(agent.read_bytes()))
    write_atomically(folder / _ACCOUNTS, accounts_text(hosts, secrets, for_members))
    write_atomically(folder / CA, ca.read_text(encoding="ascii"))
    write_atomically(folder / _INVENTORY, inventory_text(hosts, nameserver, fingerprints))


def remove(folder: Path) -> None:
    """Remove what `write` wrote, and nothing else."""
    for name in (_INVENTORY, _ACCOUNTS, CA):
        remove_written(folder / name)
    for name in ("labagent.exe", "package.toml"):
        remove_written(folder / _PACKAGE / name)
    if (folder / _PACKAGE).is_dir() and not any((folder / _PACKAGE).iterdir()):
        (folder / _PACKAGE).rmdir()


def inventory_text(hosts: Sequence[Host], nameserver: str, fingerprints: Mapping[str, str]) -> str:
    """The hosts by kind of scenario, each with its scenario in a comment. `fingerprints` of certificates by host."""
    port = "" if hosts[0].port == _DEFAULT_PORT else f"  port: {hosts[0].port}\n"
    text = (
        f"{_MADE_BY}version: 1\n"
        "defaults:\n"
        f"  transports: [{', '.join(_DEFAULT_TRANSPORTS)}]\n"
        f"  site: {SITE}\n"
        f"{port}"
        f"  winrm: {{ca: {CA}}}\n"
        f'  nameservers: ["{nameserver}"]\n'
        "  vars: {fault: none}\n"
        "groups:\n"
    )
    for group in dict.fromkeys(host.scenario.group for host in hosts):
        text += f"  {group}:\n    hosts:\n"
        for host in hosts:
            if host.scenario.group == group:
                text += f"      - {_entry(host, fingerprints.get(host.name))}  # {host.scenario.name}\n"
    return text


def _entry(host: Host, fingerprint: str | None) -> str:
    """A host's name, or a table where there is more to say of it."""
    more = []
    if host.scenario.transports != _DEFAULT_TRANSPORTS:
        more.append(f"transports: [{', '.join(host.scenario.transports)}]")
    if fingerprint is not None:
        more.append(f'winrm: {{fingerprint: "{fingerprint}"}}')
    if host.scenario.vars:
        values = ", ".join(f"{name}: {json.dumps(value)}" for name, value in host.scenario.vars.items())
        more.append(f"vars: {{{values}}}")
    return f"{{{', '.join([f'name: {host.fqdn}', *more])}}}" if more else host.fqdn


def accounts_text(hosts: Sequence[Host], secrets: Mapping[str, Path], for_members: DomainAccount | None = None) -> str:
    """The directory's account for its members, the first local one for every host, the second where there is one."""
    text = _MADE_BY
    members = [host.fqdn for host in hosts if host.joined]
    if for_members is not None and members:
        text += _account("push-domain", for_members.user, for_members.secret) + f"scope  = {json.dumps(members)}\n"
    text += _account("push-2026", ".\\pushadm", secrets["push-2026"])
    scope = [host.fqdn for host in hosts if host.scenario.second_account]
    if scope:
        text += _account("push-2025", ".\\oldadm", secrets["push-2025"]) + f"scope  = {json.dumps(scope)}\n"
    return text + "\n[lockout]\nreserve = 2\nassume_threshold = 3\n"


def _account(name: str, user: str, secret: Path) -> str:
    return f"\n[[account]]\nname   = \"{name}\"\nuser   = '{user}'\nsecret = {json.dumps(f'file:{secret}')}\n"


def package_text(agent: bytes) -> str:
    return f"""{_MADE_BY}name = "labagent"
version = "{CURRENT_VERSION}"

[[file]]
source = "labagent.exe"
dest   = 'labagent\\labagent.exe'
sha256 = "{hashlib.sha256(agent).hexdigest()}"

[service]
name = "LabAgent"
display_name = "Lab agent"
command = '{SERVICE_COMMAND}'
start = "auto"
account = "LocalSystem"

[verify]
stay_running = "3s"

[remove]
leftovers = ['labagent\\heartbeat.txt']
"""
