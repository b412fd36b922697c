"""A service, and an installer, under an ordinary account: its password, its right to log on, and what comes of both.

The account is the host's own; one of the directory is in test_joined.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Host
from pusher.models import LOGON_RIGHT
from tests.system import witness
from tests.system.command import Ended, Pusher, eventually
from tests.system.installers import Kit
from tests.system.sampling import Sampler
from tests.system.site import LEFTOVERS, Site
from tests.system.test_secrets import leaks, made_by

pytestmark = pytest.mark.lab

ACCOUNT, SECRET = ".\\clerk", "clerk"
WRONG = "Kx7-never-to-be-seen"


def holds(host: Host) -> bool:
    """Whether any account of the host's own has the right, by the lab's own table."""
    file = host.folder / "logons.json"
    kept = json.loads(file.read_text())["rights"] if file.exists() else {}
    return any(LOGON_RIGHT in held for sid, held in kept.items() if sid.startswith("S-1-5-21-"))


def secrets_of(site: Site) -> dict[str, str]:
    return {**site.secrets, "wrong": WRONG}


def services_kept_by(host: Host) -> dict[str, bytes]:
    """What its service manager knows of the services that are there: their passwords go with them."""
    return {"services": (host.folder / "logons.json").read_bytes()}


def package(site: Site, folder: Path, secret: Path, grants: bool = True, version: str = "1.4.2") -> Path:
    made = site.package_of(folder, account=ACCOUNT, more=LEFTOVERS, version=version)
    text = (made / "package.toml").read_text()
    more = f"secret = 'file:{secret}'\n" + ("grant_logon_right = true\n" if grants else "")
    (made / "package.toml").write_text(text.replace("\n\n[verify]", f"\n{more}\n[verify]"))
    return made


def test_the_life_of_a_service_with_a_password(
    site: Site, fresh: Callable[[str], Host], pusher: Pusher, tmp_path: Path
) -> None:
    host = fresh("spare2")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for file, text in ((right, site.lab.secret(SECRET)), (wrong, WRONG)):
        file.touch(mode=0o600)
        file.write_text(text)
    inventory = site.inventory_of(tmp_path, [host])
    known = tmp_path / "accounts.toml"
    known.write_text(f"{site.accounts.read_text()}local_threshold = 50\n")
    said: list[Ended] = []

    def push(secret: Path, grants: bool = True, transport: str = "smb", accounts: Path = known) -> Ended:
        what = package(site, tmp_path / "package", secret, grants)
        asked = replace(pusher, package=what, accounts=accounts)
        said.append(asked.push(inventory, "--attempts", "1", "--transport", transport))
        return said[-1]

    for secret, grants in ((right, False), (wrong, True)):
        refused = push(secret, grants)
        assert refused.verdict == ("failed", "service-account-invalid"), refused.everything_said()
        assert witness.service_of(host) is None and not holds(host)
    # Each start was a sign-in that the machine counts: with the shipped settings one more would be one too many.
    spent = push(right, accounts=site.accounts)
    assert spent.verdict == ("failed", "lockout-budget-spent"), spent.everything_said()
    assert witness.service_of(host) is None and not holds(host)
    ended = push(right)
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert holds(host)
    over_winrm = push(right, grants=False, transport="winrm")
    assert over_winrm.verdict == ("unchanged", None), over_winrm.everything_said()
    again = push(right)
    assert again.verdict == ("unchanged", None), again.everything_said()
    (check,) = (c for c in again.outcome["checks"] if c["check"] == "log-on-as-service")
    assert check["evidence"] == f"{ACCOUNT} holds {LOGON_RIGHT} by itself"
    removed = replace(pusher, package=tmp_path / "package").remove(inventory)
    assert removed.verdict == ("removed", None), removed.everything_said()
    assert witness.service_of(host) is None and not holds(host)
    content = made_by(pusher, *said, removed, target=host.fqdn) | services_kept_by(host)
    assert leaks(secrets_of(site), content) == []


def test_over_winrm_the_password_is_brought_and_no_right_is_given(
    site: Site, fresh: Callable[[str], Host], pusher: Pusher, tmp_path: Path
) -> None:
    host, secret = fresh("spare3"), tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(site.lab.secret(SECRET))
    inventory = site.inventory_of(tmp_path, [host])

    def push(grants: bool) -> Ended:
        what = package(site, tmp_path / "package", secret, grants)
        return replace(pusher, package=what).push(inventory, "--attempts", "1", "--transport", "winrm")

    granting = push(grants=True)
    assert granting.verdict == ("failed", "rights-unreadable"), granting.everything_said()
    lacking = push(grants=False)
    assert lacking.verdict == ("failed", "service-account-invalid"), lacking.everything_said()
    assert witness.service_of(host) is None
    assert leaks(secrets_of(site), services_kept_by(host)) == []


def test_an_installer_runs_as_an_account_of_the_file(
    site: Site, fresh: Callable[[str], Host], pusher: Pusher, tmp_path: Path
) -> None:
    """The service manager logs the account on, with the right that it has for the run only; its password is nowhere.

    Wine itself runs everything as one user: whose service it is, the lab's service manager and its clients tell.
    """
    host, inventory = fresh("spare2"), tmp_path / "some.yaml"
    site.inventory_of(tmp_path, [host])
    what = Kit(folder=tmp_path / "kit").exe_package(
        "as-clerk", "1.0.0", "/hold=C:\\windows\\Temp\\hold", more="run_as = 'installs'"
    )
    asked = replace(pusher, package=what, accounts=tmp_path / "accounts.toml")
    held, runs = host.admin_share / "Temp" / "hold", host.admin_share / "Temp" / "runs.txt"
    before, options = witness.files(host), ("--attempts", "1", "--transport", "smb")

    def with_password(password: str) -> None:
        file = tmp_path / "secret"
        file.touch(mode=0o600)
        file.write_text(password)
        account = f"[[account]]\nname = 'installs'\nuser = '{ACCOUNT}'\nuse = 'run'\nsecret = 'file:{file}'\n"
        asked_for = f"{site.accounts.read_text()}local_threshold = 50\n{account}"
        (tmp_path / "accounts.toml").write_text(asked_for)

    with_password(WRONG)
    refused = asked.push(inventory, *options)
    assert refused.verdict == ("failed", "service-account-invalid"), refused.everything_said()
    assert not runs.exists() and not holds(host) and witness.service_of(host, "PusherRun") is None
    with_password(site.lab.secret(SECRET))
    held.touch()
    with asked.starting("push", inventory, *options, looked_at=True) as running, Sampler(running.pid) as sampler:
        eventually(lambda: running.has_ended or runs.exists(), "the installer's start")
        assert holds(host)
        assert f"= {ACCOUNT}\n" in site.witness(host).net("status", "PusherRun"), "whose service another client sees"
        held.unlink()
        ended = running.wait()
    assert ended.verdict == ("installed", None), ended.everything_said()
    assert len(runs.read_text().split()) == 1
    assert not holds(host) and witness.service_of(host, "PusherRun") is None
    content = made_by(asked, refused, ended, target=host.fqdn)
    content |= {f"process {n}": data for n, data in enumerate(sampler.commands | sampler.environments)}
    assert leaks(secrets_of(site), content) == []
    # Of the machine: all that has come or changed, its registry, and what its service manager keeps of services.
    drive = host.admin_share.parent
    changed = [drive / name for name, was in witness.files(host).items() if before.get(name) != was]
    kept = {str(file): file.read_bytes() for file in [*changed, *drive.parent.glob("*.reg")] if file.is_file()}
    kept |= services_kept_by(host)
    assert any("labsetup" in name for name in kept) and any(name.endswith("system.reg") for name in kept)
    assert leaks(secrets_of(site), kept) == []
