"""A host's Samba: its configuration, its accounts, its processes.

Every path is of the host's own namespace (see boot.py), so nothing of the machine's own Samba is read or
written. Not here: the service manager's pipe (scm.py), the shares' folders (boot.py).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.scenarios import Account, AdminShare

SERVER_PORT = 445
KEEPER = "labkeeper"  # the lab's own account on each host, for its checks and its lock
ACCOUNTS = {"pushadm": 5001, "oldadm": 5002, "clerk": 5003, KEEPER: 5009}
_ADMINISTRATORS = "labadmins"

_FOLDERS = ("private", "state", "cache", "lock", "pid", "ncalrpc", "winbindd")
_DCERPC_HOMES = ("/usr/libexec/samba", "/usr/lib/x86_64-linux-gnu/samba", "/usr/lib/samba")

# Samba's rpcd_classic would serve svcctl itself, out of a list of init scripts; it is hidden from the list.
_WITHOUT_SVCCTL = """#!/bin/sh
case "$*" in
*--list-interfaces*)
    {home}/rpcd_classic "$@" | awk '/^[^ ]/ {{ hidden = ($0 ~ / svcctl$/) }} !hidden'
    exit 0 ;;
esac
exec {home}/rpcd_classic "$@"
"""

_CONFIGURATION = """[global]
  netbios name = {name}
  workgroup = LAB
  server string = {name}
  server role = standalone server
  server min protocol = SMB3_11
  server signing = mandatory
  server multi channel support = no
  smb encrypt = {encryption}
  ntlm auth = ntlmv2-only
  map to guest = never
  restrict anonymous = 2
  disable netbios = yes
  smb ports = {port}
  interfaces = 127.0.0.1/8
  bind interfaces only = yes
  private dir = {home}/private
  state directory = {home}/state
  cache directory = {home}/cache
  lock directory = {home}/lock
  pid directory = {home}/pid
  ncalrpc dir = {home}/ncalrpc
  winbindd socket directory = {home}/winbindd
  passdb backend = tdbsam:{home}/private/passdb.tdb
  log file = {logs}/smbd.log
  log level = 1 auth_json_audit:3@{logs}/sign-ins.log
  max log size = 0
  rpc start on demand helpers = no
  registry shares = no
  load printers = no
  printing = bsd
  printcap name = /dev/null
  disable spoolss = yes
  unix extensions = no
  store dos attributes = yes
  create mask = 0644
"""

_SHARE = """[{name}]
  comment = {comment}
  path = {path}
  valid users = +{administrators}
  admin users = +{administrators}
  read only = {read_only}
"""


class SambaError(Exception):
    """One of Samba's tools failed; the message holds what it said."""


