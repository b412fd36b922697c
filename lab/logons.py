"""Which accounts may log on as a service, and with what password: what Wine and Samba leave out of a Windows host.

Wine starts every service as one user and ignores the account and its password; Samba's LSA does not know
SeServiceLogonRight. So the host keeps, in a file of its folder, the user rights of accounts by SID and the account and
password of each service, and asks Samba itself whether a name is an account's and a password right. The service
manager's pipe, LSA's pipe and the WinRM endpoint, which are two processes, all go by it.

Ours: the table and the answers 1057 and 1069. Samba's: names, SIDs and passwords. Groups are not looked into here.
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.processes import write_atomically

LOGON_RIGHT = "SeServiceLogonRight"
LOCAL = ".\\"  # before the name of an account of the host's own
INVALID_ACCOUNT, LOGON_FAILED = 1057, 1069
RIGHTS = frozenset(
    {LOGON_RIGHT, "SeDenyServiceLogonRight", "SeTcbPrivilege", "SeImpersonatePrivilege", "SeBatchLogonRight"}
)
_BUILT_IN = re.compile(r"|localsystem|localservice|networkservice|nt authority\\.*|nt service\\.*|.*\$", re.IGNORECASE)
_DEFAULTS = {
    "S-1-5-80-0": [LOGON_RIGHT],  # NT SERVICE\ALL SERVICES
    "S-1-5-32-544": ["SeImpersonatePrivilege"],
    "S-1-5-6": ["SeImpersonatePrivilege"],
}


@dataclass(frozen=True, kw_only=True)
class Logons:
    """Of one host. `samba` is its configuration, `keeper` the file with an account that Samba's tools sign in with."""

    file: Path
    samba: Path
    keeper: Path
    environment: Mapping[str, str]

    # User rights, by SID

    def holders(self, right: str) -> list[str]:
        with self._state() as state:
            return sorted(sid for sid, rights in state["rights"].items() if right in rights)

    def rights(self, sid: str) -> list[str]:
        with self._state() as state:
            return list(state["rights"].get(sid, []))

    def grant(self, sid: str, rights: list[str]) -> None:
        with self._state() as state:
            state["rights"][sid] = sorted({*state["rights"].get(sid, []), *rights})

    def revoke(self, sid: str, rights: list[str]) -> None:
        with self._state() as state:
            state["rights"][sid] = [right for right in state["rights"].get(sid, []) if right not in rights]

    # Services

    def refuses_account(self, account: str) -> int:
        """The error of a service that is to log on as `account`: 0 where there is such an account."""
        return 0 if is_built_in(account) or self._sid(account) else INVALID_ACCOUNT

    def keep(self, service: str, account: str, password: str | None) -> None:
        """What the service logs on with from now on. Of a built-in account nothing is kept."""
        with self._state() as state:
            if is_built_in(account):
                state["services"].pop(service.lower(), None)
            else:
                state["services"][service.lower()] = [account, password or ""]

    def forget(self, service: str) -> None:
        """It is deleted: Windows forgets its password with it."""
        with self._state() as state:
            state["services"].pop(service.lower(), None)

    def refuses_start(self, service: str) -> int:
        """The error of its start: 0 where its account may log on."""
        with self._state() as state:
            kept = state["services"].get(service.lower())
        if kept is None:
            return 0
        account, password = kept
        sid = self._sid(account)
        if sid is None or LOGON_RIGHT not in self.rights(sid) or not self._is_password(account, password):
            return LOGON_FAILED
        return 0

    def _sid(self, account: str) -> str | None:
        said = self._tool(
            *("rpcclient", "-s", self.samba, "-A", self.keeper, "127.0.0.1"),
            *("-c", f'lookupnames "{account.removeprefix(LOCAL)}"'),
        )
        found = re.search(r" (S-1-5-[0-9-]+) \(User", said)
        return found[1] if found else None

    def _is_password(self, account: str, password: str) -> bool:
        domain, _, user = account.rpartition("\\")
        file = self.file.with_name("service-logon")
        file.touch(mode=0o600)
        text = f"username = {user}\npassword = {password}\n" + (
            f"domain = {domain}\n" if domain not in ("", ".") else ""
        )
        file.write_text(text, encoding="utf-8")
        try:
            self._tool("smbclient", "-s", self.samba, "-A", file, "//127.0.0.1/IPC$", "-c", "exit", check=True)
        except subprocess.CalledProcessError:
            return False
        finally:
            file.unlink(missing_ok=True)
        return True

    def _tool(self, *command: str | Path, check: bool = False) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=dict(self.environment), check=check, timeout=60
        )
        return done.stdout

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        lock = self.file.with_suffix(".lock")
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if self.file.exists():
                state = json.loads(self.file.read_text(encoding="utf-8"))
            else:
                state = {"rights": _DEFAULTS, "services": {}}
            before = json.dumps(state)
            yield state
            if json.dumps(state) != before:
                write_atomically(self.file, json.dumps(state), mode=0o600)


def is_built_in(account: str) -> bool:
    """No account of the host's or the directory's that logs on with a password: a built-in one, or a managed one."""
    return _BUILT_IN.fullmatch(account) is not None
