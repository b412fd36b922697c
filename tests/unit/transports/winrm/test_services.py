"""Services, registry and facts by what WMI answers: numbers turned back, odd values refused. No network."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pypsrp.exceptions import WSManFaultError

from pusher.problems import ProblemError
from pusher.transports.codes import WIN32
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType
from pusher.transports.winrm import facts
from pusher.transports.winrm.cim import Instance, StrangeValueError
from pusher.transports.winrm.registry import Registry
from pusher.transports.winrm.services import RETURNED, ServiceManager
from tests.unit.transports.winrm.listener import cim

GOOD = {
    "Name": "LabAgent", "DisplayName": "Lab agent", "PathName": "c:\\x.exe", "State": "Running", "StartMode": "Auto",
    "StartName": "LocalSystem", "ExitCode": 0, "ServiceSpecificExitCode": 0, "CheckPoint": 0, "WaitHint": 0,
    "DelayedAutoStart": "false", "Description": "what it does",
}  # fmt: skip
CONFIG = ServiceConfig(image_path="c:\\x.exe", display_name="Lab agent", start_type=StartType.AUTO)


@dataclass
class Machine:
    """A client whose answers are given: by method, else by query or Get."""

    returns: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] | None = field(default_factory=lambda: dict(GOOD))
    rows: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str], dict[str, str] | None]] = field(default_factory=list)

    def get(self, uri: str, selectors: Any = None, seconds: Any = None) -> ET.Element:
        if self.service is None:
            raise WSManFaultError(2150858752, None, None, None, None, None)
        return ET.fromstring(f"<Body>{cim('Win32_Service', **self.service)}</Body>")

    def enumerate(self, namespace: str, query: str, seconds: Any = None) -> list[ET.Element]:
        return [ET.fromstring(cim("XmlFragment", **self.rows))] if self.rows else []

    def invoke(
        self, uri: str, method: str, arguments: Any = None, selectors: Any = None, seconds: Any = None
    ) -> ET.Element:
        self.calls.append((method, dict(arguments or {}), selectors))
        answer = self.returns.get(method, 0)
        if callable(answer):
            answer = answer(dict(arguments or {}))
        if isinstance(answer, BaseException):
            raise answer
        values = answer if isinstance(answer, dict) else {"ReturnValue": answer}
        return ET.fromstring(cim(f"{method}_OUTPUT", **values))


def manager(machine: Machine) -> ServiceManager:
    client: Any = machine
    return ServiceManager(client, Registry(client), 30)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.problem.code


def gone() -> WSManFaultError:
    return WSManFaultError(0x80041002, None, None, None, None, None)


def test_every_number_stands_for_a_known_code() -> None:
    assert set(RETURNED.values()) <= set(WIN32) | {1056}
    assert set(RETURNED) < set(range(25))


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        (2, "access-denied"), (3, "service-dependents-running"), (7, "service-start-timeout"),
        (9, "service-bad-image"), (11, "service-database-locked"), (12, "service-disabled"), (13, "service-disabled"),
        (14, "service-disabled"), (15, "service-account-invalid"), (16, "service-marked-for-delete"),
        (17, "service-not-a-service"), (1, "winrm-fault"), (21, "winrm-fault"), (77, "winrm-fault"),
        ("", "protocol-error"), ("-1", "protocol-error"), ("0x2", "protocol-error"), (2**32, "protocol-error"),
    ],
)  # fmt: skip
def test_a_start_that_is_refused(returned: object, code: str) -> None:
    machine = Machine({"StartService": {"ReturnValue": returned}})
    assert code_of(lambda: manager(machine).start("LabAgent")) == code


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [(193, "service-bad-image"), (1260, "blocked-by-policy"), (225, "blocked-by-antivirus"),
     (0, "service-failed"), (1077, "service-failed"), (424242, "service-failed")],
)  # fmt: skip
def test_an_unknown_failure_to_start_is_looked_up(exit_code: int, code: str) -> None:
    machine = Machine({"StartService": 8}, {**GOOD, "State": "Stopped", "ExitCode": exit_code})
    assert code_of(lambda: manager(machine).start("LabAgent")) == code


def test_a_start_for_which_winrm_has_no_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """MaxTimeoutms ends the operation, not the start: what the service is at is looked up."""
    monkeypatch.setattr("pusher.transports.winrm.services._AGAIN", 0.0)
    late = WSManFaultError(2150858793, None, None, None, None, None)
    states = ["Stopped", "Stopped", "Start Pending", "Running"]

    class Starting(Machine):
        def get(self, uri: str, selectors: Any = None, seconds: Any = None) -> ET.Element:
            self.service = {**GOOD, "State": states.pop(0)}
            return super().get(uri, selectors, seconds)

    manager(Starting({"StartService": late})).start("LabAgent")
    assert states == ["Running"]
    never: Any = Machine({"StartService": late}, {**GOOD, "State": "Stopped"})
    assert code_of(lambda: ServiceManager(never, Registry(never), 0).start("LabAgent")) == "timed-out"
    assert code_of(lambda: manager(Machine({"StartService": late}, None)).start("LabAgent")) == "service-missing"


def test_a_start_that_is_none() -> None:
    manager(Machine({"StartService": 10})).start("LabAgent")
    assert code_of(lambda: manager(Machine({"StartService": gone()})).start("LabAgent")) == "service-missing"
    assert code_of(lambda: manager(Machine({"StartService": 8}, None)).start("LabAgent")) == "service-failed"


@pytest.mark.parametrize(
    ("returned", "state", "result"),
    [(0, "Stop Pending", True), (6, "Stopped", False), (5, "Stopped", False)],
)
def test_stops(returned: int, state: str, result: bool) -> None:
    machine = Machine({"StopService": returned}, {**GOOD, "State": state})
    assert manager(machine).stop("LabAgent") is result


def test_a_stop_that_cannot_be_now() -> None:
    machine = Machine({"StopService": 5}, {**GOOD, "State": "Start Pending"})
    assert code_of(lambda: manager(machine).stop("LabAgent")) == "service-busy"
    assert code_of(lambda: manager(Machine({"StopService": 3})).stop("LabAgent")) == "service-dependents-running"


def test_what_is_not_there() -> None:
    absent = Machine({"StopService": gone(), "Delete": gone()}, None)
    services = manager(absent)
    assert services.status("LabAgent") is None
    assert services.config("LabAgent") is None
    assert services.stop("LabAgent") is False
    assert services.delete("LabAgent") is False
    assert code_of(lambda: services.configure("LabAgent", CONFIG)) == "service-missing"
    assert not [call for call in absent.calls if call[0] == "Change"]


def test_deleting_twice_is_deleted() -> None:
    assert manager(Machine({"Delete": 16})).delete("LabAgent") is True
    assert code_of(lambda: manager(Machine({"Delete": 2})).delete("LabAgent")) == "access-denied"


def test_a_status_in_full() -> None:
    row = {**GOOD, "State": "Start Pending", "ExitCode": 1066, "ServiceSpecificExitCode": 42, "CheckPoint": 3,
           "WaitHint": 4294967295}  # fmt: skip
    assert manager(Machine(service=row)).status("labagent") == ServiceStatus(
        state=ServiceState.START_PENDING, win32_exit=1066, service_exit=42, checkpoint=3, wait_hint=4294967295
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"State": "Läuft"}, {"State": ""}, {"ExitCode": -1}, {"ExitCode": "many"}, {"WaitHint": 2**32},
        {"CheckPoint": "9" * 5000}, {"ExitCode": "٣"}, {"Name": "Another"}, {"ServiceSpecificExitCode": 1.5},
    ],
)  # fmt: skip
def test_a_status_that_no_windows_gives(odd: dict[str, object]) -> None:
    assert code_of(lambda: manager(Machine(service={**GOOD, **odd})).status("LabAgent")) == "protocol-error"


@pytest.mark.parametrize("odd", [{"StartMode": "Automatic?"}, {"DelayedAutoStart": "perhaps"}, {"Name": ""}])
def test_a_config_that_no_windows_gives(odd: dict[str, object]) -> None:
    assert code_of(lambda: manager(Machine(service={**GOOD, **odd})).config("LabAgent")) == "protocol-error"


def test_a_config_in_full() -> None:
    assert manager(Machine(service={**GOOD, "DelayedAutoStart": "true"})).config("LabAgent") == ServiceConfig(
        image_path="c:\\x.exe", display_name="Lab agent", start_type=StartType.AUTO, account="LocalSystem",
        delayed=True, description="what it does",
    )  # fmt: skip


def test_what_wmi_cannot_write_goes_through_the_registry() -> None:
    machine = Machine()
    wanted = ServiceConfig(
        image_path="c:\\x.exe", display_name="x", start_type=StartType.AUTO, delayed=True, description="new words"
    )
    manager(machine).create("LabAgent", wanted)
    assert [call[0] for call in machine.calls] == ["Create", "SetStringValue", "SetDWORDValue"]
    assert machine.calls[1][1]["sValue"] == "new words"
    assert machine.calls[2][1] == {
        "hDefKey": "2147483650", "sSubKeyName": "SYSTEM\\CurrentControlSet\\Services\\LabAgent",
        "sValueName": "DelayedAutostart", "uValue": "1",
    }  # fmt: skip
    machine.calls.clear()
    manager(machine).configure("LabAgent", CONFIG)
    assert [call[0] for call in machine.calls] == ["Change", "SetStringValue"], "the description is taken away"
    assert machine.calls[1][1]["sValue"] == ""


@pytest.mark.parametrize(
    ("returned", "code"),
    [(23, "service-exists-foreign"), (16, "service-marked-for-delete"), (19, "service-name-taken"),
     (22, "service-account-invalid"), (20, "winrm-fault"), (2, "access-denied")],
)  # fmt: skip
def test_a_creation_that_is_refused(returned: int, code: str) -> None:
    machine = Machine({"Create": returned})
    assert code_of(lambda: manager(machine).create("LabAgent", CONFIG)) == code
    assert [call[0] for call in machine.calls] == ["Create"]


def test_the_right_to_create_services() -> None:
    machine = Machine({"Create": 20})
    assert "20" in manager(machine).may_create()
    (call,) = machine.calls
    assert "/" in call[1]["Name"], "no service can be called so"
    assert call[1]["StartMode"] == "Disabled"
    assert code_of(lambda: manager(Machine({"Create": 2})).may_create()) == "service-creation-denied"
    denied = Machine({"Create": WSManFaultError(5, None, None, None, None, None)})
    assert code_of(lambda: manager(denied).may_create()) == "service-creation-denied"


def test_a_service_manager_that_takes_any_name_is_cleaned_up_after() -> None:
    machine = Machine({"Create": 0, "Delete": 0})
    manager(machine).may_create()
    assert [(call[0], call[2]) for call in machine.calls][1:] == [("Delete", {"Name": "pusher/probe"})]


# The registry


def registry(machine: Machine) -> Registry:
    client: Any = machine
    return Registry(client)


MISMATCH = 0x80041005


@pytest.mark.parametrize(
    ("returns", "value"),
    [
        ({"GetStringValue": {"ReturnValue": 0, "sValue": "x"}}, "x"),
        ({"GetStringValue": MISMATCH, "GetExpandedStringValue": {"ReturnValue": 0, "sValue": "C:\\W"}}, "C:\\W"),
        (
            {"GetStringValue": MISMATCH, "GetExpandedStringValue": MISMATCH,
             "GetDWORDValue": {"ReturnValue": 0, "uValue": 4294967295}},
            4294967295,
        ),
        ({"GetStringValue": 1, "GetExpandedStringValue": 1, "GetDWORDValue": 1}, None),
        ({"GetStringValue": 2, "GetExpandedStringValue": 2, "GetDWORDValue": 2}, None),
        ({"GetStringValue": 0, "GetExpandedStringValue": 0, "GetDWORDValue": 0}, None),
    ],
)  # fmt: skip
def test_registry_values(returns: dict[str, Any], value: object) -> None:
    assert registry(Machine(returns)).value("HKLM\\SOFTWARE\\x", "y") == value


def test_registry_values_that_may_not_be_read() -> None:
    assert (
        code_of(lambda: registry(Machine({"GetStringValue": 5})).value("HKLM\\SOFTWARE\\x", "y")) == "registry-denied"
    )
    odd = Machine(
        {"GetStringValue": 1, "GetExpandedStringValue": 1, "GetDWORDValue": {"ReturnValue": 0, "uValue": "x"}}
    )
    assert code_of(lambda: registry(odd).value("HKLM\\SOFTWARE\\x", "y")) == "protocol-error"


def granting(*keys: str) -> Callable[[dict[str, str]], Any]:
    def check(arguments: dict[str, str]) -> dict[str, object]:
        there = arguments["sSubKeyName"] in keys
        return {"ReturnValue": 0 if there else 2, "bGranted": "true" if there else "false"}

    return check


def test_access_to_a_key_or_the_nearest_above() -> None:
    machine = Machine({"CheckAccess": granting("SOFTWARE")})
    assert registry(machine).access("HKLM\\SOFTWARE") == "HKLM\\SOFTWARE may be written"
    assert registry(machine).access("HKLM\\SOFTWARE\\a\\b") == "HKLM\\SOFTWARE may be given new keys"
    asked = [(call[1]["sSubKeyName"], call[1]["uRequired"]) for call in machine.calls[1:]]
    assert asked == [("SOFTWARE\\a\\b", "2"), ("SOFTWARE\\a", "4"), ("SOFTWARE", "4")]
    assert code_of(lambda: registry(machine).access("HKLM\\Nothing")) == "registry-denied"


@pytest.mark.parametrize("answer", [5, {"ReturnValue": 0, "bGranted": "false"}, {"ReturnValue": 0}])
def test_access_that_is_not_granted(answer: object) -> None:
    assert code_of(lambda: registry(Machine({"CheckAccess": answer})).access("HKLM\\SOFTWARE")) == "registry-denied"


# Facts


@pytest.mark.parametrize(("role", "controller"), [(0, False), (1, False), (3, False), (4, True), (5, True)])
def test_domain_roles(role: int, controller: bool) -> None:
    client: Any = Machine(rows={"DomainRole": role})
    assert facts.is_domain_controller(client) is controller


@pytest.mark.parametrize("rows", [{}, {"DomainRole": 6}, {"DomainRole": "?"}, {"Other": 1}])
def test_a_role_that_is_none(rows: dict[str, object]) -> None:
    client: Any = Machine(rows=rows)
    assert code_of(lambda: facts.is_domain_controller(client)) == "protocol-error"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ({"Architecture": 9, "AddressWidth": 64}, "x64"),
        ({"Architecture": 9, "AddressWidth": 32}, "x86"),
        ({"Architecture": 9}, "x64"),
        ({"Architecture": 0, "AddressWidth": 32}, "x86"),
        ({"Architecture": 12, "AddressWidth": 64}, "arm64"),
        ({"Architecture": 6}, None),
    ],
)
def test_architectures(rows: dict[str, object], found: str | None) -> None:
    client: Any = Machine(rows=rows)
    assert facts.architecture(client) == found


@pytest.mark.parametrize(
    ("windows", "drive", "good"),
    [
        ("C:\\Windows", "C:", True), ("D:\\WINNT\\", "D:", True), ("C:\\Win dows\\x", "c:", True),
        ("C:\\", "C:", False), ("", "", False), ("C:\\W%PATH%", "C:", False), ("C:\\W;x", "C:", False),
        ("C:\\Windows\n", "C:", False), ("\\\\x\\y", "C:", False), ("C:\\Windows", "CC:", False),
        ("C:\\..\\x&amp;y", "C:", False), ("C:\\" + "a\\" * 50, "C:", False),
    ],
)  # fmt: skip
def test_where_windows_is(windows: str, drive: str, good: bool) -> None:
    client: Any = Machine(rows={"WindowsDirectory": windows, "SystemDrive": drive})
    if good:
        assert facts.folders(client).drive == drive
    else:
        assert code_of(lambda: facts.folders(client)) == "protocol-error"


def test_free_space() -> None:
    client: Any = Machine(service={"FreeSpace": 2**40})
    assert facts.free_bytes(client, "C:") == 2**40
    client = Machine(service={"FreeSpace": "lots"})
    assert code_of(lambda: facts.free_bytes(client, "C:")) == "protocol-error"


def test_an_instance_without_end() -> None:
    with pytest.raises(StrangeValueError):
        Instance(ET.fromstring("<x>" + "<y>1</y>" * 501 + "</x>"))
    with pytest.raises(StrangeValueError):
        Instance(ET.fromstring("<x><y>" + "1" * 70_000 + "</y></x>"))


def test_null_is_nothing() -> None:
    nil = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'
    found = Instance(ET.fromstring(f"<x><a {nil}/><b/><c>1</c></x>"))
    assert (found.has("a"), found.has("b"), found.number("C")) == (False, False, 1)
    assert found.text("a") == ""
