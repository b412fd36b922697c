"""What the tests of a real directory share: a domain controller, pushers over a fleet in memory, files for them.

Not here: the fleet itself (memory_fleet.py), hosts that are joined (joined.py).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lab.domain import Domain
from lab.domain.domain import Seen
from tests.contract.lab_domain import started
from tests.pe import program
from tests.system import memory_fleet
from tests.system.command import Pusher
from tests.system.test_secrets import everything_in, leaks

THRESHOLD, RESERVE = 5, 2  # of the lab's domain (lab/domain/recipe.py), and of the accounts files here
ALLOWED = THRESHOLD - RESERVE
WRONG = "Xx9-planted_and_not_the_password"
COUNTED = frozenset({"NT_STATUS_WRONG_PASSWORD"})
_SECRET = ".secret"
_SERVICE_OWNER = "CN=pc03,OU=Paris,OU=Fleet"
_PACKAGE = """name = "labagent"
version = "1.4.2"

[[file]]
source = "labagent.exe"
dest = 'labagent\\labagent.exe'
sha256 = "{sha256}"

[service]
name = "LabAgent"
display_name = "Lab agent"
command = '"%SystemRoot%\\labagent\\labagent.exe"'

[verify]
stay_running = "100ms"
"""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """One fleet in memory: for any number of pusher processes, one after the other or at once."""

    folder: Path
    inventory: Path
    names: Sequence[str]
    settings: Path

    def seen(self, event: str | None = None) -> list[dict[str, Any]]:
        """What its hosts (and the holding of answers) have told so far."""
        path = self.folder / "seen.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        rows = [json.loads(line) for line in whole.splitlines()]
        return [row for row in rows if event in (None, row["event"])]

    def go(self) -> None:
        """Nothing is held any more."""
        (self.folder / "go").touch()

    def pusher(self, accounts: Path, environment: Mapping[str, str], *, store: Path | None = None) -> Pusher:
        return Pusher(
            folder=self.folder / accounts.stem,
            accounts=accounts,
            package=self.folder.parent / "package",
            store=store,
            environment=environment,
            command=(sys.executable, "-P", memory_fleet.__file__, str(self.settings)),
        )


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The running domain and a folder. Every file that a pusher makes or is given lies below the folder."""

    domain: Domain
    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    """Each password that was used, by a name: none of them may be found in what pushers leave behind."""

    @property
    def environment(self) -> dict[str, str]:
        """Of a pusher: Kerberos by the controller's address, and its name for LDAP."""
        return self.domain.naming_environment

    def fleet(
        self,
        name: str,
        count: int,
        *,
        free: int = 1_000_000,
        hold_answers: bool = False,
        claims: Mapping[str, str] = MappingProxyType({}),
        deadline: float = 30.0,
        prefix: str = "mem",
    ) -> Fleet:
        """``count`` machines. ``deadline``: seconds for one question of Kerberos.

        From the sign-in after ``free`` on each is held until ``go``: before it is judged, or with ``hold_answers`` when
        it was. ``claims``: machines that say another name than the inventory has of them.
        """
        folder = self.folder / name
        folder.mkdir()
        self._write_package()
        names = {f"10.77.{n // 250}.{n % 250 + 1}": f"{prefix}{n:03d}.{self.domain.domain}" for n in range(count)}
        settings = {
            "controller": self.domain.address,
            "netbios": self.domain.netbios,
            "seen": str(folder / "seen.jsonl"),
            "go": str(folder / "go"),
            "free": free,
            "deadline": deadline,
            "hold_answers": hold_answers,
            "hosts": {address: claims.get(host, host) for address, host in names.items()},
        }
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        inventory = folder / "fleet.yaml"
        hosts = "".join(f"      - {{name: {host}, address: {address}}}\n" for address, host in names.items())
        inventory.write_text(f"version: 1\ngroups:\n  fleet:\n    hosts:\n{hosts}", encoding="utf-8")
        return Fleet(folder=folder, inventory=inventory, names=list(names.values()), settings=folder / "settings.json")

    def accounts(
        self,
        path: Path,
        user: str,
        *,
        protocol: str = "kerberos",
        password: str | None = None,
        directory: str | None = None,
        threshold: int = THRESHOLD,
        secret: str | None = None,
        realm: bool = True,
        more: str = "",
    ) -> Path:
        """An accounts file with one push account.

        ``password``: another than the real one; ``directory``: the user who reads the directory, if anybody does;
        ``secret``: another reference; ``realm``: whether NTLM knows it; ``more``: lines of the account.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        file = self.domain.secret_file(user)
        if password is not None:
            file = path.with_suffix(_SECRET)
            file.touch(mode=0o600)
            file.write_text(password, encoding="utf-8")
        self.secrets[f"{user} {len(self.secrets)}"] = file.read_text(encoding="utf-8")
        if protocol == "ntlm" and realm:
            more += f'realm = "{self.domain.realm}"\n'
        name = f"{self.domain.netbios}\\{user}" if protocol == "ntlm" else f"{user}@{self.domain.domain}"
        text = (
            f'[[account]]\nname = "pushing"\nuser = \'{name}\'\nprotocol = "{protocol}"\n'
            f'secret = "{secret or f"file:{file}"}"\n{more}\n'
            f"[lockout]\nreserve = {RESERVE}\nassume_threshold = {threshold}\n"
        )
        path.write_text(text + self.directory_table(directory), encoding="utf-8")
        return path

    def directory_table(self, user: str | None) -> str:
        if user is None:
            return ""
        return (
            f'\n[directory]\ndomain = "{self.domain.domain}"\nserver = "{self.domain.fqdn}"\n'
            f'user = "{user}@{self.domain.domain}"\nsecret = "file:{self.domain.secret_file(user)}"\n'
        )

    def change_password(self, user: str, times: int = 3) -> None:
        """So often that the old one is none of those of the history that are forgiven (the last two)."""
        self.secrets[f"{user} {len(self.secrets)}"] = self.domain.password(user)
        for _ in range(times):
            self.domain.set_password(user)

    def serve(self, fleet: Fleet) -> None:
        """Service tickets for the fleet's machines can be had."""
        dn = f"dn: {_SERVICE_OWNER},{self.domain.base_dn}\nchangetype: modify\n"
        spns = "".join(f"servicePrincipalName: cifs/{name}\n" for name in fleet.names)
        self.domain.modify(f"{dn}replace: servicePrincipalName\n{spns}")
        self.domain.set_password("pc03$")  # the lab's computers have no keys before they join

    def judged(self, user: str) -> list[Seen]:
        """Every sign-in of the user that the controller has judged."""
        names = {user, f"{user}@{self.domain.realm}", f"{user}@{self.domain.domain}"}
        return [seen for seen in self.domain.log() if seen.user.lower() in {name.lower() for name in names}]

    def counted(self, user: str) -> int:
        """Those that the controller refused for the password."""
        return sum(seen.status in COUNTED for seen in self.judged(user))

    def leaks(self, said: Mapping[str, bytes] = MappingProxyType({})) -> list[str]:
        """Where a password is that was used: in any file that a pusher has made, or in what it ``said``."""
        made = {where: text for where, text in everything_in(self.folder) if not where.endswith(_SECRET)}
        secrets = {user: self.domain.password(user) for user in ("reader", "push1", "push2", "push3", "strict1")}
        return leaks(self.secrets | secrets, made | dict(said))

    def _write_package(self) -> None:
        folder = self.folder / "package"
        if not folder.exists():
            folder.mkdir()
            data = program("1.4.2")
            (folder / "labagent.exe").write_bytes(data)
            text = _PACKAGE.format(sha256=hashlib.sha256(data).hexdigest())
            (folder / "package.toml").write_text(text, encoding="utf-8")


@contextmanager
def account_state(domain_folder: Path, folder: Path) -> Iterator[Ground]:
    """A domain for one module of tests; at the end no file that was made meanwhile may hold a password."""
    with started(domain_folder) as domain:
        ground = Ground(domain=domain, folder=folder)
        yield ground
        assert ground.leaks() == []
