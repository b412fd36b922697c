"""A host's Samba: its configuration, its accounts, its processes.

Every path is of the host's own namespace (see boot.py), so nothing of the machine's own Samba is read or
written. Not here: the service manager's pipe (scm.py), the shares' folders (boot.py).
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.order import Membership
from lab.scenarios import Account, AdminShare

SERVER_PORT = 445
KEEPER = "labkeeper"  # the lab's own account on each host, for its checks and its lock
LAPS_ACCOUNT = "lapsadm"  # on members: its password is in the directory
ACCOUNTS = {"pushadm": 5001, "oldadm": 5002, "clerk": 5003, LAPS_ACCOUNT: 5004, KEEPER: 5009}
_ADMINISTRATORS = "labadmins"

_MEMBER_FILES = ("secrets.tdb", "krb5.keytab")
_WINBIND_LIMIT = 40.0

_FOLDERS = ("private", "state", "cache", "lock", "pid", "ncalrpc", "winbindd")
_DCERPC_HOMES = ("/usr/libexec/samba", "/usr/lib/x86_64-linux-gnu/samba", "/usr/lib/samba")

PIPE_PROGRAMS = ("rpcd_classic", "rpcd_lsad", "rpcd_winreg")
"""What serves pipes. samba-dcerpcd asks each at its start for a list of those it has, which is always the same."""
_LISTED = """#!/bin/sh
case "$*" in
*--list-interfaces*)
    exec cat <<'END' ;;
{interfaces}
END
esac
exec {program} "$@"
"""

_CONFIGURATION = """[global]
  netbios name = {name}
  server string = {name}
{role}  server min protocol = SMB3_11
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
  passdb backend = tdbsam:{home}/private/passdb.tdb
  log file = {logs}/smbd.log
  log level = 1 auth_json_audit:4@{logs}/sign-ins.log
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

_STANDALONE = """  workgroup = LAB
  server role = standalone server
  winbindd socket directory = {home}/winbindd
"""

