"""The catalogue of checks: a row is a name, what it proves, and the proof.

A proof answers with a verdict and its evidence, or raises ProblemError, which is its failure. The rights are the
six that agent push has always needed (the table's first rows); the rest is readiness of the machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pusher.models import LOGON_RIGHT, Check, CheckResult, Detect, Package, Target
from pusher.problems import Code, NextMove, Problem, ProblemError, Stage, problem
from pusher.remote.detection import detect, numbers
from pusher.remote.paths import RemotePath, remote_path
from pusher.remote.together import together
from pusher.transports.port import ITSELF, Session

_MARGIN = 64 * 1024 * 1024
"""Bytes that must stay free beside the payload: the old version stays until the new one has proven itself."""

_PROBE_FOLDER = RemotePath(share="ADMIN$", path="pusher-check")
_TRIES = 3

BUILT_IN_ACCOUNTS = frozenset(
    {"localsystem", "nt authority\\localservice", "localservice", "nt authority\\networkservice", "networkservice"}
)
"""Service accounts that hold the service rights on every Windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is proven: a session's rights on a target, for a package (None: for packages in general).

    ``account_allowed``: whether the accounts that the push uses may be used on a domain controller. ``run_as``: whom
    the package's installer is run as, where that is an account of the accounts file. ``is_read_later``: the files that
    are there are read and hashed by what follows, under the machine's lock; here their sizes suffice.
    """

    session: Session
    target: Target
    package: Package | None
    account_allowed: bool = False
    run_as: str | None = None
    is_read_later: bool = False


Proof = Callable[[Subject], Awaitable[tuple[CheckResult, str]]]


@dataclass(frozen=True, slots=True)
class Row:
    """``stops``: when it fails, nothing further is asked of this machine."""

    name: str
    proves: str
    proof: Proof
    stops: bool = False


async def _domain_controller(subject: Subject) -> tuple[CheckResult, str]:
    if not await subject.session.is_domain_controller():
        return CheckResult.PASS, "the machine is no domain controller"
    if not subject.target.domain_controller_allowed:
        raise ProblemError(problem(Code.DOMAIN_CONTROLLER_REFUSED))
    if not subject.account_allowed:
        raise ProblemError(problem(Code.DOMAIN_CONTROLLER_ACCOUNT))
    return CheckResult.PASS, "a domain controller, and the inventory and the account both allow it"


async def _admin_share_write(subject: Subject) -> tuple[CheckResult, str]:
    name = await subject.session.probe_write(RemotePath(share="ADMIN$", path=""))
    return CheckResult.PASS, f"wrote {name}, which removed itself"


async def _folders(subject: Subject) -> tuple[CheckResult, str]:
    """One name for all, so that what a push left whose connection broke in between is taken away by the next.

    Two at once may take the folder from each other; each has then still made one, and it is gone.
    """
    for _ in range(_TRIES):
        made = await subject.session.make_folder(_PROBE_FOLDER)
        removed = await subject.session.remove_folder(_PROBE_FOLDER)
        if made and (removed or await subject.session.stat(_PROBE_FOLDER) is None):
            return CheckResult.PASS, f"created and removed {_PROBE_FOLDER}"
    raise ProblemError(problem(Code.FOLDER_DENIED, detail=f"{_PROBE_FOLDER} could not be created and removed again"))


async def _service_creation(subject: Subject) -> tuple[CheckResult, str]:
    return CheckResult.PASS, await subject.session.may_create_services()


async def _registry(subject: Subject) -> tuple[CheckResult, str]:
    keys = subject.package.registry_keys if subject.package else ()
    needed = bool(keys)
    try:
        evidence = [await subject.session.registry_access(key) for key in keys or ("HKLM\\SOFTWARE",)]
    except ProblemError as error:
        if needed or error.problem.next_move is NextMove.RETRY:
            raise
        # Workstations have the Remote Registry off; a package that does not ask for it is not held up.
        return CheckResult.UNPROVABLE, error.problem.message
    return CheckResult.PASS, "; ".join(evidence)


def _right(right: str) -> Proof:
    async def proof(subject: Subject) -> tuple[CheckResult, str]:
        package = subject.package
        service = package.service if package is not None else None
        account = subject.run_as or (service.account if service is not None else "LocalSystem")
        runs = subject.run_as is not None and right == LOGON_RIGHT
        asked = runs or (package is not None and right in package.rights)
        built_in = account.lower() in BUILT_IN_ACCOUNTS
        if built_in or not (asked or right == LOGON_RIGHT):
            return CheckResult.NOT_NEEDED, f"{account} " + (
                "has it everywhere" if built_in else "is not asked to have it"
            )
        try:
            holders = await subject.session.holders_of(right, account)
        except ProblemError as error:
            if asked or error.problem.code != Code.RIGHTS_UNREADABLE:
                raise
            return CheckResult.UNPROVABLE, error.problem.message
        if holders:
            by = " and ".join("by itself" if holder == ITSELF else f"by the group {holder}" for holder in holders)
            return CheckResult.PASS, f"{account} holds {right} {by}"
        if runs:
            return CheckResult.PASS, f"{account} lacks {right}, and is given it while the installer runs"
        if right == LOGON_RIGHT and service is not None and service.grant_logon_right:
            return CheckResult.PASS, f"{account} lacks {right}, and a push gives it"
        if asked:
            raise ProblemError(problem(Code.RIGHT_MISSING, detail=f"{account} does not hold {right}"))
        # It may have the right by way of a group of its domain, which the machine does not tell; the start will.
        return CheckResult.UNPROVABLE, f"{account} does not hold {right} here; a group of its domain may"

    return proof


async def _free_space(subject: Subject) -> tuple[CheckResult, str]:
    free = await subject.session.free_bytes()
    needed = (subject.package.size if subject.package else 0) * 2 + _MARGIN
    evidence = f"{_mib(free)} free, {_mib(needed)} needed"
    if free < needed:
        raise ProblemError(problem(Code.DISK_FULL, Stage.RIGHTS, evidence))
    return CheckResult.PASS, evidence


async def _architecture(subject: Subject) -> tuple[CheckResult, str]:
    found = await subject.session.architecture()
    wanted = subject.package.architectures if subject.package else ()
    if found is None:
        return CheckResult.UNPROVABLE, "System32\\kernel32.dll does not tell"
    if wanted and found not in wanted:
        raise ProblemError(
            problem(Code.WRONG_ARCHITECTURE, detail=f"{found} is there, {' or '.join(wanted)} is wanted")
        )
    return CheckResult.PASS, found


async def _pending_version(subject: Subject) -> tuple[CheckResult, str]:
    if subject.package is None:
        return CheckResult.NOT_NEEDED, "no package given"
    if subject.package.detect is not None:
        return await _pending_product(subject.session, subject.package, subject.package.detect)
    version = subject.package.version
    for file in subject.package.files:
        path = remote_path(file.dest)
        if subject.is_read_later:
            info = await subject.session.stat(path)
            if info is not None and info.size == file.size:
                return CheckResult.PASS, f"what is there has the size of {version}"
            found = "" if info is None else "another build"
        else:
            digest = await subject.session.digest(path, limit=_MARGIN)
            if digest is not None and digest.sha256 == file.sha256:
                return CheckResult.PASS, f"{version} is there already"
            found = "" if digest is None else digest.version or "another build"
        if found:
            return CheckResult.PASS, f"{found} is there, {version} would replace it"
    return CheckResult.PASS, f"nothing is there, {version} would be installed"


async def _pending_product(session: Session, package: Package, rule: Detect) -> tuple[CheckResult, str]:
    found = await detect(session, rule)
    there, own = numbers(found.version or ""), numbers(package.version)
    if there is not None and own is not None and there > own:
        comes = f"newer than {package.version}, and would be left alone"
    elif found.matches:
        comes = "nothing would be run"
    else:
        comes = f"{package.version} would be installed"
    return CheckResult.PASS, f"{found.seen}; {comes}"


CHECKS: Sequence[Row] = (
    Row(
        "domain-controller", "the machine is no domain controller, or may be pushed to", _domain_controller, stops=True
    ),
    Row("admin-share-write", "files can be written to ADMIN$", _admin_share_write),
    Row("folders", "folders can be created and removed under ADMIN$", _folders),
    Row("service-creation", "services can be created", _service_creation),
    Row("registry", "the registry keys the package needs can be written", _registry),
    Row("log-on-as-service", "the service account may log on as a service", _right(LOGON_RIGHT)),
    Row("act-as-system", "the service account may act as part of the operating system", _right("SeTcbPrivilege")),
    Row("impersonate", "the service account may impersonate a client", _right("SeImpersonatePrivilege")),
    Row("free-space", "the system drive has room for the package", _free_space),
    Row("architecture", "the machine's architecture is one the package is made for", _architecture),
    Row("pending-version", "what is installed, and what would change", _pending_version),
)


async def prove(subject: Subject) -> tuple[tuple[Check, ...], Problem | None]:
    """Run every check; the results in the table's order, and the first failure's problem, if any.

    Those that stop come first, one after the other; all others at once, where the session takes several. A problem of
    the connection itself (RETRY) is raised: it says nothing about rights.
    """
    done = list[_Proven]()
    for row in (row for row in CHECKS if row.stops):
        done.append(await _proven(row, subject))
        if done[-1].problem is not None:
            break
    else:
        rest = (_proven(row, subject) for row in CHECKS if not row.stops)
        done += await together(*rest, at_once=subject.session.takes_several)
    return tuple(each.check for each in done), next((each.problem for each in done if each.problem is not None), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Proven:
    check: Check
    problem: Problem | None = None


async def _proven(row: Row, subject: Subject) -> _Proven:
    try:
        result, evidence = await row.proof(subject)
    except ProblemError as error:
        if error.problem.next_move is NextMove.RETRY:
            raise
        failed = Check(check=row.name, result=CheckResult.FAIL, evidence=error.problem.message)
        return _Proven(check=failed, problem=error.problem)
    return _Proven(check=Check(check=row.name, result=result, evidence=evidence))


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:,.0f} MiB"
