"""Each right and readiness proof: what passes it, what fails it, what it says, and that it leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pusher.checks import CHECKS, Subject, prove
from pusher.checks.catalogue import BUILT_IN_ACCOUNTS
from pusher.models import Check, CheckResult, InstallerKind, Package, Target
from pusher.problems import CATALOGUE, Code, Problem, ProblemError
from pusher.transports.memory import Fault, How, MemoryHost, Moment
from tests.pe import program
from tests.unit.install.test_installing import make_package as make_installer
from tests.unit.push.flying import fly
from tests.unit.push.harness import EXE, make_host, make_package, signed_in

PASS, FAIL, UNPROVABLE, NOT_NEEDED = CheckResult.PASS, CheckResult.FAIL, CheckResult.UNPROVABLE, CheckResult.NOT_NEEDED
GMSA = "corp\\gmsa$"


def proven(
    host: MemoryHost,
    package: Package | None = None,
    *faults: Fault,
    allowed: bool = False,
    account_allowed: bool = False,
    is_read_later: bool = False,
) -> tuple[dict[str, Check], Problem | None]:
    async def story() -> tuple[tuple[Check, ...], Problem | None]:
        target = Target(name=host.name, domain_controller_allowed=allowed)
        session = await signed_in(host, *faults)
        subject = Subject(
            session=session,
            target=target,
            package=package,
            account_allowed=account_allowed,
            is_read_later=is_read_later,
        )
        return await prove(subject)

    checks, found = fly(story())
    assert [check.check for check in checks] == [row.name for row in CHECKS][: len(checks)]
    assert all(check.evidence for check in checks)
    return {check.check: check for check in checks}, found


def test_the_rows_are_named_and_say_what_they_prove() -> None:
    names = [row.name for row in CHECKS]
    assert len(set(names)) == len(names) == 11
    assert all(row.proves for row in CHECKS)
    assert [row.name for row in CHECKS if row.stops] == ["domain-controller"]


@pytest.mark.parametrize("package", [None, make_package()], ids=["no-package", "package"])
def test_a_machine_that_is_ready(package: Package | None) -> None:
    host = make_host()
    before = host.disk.snapshot()
    checks, found = proven(host, package)
    assert found is None
    assert {check.result for check in checks.values()} <= {PASS, NOT_NEEDED}
    assert host.disk.snapshot() == before


@pytest.mark.parametrize(
    ("host", "package", "row", "result", "code"),
    [
        ({"is_domain_controller": True}, {}, "domain-controller", FAIL, "domain-controller-refused"),
        ({"missing_shares": {"ADMIN$"}}, {}, "admin-share-write", FAIL, "admin-share-missing"),
        ({"read_only_shares": {"ADMIN$"}}, {}, "admin-share-write", FAIL, "admin-share-read-only"),
        ({"read_only_shares": {"ADMIN$"}}, {}, "folders", FAIL, "admin-share-read-only"),
        ({"registry": None}, {}, "registry", UNPROVABLE, None),
        ({"registry_denied": True}, {}, "registry", UNPROVABLE, None),
        ({"registry": None}, {"registry_keys": ("HKLM\\SOFTWARE\\Lab",)}, "registry", FAIL, "registry-unavailable"),
        ({"registry_denied": True}, {"registry_keys": ("HKLM\\SOFTWARE\\Lab",)}, "registry", FAIL, "registry-denied"),
        ({}, {"registry_keys": ("HKLM\\SOFTWARE\\Lab",)}, "registry", PASS, None),
        ({}, {}, "log-on-as-service", NOT_NEEDED, None),
        ({}, {"account": "NT AUTHORITY\\LocalService"}, "log-on-as-service", NOT_NEEDED, None),
        ({}, {"account": "networkservice", "rights": ("SeTcbPrivilege",)}, "act-as-system", NOT_NEEDED, None),
        ({"rights": {GMSA: frozenset()}}, {"account": GMSA}, "log-on-as-service", UNPROVABLE, None),
        ({"rights": {GMSA: frozenset()}}, {"account": GMSA}, "impersonate", NOT_NEEDED, None),
        ({"rights": {GMSA: frozenset({"SeServiceLogonRight"})}}, {"account": GMSA}, "log-on-as-service", PASS, None),
        (
            {"rights": {GMSA: frozenset()}}, {"account": GMSA, "rights": ("SeTcbPrivilege",)},
            "act-as-system", FAIL, "right-missing",
        ),
        (
            {"rights": {GMSA: frozenset({"SeImpersonatePrivilege"})}},
            {"account": GMSA, "rights": ("SeImpersonatePrivilege",)}, "impersonate", PASS, None,
        ),
        ({}, {"account": GMSA}, "log-on-as-service", FAIL, "service-account-invalid"),
        ({"room": 64 * 1024**2 - 1}, {}, "free-space", FAIL, "disk-full"),
        ({"room": 64 * 1024**2 + 100_000}, {}, "free-space", PASS, None),
        ({"architecture": "arm64"}, {}, "architecture", PASS, None),
        ({"architecture": "arm64"}, {"architectures": ("x64",)}, "architecture", FAIL, "wrong-architecture"),
        ({"architecture": "x64"}, {"architectures": ("x86", "x64")}, "architecture", PASS, None),
        ({"architecture": None}, {"architectures": ("x64",)}, "architecture", UNPROVABLE, None),
    ],
)  # fmt: skip
def test_a_row(host: dict[str, Any], package: dict[str, Any], row: str, result: CheckResult, code: Code | None) -> None:
    checks, found = proven(make_host(**host), make_package(**package))
    assert checks[row].result is result
    assert (found.code if found else None) == code
    if code is not None and found is not None:
        assert CATALOGUE[code].remedy == found.remedy


def test_a_domain_controller_is_asked_nothing_more() -> None:
    checks, _ = proven(make_host(is_domain_controller=True))
    assert list(checks) == ["domain-controller"]


def test_a_domain_controller_takes_the_leave_of_inventory_and_account() -> None:
    host = make_host(is_domain_controller=True)
    for allowed, account_allowed, code in [
        (False, False, "domain-controller-refused"),
        (False, True, "domain-controller-refused"),
        (True, False, "domain-controller-account"),
    ]:
        checks, found = proven(host, allowed=allowed, account_allowed=account_allowed)
        assert list(checks) == ["domain-controller"]
        assert found is not None
        assert found.code == code
    checks, found = proven(host, allowed=True, account_allowed=True)
    assert (checks["domain-controller"].result, found) == (PASS, None)
    assert "both allow it" in checks["domain-controller"].evidence


def test_the_other_rows_are_proven_although_one_fails() -> None:
    """One visit tells everything that is missing; the first is the target's problem."""
    checks, found = proven(make_host(read_only_shares={"ADMIN$"}, room=0))
    assert [name for name, check in checks.items() if check.result is FAIL] == [
        "admin-share-write", "folders", "free-space",
    ]  # fmt: skip
    assert found is not None
    assert found.code == "admin-share-read-only"