# winbindd's socket is where Debian's own libraries look for it: the host's /run is its own.
_MEMBER = """  workgroup = {workgroup}
  realm = {realm}
  server role = member server
  security = ads
  kerberos method = dedicated keytab
  dedicated keytab file = {home}/private/krb5.keytab
  machine password timeout = 0
  idmap config * : backend = tdb
  idmap config * : range = 20000-29999
  idmap config {workgroup} : backend = rid
  idmap config {workgroup} : range = 100000-999999
  template shell = /bin/false
  create krb5 conf = no
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
    interfaces: Mapping[str, str]  # by pipe program: what it says to --list-interfaces
    membership: Membership | None = None

    @property
    def configuration(self) -> Path:
        return self.home / "smb.conf"

    @property
    def pipes(self) -> Path:
        return self.home / "ncalrpc" / "np"

    def configure(self, admin_share: AdminShare, encryption: str, system_drive: str = "C") -> None:
        """Write smb.conf and what it refers to. Where Windows is on another drive, C$ leads to an empty disk."""
        other = self.home / "other"
        other.mkdir(parents=True)
        for folder in _FOLDERS:
            (self.home / folder).mkdir(mode=0o700 if folder == "private" else 0o755, parents=True)
        role = _STANDALONE.format(home=self.home)
        if self.membership is not None:
            realm, workgroup = self.membership.realm, self.membership.workgroup
            role = _MEMBER.format(home=self.home, realm=realm, workgroup=workgroup)
        text = _CONFIGURATION.format(
            name=self.name.upper(), encryption=encryption, port=SERVER_PORT, home=self.home, logs=self.logs, role=role
        )
        if admin_share is not AdminShare.MISSING:
            read_only = "yes" if admin_share is AdminShare.READ_ONLY else "no"
            for share, comment, path, locked in (
                ("ADMIN$", "Remote Admin", self.drive / "windows", read_only),
                (f"{system_drive}$", "Default share", self.drive, "no"),
                *([] if system_drive == "C" else [("C$", "Default share", other, "no")]),
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
        if self.membership is not None:
            for sid in self.membership.administrators:
                self._tool("net", "-s", self.configuration, "groupmap", "addmem", "S-1-5-32-544", sid)
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

    def join(self, membership: Membership, kept: Path) -> None:
        """Become a member of the directory, or be the one that the host was before it was booted anew: what makes it
        one is kept in the folder `kept`."""
        private = self.home / "private"
        if kept.is_dir():
            shutil.copytree(kept, private, dirs_exist_ok=True)
            return
        password_file = self.home / "join"
        password_file.touch(mode=0o600)
        password_file.write_text(f"username = {membership.administrator}\npassword = {membership.password}\n")
        options = ("-s", self.configuration, "-A", password_file)
        self._tool("net", "ads", "join", *options, "--no-dns-updates")
        self._tool("net", "ads", "keytab", "add", "HTTP", *options)  # WinRM's
        password_file.unlink()
        beside = kept.with_name(kept.name + ".new")
        beside.mkdir(mode=0o700)
        for name in _MEMBER_FILES:
            shutil.copyfile(private / name, beside / name)
        beside.rename(kept)

    def start_winbindd(self) -> subprocess.Popen[bytes]:
        """What asks the domain controller; returns once it does."""
        foreground = ("--foreground", "--no-process-group", f"--configfile={self.configuration}", "-l", self.logs)
        server = self._start("winbindd", *foreground)
        limit = time.monotonic() + _WINBIND_LIMIT
        while True:
            try:
                self._tool("wbinfo", "--check-secret")
            except SambaError as exc:
                if server.poll() is not None or time.monotonic() > limit:
                    raise SambaError(f"winbindd does not reach the domain: {exc}; see {self.logs}") from exc
                time.sleep(0.05)
            else:
                return server

    def start(self) -> list[subprocess.Popen[bytes]]:
        """Start the file server and what serves its pipes; returns once the pipes' folder is there."""
        home = dcerpc_home()
        programs = [self._lists_at_once(home / name, listed) for name, listed in self.interfaces.items()]
        foreground = ("--foreground", "--no-process-group", f"--configfile={self.configuration}", "-l", self.logs)
        pipes = self._start(home / "samba-dcerpcd", *foreground, *programs)
        server = self._start("smbd", *foreground)
        limit = time.monotonic() + 20
        while not self.pipes.is_dir():
            if pipes.poll() is not None or server.poll() is not None or time.monotonic() > limit:
                raise SambaError(f"smbd or samba-dcerpcd did not start; see {self.logs}")
            time.sleep(0.01)
        return [pipes, server]

    def _lists_at_once(self, program: Path, listed: str) -> Path:
        """A program in the place of one of Samba's, which knows its list by heart."""
        made = self.home / program.name
        made.write_text(_LISTED.format(interfaces=without_svcctl(listed).rstrip(), program=program), encoding="utf-8")
        made.chmod(0o755)
        return made

    def pipe(self, name: str) -> Path:
        """The socket of a pipe that Samba serves itself; returns once it is there."""
        limit = time.monotonic() + 20
        while not (self.pipes / name).exists():
            if time.monotonic() > limit:
                raise SambaError(f"samba-dcerpcd does not serve {name}; see {self.logs}")
            time.sleep(0.01)
        return self.pipes / name

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


def dcerpc_home() -> Path:
    """Where Samba's programs for pipes are."""
    home = next((Path(home) for home in _DCERPC_HOMES if Path(home, "samba-dcerpcd").exists()), None)
    if home is None:
        raise SambaError("samba-dcerpcd is missing: run `python -m lab packages`; Samba 4.16 or newer is needed")
    return home


def without_svcctl(listed: str) -> str:
    """The list of a pipe program but for svcctl: rpcd_classic would serve it out of a list of init scripts.

    An interface is a line, and lines of its endpoints that begin with a space.
    """
    kept, hidden = [], False
    for line in listed.splitlines(keepends=True):
        if not line.startswith(" "):
            hidden = line.rstrip().endswith(" svcctl")
        if not hidden:
            kept.append(line)
    return "".join(kept)


def unix_accounts(account: Account, *, second_account: bool, laps: bool = False) -> tuple[str, str]:
    """The host's own passwd and group files."""
    administrators = [KEEPER, LAPS_ACCOUNT] if laps else [KEEPER]
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
