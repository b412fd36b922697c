"""Win32_Service, on Wine's service manager. The return codes are those of Microsoft's documentation of the class.

Here: names and codes. The service manager's own errors come from services.exe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lab.logons import Logons
from lab.scm import as_windows
from lab.winrm import wql
from lab.winrm.cim import NoSuchMethod, Row
from lab.winrm.wine import KEEP, Helper

_NO_SUCH_SERVICE = 1060
UNKNOWN_FAILURE = 8
# Win32 error to Win32_Service's return value.
CODES: Mapping[int, int] = MappingProxyType(
    {
        0: 0,
        2: 9,  # ERROR_FILE_NOT_FOUND: path not found
        3: 9,  # ERROR_PATH_NOT_FOUND
        5: 2,  # ERROR_ACCESS_DENIED
        87: 21,  # ERROR_INVALID_PARAMETER
        123: 20,  # ERROR_INVALID_NAME
        1051: 3,  # ERROR_DEPENDENT_SERVICES_RUNNING
        1052: 4,  # ERROR_INVALID_SERVICE_CONTROL
        1053: 7,  # ERROR_SERVICE_REQUEST_TIMEOUT
        1054: 17,  # ERROR_SERVICE_NO_THREAD
        1055: 11,  # ERROR_SERVICE_DATABASE_LOCKED
        1056: 10,  # ERROR_SERVICE_ALREADY_RUNNING
        1057: 22,  # ERROR_INVALID_SERVICE_ACCOUNT
        1058: 14,  # ERROR_SERVICE_DISABLED
        1059: 18,  # ERROR_CIRCULAR_DEPENDENCY
        1061: 5,  # ERROR_SERVICE_CANNOT_ACCEPT_CTRL
        1062: 6,  # ERROR_SERVICE_NOT_ACTIVE
        1068: 13,  # ERROR_SERVICE_DEPENDENCY_FAIL
        1069: 15,  # ERROR_SERVICE_LOGON_FAILED
        1072: 16,  # ERROR_SERVICE_MARKED_FOR_DELETE
        1073: 23,  # ERROR_SERVICE_EXISTS
        1075: 12,  # ERROR_SERVICE_DEPENDENCY_DELETED
        1078: 19,  # ERROR_DUPLICATE_SERVICE_NAME
    }
)
_STATES = ("", "Stopped", "Start Pending", "Stop Pending", "Running", "Continue Pending", "Pause Pending", "Paused")
_START_MODES = ("Boot", "System", "Auto", "Manual", "Disabled")  # as they are shown
_START_TYPES = {"Boot": 0, "System": 1, "Automatic": 2, "Manual": 3, "Disabled": 4}  # as they are given
_ERROR_CONTROLS = ("Ignore", "Normal", "Severe", "Critical")
_TYPES = {1: "Kernel Driver", 2: "File System Driver", 16: "Own Process", 32: "Share Process"}
_OWN_PROCESS, _NORMAL = 16, 1


def return_value(error: int) -> int:
    return CODES.get(error, UNKNOWN_FAILURE)


class Services:
    """The class Win32_Service."""

    def __init__(self, helper: Helper, host: str, windows: str, logons: Logons | None = None) -> None:
        self._windows, self._logons = windows, logons
        self._helper = helper
        self._host = host

    async def get(self, keys: Mapping[str, str]) -> Row | None:
        name = _name(keys)
        answer = await self._helper.ask("service-get", name)
        return None if answer["err"] else self._row(answer)

    async def rows(self, query: wql.Query) -> list[Row]:
        name = {key.lower(): value for key, value in query.keys.items()}.get("name")
        if name is not None:
            row = await self.get({"Name": name})
            return [] if row is None else [row]
        answer = await self._helper.ask("service-list")
        return [self._row(item) for item in answer["items"]]

    async def invoke(self, method: str, keys: Mapping[str, str], given: Mapping[str, str]) -> Row | None:
        match method:
            case "Create":
                if refused := await self._refused(given):
                    return {"ReturnValue": return_value(refused)}
                created = await self._create(given)
                if created == 0:
                    self._keep(given["Name"], given)
                return {"ReturnValue": created}
            case "Change":
                if refused := await self._refused(given):
                    return _result(refused)
                changed = await self._change(_name(keys), given)
                if changed == 0:
                    self._keep(_name(keys), given)
                return _result(changed)
            case "ChangeStartMode":
                return _result(await self._change(_name(keys), {"StartMode": given.get("StartMode", "")}))
            case "StartService":
                if self._logons and (refused := await asyncio.to_thread(self._logons.refuses_start, _name(keys))):
                    return _result(refused)
                return _result(await self._ask("service-start", _name(keys)))
            case "StopService":
                return _result(await self._ask("service-stop", _name(keys)))
            case "Delete":
                deleted = await self._ask("service-delete", _name(keys))
                if deleted == 0 and self._logons:
                    self._logons.forget(_name(keys))
                return _result(deleted)
            case "InterrogateService":
                return _result(await self._ask("service-get", _name(keys)))
            case _:
                raise NoSuchMethod(method)

    async def _refused(self, given: Mapping[str, str]) -> int:
        account = given.get("StartName", "")
        return await asyncio.to_thread(self._logons.refuses_account, account) if self._logons and account else 0

    def _keep(self, name: str, given: Mapping[str, str]) -> None:
        if self._logons and given.get("StartName"):
            self._logons.keep(name, given["StartName"], given.get("StartPassword"))

    async def _ask(self, verb: str, *fields: str | int) -> int:
        return int((await self._helper.ask(verb, *fields))["err"])

    async def _create(self, given: Mapping[str, str]) -> int:
        start = _START_TYPES.get(given.get("StartMode", "Manual"))
        if start is None or not given.get("Name") or not given.get("PathName"):
            return 21
        return return_value(
            await self._ask(
                "service-create",
                given["Name"],
                given.get("DisplayName", ""),
                given["PathName"],
                given.get("ServiceType") or _OWN_PROCESS,
                start,
                given.get("ErrorControl") or _NORMAL,
                given.get("StartName", ""),
                given.get("StartPassword", ""),
            )
        )

    async def _change(self, name: str, given: Mapping[str, str]) -> int:
        start: str | int = KEEP
        if "StartMode" in given:
            if given["StartMode"] not in _START_TYPES:
                return 87
            start = _START_TYPES[given["StartMode"]]
        return await self._ask(
            "service-change",
            name,
            given.get("DisplayName", KEEP),
            given.get("PathName", KEEP),
            given.get("ServiceType", KEEP),
            start,
            given.get("ErrorControl", KEEP),
            given.get("StartName", KEEP),
            given.get("StartPassword", KEEP),
        )

    def _row(self, found: Mapping[str, Any]) -> Row:
        state = _STATES[found["state"]]
        return {
            "AcceptPause": bool(found["controls"] & 2),
            "AcceptStop": bool(found["controls"] & 1),
            "Caption": found["display"],
            "CheckPoint": found["check_point"],
            "CreationClassName": "Win32_Service",
            "DelayedAutoStart": bool(found["delayed"]),
            "Description": found["description"] or None,
            "DesktopInteract": False,
            "DisplayName": found["display"],
            "ErrorControl": _ERROR_CONTROLS[found["error_control"] & 3],
            "ExitCode": found["win32_exit"],
            "Name": found["name"],
            "PathName": as_windows(found["path"], self._windows),
            "ProcessId": found["process"],
            "ServiceSpecificExitCode": found["service_exit"],
            "ServiceType": _TYPES.get(found["type"] & 0x3F, "Unknown"),
            "Started": state != "Stopped",
            "StartMode": _START_MODES[found["start"]],
            "StartName": found["account"],
            "State": state,
            "Status": "OK",
            "SystemCreationClassName": "Win32_ComputerSystem",
            "SystemName": self._host,
            "TagId": 0,
            "WaitHint": found["wait_hint"],
        }


def _result(error: int) -> Row | None:
    """None where the service is not there: WMI then finds no instance to ask."""
    return None if error == _NO_SUCH_SERVICE else {"ReturnValue": return_value(error)}


def _name(keys: Mapping[str, str]) -> str:
    return {key.lower(): value for key, value in keys.items()}.get("name", "")