@pytest.mark.parametrize("call", ["is_domain_controller", "probe_write", "remove_folder", "free_bytes", "architecture"])
def test_a_lost_connection_says_nothing_about_rights(call: str) -> None:
    with pytest.raises(ProblemError) as caught:
        proven(make_host(), None, Fault(how=How.DROP, call=call))
    assert caught.value.problem.code == "connection-lost"


@pytest.mark.parametrize("code", ["connection-lost", "too-busy"])
def test_a_lost_connection_is_not_an_unprovable_registry(code: Code) -> None:
    with pytest.raises(ProblemError):
        proven(make_host(), None, Fault(how=How.FAIL, call="registry_access", code=code))


def test_what_a_cut_off_check_left_is_taken_away_by_the_next() -> None:
    host = make_host()
    before = host.disk.snapshot()
    with pytest.raises(ProblemError):
        proven(host, None, Fault(how=How.DROP, call="make_folder", moment=Moment.AFTER))
    assert host.disk.snapshot() != before
    checks, found = proven(host)
    assert found is None
    assert checks["folders"].result is PASS
    assert host.disk.snapshot() == before


def test_a_folder_that_does_not_go() -> None:
    host = make_host()
    host.write("Windows\\pusher-check\\somebody's.txt", b"x")
    _, found = proven(host)
    assert found is not None
    assert found.code == "folder-denied"
    assert host.read("Windows\\pusher-check\\somebody's.txt") == b"x"


