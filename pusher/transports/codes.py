"""Microsoft's numbers → the catalogue's codes: the functions that read the tables (``ntstatus``, ``win32``).

The same number means different things to an administrator depending on what was being done ("access denied" above
all): ``Doing`` says what that was, and ``_WHILE`` holds the exceptions to the general tables. Nothing here looks at
message text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pusher.problems import Problem, Stage, problem
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


_WHILE: Mapping[tuple[Doing, str], str] = {
    (Doing.SIGN_IN, "access-denied"): "logon-type-denied",
    (Doing.SIGN_IN, "protocol-error"): "sign-in-failed",
    (Doing.ADMIN_SHARE, "access-denied"): "not-administrator",
    (Doing.ADMIN_SHARE, "path-not-found"): "admin-share-missing",
    (Doing.PROBE_WRITE, "access-denied"): "admin-share-read-only",
    (Doing.PROBE_WRITE, "disk-error"): "admin-share-read-only",
    (Doing.FACTS, "service-manager-missing"): "rpc-failed",
    (Doing.FOLDER, "access-denied"): "folder-denied",
    (Doing.LOCK, "file-in-use"): "push-in-progress",
    (Doing.SERVICE_MANAGER, "access-denied"): "service-creation-denied",
    (Doing.SERVICE_MANAGER, "path-not-found"): "service-manager-missing",
    (Doing.SERVICE_MANAGER, "rpc-failed"): "service-manager-missing",
    (Doing.SERVICE, "service-exists-foreign"): "service-exists-foreign",
    (Doing.START, "path-not-found"): "service-bad-image",
    (Doing.RUN, "service-bad-image"): "package-bad",
    (Doing.RUN, "path-not-found"): "package-bad",
    (Doing.POLICY, "no-such-account"): "service-account-invalid",
    (Doing.POLICY, "service-manager-missing"): "rpc-failed",
    (Doing.REGISTRY, "access-denied"): "registry-denied",
    (Doing.REGISTRY, "path-not-found"): "registry-denied",
    (Doing.REGISTRY, "service-manager-missing"): "registry-unavailable",
}


def from_ntstatus(status: int, doing: Doing, detail: str = "") -> Problem:
    """The problem for an NTSTATUS; one that no table knows keeps its number in the message."""
    code = NTSTATUS.get(status, "sign-in-failed" if doing is Doing.SIGN_IN else "protocol-error")
    return _problem(code, doing, f"NTSTATUS 0x{status:08X}", detail)


def from_win32(error: int, doing: Doing, detail: str = "") -> Problem:
    """The problem for a Win32 error code, as MS-SCMR and MS-RRP return them, or for the status of an RPC fault."""
    if error in NCA:
        return _problem(NCA[error], doing, f"RPC fault 0x{error:08X}", detail)
    return _problem(WIN32.get(error, "rpc-failed"), doing, f"Win32 error {error}", detail)


def otherwise(code: str) -> tuple[tuple[str, str], ...]:
    """What a number that means ``code`` is called instead, while something in particular is done: words and code."""
    return tuple((doing.words, instead) for (doing, general), instead in _WHILE.items() if general == code != instead)


def of(code: str, doing: Doing, detail: str = "") -> Problem:
    """The problem for a code that has no number (a dropped socket, an implausible answer)."""
    return problem(code, doing.stage, f"{doing.words}: {detail}" if detail else doing.words)


def _problem(code: str, doing: Doing, number: str, detail: str) -> Problem:
    what = f"{doing.words}{' ' + detail if detail else ''} ({number})"
    return problem(_WHILE.get((doing, code), code), doing.stage, what)
