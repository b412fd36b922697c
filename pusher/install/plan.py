"""What a host needs, decided from what was seen on it. Pure.

``decide`` compares a package with an observation and answers with a plan, or with the problem that forbids one.
``Before`` is the part of the observation that an undo needs; it goes into the journal as JSON and comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pusher.install.fields import wants_password
from pusher.install.machine import Step
from pusher.install.names import OLD, OLDS
from pusher.models import Package, PackageFile, ServiceSpec, Status
from pusher.problems import Code, Problem, Stage, problem
from pusher.remote.images import FileDigest
from pusher.remote.paths import SystemFolders, respelled, same_command, same_program
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A host as it was found: each file's digest by ``dest``, what is missing beside them, the service.

    ``old_is_held``: another process keeps an old file of an earlier push from being removed.
    ``lacks_logon_right``: the package's service account lacks it, and the package wants it given.
    """

    files: Mapping[str, FileDigest | None]
    missing_folders: tuple[str, ...]
    service: ServiceConfig | None
    status: ServiceStatus | None
    missing_leftovers: tuple[str, ...] = ()
    old_is_held: bool = False
    folders: SystemFolders = field(default_factory=SystemFolders)
    lacks_logon_right: bool = False

    @property
    def state(self) -> ServiceState:
        return self.status.state if self.status is not None else ServiceState.STOPPED


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What an undo puts back. ``replaced`` files existed before, ``added`` ones and ``leftovers`` did not.

    Folders come topmost first. ``old``: the suffix under which replaced files wait. ``stop_timeout``: seconds.
    ``granted``: the account that lacked the right to log on as a service.
    """

    service_name: str
    replaced: tuple[str, ...]
    added: tuple[str, ...]
    new_folders: tuple[str, ...]
    service: ServiceConfig | None
    was_running: bool
    leftovers: tuple[str, ...] = ()
    old: str = OLD
    stop_timeout: float = 60.0
    granted: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Before:
        """Raises KeyError or ValueError for what ``to_json`` did not write."""
        service = data["service"]
        return Before(
            service_name=data["service_name"],
            replaced=tuple(data["replaced"]),
            added=tuple(data["added"]),
            new_folders=tuple(data["new_folders"]),
            service=None
            if service is None
            else ServiceConfig(**{**service, "start_type": StartType(service["start_type"])}),
            was_running=data["was_running"],
            leftovers=tuple(data["leftovers"]),
            old=data.get("old", OLD),
            stop_timeout=data.get("stop_timeout", 60.0),
            granted=data.get("granted"),  # journals of older versions have none
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The steps a host needs and the status it ends with when they succeed."""

    steps: tuple[Step, ...]
    status: Status
    files: tuple[PackageFile, ...]
    before: Before
    installed_version: str | None


START_TYPES = {
    "auto": (StartType.AUTO, False),
    "delayed": (StartType.AUTO, True),
    "demand": (StartType.DEMAND, False),
    "disabled": (StartType.DISABLED, False),
}


def service_of(package: Package) -> ServiceSpec:
    """The service of a package that is no installer."""
    assert package.service is not None, "a package without a service has an installer, and a driver of its own"
    return package.service


def wanted_config(package: Package, command: str) -> ServiceConfig:
    """The service's configuration as the package asks for it, with its rendered command."""
    service = service_of(package)
    start_type, delayed = START_TYPES[service.start]
    return ServiceConfig(
        image_path=command,
        display_name=service.display_name,
        start_type=start_type,
        account=service.account,
        delayed=delayed,
        description=service.description,
    )


