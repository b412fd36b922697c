"""Numbers to codes: every row leads into the catalogue, every number an administrator may meet has been decided on,
and the numbers are what their names say."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket import nt_errors, system_errors

import pusher
from pusher.problems import CATALOGUE, Code, NextMove, Stage
from pusher.transports import codes, ntstatus, win32
from pusher.transports.codes import NTSTATUS, WIN32, Operation, from_ntstatus, from_win32, of
from pusher.transports.shared_faults import ERRNO
from pusher.transports.smb.faults import CLASSES
from pusher.transports.win32 import NCA
from tests.unit.transports.not_sent import NOT_SENT

ALL_CODES = {
    "NTSTATUS": set(NTSTATUS.values()),
    "WIN32": set(WIN32.values()),
    "NCA": set(NCA.values()),
    "_WHILE": set(codes._WHILE.values()) | {code for _, code in codes._WHILE},
    "CLASSES": set(CLASSES.values()),
    "ERRNO": set(ERRNO.values()),
}

# The numbers of the error table that the product was planned with, by the columns it has there.
PLANNED_NTSTATUS = {
    0xC000006D, 0xC000006A, 0xC0000064, 0xC0000234, 0xC0000071, 0xC0000224, 0xC0000072, 0xC0000193, 0xC000006E,
    0xC000006F, 0xC0000070, 0xC000015B, 0xC0000413, 0xC0000418, 0xC0000022, 0xC0000061, 0xC000018D, 0xC000018B,
    0xC000018A, 0xC000018C, 0xC0000190, 0xC0000199, 0xC000005E, 0xC0000233, 0xC0000192, 0xC0000388, 0xC0000133,
    0xC00002FD, 0xC00000CC, 0xC00000BE, 0xC00000BD, 0xC00000B5, 0xC0000236, 0xC000023C, 0xC000023D, 0xC00000C9,
    0xC000020D, 0xC0000203, 0xC000035C, 0xC00000D0, 0xC00000CE, 0xC0000205, 0xC0000195, 0xC00000BB, 0xC00000AC,
    0xC00000AE, 0xC0000043, 0xC0000056, 0xC000007F, 0xC0000044, 0xC00000A2, 0xC0000034, 0xC000003A, 0xC0000906,
    0xC0000907,
}  # fmt: skip
PLANNED_WIN32 = {
    1326, 86, 1317, 1909, 1330, 1907, 1331, 1793, 1327, 1328, 1329, 1240, 1385, 1935, 1937, 5, 1314, 1789, 1787, 1786,
    1788, 1790, 1808, 1311, 1908, 1355, 1792, 1265, 1398, 1396, 67, 53, 51, 1203, 52, 11001, 10060, 121, 1460, 10061,
    1225, 1231, 1232, 64, 59, 1236, 71, 56, 1130, 1219, 50, 32, 112, 19, 23, 1392, 2, 3, 225, 226, 577, 1260, 1625,
    1643, 1644, 193, 216, 740, 1051, 1061, 1053, 1070, 1054, 1063, 1083, 1055, 1056, 1057, 1069, 1058, 1068, 1075, 1060,
    1062, 1077, 1066, 1067, 1072, 1073, 1078, 1115, 1190, 1722, 1727, 1726, 1753, 1717, 1723, 1825,
}  # fmt: skip
NOT_AN_ERROR_HERE = {
    1056,  # ERROR_SERVICE_ALREADY_RUNNING: the service manager's start takes it for what was wanted
}
NOT_FOR_SMB = {
    "SEC": {0x8009030C, 0x80090311, 0x80090324, 0x80090303, 0x80090342, 0x80090322},  # SSPI, on a Windows client
    "TRUST": {0x800B0100, 0x800B0109, 0x80096010},  # WinVerifyTrust, of an installer that is run
    "HRESULT": {0x800706BA},  # WMI's spelling of 1722
    "KERBEROS": {1, 6, 7, 12, 14, 18, 23, 24, 32, 33, 37, 41},  # error-code of a KRB-ERROR
    "WSMAN": {
        2150859193, 2150858770, 2150859046, 2150858793, 2150858806, 2150858977, 2150858978, 2150858974, 2150858980,
        2150859019, 2150859020, 2150859195, 2150859194, 2150859248, 2150859173, 2150859174, 2150859175, 2150859176,
        2150859179, 2150859229, 2150859235, 2150859180, 2150859113, 2150859027, 2150859026, 2150858843,
    },
    "MSI": {0, 3010, 1641, 1601, 1631, 1632, 1602, 1604, 1603, 1618, 1612, 1619, 1620, 1624, 1639, 1633, 1638},
}  # fmt: skip
"""Belong to WinRM, to Windows Installer, or to a client on Windows; nothing of it can reach this adapter."""


@pytest.mark.parametrize("table", ALL_CODES)
def test_every_row_leads_into_the_catalogue(table: str) -> None:
    assert ALL_CODES[table] <= CATALOGUE.keys()


def test_every_planned_number_has_its_row() -> None:
    assert PLANNED_NTSTATUS - NTSTATUS.keys() == set()
    assert PLANNED_WIN32 - WIN32.keys() == NOT_AN_ERROR_HERE


def test_what_is_not_for_smb_is_in_no_table() -> None:
    for numbers in (NOT_FOR_SMB["SEC"], NOT_FOR_SMB["TRUST"], NOT_FOR_SMB["HRESULT"], NOT_FOR_SMB["WSMAN"]):
        assert not numbers & (NTSTATUS.keys() | WIN32.keys())


def _comments(source: str) -> dict[int, str]:
    """number → the name in its row's comment, where that is one of Microsoft's."""
    found = {}
    for line in source.splitlines():
        number, _, rest = line.strip().partition(":")
        comment = rest.partition("#")[2].strip()
        name = comment.split(" ")[0].split(":")[0]
        if number.replace("0x", "").isalnum() and name.isupper() and len(name) > 4:
            found[ast.literal_eval(number)] = name
    return found


def test_the_numbers_are_what_their_comments_say() -> None:
    """A typo in a number would leave its comment behind."""
    for module, known, least in ((ntstatus, nt_errors, 300), (win32, system_errors, 300)):
        named = _comments(inspect.getsource(module))
        assert len(named) > least
        for number, name in named.items():
            if number in known.ERROR_MESSAGES:
                official = known.ERROR_MESSAGES[number][0].removeprefix("STATUS_").removeprefix("ERROR_")
                assert official == name, f"{number:#x} is {official}, the comment says {name}"


EXPECTED_NAMES = {
    "STATUS_LOGON_FAILURE": "wrong-password", "STATUS_WRONG_PASSWORD": "wrong-password",
    "STATUS_NO_SUCH_USER": "no-such-account", "STATUS_ACCOUNT_LOCKED_OUT": "account-locked",
    "STATUS_ACCOUNT_DISABLED": "account-disabled", "STATUS_ACCOUNT_EXPIRED": "account-expired",
    "STATUS_PASSWORD_EXPIRED": "password-expired", "STATUS_PASSWORD_MUST_CHANGE": "password-must-change",
    "STATUS_ACCOUNT_RESTRICTION": "account-restricted", "STATUS_INVALID_LOGON_HOURS": "logon-hours",
    "STATUS_INVALID_WORKSTATION": "logon-hours", "STATUS_LOGON_TYPE_NOT_GRANTED": "logon-type-denied",
    "STATUS_ACCESS_DENIED": "access-denied", "STATUS_PRIVILEGE_NOT_HELD": "right-missing",
    "STATUS_TRUSTED_RELATIONSHIP_FAILURE": "trust-broken", "STATUS_NO_TRUST_SAM_ACCOUNT": "trust-broken",
    "STATUS_NO_TRUST_LSA_SECRET": "trust-broken", "STATUS_TRUSTED_DOMAIN_FAILURE": "trust-broken",
    "STATUS_TRUST_FAILURE": "trust-broken", "STATUS_NO_LOGON_SERVERS": "no-logon-servers",
    "STATUS_DOMAIN_CONTROLLER_NOT_FOUND": "no-logon-servers", "STATUS_NETLOGON_NOT_STARTED": "no-logon-servers",
    "STATUS_TIME_DIFFERENCE_AT_DC": "clock-skew", "STATUS_BAD_NETWORK_NAME": "path-not-found",
    "STATUS_BAD_NETWORK_PATH": "host-unreachable", "STATUS_DUPLICATE_NAME": "wrong-host",
    "STATUS_IO_TIMEOUT": "timed-out", "STATUS_CONNECTION_REFUSED": "port-closed",
    "STATUS_NETWORK_UNREACHABLE": "host-unreachable", "STATUS_HOST_UNREACHABLE": "host-unreachable",
    "STATUS_NETWORK_NAME_DELETED": "connection-lost", "STATUS_CONNECTION_RESET": "connection-lost",
    "STATUS_USER_SESSION_DELETED": "connection-lost", "STATUS_NETWORK_SESSION_EXPIRED": "connection-lost",
    "STATUS_REQUEST_NOT_ACCEPTED": "too-busy", "STATUS_TOO_MANY_SESSIONS": "too-busy",
    "STATUS_INSUFF_SERVER_RESOURCES": "too-busy", "STATUS_PIPE_NOT_AVAILABLE": "service-manager-missing",
    "STATUS_PIPE_BUSY": "too-busy", "STATUS_SHARING_VIOLATION": "file-in-use", "STATUS_DELETE_PENDING": "file-in-use",
    "STATUS_DISK_FULL": "disk-full", "STATUS_QUOTA_EXCEEDED": "disk-full",
    "STATUS_MEDIA_WRITE_PROTECTED": "disk-error", "STATUS_OBJECT_NAME_NOT_FOUND": "path-not-found",
    "STATUS_OBJECT_PATH_NOT_FOUND": "path-not-found", "STATUS_NOT_SUPPORTED": "dialect-unsupported",
    "ERROR_ACCESS_DENIED": "access-denied", "ERROR_FILE_NOT_FOUND": "path-not-found",
    "ERROR_SHARING_VIOLATION": "file-in-use", "ERROR_DISK_FULL": "disk-full",
    "ERROR_BAD_EXE_FORMAT": "service-bad-image",
    "ERROR_DEPENDENT_SERVICES_RUNNING": "service-dependents-running",
    "ERROR_SERVICE_REQUEST_TIMEOUT": "service-start-timeout", "ERROR_SERVICE_NO_THREAD": "service-not-a-service",
    "ERROR_SERVICE_DATABASE_LOCKED": "service-database-locked", "ERROR_SERVICE_DISABLED": "service-disabled",
    "ERROR_INVALID_SERVICE_ACCOUNT": "service-account-invalid", "ERROR_SERVICE_DOES_NOT_EXIST": "service-missing",
    "ERROR_SERVICE_CANNOT_ACCEPT_CTRL": "service-busy", "ERROR_PROCESS_ABORTED": "service-exited",
    "ERROR_SERVICE_LOGON_FAILED": "service-account-invalid", "ERROR_SERVICE_START_HANG": "service-start-timeout",
    "ERROR_SERVICE_MARKED_FOR_DELETE": "service-marked-for-delete", "ERROR_SERVICE_EXISTS": "service-exists-foreign",
    "ERROR_SERVICE_DEPENDENCY_DELETED": "service-disabled", "ERROR_SERVICE_DEPENDENCY_FAIL": "service-disabled",
    "ERROR_DUPLICATE_SERVICE_NAME": "service-name-taken", "ERROR_SHUTDOWN_IN_PROGRESS": "shutting-down",
    "ERROR_LOGON_FAILURE": "wrong-password", "ERROR_ACCOUNT_LOCKED_OUT": "account-locked",
    "ERROR_PASSWORD_EXPIRED": "password-expired", "ERROR_ACCOUNT_DISABLED": "account-disabled",
    "RPC_S_SERVER_UNAVAILABLE": "rpc-failed", "RPC_S_CALL_FAILED": "rpc-failed", "RPC_S_SERVER_TOO_BUSY": "too-busy",
    "EPT_S_NOT_REGISTERED": "service-manager-missing", "ERROR_WRONG_TARGET_NAME": "wrong-host",
    "ERROR_VIRUS_INFECTED": "blocked-by-antivirus", "ERROR_ACCESS_DISABLED_BY_POLICY": "blocked-by-policy",
    "ERROR_INVALID_IMAGE_HASH": "signature-rejected",
}  # fmt: skip
"""By Microsoft's names, written down apart from the table of numbers."""


