"""A service manager in memory: what it keeps of a service, and how services start, run and end.

A service's life is a timeline of statuses from the moment of the last order; asking looks up the present one.
Refusals carry the Win32 code of MS-SCMR 3.1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pusher.models import Secret
from pusher.transports.memory.disk import Entry
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType

_FILE_NOT_FOUND, _NO_ANSWER, _DISABLED, _MISSING, _BUSY = 2, 1053, 1058, 1060, 1061
_MARKED, _EXISTS, _NEVER_STARTED = 1072, 1073, 1077
_NO_ACCOUNT, _LOGON_FAILED = 1057, 1069

Timeline = tuple[tuple[float, ServiceStatus], ...]
"""From how many seconds after the order which status holds."""


class Win32Error(Exception):
    """The machine refuses with a Win32 code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class StartFault(Enum):
    """How a service's start goes wrong (SLOW: only takes its time)."""

    EXIT = "ends before it has reached the service manager"
    HANG = "runs and never reaches the service manager"
    PENDING = "stays in START_PENDING, its checkpoint unmoving"
    SLOW = "takes four seconds, moving its checkpoint"
    FAIL = "is accepted, then stops with an exit code of its own"
    FAIL_AT_ONCE = "stops with an exit code of its own and is gone before its start is acknowledged"
    CRASH = "runs for a second, then is gone"


def _pending(checkpoint: int) -> ServiceStatus:
    return ServiceStatus(state=ServiceState.START_PENDING, checkpoint=checkpoint, wait_hint=3000)


_STOPPED = ServiceStatus(state=ServiceState.STOPPED)
_RUNNING = ServiceStatus(state=ServiceState.RUNNING)
_UNANSWERED = ServiceStatus(state=ServiceState.STOPPED, win32_exit=_NO_ANSWER)
_OWN_FAILURE = ServiceStatus(state=ServiceState.STOPPED, win32_exit=1066, service_exit=42)
_STARTS: dict[StartFault | None, Timeline] = {
    None: ((0, _RUNNING),),
    StartFault.EXIT: ((0, _UNANSWERED),),
    StartFault.HANG: ((0, _pending(0)), (10, _UNANSWERED)),
    StartFault.PENDING: ((0, _pending(1)),),
    StartFault.SLOW: (*((second, _pending(second + 1)) for second in range(4)), (4, _RUNNING)),
    StartFault.FAIL: ((0, _pending(1)), (0.5, _OWN_FAILURE)),
    StartFault.FAIL_AT_ONCE: ((0, _OWN_FAILURE),),
    StartFault.CRASH: ((0, _RUNNING), (1, ServiceStatus(state=ServiceState.STOPPED, win32_exit=1067))),
}
_REFUSED_AFTER = {StartFault.EXIT: 0.0, StartFault.FAIL_AT_ONCE: 0.0, StartFault.HANG: 10.0}


@dataclass(slots=True)
class _Service:
    config: ServiceConfig
    secret: Secret | None = None
    timeline: Timeline = ((0, ServiceStatus(state=ServiceState.STOPPED, win32_exit=_NEVER_STARTED)),)
    since: float = 0.0
    program: Entry | None = None
    marked: bool = False


class Services:
    """``start_faults`` by service name; ``stop_takes``: seconds in STOP_PENDING; ``stubborn``: never stop."""

    def __init__(
        self,
        find_program: Callable[[str], Entry | None],
        is_account: Callable[[str], bool],
        may_log_on: Callable[[str, str | None], bool],
    ) -> None:
        self._find_program, self._is_account, self._may_log_on = find_program, is_account, may_log_on
        self._known: dict[str, _Service] = {}
        self.start_faults: dict[str, StartFault] = {}
        self.stop_takes = 0.0
        self.stubborn: set[str] = set()

    def config(self, name: str, now: float) -> ServiceConfig | None:
        service = self._get(name, now)
        return service.config if service else None

    def status(self, name: str, now: float) -> ServiceStatus | None:
        service = self._get(name, now)
        return _at(service, now) if service else None

    def create(self, name: str, config: ServiceConfig, now: float, secret: Secret | None = None) -> None:
        there = self._get(name, now)
        if there is not None:
            raise Win32Error(_MARKED if there.marked else _EXISTS)
        if not self._is_account(config.account):
            raise Win32Error(_NO_ACCOUNT)
        self._known[name.lower()] = _Service(config=config, secret=secret)

    def configure(self, name: str, config: ServiceConfig, now: float, secret: Secret | None = None) -> None:
        service = self._must(name, now)
        if not self._is_account(config.account):
            raise Win32Error(_NO_ACCOUNT)
        if secret is not None or config.account.lower() != service.config.account.lower():
            service.secret = secret
        service.config = config

    def start(self, name: str, now: float) -> float | None:
        """None where the start is accepted (or it runs already); else after how many seconds it answers 1053."""
        service = self._must(name, now)
        if _at(service, now).state is not ServiceState.STOPPED:
            return None
        if service.config.start_type is StartType.DISABLED:
            raise Win32Error(_DISABLED)
        program = self._find_program(service.config.image_path)
        if program is None:
            raise Win32Error(_FILE_NOT_FOUND)
        if not self._may_log_on(service.config.account, service.secret.reveal() if service.secret else None):
            raise Win32Error(_LOGON_FAILED)
        fault = self.start_faults.get(name.lower())
        service.timeline, service.since, service.program = _STARTS[fault], now, program
        program.running += 1
        return None if fault is None else _REFUSED_AFTER.get(fault)

    def foresee(self, name: str, timeline: Timeline) -> None:
        """What becomes of a service that has just been started."""
        self._known[name.lower()].timeline = timeline

    def stop(self, name: str, now: float) -> bool:
        """False where it was not running, or does not exist."""
        service = self._get(name, now)
        state = _at(service, now).state if service else ServiceState.STOPPED
        if service is None or state is ServiceState.STOPPED:
            return False
        if state is not ServiceState.RUNNING:
            raise Win32Error(_BUSY)
        if name.lower() not in self.stubborn:
            pending = ServiceStatus(state=ServiceState.STOP_PENDING, wait_hint=3000)
            service.timeline, service.since = ((0, pending), (self.stop_takes, _STOPPED)), now
        return True

    def delete(self, name: str, now: float) -> bool:
        """False where it does not exist. One that runs goes when it has stopped."""
        service = self._get(name, now)
        if service is not None:
            service.marked = True
        return service is not None

    def snapshot(self, now: float) -> dict[str, tuple[ServiceConfig, bool]]:
        """Each service's configuration, and whether it is up."""
        there = {name: self._get(name, now) for name in sorted(self._known)}
        return {
            name: (service.config, _at(service, now).state is not ServiceState.STOPPED)
            for name, service in there.items()
            if service is not None
        }

    def settle(self, now: float) -> None:
        """Let go of what ended since the last question."""
        for name in list(self._known):
            self._get(name, now)

    def _must(self, name: str, now: float) -> _Service:
        service = self._get(name, now)
        if service is None:
            raise Win32Error(_MISSING)
        if service.marked:
            raise Win32Error(_MARKED)
        return service

    def _get(self, name: str, now: float) -> _Service | None:
        """The service as it is now: a program that has ended is let go, a marked service that has is gone."""
        service = self._known.get(name.lower())
        if service is None or _at(service, now).state is not ServiceState.STOPPED:
            return service
        if service.program is not None:
            service.program.running -= 1
            service.program = None
        if service.marked:
            del self._known[name.lower()]
            return None
        return service


def _at(service: _Service, now: float) -> ServiceStatus:
    return [status for after, status in service.timeline if now - service.since >= after][-1]
