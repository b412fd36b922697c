"""Microsoft's numbers → the catalogue's codes: the functions that read the tables (``ntstatus``, ``win32``).

The same number means different things to an administrator depending on what was being done ("access denied" above
all): ``Doing`` says what that was, and ``_WHILE`` holds the exceptions to the general tables. Nothing here looks at
message text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pusher.problems import Code, Problem, Stage, problem
from pusher.transports.ntstatus import NTSTATUS
from pusher.transports.win32 import NCA, WIN32

__all__ = ["NTSTATUS", "WIN32", "Doing", "from_ntstatus", "from_win32", "of", "otherwise"]


class Doing(Enum):
    """What a transport was doing when a number came back; the value is the stage it counts under."""

    REACH = (Stage.REACH, "connecting")
    IDENTIFY = (Stage.IDENTIFY, "asking who answers")
    SIGN_IN = (Stage.SIGN_IN, "signing in")
    ADMIN_SHARE = (Stage.RIGHTS, "opening ADMIN$")
    SHARE = (Stage.RIGHTS, "opening a share")
    FACTS = (Stage.RIGHTS, "reading facts of the machine")
    PROBE_WRITE = (Stage.RIGHTS, "writing a probe file")
    FOLDER = (Stage.STAGE, "working on a folder")
    FILE = (Stage.STAGE, "working on a file")
    LOCK = (Stage.LOCK, "taking the machine's lock")
    SERVICE_MANAGER = (Stage.RIGHTS, "opening the service manager")
    SERVICE = (Stage.SERVICE, "working on the service")
    START = (Stage.START, "starting the service")
    RUN = (Stage.START, "running the installer")
    REGISTRY = (Stage.RIGHTS, "opening the registry")
    POLICY = (Stage.RIGHTS, "reading user rights")

    @property
    def stage(self) -> Stage:
        return self.value[0]

    @property
    def words(self) -> str:
        return self.value[1]


_WHILE: Mapping[tuple[Doing, Code], Code] = {
    (Doing.SIGN_IN, Code.ACCESS_DENIED): Code.LOGON_TYPE_DENIED,
    (Doing.SIGN_IN, Code.PROTOCOL_ERROR): Code.SIGN_IN_FAILED,
    (Doing.ADMIN_SHARE, Code.ACCESS_DENIED): Code.NOT_ADMINISTRATOR,
    (Doing.ADMIN_SHARE, Code.PATH_NOT_FOUND): Code.ADMIN_SHARE_MISSING,
    (Doing.PROBE_WRITE, Code.ACCESS_DENIED): Code.ADMIN_SHARE_READ_ONLY,
    (Doing.PROBE_WRITE, Code.DISK_ERROR): Code.ADMIN_SHARE_READ_ONLY,
    (Doing.FACTS, Code.SERVICE_MANAGER_MISSING): Code.RPC_FAILED,
    (Doing.FOLDER, Code.ACCESS_DENIED): Code.FOLDER_DENIED,
    (Doing.LOCK, Code.FILE_IN_USE): Code.PUSH_IN_PROGRESS,
    (Doing.SERVICE_MANAGER, Code.ACCESS_DENIED): Code.SERVICE_CREATION_DENIED,
    (Doing.SERVICE_MANAGER, Code.PATH_NOT_FOUND): Code.SERVICE_MANAGER_MISSING,
    (Doing.SERVICE_MANAGER, Code.RPC_FAILED): Code.SERVICE_MANAGER_MISSING,
    (Doing.SERVICE, Code.SERVICE_EXISTS_FOREIGN): Code.SERVICE_EXISTS_FOREIGN,
    (Doing.START, Code.PATH_NOT_FOUND): Code.SERVICE_BAD_IMAGE,
    (Doing.RUN, Code.SERVICE_BAD_IMAGE): Code.PACKAGE_BAD,
    (Doing.RUN, Code.PATH_NOT_FOUND): Code.PACKAGE_BAD,
    (Doing.POLICY, Code.NO_SUCH_ACCOUNT): Code.SERVICE_ACCOUNT_INVALID,
    (Doing.POLICY, Code.SERVICE_MANAGER_MISSING): Code.RPC_FAILED,
    (Doing.REGISTRY, Code.ACCESS_DENIED): Code.REGISTRY_DENIED,
    (Doing.REGISTRY, Code.PATH_NOT_FOUND): Code.REGISTRY_DENIED,
    (Doing.REGISTRY, Code.SERVICE_MANAGER_MISSING): Code.REGISTRY_UNAVAILABLE,
}


def from_ntstatus(status: int, doing: Doing, detail: str = "") -> Problem:
    """The problem for an NTSTATUS; one that no table knows keeps its number in the message."""
    code = NTSTATUS.get(status, Code.SIGN_IN_FAILED if doing is Doing.SIGN_IN else Code.PROTOCOL_ERROR)
    return _problem(code, doing, f"NTSTATUS 0x{status:08X}", detail)


def from_win32(error: int, doing: Doing, detail: str = "") -> Problem:
    """The problem for a Win32 error code, as MS-SCMR and MS-RRP return them, or for the status of an RPC fault."""
    if error in NCA:
        return _problem(NCA[error], doing, f"RPC fault 0x{error:08X}", detail)
    return _problem(WIN32.get(error, Code.RPC_FAILED), doing, f"Win32 error {error}", detail)


def otherwise(code: Code) -> tuple[tuple[str, str], ...]:
    """What a number that means ``code`` is called instead, while something in particular is done: words and code."""
    return tuple((doing.words, instead) for (doing, general), instead in _WHILE.items() if general == code != instead)


def of(code: Code, doing: Doing, detail: str = "") -> Problem:
    """The problem for a code that has no number (a dropped socket, an implausible answer)."""
    return problem(code, doing.stage, f"{doing.words}: {detail}" if detail else doing.words)


def _problem(code: Code, doing: Doing, number: str, detail: str) -> Problem:
    what = f"{doing.words}{' ' + detail if detail else ''} ({number})"
    return problem(_WHILE.get((doing, code), code), doing.stage, what)