def test_the_names_have_the_codes_that_they_should() -> None:
    by_name = {name: number for number, (name, _) in nt_errors.ERROR_MESSAGES.items()}
    by_name |= {name: number for number, (name, _) in system_errors.ERROR_MESSAGES.items()}
    found = {}
    for name in EXPECTED_NAMES.keys() & by_name.keys():
        found[name] = (NTSTATUS if name.startswith("STATUS_") else WIN32).get(by_name[name])
    assert found == {name: EXPECTED_NAMES[name] for name in found}
    assert len(found) > len(EXPECTED_NAMES) - 5, "names that impacket does not know prove nothing"


SAYS_NOTHING = {
    "UNSUCCESSFUL", "INVALID_INFO_CLASS", "INFO_LENGTH_MISMATCH", "INVALID_PARAMETER", "INVALID_DEVICE_REQUEST",
    "BUFFER_TOO_SMALL", "EAS_NOT_SUPPORTED", "EA_TOO_LARGE", "NONEXISTENT_EA_ENTRY", "NO_EAS_ON_FILE",
    "INSUFFICIENT_BUFFER", "INTERNAL_ERROR", "FS_DRIVER_REQUIRED", "NOT_A_REPARSE_POINT",
}  # fmt: skip
"""Statuses of which no more can be said than that the conversation went wrong: a mistake of ours, or of the server."""

