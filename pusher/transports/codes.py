"""Microsoft's numbers → the catalogue's codes: the functions that read the tables (``ntstatus``, ``win32``).

The same number means different things to an administrator depending on what was being done ("access denied" above
all): ``Operation`` says what that was, and ``_WHILE`` holds the exceptions to the general tables. Nothing here looks at
message text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pusher.problems import Code, Problem, Stage, problem
from pusher.transports.ntstatus import NTSTATUS
from pusher.transports.win32 import NCA, WIN32

__all__ = ["NTSTATUS", "WIN32", "Operation", "from_ntstatus", "from_win32", "of", "otherwise"]


class Operation(Enum):
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


_WHILE: Mapping[tuple[Operation, Code], Code] = {
    (Operation.SIGN_IN, Code.ACCESS_DENIED): Code.LOGON_TYPE_DENIED,
    (Operation.SIGN_IN, Code.PROTOCOL_ERROR): Code.SIGN_IN_FAILED,
    (Operation.ADMIN_SHARE, Code.ACCESS_DENIED): Code.NOT_ADMINISTRATOR,
    (Operation.ADMIN_SHARE, Code.PATH_NOT_FOUND): Code.ADMIN_SHARE_MISSING,
    (Operation.PROBE_WRITE, Code.ACCESS_DENIED): Code.ADMIN_SHARE_READ_ONLY,
    (Operation.PROBE_WRITE, Code.DISK_ERROR): Code.ADMIN_SHARE_READ_ONLY,
    (Operation.FACTS, Code.SERVICE_MANAGER_MISSING): Code.RPC_FAILED,
    (Operation.FOLDER, Code.ACCESS_DENIED): Code.FOLDER_DENIED,
    (Operation.LOCK, Code.FILE_IN_USE): Code.PUSH_IN_PROGRESS,
    (Operation.SERVICE_MANAGER, Code.ACCESS_DENIED): Code.SERVICE_CREATION_DENIED,
    (Operation.SERVICE_MANAGER, Code.PATH_NOT_FOUND): Code.SERVICE_MANAGER_MISSING,
    (Operation.SERVICE_MANAGER, Code.RPC_FAILED): Code.SERVICE_MANAGER_MISSING,
    (Operation.SERVICE, Code.SERVICE_EXISTS_FOREIGN): Code.SERVICE_EXISTS_FOREIGN,
    (Operation.START, Code.PATH_NOT_FOUND): Code.SERVICE_BAD_IMAGE,
    (Operation.RUN, Code.SERVICE_BAD_IMAGE): Code.PACKAGE_BAD,
    (Operation.RUN, Code.PATH_NOT_FOUND): Code.PACKAGE_BAD,
    (Operation.POLICY, Code.NO_SUCH_ACCOUNT): Code.SERVICE_ACCOUNT_INVALID,
    (Operation.POLICY, Code.SERVICE_MANAGER_MISSING): Code.RPC_FAILED,
    (Operation.REGISTRY, Code.ACCESS_DENIED): Code.REGISTRY_DENIED,
    (Operation.REGISTRY, Code.PATH_NOT_FOUND): Code.REGISTRY_DENIED,
    (Operation.REGISTRY, Code.SERVICE_MANAGER_MISSING): Code.REGISTRY_UNAVAILABLE,
}


def from_ntstatus(status: int, operation: Operation, detail: str = "") -> Problem:
    """The problem for an NTSTATUS; one that no table knows keeps its number in the message."""
    code = NTSTATUS.get(status, Code.SIGN_IN_FAILED if operation is Operation.SIGN_IN else Code.PROTOCOL_ERROR)
    return _problem(code, operation, f"NTSTATUS 0x{status:08X}", detail)


def from_win32(error: int, operation: Operation, detail: str = "") -> Problem:
    """The problem for a Win32 error code, as MS-SCMR and MS-RRP return them, or for the status of an RPC fault."""
    if error in NCA:
        return _problem(NCA[error], operation, f"RPC fault 0x{error:08X}", detail)
    return _problem(WIN32.get(error, Code.RPC_FAILED), operation, f"Win32 error {error}", detail)


def otherwise(code: Code) -> tuple[tuple[str, str], ...]:
    """What a number that means ``code`` is called instead, while something in particular is done: words and code."""
    return tuple(
        (operation.words, instead) for (operation, general), instead in _WHILE.items() if general == code != instead
    )


def of(code: Code, operation: Operation, detail: str = "") -> Problem:
    """The problem for a code that has no number (a dropped socket, an implausible answer)."""
    return problem(code, operation.stage, f"{operation.words}: {detail}" if detail else operation.words)


def _problem(code: Code, operation: Operation, number: str, detail: str) -> Problem:
    what = f"{operation.words}{' ' + detail if detail else ''} ({number})"
    return problem(_WHILE.get((operation, code), code), operation.stage, what)
