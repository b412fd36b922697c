"""Microsoft's numbers → the catalogue's codes: tables, and the one function that reads them.

NTSTATUS values are MS-ERREF 2.3.1, Win32 codes MS-ERREF 2.2. The same number means different things to an
administrator depending on what was being done ("access denied" above all): ``Doing`` says what that was, and
``_WHILE`` holds the exceptions to the general tables. Nothing here looks at message text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pusher.problems import Problem, Stage, problem


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


NTSTATUS: Mapping[int, str] = {
    0xC0000001: "protocol-error",  # UNSUCCESSFUL
    0xC0000003: "protocol-error",  # INVALID_INFO_CLASS
    0xC0000004: "protocol-error",  # INFO_LENGTH_MISMATCH
    0xC0000008: "connection-lost",  # INVALID_HANDLE: the server forgot the open
    0xC000000D: "protocol-error",  # INVALID_PARAMETER
    0xC000000F: "path-not-found",  # NO_SUCH_FILE
    0xC0000010: "protocol-error",  # INVALID_DEVICE_REQUEST
    0xC0000011: "copy-mismatch",  # END_OF_FILE: shorter than it said
    0xC0000016: "sign-in-failed",  # MORE_PROCESSING_REQUIRED where the exchange was over
    0xC0000022: "access-denied",
    0xC0000023: "protocol-error",  # BUFFER_TOO_SMALL
    0xC0000033: "path-not-found",  # OBJECT_NAME_INVALID
    0xC0000034: "path-not-found",
    0xC0000035: "file-in-use",  # OBJECT_NAME_COLLISION
    0xC0000039: "path-not-found",
    0xC000003A: "path-not-found",
    0xC000003B: "path-not-found",
    0xC0000043: "file-in-use",
    0xC0000044: "disk-full",  # QUOTA_EXCEEDED
    0xC000004F: "protocol-error",  # EAS_NOT_SUPPORTED
    0xC0000050: "protocol-error",
    0xC0000051: "protocol-error",
    0xC0000052: "protocol-error",
    0xC0000053: "disk-error",  # EA_CORRUPT_ERROR
    0xC0000056: "file-in-use",  # DELETE_PENDING
    0xC000005E: "no-logon-servers",
    0xC0000061: "right-missing",  # PRIVILEGE_NOT_HELD
    0xC0000064: "no-such-account",
    0xC000006A: "wrong-password",
    0xC000006D: "wrong-password",
    0xC000006E: "account-restricted",
    0xC000006F: "logon-hours",
    0xC0000070: "logon-hours",
    0xC0000071: "password-expired",
    0xC0000072: "account-disabled",
    0xC0000073: "no-such-account",  # NONE_MAPPED
    0xC000007F: "disk-full",
    0xC000009A: "too-busy",
    0xC00000A2: "disk-error",  # MEDIA_WRITE_PROTECTED
    0xC00000AC: "service-manager-missing",  # PIPE_NOT_AVAILABLE
    0xC00000AE: "too-busy",  # PIPE_BUSY
    0xC00000B0: "connection-lost",  # PIPE_DISCONNECTED
    0xC00000B1: "connection-lost",
    0xC00000B5: "timed-out",
    0xC00000BA: "path-not-found",  # FILE_IS_A_DIRECTORY
    0xC00000BB: "dialect-unsupported",
    0xC00000BD: "wrong-host",  # DUPLICATE_NAME
    0xC00000BE: "host-unreachable",
    0xC00000C9: "connection-lost",  # NETWORK_NAME_DELETED
    0xC00000CC: "path-not-found",  # BAD_NETWORK_NAME
    0xC00000CE: "too-busy",
    0xC00000D0: "too-busy",
    0xC00000D9: "rpc-failed",  # PIPE_EMPTY
    0xC00000E5: "protocol-error",  # INTERNAL_ERROR
    0xC0000101: "file-in-use",  # DIRECTORY_NOT_EMPTY
    0xC0000103: "path-not-found",  # NOT_A_DIRECTORY
    0xC0000120: "connection-lost",  # CANCELLED
    0xC0000121: "file-in-use",  # CANNOT_DELETE: an image in use
    0xC0000128: "connection-lost",  # FILE_CLOSED
    0xC0000133: "clock-skew",
    0xC000014B: "rpc-failed",  # PIPE_BROKEN
    0xC000015B: "logon-type-denied",
    0xC000018A: "trust-broken",
    0xC000018B: "trust-broken",
    0xC000018C: "trust-broken",
    0xC000018D: "trust-broken",
    0xC0000190: "trust-broken",
    0xC0000192: "no-logon-servers",  # NETLOGON_NOT_STARTED
    0xC0000193: "account-expired",
    0xC0000195: "internal-error",  # NETWORK_CREDENTIAL_CONFLICT: two identities to one server
    0xC0000199: "account-restricted",  # NOLOGON_WORKSTATION_TRUST_ACCOUNT
    0xC000019C: "protocol-error",  # FS_DRIVER_REQUIRED
    0xC0000203: "connection-lost",  # USER_SESSION_DELETED
    0xC0000205: "too-busy",
    0xC000020D: "connection-lost",  # CONNECTION_RESET
    0xC0000224: "password-must-change",
    0xC0000225: "path-not-found",  # NOT_FOUND
    0xC0000233: "no-logon-servers",  # DOMAIN_CONTROLLER_NOT_FOUND
    0xC0000234: "account-locked",
    0xC0000236: "port-closed",
    0xC000023C: "host-unreachable",
    0xC000023D: "host-unreachable",
    0xC0000257: "path-not-found",  # PATH_NOT_COVERED
    0xC000026D: "path-not-found",  # DFS_UNAVAILABLE
    0xC0000275: "protocol-error",  # NOT_A_REPARSE_POINT
    0xC00002FD: "account-restricted",  # KDC: encryption type unsupported
    0xC000035C: "connection-lost",  # NETWORK_SESSION_EXPIRED
    0xC0000388: "no-logon-servers",  # DOWNGRADE_DETECTED
    0xC0000413: "selective-authentication",
    0xC0000418: "ntlm-blocked",
    0xC0000466: "too-busy",  # SERVER_UNAVAILABLE
    0xC0000906: "blocked-by-antivirus",
    0xC0000907: "blocked-by-antivirus",
    0x80000005: "protocol-error",  # BUFFER_OVERFLOW where all had to fit
    0x80000006: "path-not-found",  # NO_MORE_FILES
    0x80000013: "protocol-error",
    0x80000014: "protocol-error",
    0x8000002D: "path-not-found",  # STOPPED_ON_SYMLINK
    0x00000103: "timed-out",  # PENDING and never final
    0x0000010B: "protocol-error",  # NOTIFY_CLEANUP: never asked for
    0x0000010C: "protocol-error",  # NOTIFY_ENUM_DIR: never asked for
}

WIN32: Mapping[int, str] = {
    2: "path-not-found",
    3: "path-not-found",
    5: "access-denied",
    6: "connection-lost",  # INVALID_HANDLE: the server forgot the context handle
    19: "disk-error",
    23: "disk-error",
    32: "file-in-use",
    50: "dialect-unsupported",
    51: "host-unreachable",
    52: "wrong-host",
    53: "host-unreachable",
    56: "too-busy",
    59: "connection-lost",
    64: "connection-lost",
    67: "path-not-found",
    71: "too-busy",
    86: "wrong-password",
    112: "disk-full",
    121: "timed-out",
    122: "protocol-error",  # INSUFFICIENT_BUFFER
    193: "service-bad-image",
    216: "service-bad-image",
    225: "blocked-by-antivirus",
    226: "blocked-by-antivirus",
    577: "signature-rejected",
    740: "right-missing",  # ELEVATION_REQUIRED
    1051: "service-dependents-running",
    1052: "service-busy",  # INVALID_SERVICE_CONTROL: not in its present state
    1053: "service-start-timeout",
    1054: "service-not-a-service",
    1055: "service-database-locked",
    1057: "service-account-invalid",
    1058: "service-disabled",
    1059: "service-failed",  # CIRCULAR_DEPENDENCY
    1060: "service-missing",
    1061: "service-busy",
    1062: "service-missing",
    1063: "service-not-a-service",
    1066: "service-failed",
    1067: "service-exited",  # PROCESS_ABORTED
    1068: "service-disabled",
    1069: "service-account-invalid",
    1070: "service-start-timeout",
    1072: "service-marked-for-delete",
    1073: "service-exists-foreign",
    1075: "service-disabled",
    1077: "service-missing",
    1078: "service-name-taken",
    1083: "service-not-a-service",
    1115: "shutting-down",
    1130: "too-busy",
    1190: "shutting-down",
    1203: "host-unreachable",
    1219: "internal-error",
    1225: "port-closed",
    1231: "host-unreachable",
    1232: "host-unreachable",
    1236: "connection-lost",
    1240: "logon-hours",
    1260: "blocked-by-policy",
    1265: "no-logon-servers",
    1311: "no-logon-servers",
    1314: "right-missing",
    1317: "no-such-account",
    1326: "wrong-password",
    1327: "account-restricted",
    1328: "logon-hours",
    1329: "logon-hours",
    1330: "password-expired",
    1331: "account-disabled",
    1355: "no-logon-servers",
    1385: "logon-type-denied",
    1392: "disk-error",
    1396: "wrong-host",
    1398: "clock-skew",
    1460: "timed-out",
    1625: "blocked-by-policy",
    1643: "blocked-by-policy",
    1644: "blocked-by-policy",
    1717: "service-manager-missing",  # RPC_S_UNKNOWN_IF
    1722: "rpc-failed",
    1723: "too-busy",
    1726: "rpc-failed",
    1727: "rpc-failed",
    1753: "service-manager-missing",
    1786: "trust-broken",
    1787: "trust-broken",
    1788: "trust-broken",
    1789: "trust-broken",
    1790: "trust-broken",
    1792: "no-logon-servers",
    1793: "account-expired",
    1808: "account-restricted",
    1825: "access-denied",  # RPC_S_SEC_PKG_ERROR
    1907: "password-must-change",
    1908: "no-logon-servers",
    1909: "account-locked",
    1935: "selective-authentication",
    1937: "ntlm-blocked",
    10060: "timed-out",
    10061: "port-closed",
    11001: "name-not-found",
}

_WHILE: Mapping[tuple[Doing, str], str] = {
    (Doing.SIGN_IN, "access-denied"): "logon-type-denied",
    (Doing.SIGN_IN, "protocol-error"): "sign-in-failed",
    (Doing.ADMIN_SHARE, "access-denied"): "not-administrator",
    (Doing.ADMIN_SHARE, "path-not-found"): "admin-share-missing",
    (Doing.PROBE_WRITE, "access-denied"): "admin-share-read-only",
    (Doing.PROBE_WRITE, "disk-error"): "admin-share-read-only",
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
    (Doing.REGISTRY, "access-denied"): "registry-denied",
    (Doing.REGISTRY, "path-not-found"): "registry-denied",
}


def from_ntstatus(status: int, doing: Doing, detail: str = "") -> Problem:
    """The problem for an NTSTATUS; one that no table knows keeps its number in the message."""
    code = NTSTATUS.get(status, "sign-in-failed" if doing is Doing.SIGN_IN else "protocol-error")
    return _problem(code, doing, f"NTSTATUS 0x{status:08X}", detail)


def from_win32(error: int, doing: Doing, detail: str = "") -> Problem:
    """The problem for a Win32 error code, as MS-SCMR and MS-RRP return them."""
    return _problem(WIN32.get(error, "rpc-failed"), doing, f"Win32 error {error}", detail)


def of(code: str, doing: Doing, detail: str = "") -> Problem:
    """The problem for a code that has no number (a dropped socket, an implausible answer)."""
    return problem(code, doing.stage, f"{doing.words}: {detail}" if detail else doing.words)


def _problem(code: str, doing: Doing, number: str, detail: str) -> Problem:
    what = f"{doing.words}{' ' + detail if detail else ''} ({number})"
    return problem(_WHILE.get((doing, code), code), doing.stage, what)