NAMES = {
    "STATUS": ({number: name for number, (name, _) in nt_errors.ERROR_MESSAGES.items()}, NTSTATUS),
    "ERROR": ({number: name for number, (name, _) in system_errors.ERROR_MESSAGES.items()}, WIN32),
}
RANGES = {
    "STATUS": [range(0xC0000001, 0xC0001000)],
    "ERROR": [
        range(1, 260), range(299, 310),  # files, devices, networks
        range(1051, 1085), range(1100, 1265), range(1290, 1400),  # services, shutting down, networks, signing in
        range(1450, 1464), range(1700, 1834), range(1898, 1940),  # resources, RPC
    ],
}  # fmt: skip
"""The numbers of the file server, the service manager, sign-ins and RPC."""


@pytest.mark.parametrize("kind", NAMES)
def test_every_documented_number_of_these_services_is_decided_on(kind: str) -> None:
    """A table that grew by what a lab happens to send has gaps where Windows sends something else."""
    names, table = NAMES[kind]
    not_sent = {name for group in NOT_SENT.values() for name in group.split()}
    asked = {
        number: names[number].removeprefix(f"{kind}_") for span in RANGES[kind] for number in span if number in names
    }
    assert len(asked) > 600, "the vendor's names are read from a library; none would prove nothing"
    undecided = {
        f"{number:#x} {name}" for number, name in asked.items() if number not in table and name not in not_sent
    }
    assert undecided == set()
    dull = {name for number, name in asked.items() if table.get(number) == "protocol-error"}
    assert dull <= SAYS_NOTHING


