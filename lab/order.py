"""What the process of one host is told: a file of the host's folder, readable by its owner only.

The one value that crosses from the lab's side (fleet.py) into the host's namespaces (host.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.processes import write_atomically
from lab.scenarios import WINDOWS, Account, AdminShare, WinRm


@dataclass(frozen=True, kw_only=True)
class Membership:
    """A host's place in the lab's directory (lab/domain)."""

    realm: str
    workgroup: str
    controller: str  # its address
    kerberos: str  # the text of a client's krb5.conf
    administrator: str  # who may join it
    password: str = field(repr=False)
    administrators: tuple[str, ...]  # SIDs of the directory that are administrators of the host
    users: tuple[str, ...]  # accounts of the directory that are such administrators


@dataclass(frozen=True, kw_only=True)
class Order:
    """How to boot a host. `folder` is its folder on disk; paths are those of the ordinary namespace."""

    name: str
    domain: str
    address: str  # the host's own, outside
    folder: str
    template: str
    relay: str
    helper: str
    runner: str
    egress: str  # the socket of lab/egress_proxy.py
    interfaces: dict[str, str]  # of Samba's programs for pipes; see samba.py
    overlay: bool  # the prefix is an overlay on the template; otherwise a hard-linked copy is there already
    passwords: dict[str, str] = field(repr=False)
    account: Account = Account.ADMINISTRATOR
    second_account: bool = False
    admin_share: AdminShare = AdminShare.NORMAL
    encryption: str = "if_required"
    preinstalled: dict[str, str] | None = None  # a service that is there before anybody pushes; see boot.py
    windows: str = WINDOWS  # where Windows says that it is; all of it is drive C: of Wine
    fresh: bool = True  # the disk is new; otherwise the host boots with what is on it
    membership: Membership | None = None
    link: dict[str, Any] | None = None
    lock_held: bool = False
    smb: bool = True  # whether port 445 is open
    winrm: WinRm = field(default_factory=WinRm)
    asked_over_winrm: bool = False  # so the endpoint starts with the host and not with the first connection

    def write(self, path: Path) -> None:
        membership = asdict(self.membership) if self.membership else None
        text = json.dumps({**self.__dict__, "winrm": self.winrm.to_json(), "membership": membership})
        write_atomically(path, text, mode=0o600)

    @classmethod
    def read(cls, path: Path) -> Order:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["account"] = Account(content["account"])
        content["admin_share"] = AdminShare(content["admin_share"])
        content["winrm"] = WinRm.from_json(content["winrm"])
        content["membership"] = Membership(**content["membership"]) if content["membership"] else None
        return cls(**content)