def decide(
    package: Package, wanted: ServiceConfig, seen: Observation, *, password_proven: bool = False
) -> Plan | Problem:
    """The plan for a host, or why there is none. ``password_proven``: that of the service's account is right."""
    spec = service_of(package)
    name = spec.name
    if seen.service is not None and not same_program(seen.service.image_path, wanted.image_path, seen.folders):
        what = f"{name} runs {seen.service.image_path}"
        return problem(Code.SERVICE_EXISTS_FOREIGN, Stage.SERVICE, what)
    installed = installed_version(package, seen)
    taken_back = installed is not None and package.replaces is not None and _is_same(installed, package.replaces)
    if installed is not None and version_key(installed) > version_key(package.version) and not taken_back:
        return problem(Code.NEWER_VERSION_PRESENT, Stage.RIGHTS, f"{installed} is there, {package.version} was to come")
    if seen.service is not None and _loses_account(seen.service.account, wanted.account):
        what = f"{name} runs as {seen.service.account}, {wanted.account} was to come"
        return problem(Code.SERVICE_ACCOUNT_KEPT, Stage.SERVICE, what)
    changed = tuple(f for f in package.files if not _holds(seen.files[f.dest], f))
    same_service = seen.service is not None and _same_config(seen.service, wanted, seen.folders)
    starts = wanted.start_type is not StartType.DISABLED
    steps = _steps(bool(changed), same_service, seen, starts, spec.secret is not None and password_proven)
    fresh = seen.service is None or not any(seen.files.values())
    status = (
        Status.UNCHANGED
        if not steps
        else Status.INSTALLED
        if fresh or not (changed or not same_service)
        else Status.UPGRADED
    )
    before = Before(
        service_name=name,
        replaced=tuple(f.dest for f in changed if seen.files[f.dest] is not None),
        added=tuple(f.dest for f in changed if seen.files[f.dest] is None),
        new_folders=seen.missing_folders,
        service=_as_written(seen, wanted),
        was_running=seen.state not in (ServiceState.STOPPED, ServiceState.STOP_PENDING),
        leftovers=seen.missing_leftovers,
        old=OLDS[seen.old_is_held],
        stop_timeout=package.stop_timeout,
        granted=spec.account if seen.lacks_logon_right else None,
    )
    return Plan(steps=steps, status=status, files=changed, before=before, installed_version=installed)


def _as_written(seen: Observation, wanted: ServiceConfig) -> ServiceConfig | None:
    """The service as an undo writes it: not with the folders that the service manager has put for their names."""
    if seen.service is None:
        return None
    return replace(seen.service, image_path=respelled(seen.service.image_path, wanted.image_path, seen.folders))


def _loses_account(there: str, wanted: str) -> bool:
    """Whether the change could not be undone: nobody can read the password of the account that is there."""
    return there.lower() != wanted.lower() and wants_password(there)


def _steps(files: bool, same_service: bool, seen: Observation, starts: bool, password: bool) -> tuple[Step, ...]:
    state, grant = seen.state, seen.lacks_logon_right
    as_wanted = state is (ServiceState.RUNNING if starts else ServiceState.STOPPED)
    if not files and same_service and as_wanted and not grant:
        return ()
    change = files or not same_service
    # One that is paused, or on its way down, takes no start before it has stopped.
    startable = state in (ServiceState.RUNNING, ServiceState.START_PENDING)
    wanted = {
        Step.STAGE: files,
        Step.STOP: state is not ServiceState.STOPPED and (change or not starts or not startable),
        Step.PLACE: files,
        Step.GRANT: grant,
        # A password cannot be compared; whatever is started anew is given the one that is known to hold today. One
        # that may be wrong never takes the place of one that may be right.
        Step.REGISTER: not same_service or (password and (files or not as_wanted)),
        Step.START: starts,
        Step.VERIFY: starts,
        Step.COMMIT: True,
    }
    return tuple(step for step in Step if wanted[step])


def installed_version(package: Package, seen: Observation) -> str | None:
    """The file version of the first of the package's files that has one on the host."""
    for file in package.files:
        digest = seen.files.get(file.dest)
        if digest is not None and digest.version:
            return trimmed(digest.version)
    return None


def _is_same(version: str, other: str) -> bool:
    return version_key(trimmed(version)) == version_key(trimmed(other))


def trimmed(version: str) -> str:
    """A four-part file version without trailing zero parts: ``1.4.2.0`` is ``1.4.2``."""
    parts = version.split(".")
    while len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return ".".join(parts)


def version_key(version: str) -> tuple[int, ...]:
    """Dotted numbers in an order that can be compared; trailing zeros do not count."""
    return tuple(int(part) for part in trimmed(version).split(".") if part.isdigit())


def _holds(there: FileDigest | None, file: PackageFile) -> bool:
    return there is not None and there.size == file.size and there.sha256 == file.sha256


def _same_config(there: ServiceConfig, wanted: ServiceConfig, folders: SystemFolders) -> bool:
    # Description and delayed start are left out: not every service manager keeps them.
    return (
        same_command(there.image_path, wanted.image_path, folders)
        and there.display_name == wanted.display_name
        and there.start_type == wanted.start_type
        and there.account.lower() == wanted.account.lower()
    )