def test_what_is_listed_as_never_sent_exists_and_is_listed_once() -> None:
    listed = [name for group in NOT_SENT.values() for name in group.split()]
    known = {
        name.removeprefix("STATUS_").removeprefix("ERROR_") for names, _ in NAMES.values() for name in names.values()
    }
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) <= known


@pytest.mark.parametrize("number", [8, 14, 170, 231, 1450, 1455, 0xC0000017, 0xC000009A, 0xC00000AB, 0xC000012D])
def test_what_passes_by_itself_is_retried(number: int) -> None:
    found = from_ntstatus(number, Operation.FILE) if number > 0x80000000 else from_win32(number, Operation.START)
    assert found.next_move is NextMove.RETRY


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [
        (Operation.ADMIN_SHARE, 0xC0000022, "not-administrator"),
        (Operation.ADMIN_SHARE, 0xC00000CC, "admin-share-missing"),
        (Operation.SHARE, 0xC0000022, "access-denied"),
        (Operation.SHARE, 0xC00000CC, "path-not-found"),
        (Operation.PROBE_WRITE, 0xC0000022, "admin-share-read-only"),
        (Operation.PROBE_WRITE, 0xC00000A2, "admin-share-read-only"),
        (Operation.FOLDER, 0xC0000022, "folder-denied"),
        (Operation.FILE, 0xC0000022, "access-denied"),
        (Operation.LOCK, 0xC0000043, "push-in-progress"),
        (Operation.FILE, 0xC0000043, "file-in-use"),
        (Operation.SERVICE_MANAGER, 0xC0000034, "service-manager-missing"),
        (Operation.SIGN_IN, 0xC0000022, "logon-type-denied"),
        (Operation.REGISTRY, 0xC0000022, "registry-denied"),
        (Operation.POLICY, 0xC0000073, "service-account-invalid"),
        (Operation.SIGN_IN, 0xC0000064, "no-such-account"),
    ],
)
def test_the_same_number_means_what_was_being_done(operation: Operation, status: int, code: str) -> None:
    found = from_ntstatus(status, operation, "here")
    assert (found.code, found.stage) == (code, operation.stage)
    assert f"0x{status:08X}" in found.message
    assert "here" in found.message