def test_a_folder_that_cannot_be_removed_again() -> None:
    _, found = proven(make_host(), None, Fault(how=How.FAIL, call="remove_folder", code=Code.FOLDER_DENIED))
    assert found is not None
    assert found.code == "folder-denied"


@pytest.mark.parametrize(
    ("there", "evidence"),
    [
        (None, "nothing is there, 1.4.2 would be installed"),
        (program("1.4.2"), "1.4.2 is there already"),
        (program("1.3.0"), "1.3.0.0 is there, 1.4.2 would replace it"),
        (b"no program of ours", "another build is there, 1.4.2 would replace it"),
    ],
)
def test_what_is_installed_and_what_would_change(there: bytes | None, evidence: str) -> None:
    host = make_host()
    if there is not None:
        host.write(f"Windows\\{EXE}", there)
    checks, found = proven(host, make_package())
    assert (checks["pending-version"].evidence, found) == (evidence, None)
    assert proven(host)[0]["pending-version"].result is NOT_NEEDED


@pytest.mark.parametrize(
    ("there", "evidence"),
    [
        (None, "nothing is there, 1.4.2 would be installed"),
        (bytes(len(program("1.4.2"))), "what is there has the size of 1.4.2"),
        (program("1.4.2") + b"x", "another build is there, 1.4.2 would replace it"),
    ],
)
def test_nothing_is_read_where_the_push_reads_it_later(there: bytes | None, evidence: str) -> None:
    host = make_host()
    if there is not None:
        host.write(f"Windows\\{EXE}", there)
    unread = Fault(how=How.FAIL, call="digest", code=Code.FILE_IN_USE)
    checks, found = proven(host, make_package(), unread, is_read_later=True)
    assert (checks["pending-version"].evidence, found) == (evidence, None)


def test_built_in_accounts_are_known_in_every_spelling() -> None:
    assert all(account == account.lower() for account in BUILT_IN_ACCOUNTS)
    for account in ("LocalSystem", "NT AUTHORITY\\NetworkService", "nt authority\\LOCALSERVICE"):
        checks, found = proven(make_host(), make_package(account=account, rights=("SeServiceLogonRight",)))
        assert (checks["log-on-as-service"].result, found) == (NOT_NEEDED, None)


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (None, "is absent; 2.0.0 would be installed"),
        ("1.9.0", "is there, version 1.9.0.0; 2.0.0 would be installed"),
        ("2.0.0", "is there, version 2.0.0.0; nothing would be run"),
        ("2.0.1", "is there, version 2.0.1.0; newer than 2.0.0, and would be left alone"),
    ],
)
def test_what_would_become_of_an_installers_product(version: str | None, says: str) -> None:
    host = make_host()
    if version is not None:
        host.write("Program Files\\LabTool\\labtool.exe", program(version))
    before = host.disk.snapshot()
    checks, found = proven(host, make_installer(InstallerKind.EXE))
    assert found is None and checks["pending-version"].evidence == f"%ProgramFiles%\\LabTool\\labtool.exe {says}"
    assert checks["service-creation"].result is PASS and checks["log-on-as-service"].result is NOT_NEEDED
    assert host.disk.snapshot() == before


def test_a_rule_that_needs_the_registry_fails_where_there_is_none() -> None:
    checks, found = proven(make_host(registry=None), make_installer())
    assert checks["pending-version"].result is FAIL
    assert found is not None and found.code == "registry-unavailable"
