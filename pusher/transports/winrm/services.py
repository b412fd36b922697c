"""The service manager over WMI's Win32_Service. Blocking; ProblemError only.

Its methods answer with a number of their own (0 to 24) that stands for a Win32 code of the service manager: the
table below turns it back, so that a failure has the same code as over MS-SCMR. What Win32_Service cannot write
(description, delayed start) goes through the registry, where the service manager keeps it.
Sources: Win32_Service and its methods' return codes (CIMWin32 provider), MS-SCMR 3.1.4.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from pypsrp.exceptions import WSManFaultError

from pusher.models import Secret
from pusher.problems import Code, Problem, ProblemError
from pusher.transports.codes import WIN32, Operation, from_win32, of
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType
from pusher.transports.winrm.cim import Instance, StrangeValueError
from pusher.transports.winrm.client import CIMV2, Client, instance
from pusher.transports.winrm.faults import NOT_FOUND, NOTHING_YET, fault_number, guarded
from pusher.transports.winrm.registry import Registry

_SERVICE = CIMV2 + "Win32_Service"
_KEY = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\"
_OWN_PROCESS, _ERROR_NORMAL = "16", "1"

RETURNED: Mapping[int, int] = {
    2: 5,  # access denied
    3: 1051,  # dependent services are running
    4: 1052,  # the control is not valid now
    5: 1061,  # cannot accept control
    6: 1062,  # not active
    7: 1053,  # did not answer the start in time
    9: 3,  # path not found
    10: 1056,  # already running
    11: 1055,  # database locked
    12: 1075,  # a dependency was deleted
    13: 1068,  # a dependency failed
    14: 1058,  # disabled
    15: 1069,  # logon failed
    16: 1072,  # marked for deletion
    17: 1054,  # no thread
    18: 1059,  # circular dependency
    19: 1078,  # duplicate name
    22: 1057,  # invalid account
    23: 1073,  # exists
}
"""A method's ReturnValue → the Win32 code it stands for. 1, 8, 20, 21 and 24 stand for none that a push can meet."""

_OK, _DENIED, _CANNOT_ACCEPT, _NOT_ACTIVE, _UNKNOWN, _RUNNING, _MARKED = 0, 2, 5, 6, 8, 10, 16

_STATES = {
    "Stopped": ServiceState.STOPPED,
    "Start Pending": ServiceState.START_PENDING,
    "Stop Pending": ServiceState.STOP_PENDING,
    "Running": ServiceState.RUNNING,
    "Continue Pending": ServiceState.CONTINUE_PENDING,
    "Pause Pending": ServiceState.PAUSE_PENDING,
    "Paused": ServiceState.PAUSED,
}
_START_MODES = {
    "Boot": StartType.BOOT,
    "System": StartType.SYSTEM,
    "Auto": StartType.AUTO,
    "Manual": StartType.DEMAND,
    "Disabled": StartType.DISABLED,
}
_START_WORDS = {
    StartType.BOOT: "Boot",
    StartType.SYSTEM: "System",
    StartType.AUTO: "Automatic",
    StartType.DEMAND: "Manual",
    StartType.DISABLED: "Disabled",
}

_AGAIN = 1.0
_IMPOSSIBLE = "pusher/probe"
"""No service can have a slash in its name: the service manager refuses it after it has granted the right to create."""