@pytest.mark.parametrize(
    ("operation", "error", "code"),
    [
        (Operation.SERVICE_MANAGER, 5, "service-creation-denied"),
        (Operation.START, 2, "service-bad-image"),
        (Operation.START, 5, "access-denied"),
        (Operation.REGISTRY, 2, "registry-denied"),
        (Operation.SERVICE, 1073, "service-exists-foreign"),
    ],
)
def test_win32_numbers_too(operation: Operation, error: int, code: str) -> None:
    assert from_win32(error, operation).code == code


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(Operation))
def test_a_number_nobody_knows_is_kept(number: int, operation: Operation) -> None:
    nt, win32 = from_ntstatus(number, operation), from_win32(number, operation)
    assert f"{number:08X}" in nt.message
    # The numbers of RPC's own faults, which a call may answer instead of a Win32 one, are told as its pages tell them.
    assert str(number) in win32.message or f"RPC fault 0x{number:08X}" in win32.message
    assert {nt.code, win32.code} <= CATALOGUE.keys()
    if number not in NTSTATUS:
        assert nt.code in ("sign-in-failed", "protocol-error", "sign-in-unknown")


def test_every_doing_has_a_stage_and_words() -> None:
    assert all(isinstance(operation.stage, Stage) and operation.words for operation in Operation)
    assert of(Code.TAMPERED, Operation.FILE).message.endswith("working on a file")


def test_nothing_is_decided_by_the_text_of_a_message() -> None:
    """In the rooms that turn errors into Problems no text of an error is looked into."""
    package = Path(pusher.__file__).parent
    for path in [*package.glob("transports/**/*.py"), *package.glob("problems/*.py"), *package.glob("install/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
                looked_into = ast.unparse(node.comparators[0])
                assert "str(error)" not in looked_into, f"{path}:{node.lineno}"
                assert ".message" not in looked_into, f"{path}:{node.lineno}"
                assert ".args" not in looked_into, f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                assert not called.startswith(("str(error).", "error.args[0].")), f"{path}:{node.lineno}"
