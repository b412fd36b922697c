"""A service under an ordinary account, over both transports: its password, its right to log on, and what comes of both.

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
from tests.system.command import Ended, Pusher
from tests.system.site import LEFTOVERS, Site
from tests.system.test_secrets import everything_in, leaks

pytestmark = pytest.mark.lab

ACCOUNT, SECRET = ".\\clerk", "clerk"


def holds(host: Host) -> bool:
    """Whether any account of the host's own has the right, by the lab's own table."""
    file = host.folder / "logons.json"
    kept = json.loads(file.read_text())["rights"] if file.exists() else {}
    return any(LOGON_RIGHT in held for sid, held in kept.items() if sid.startswith("S-1-5-21-"))


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
    for file, text in ((right, site.lab.secret(SECRET)), (wrong, "Kx7-never-to-be-seen")):
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
    content = dict(everything_in(pusher.folder))
    content |= {str(n): (e.stdout + e.stderr).encode() for n, e in enumerate([*said, removed])}
    assert leaks({"right": site.lab.secret(SECRET), "wrong": "Kx7-never-to-be-seen"}, content) == []


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
