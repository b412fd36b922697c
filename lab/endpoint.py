"""The host's WinRM endpoint, as the host's supervisor has it.

Most hosts are never asked over WinRM, and Python's cryptography takes a third of a second to load; so the fault proxy
listens from the beginning, and what is behind it comes up with the first connection, unless the host is one that is
there for its WinRM (see host.py). Not here: what the endpoint does (lab/winrm).
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import control
from lab.order import Order
from lab.samba import KEEPER
from lab.scenarios import Account
from lab.winrm import HTTPS_PORT, INNER_RELAY_PORT
from lab.winrm.config import Behaviour, Config, User

_STATES = {
    Account.LOCKED: "NT_STATUS_ACCOUNT_LOCKED_OUT",
    Account.DISABLED: "NT_STATUS_ACCOUNT_DISABLED",
    Account.MUST_CHANGE: "NT_STATUS_PASSWORD_MUST_CHANGE",
    Account.EXPIRED: "NT_STATUS_ACCOUNT_EXPIRED",
}
_OURS = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


class Endpoint:
    """`python -m lab.winrm`, and the way to it."""

    def __init__(self, config: Config, environment: Mapping[str, str], log: Path) -> None:
        """`environment` is that of Wine's programs; `log` takes what the process says."""
        self._config = config
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def connect(self, port: int) -> socket.socket:
        """A connection to one of its listeners."""
        self.start()
        relayed = port == HTTPS_PORT and self._config.relay_certificate is not None
        return socket.create_connection(("127.0.0.1", INNER_RELAY_PORT if relayed else port))

    def ask(self, call: str, **arguments: Any) -> Any:
        self.start()
        return control.ask(self._config.control, call, arguments)

    def start(self) -> None:
        """Returns once it listens; no-op where it runs."""
        with self._starting:
            if self._process is not None and self._process.poll() is None:
                return
            folder = Path(self._config.folder)
            folder.mkdir(mode=0o700, exist_ok=True)
            order = folder / "config.json"
            self._config.write(order)
            environment = {
                **self._environment,
                **{name: os.environ[name] for name in _OURS if name in os.environ},
                "NTLM_USER_FILE": str(self._config.users_file),
                "LM_COMPAT_LEVEL": "5",  # NTLMv2 only
            }
            keytab = Path(self._config.keytab)
            if keytab.exists():
                environment["KRB5_KTNAME"] = str(keytab)
            with self._log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lab.winrm", "--config", str(order)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=environment,
                )
            assert self._process.stdout is not None
            if self._process.stdout.readline() != b"READY\n":
                raise OSError(f"the WinRM endpoint did not start; see {self._log}")


def users(order: Order) -> list[User]:
    """The host's accounts, as Samba has them (samba.py)."""
    found = []
    for name, password in order.passwords.items():
        if name == KEEPER:
            continue
        ordinary = name == "clerk" or (name == "pushadm" and order.account is Account.ORDINARY)
        refused = _STATES.get(order.account) if name == "pushadm" else None
        found.append(User(name=name, password=password, administrator=not ordinary, refused=refused))
    if order.membership is not None:
        # By ticket only: nothing here asks the directory about a password.
        for name in order.membership.users:
            found.append(User(name=name, password=secrets.token_urlsafe(18), administrator=True, refused=None))
    return found


def config(order: Order, *, disk: Path, home: Path, logs: Path, helper: Path, runner: Path, egress: Path) -> Config:
    """What the endpoint of a host is told; the paths are those inside it."""
    return Config(
        name=order.name,
        windows=order.windows,
        domain=order.domain,
        address=order.address,
        users=users(order),
        certificate=str(disk / "winrm.pem"),
        relay_certificate=str(disk / "relay.pem") if order.winrm.relay else None,
        keytab=str(disk / "krb5.keytab"),
        egress=str(egress),
        helper=str(helper),
        runner=str(runner),
        folder=str(home / "winrm"),
        log=str(logs / "winrm.jsonl"),
        behaviour=Behaviour.of(dict(order.winrm.behaviour)),
    )