@dataclass(frozen=True, kw_only=True)
class Samba:
    """The Samba of one host, which lives in `home`, logs to `logs` and shares `drive`."""

    name: str
    home: Path
    logs: Path
    drive: Path
    environment: Mapping[str, str]

    @property
    def configuration(self) -> Path:
        return self.home / "smb.conf"

    @property
    def pipes(self) -> Path:
        return self.home / "ncalrpc" / "np"

    def configure(self, admin_share: AdminShare, encryption: str) -> None:
        """Write smb.conf and what it refers to."""
        for folder in _FOLDERS:
            (self.home / folder).mkdir(mode=0o700 if folder == "private" else 0o755, parents=True)
        text = _CONFIGURATION.format(
            name=self.name.upper(), encryption=encryption, port=SERVER_PORT, home=self.home, logs=self.logs
        )
        if admin_share is not AdminShare.MISSING:
            read_only = "yes" if admin_share is AdminShare.READ_ONLY else "no"
            for share, comment, path, locked in (
                ("ADMIN$", "Remote Admin", self.drive / "windows", read_only),
                ("C$", "Default share", self.drive, "no"),
            ):
                text += _SHARE.format(
                    name=share, comment=comment, path=path, administrators=_ADMINISTRATORS, read_only=locked
                )
        self.configuration.write_text(text, encoding="utf-8")

    def add_accounts(self, passwords: Mapping[str, str], account: Account) -> None:
        """Make the accounts that have a password given; `account` is the state of pushadm."""
        for user, password in passwords.items():
            self._tool("smbpasswd", "-c", self.configuration, "-L", "-s", "-a", user, says=f"{password}\n{password}\n")
        # The group that makes an administrator: by this mapping its SID stands in the token, as on Windows.
        mapping = ("sid=S-1-5-32-544", f"unixgroup={_ADMINISTRATORS}", "type=builtin", "ntgroup=Administrators")
        self._tool("net", "-s", self.configuration, "groupmap", "add", *mapping)
        match account:
            case Account.LOCKED:
                self._pdbedit("--account-control=[L]")
            case Account.DISABLED:
                self._tool("smbpasswd", "-c", self.configuration, "-L", "-d", "pushadm")
            case Account.MUST_CHANGE:
                self._tool("net", "-s", self.configuration, "sam", "set", "pwdmustchangenow", "pushadm", "yes")
            case Account.EXPIRED:
                self._pdbedit("--kickoff-time=1")

    def _pdbedit(self, *options: str) -> None:
        self._tool("pdbedit", "-s", self.configuration, "-u", "pushadm", *options)

    def start(self) -> list[subprocess.Popen[bytes]]:
        """Start the file server and what serves its pipes; returns once the pipes' folder is there."""
        home = next((home for home in _DCERPC_HOMES if Path(home, "samba-dcerpcd").exists()), None)
        if home is None:
            raise SambaError("samba-dcerpcd is missing: run `python -m lab packages`; Samba 4.16 or newer is needed")
        classic = self.home / "rpcd_classic"
        classic.write_text(_WITHOUT_SVCCTL.format(home=home), encoding="utf-8")
        classic.chmod(0o755)
        foreground = ("--foreground", "--no-process-group", f"--configfile={self.configuration}", "-l", self.logs)
        pipes = self._start(f"{home}/samba-dcerpcd", *foreground, classic, f"{home}/rpcd_lsad", f"{home}/rpcd_winreg")
        server = self._start("smbd", *foreground)
        limit = time.monotonic() + 20
        while not self.pipes.is_dir():
            if pipes.poll() is not None or server.poll() is not None or time.monotonic() > limit:
                raise SambaError(f"smbd or samba-dcerpcd did not start; see {self.logs}")
            time.sleep(0.01)
        return [pipes, server]

    def service_state(self, service: str, password_file: Path) -> str | None:
        """One service's state in net's words; None while there is no answer."""
        try:
            return parse_state(
                self._tool(
                    *("net", "-s", self.configuration, "rpc", "service", "status", service),
                    *("-S", "127.0.0.1", "-A", password_file),
                )
            )
        except SambaError:
            return None

    def _start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        with (self.logs / "samba.out").open("ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment
            )

    def _tool(self, *command: str | Path, says: str = "") -> str:
        done = subprocess.run(
            command, input=says, capture_output=True, text=True, env=self.environment, check=False, timeout=60
        )
        if done.returncode:
            raise SambaError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}".strip())
        return done.stdout


def unix_accounts(account: Account, *, second_account: bool) -> tuple[str, str]:
    """The host's own passwd and group files."""
    administrators = [KEEPER]
    if account is not Account.ORDINARY:
        administrators.append("pushadm")
    if second_account:
        administrators.append("oldadm")
    passwd = ["root:x:0:0:root:/:/bin/sh", "nobody:x:65534:65534:nobody:/:/bin/false"]
    group = ["root:x:0:", "nogroup:x:65534:", f"{_ADMINISTRATORS}:x:5500:{','.join(administrators)}"]
    for name, number in ACCOUNTS.items():
        passwd.append(f"{name}:x:{number}:{number}::/:/bin/false")
        group.append(f"{name}:x:{number}:")
    return "\n".join(passwd) + "\n", "\n".join(group) + "\n"


def parse_state(text: str) -> str | None:
    """`net rpc service status`: its first line says `LabAgent service is running.`"""
    for line in text.splitlines():
        if " service is " in line:
            return line.partition(" service is ")[2].rstrip(".")
    return None
