"""Running a command by a service: the helper program is copied, made a service, started, watched, taken away.

Over any session that can put files and manage services (MS-SCMR 3.1.4, Win32_Service): a service is what runs as the
machine itself, with all of SYSTEM's rights and with a profile, which the network logon of a push account is not. Run as
another account it is that one's service: its password is known to the service manager as long as the service is there.
The command stands in the service's image path, so what was run as SYSTEM is in the machine's own log (event 7045).
One runner may be on a machine: one found there was left by a push that was killed. ``settle`` waits for it, tells
how it ended, and takes it away; nothing else is ever started beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from pusher import helper_exe
from pusher.problems import Code, Problem, ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.codes import Operation, from_win32, of
from pusher.transports.port import SYSTEM, RunAs, ServiceConfig, ServiceState, ServiceStatus, Session, StartType

NAME = "PusherRun"
FOLDER = RemotePath(share="ADMIN$", path="pusher")
PROGRAM, LOG = FOLDER.child("pusher-run.exe"), FOLDER.child("pusher-run.log")

_POLL, _POLL_SLOWLY = 0.1, 1.0
_GRACE = 20.0
"""Seconds past its limit in which the helper program ends the command by itself."""
_WHILE_HELD, _GOES = 25, 50
"""How often a file that is still held is tried, and a service's entry is looked for, 0.2 s apart."""
_NO_ERROR, _SPECIFIC, _TIMEOUT, _CANCELLED, _NEVER_STARTED = 0, 1066, 1460, 1223, 1077


def image_path(command: str, limit: float) -> str:
    """The helper program's own command line: the limit in milliseconds, then the command as it stands."""
    return f'"%SystemRoot%\\{PROGRAM.path}" {max(1, round(limit * 1000))} {command}'


def verdict(status: ServiceStatus) -> int | Problem:
    """What a helper program that has stopped says: the command's exit code, or why there is none."""
    if status.win32_exit == _NO_ERROR:
        return 0
    if status.win32_exit == _SPECIFIC:
        return status.service_exit & 0xFFFFFFFF
    if status.win32_exit == _TIMEOUT:
        return of(Code.INSTALLER_TIMED_OUT, Operation.RUN, "it was ended with all its processes")
    if status.win32_exit == _CANCELLED:
        return of(Code.INSTALLER_FAILED, Operation.RUN, "it was stopped on the machine")
    if status.win32_exit in (_NEVER_STARTED, 1067):
        return of(Code.RUNNER_FAILED, Operation.RUN, f"Win32 exit code {status.win32_exit}")
    return from_win32(status.win32_exit, Operation.RUN)


def program() -> helper_exe.HelperExe:
    """The helper program's bytes and their hash; ``runner-missing`` where it was never built."""
    try:
        return helper_exe.load()
    except helper_exe.HelperExeMissingError as error:
        raise ProblemError(of(Code.RUNNER_MISSING, Operation.RUN, str(error))) from error


def words(run_as: RunAs = SYSTEM) -> str:
    """What runs a command, for the record."""
    by = "" if run_as == SYSTEM else f" as {run_as.account}"
    return f"service {NAME}{by}, {PROGRAM.name} SHA-256 {program().sha256}"


async def run(session: Session, program: bytes, command: str, limit: float, run_as: RunAs = SYSTEM) -> int:
    """The command's exit code; a helper program that is there already is not added to.

    Nothing is left behind where nothing forbids it; ``settle`` afterwards makes sure.
    """
    if await session.service_status(NAME) is not None:
        raise ProblemError(of(Code.INSTALLER_BUSY, Operation.RUN, f"the service {NAME} is there"))
    await session.make_folder(FOLDER)
    try:
        await _put(session, program)
        await session.create_service(NAME, _config(image_path(command, limit), run_as.account), run_as.secret)
        status = await _started(session, limit, run_as)
    except ProblemError:
        # Where the session is gone this fails as well, and the next push takes it away.
        with suppress(ProblemError):
            await take_away(session)
        raise
    # What would not go is no reason to forget how the command has ended: whoever asked settles once more.
    with suppress(ProblemError):
        await take_away(session)
    return _exit_code(status)