class ServiceManager:
    """Service calls of one client. ``starting``: how many seconds a start may take at the service's end."""

    def __init__(self, client: Client, registry: Registry, starting: float) -> None:
        self._client, self._registry, self._starting = client, registry, starting

    def may_create(self) -> str:
        """Ask for a service that cannot be: the right to create one is checked before its name is looked at."""

        def work() -> str:
            probe = ServiceConfig(
                image_path="%SystemRoot%\\System32\\pusher-probe.exe",
                display_name=_IMPOSSIBLE,
                start_type=StartType.DISABLED,
            )
            returned = self._invoke("Create", {"Name": _IMPOSSIBLE, **_arguments(probe)}, None).returned
            if returned == _DENIED:
                raise ProblemError(from_win32(5, Operation.SERVICE_MANAGER))
            if returned == _OK:
                self.delete(_IMPOSSIBLE)
            return f"the service manager refused an impossible name, not the right to create (answer {returned})"

        return guarded(Operation.SERVICE_MANAGER, work)

    def status(self, name: str) -> ServiceStatus | None:
        def work() -> ServiceStatus | None:
            found = self._get(name)
            return None if found is None else _status(found)

        return guarded(Operation.SERVICE, work, name)

    def config(self, name: str) -> ServiceConfig | None:
        def work() -> ServiceConfig | None:
            found = self._get(name)
            if found is None:
                return None
            return ServiceConfig(
                image_path=found.text("PathName"),
                display_name=found.text("DisplayName"),
                start_type=found.one_of("StartMode", _START_MODES),
                account=found.text("StartName"),
                delayed=found.flag("DelayedAutoStart"),
                description=found.text("Description"),
            )

        return guarded(Operation.SERVICE, work, name)

    def create(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        """Whatever is sent by WinRM is encrypted, by TLS or as a message, and so is a password in it."""

        def work() -> None:
            returned = self._invoke("Create", {"Name": name, **_arguments(config), **_password(secret)}, None).returned
            if returned != _OK:
                raise ProblemError(_problem("Create", returned, Operation.SERVICE, name))
            if config.description:
                self._registry.set_text(_KEY + name, "Description", config.description)
            if config.delayed:
                self._registry.set_number(_KEY + name, "DelayedAutostart", 1)

        guarded(Operation.SERVICE, work, f"creating {name}")

    def configure(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        before = self.config(name)
        if before is None:
            raise ProblemError(of(Code.SERVICE_MISSING, Operation.SERVICE, name))

        arguments = {**_arguments(config), **_password(secret)}
        if secret is None and before.account.lower() == config.account.lower():
            del arguments["StartName"]  # named again without its password an account would lose it

        def work() -> None:
            returned = self._invoke("Change", arguments, name).returned
            if returned != _OK:
                raise ProblemError(_problem("Change", returned, Operation.SERVICE, name))
            if config.description != before.description:
                self._registry.set_text(_KEY + name, "Description", config.description)
            if config.delayed != before.delayed:
                self._registry.set_number(_KEY + name, "DelayedAutostart", int(config.delayed))

        guarded(Operation.SERVICE, work, name)

    def start(self, name: str) -> None:
        def work() -> None:
            until = time.monotonic() + self._starting
            try:
                returned = self._invoke("StartService", {}, name, self._starting).returned
            except WSManFaultError as error:
                if fault_number(error) in NOT_FOUND:
                    raise ProblemError(of(Code.SERVICE_MISSING, Operation.START, name)) from error
                if fault_number(error) != NOTHING_YET:
                    raise
                returned = self._begun(name, until, error)
            if returned == _UNKNOWN:
                raise ProblemError(self._why_not_started(name))
            if returned not in (_OK, _RUNNING):
                raise ProblemError(_problem("StartService", returned, Operation.START, name))

        guarded(Operation.START, work, name)

    def _begun(self, name: str, until: float, late: WSManFaultError) -> int:
        """WinRM's own time for an operation ended first, whatever was asked for: the start goes on by itself."""
        while True:
            found = self._get(name)
            if found is None:
                raise ProblemError(of(Code.SERVICE_MISSING, Operation.START, name)) from late
            if _status(found).state is not ServiceState.STOPPED:
                return _OK
            if time.monotonic() > until:
                raise late
            time.sleep(_AGAIN)

    def stop(self, name: str) -> bool:
        def work() -> bool:
            try:
                returned = self._invoke("StopService", {}, name).returned
            except WSManFaultError as error:
                if fault_number(error) in NOT_FOUND:
                    return False
                raise
            if returned == _NOT_ACTIVE:
                return False
            if returned == _CANNOT_ACCEPT:
                # Also said of a service that does not run at all.
                now = self._get(name)
                if now is None or _status(now).state is ServiceState.STOPPED:
                    return False
            if returned != _OK:
                raise ProblemError(_problem("StopService", returned, Operation.SERVICE, name))
            return True

        return guarded(Operation.SERVICE, work, name)

    def delete(self, name: str) -> bool:
        def work() -> bool:
            try:
                returned = self._invoke("Delete", {}, name).returned
            except WSManFaultError as error:
                if fault_number(error) in NOT_FOUND:
                    return False
                raise
            if returned not in (_OK, _MARKED):
                raise ProblemError(_problem("Delete", returned, Operation.SERVICE, name))
            return True

        return guarded(Operation.SERVICE, work, name)

    def _get(self, name: str) -> Instance | None:
        try:
            found = Instance(instance(self._client.get(_SERVICE, {"Name": name})))
        except WSManFaultError as error:
            if fault_number(error) in NOT_FOUND:
                return None
            raise
        if found.text("Name").lower() != name.lower():
            raise StrangeValueError("another service than was asked for")
        return found

    def _invoke(
        self, method: str, arguments: Mapping[str, str], name: str | None, seconds: float | None = None
    ) -> Instance:
        selectors = None if name is None else {"Name": name}
        return Instance(self._client.invoke(_SERVICE, method, arguments, selectors, seconds))

    def _why_not_started(self, name: str) -> Problem:
        """WMI knows few of the service manager's errors; the service's own exit code often holds the one it hides."""
        found = self._get(name)
        exit_code = _status(found).win32_exit if found is not None else 0
        if exit_code in WIN32 and exit_code != 1077:  # ERROR_SERVICE_NEVER_STARTED: it says nothing of this start
            return from_win32(exit_code, Operation.START, name)
        return of(
            Code.SERVICE_FAILED, Operation.START, f"{name} (StartService returned {_UNKNOWN}, exit code {exit_code})"
        )


def _status(found: Instance) -> ServiceStatus:
    return ServiceStatus(
        state=found.one_of("State", _STATES),
        win32_exit=found.number("ExitCode", default=0),
        service_exit=found.number("ServiceSpecificExitCode", default=0),
        process=found.number("ProcessId", default=0),
        checkpoint=found.number("CheckPoint", default=0),
        wait_hint=found.number("WaitHint", default=0),
    )


def _arguments(config: ServiceConfig) -> dict[str, str]:
    return {
        "DisplayName": config.display_name,
        "PathName": config.image_path,
        "ServiceType": _OWN_PROCESS,
        "ErrorControl": _ERROR_NORMAL,
        "StartMode": _START_WORDS[config.start_type],
        "DesktopInteract": "false",
        "StartName": config.account,
    }


def _password(secret: Secret | None) -> dict[str, str]:
    return {} if secret is None else {"StartPassword": secret.reveal()}


def _problem(method: str, returned: int, operation: Operation, name: str) -> Problem:
    if returned in RETURNED:
        return from_win32(RETURNED[returned], operation, f"{name}: {method}")
    return of(Code.WINRM_FAULT, operation, f"{name}: Win32_Service.{method} returned {returned}")