async def settle(session: Session, patience: float) -> int | Problem | None:
    """How a helper program that an earlier push left has ended, which is taken away then; None where there was none.

    ``installer-busy`` where it still runs after ``patience`` seconds.
    """
    status = await session.service_status(NAME)
    if status is not None:
        status = await _stopped(session, time.monotonic() + patience)
        if status is not None and status.state is not ServiceState.STOPPED:
            raise ProblemError(
                of(Code.INSTALLER_BUSY, Operation.RUN, f"an earlier push's, for more than {patience:g} s")
            )
    await take_away(session)
    return None if status is None else verdict(status)


async def take_away(session: Session) -> None:
    """Remove the service, the program and its log; one that still runs is stopped first."""
    status = await session.service_status(NAME)
    if status is not None:
        if status.state is not ServiceState.STOPPED:
            with suppress(ProblemError):
                await session.stop_service(NAME)
            await _stopped(session, time.monotonic() + _GRACE)
        await session.delete_service(NAME)
        for _ in range(_GOES):
            if await session.service_config(NAME) is None:
                break
            await asyncio.sleep(2 * _POLL)
        else:
            raise ProblemError(of(Code.SERVICE_MARKED_FOR_DELETE, Operation.RUN, NAME))
    for path in (PROGRAM, LOG):
        await _while_held(partial(session.remove, path))


async def _put(session: Session, program: bytes) -> None:
    """The helper program runs as SYSTEM: what the machine stored is read back and compared."""
    await _while_held(lambda: session.put(PROGRAM, memoryview(program), lambda _: None))
    there = await session.digest(PROGRAM, limit=len(program))
    if there is None or there.sha256 != hashlib.sha256(program).hexdigest():
        raise ProblemError(of(Code.COPY_MISMATCH, Operation.RUN, str(PROGRAM)))


async def _started(session: Session, limit: float, run_as: RunAs) -> ServiceStatus | None:
    try:
        async with run_as.logon():
            until = time.monotonic() + limit + _GRACE
            await session.start_service(NAME)
    except ProblemError as error:
        if error.problem.row.not_started:  # words for an agent's service, which the helper program is not
            raise ProblemError(of(Code.RUNNER_FAILED, Operation.RUN, error.problem.message)) from error
        raise
    return await _stopped(session, until)


async def _stopped(session: Session, until: float) -> ServiceStatus | None:
    """Its status when it has stopped, or at ``until``; None where it has vanished."""
    pause = _POLL
    while True:
        status = await session.service_status(NAME)
        if status is None or status.state is ServiceState.STOPPED or time.monotonic() >= until:
            return status
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _POLL_SLOWLY)


def _exit_code(status: ServiceStatus | None) -> int:
    if status is None:
        raise ProblemError(of(Code.RUNNER_FAILED, Operation.RUN, "its service vanished"))
    if status.state is not ServiceState.STOPPED:
        raise ProblemError(of(Code.INSTALLER_TIMED_OUT, Operation.RUN, "the helper program did not end it"))
    ended = verdict(status)
    if isinstance(ended, Problem):
        raise ProblemError(ended)
    return ended


def _config(image: str, account: str) -> ServiceConfig:
    return ServiceConfig(
        image_path=image,
        display_name="pusher: runs one installer",
        start_type=StartType.DEMAND,
        account=account,
        description="Made by pusher for one installer, and removed when that has ended.",
    )


async def _while_held(call: Callable[[], Awaitable[object]]) -> None:
    """A program that has just ended, or is being scanned, is held for a moment."""
    for left in reversed(range(_WHILE_HELD)):
        try:
            await call()
        except ProblemError as error:
            if error.problem.code != Code.FILE_IN_USE or not left:
                raise
            await asyncio.sleep(2 * _POLL)
        else:
            return
