"""Each step's effect and undo, on any session.

An undo looks before it acts, so it is safe whether the step's effect happened, half happened or never did, and
safe to do twice: that is what lets a journal's intent stand for "may have happened".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from pusher.install.machine import Step
from pusher.install.names import NEW
from pusher.install.payload import Payload
from pusher.install.plan import Before, Plan
from pusher.install.watch import StartWatch, has_told_why, stopped
from pusher.models import LOGON_RIGHT, Package
from pusher.problems import Code, Problem, ProblemError, Stage, problem
from pusher.remote.paths import RemotePath, parents, remote_path
from pusher.transports.one_by_one import put_proven
from pusher.transports.port import (
    NewFile,
    Renaming,
    RunAs,
    ServiceConfig,
    ServiceState,
    ServiceStatus,
    Session,
    StartType,
)

T = TypeVar("T")
Around = contextlib.AbstractAsyncContextManager[None]

TOGETHER = 100
"""Files of one look or one copy: what is to be said about them, and what of them is on its way, stays bounded."""

_POLL, _POLL_SLOWLY = 0.2, 1.0
"""Seconds between two looks at a service: the first one soon, later ones at leisure."""

_EXITED_AT_ONCE = 5.0
"""A service manager waits 30 s for a process to connect (ServicesPipeTimeout); 1053 before this is its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """All that the effects need. ``copied`` is told of bytes that arrived; ``cancelled`` answers with a code."""

    session: Session
    package: Package
    payload: Payload
    wanted: ServiceConfig
    plan: Plan
    copied: Callable[[int], None]
    cancelled: Callable[[], Code | None]
    run_as: RunAs


async def stage(work: Work) -> None:
    """Write the new files beside their places and read them back."""
    for dest in work.plan.before.new_folders:
        await work.session.make_folder(remote_path(dest))
    files = [
        NewFile(path=remote_path(file.dest).with_suffix(NEW), data=work.payload[file.dest], sha256=file.sha256)
        for file in work.plan.files
    ]
    await copy(work.session, files, work.copied, work.cancelled)


async def copy(
    session: Session, files: Sequence[NewFile], copied: Callable[[int], None], cancelled: Callable[[], Code | None]
) -> None:
    """Write files and read them back, ``TOGETHER`` at a time; a push that is cancelled ends between two files."""

    def check_cancelled() -> None:
        if code := cancelled():
            raise ProblemError(problem(code, Stage.STAGE, f"while {len(files)} files were being copied"))

    for at in range(0, len(files), TOGETHER):
        for file in await session.put_all(files[at : at + TOGETHER], copied, check_cancelled):
            check_cancelled()
            await retry_while_locked(partial(put_proven, session, file, copied))


async def stop(work: Work) -> None:
    await stop_service(work.session, work.plan.before.service_name, work.package.stop_timeout)


async def place(work: Work) -> None:
    """Rename the old files away and the new ones in: a running program can be renamed, not overwritten."""
    before, places = work.plan.before, [remote_path(file.dest) for file in work.plan.files]
    replaced = [remote_path(file.dest) for file in work.plan.files if file.dest in before.replaced]
    await rename_each(work.session, [Renaming(path=path, to=path.with_suffix(before.old)) for path in replaced])
    await rename_each(work.session, [Renaming(path=path.with_suffix(NEW), to=path) for path in places])


async def grant(work: Work) -> None:
    assert work.plan.before.granted is not None, "the plan has the step only where the account lacks the right"
    await work.session.grant_right(LOGON_RIGHT, work.plan.before.granted)


async def register(work: Work) -> None:
    name, there, run_as = work.plan.before.service_name, work.plan.before.service, work.run_as
    if there is None:
        await retry_while_locked(partial(work.session.create_service, name, work.wanted, run_as.secret))
        return
    kept = there.account.lower() == work.wanted.account.lower() and not run_as.is_proven
    await work.session.configure_service(name, work.wanted, None if kept else run_as.secret)


async def start(work: Work) -> None:
    await start_service(work.session, work.plan.before.service_name, work.package.start_timeout, work.run_as.logon)


async def verify(work: Work) -> None:
    """Watch the service stay running for as long as the package asks."""
    until = time.monotonic() + work.package.stay_running
    while True:
        status = await work.session.service_status(work.plan.before.service_name)
        if status is None or status.state is not ServiceState.RUNNING:
            why = stopped(status, Stage.VERIFY) if status else problem(Code.SERVICE_MISSING, Stage.VERIFY)
            raise ProblemError(why)
        left = until - time.monotonic()
        if left <= 0:
            return
        if code := work.cancelled():
            raise ProblemError(problem(code, Stage.VERIFY, "before it had run long enough"))
        await asyncio.sleep(min(_POLL_SLOWLY, left))


async def commit(work: Work) -> None:
    await remove_old(work.session, work.plan.before)


EFFECTS: dict[Step, Callable[[Work], Awaitable[None]]] = {
    Step.STAGE: stage,
    Step.STOP: stop,
    Step.PLACE: place,
    Step.GRANT: grant,
    Step.REGISTER: register,
    Step.START: start,
    Step.VERIFY: verify,
    Step.COMMIT: commit,
}


async def undo_stage(session: Session, before: Before) -> None:
    await remove_each(session, [remote_path(dest).with_suffix(NEW) for dest in (*before.replaced, *before.added)])
    for folder in reversed(before.new_folders):
        await session.remove_folder(remote_path(folder))


async def undo_stop(session: Session, before: Before) -> None:
    if not before.was_running or before.service is None:
        return
    config = await session.service_config(before.service_name)
    status = await session.service_status(before.service_name)
    if config is None or status is None or _disabled_since(config, before.service):
        return
    # One that is still on its way down takes no start: the manager would call it running.
    if status.state is ServiceState.STOP_PENDING:
        await stop_service(session, before.service_name, before.stop_timeout)
    await start_service(session, before.service_name, 60.0)


def _disabled_since(now: ServiceConfig, before: ServiceConfig) -> bool:
    """Another pusher, or an administrator, has disabled it since: then its running is not ours to bring back."""
    return now.start_type is StartType.DISABLED and before.start_type is not StartType.DISABLED


async def undo_place(session: Session, before: Before) -> None:
    await remove_each(session, [remote_path(dest) for dest in before.added])
    replaced = [remote_path(dest) for dest in before.replaced]
    for at in range(0, len(replaced), TOGETHER):
        lot = replaced[at : at + TOGETHER]
        aside = await session.taken([path.with_suffix(before.old) for path in lot])
        # No old file: it was never renamed away, and what stands in its place is the original.
        back = [path for path in lot if path.with_suffix(before.old) in aside]
        await remove_each(session, back)
        await rename_each(session, [Renaming(path=path.with_suffix(before.old), to=path) for path in back])


async def undo_grant(session: Session, before: Before) -> None:
    if before.granted is not None:
        await session.revoke_right(LOGON_RIGHT, before.granted)


async def undo_register(session: Session, before: Before) -> None:
    if before.service is None:
        await delete_service(session, before.service_name)
    elif await session.service_config(before.service_name) is not None:
        await session.configure_service(before.service_name, before.service)


async def undo_start(session: Session, before: Before) -> None:
    # A service that hangs while starting takes no orders; what follows still marks it for deletion.
    with contextlib.suppress(_StopTimeoutError):
        await stop_service(session, before.service_name, 10.0)
    await remove_leftovers(session, before.leftovers)


async def undo_nothing(session: Session, before: Before) -> None:
    """Watching leaves nothing behind."""


UNDOS: dict[Step, Callable[[Session, Before], Awaitable[None]]] = {
    Step.STAGE: undo_stage,
    Step.STOP: undo_stop,
    Step.PLACE: undo_place,
    Step.GRANT: undo_grant,
    Step.REGISTER: undo_register,
    Step.START: undo_start,
    Step.VERIFY: undo_nothing,
}
"""COMMIT has none: it is the point of no return."""


async def remove_old(session: Session, before: Before) -> None:
    await remove_each(session, [remote_path(dest).with_suffix(before.old) for dest in before.replaced])


async def remove_leftovers(session: Session, leftovers: tuple[str, ...]) -> None:
    """Files that the agent made itself; the package names them."""
    for dest in leftovers:
        await retry_while_locked(partial(session.remove, remote_path(dest)))


async def rename_each(session: Session, renames: Sequence[Renaming]) -> None:
    """Rename many; one that is held for a moment is waited for, the others meanwhile have been made."""
    left = list(renames)
    while left and (left := await session.rename_all(left)):
        first, *left = left
        await retry_while_locked(partial(session.rename, first.path, first.to))


async def remove_each(session: Session, paths: Sequence[RemotePath]) -> None:
    """Remove many; those that are held for a moment are waited for."""
    done = await session.remove_all(paths) if paths else {}
    for path in paths:
        if path not in done:
            await retry_while_locked(partial(session.remove, path))


async def start_service(
    session: Session, name: str, timeout: float, around: Callable[[], Around] = contextlib.nullcontext
) -> None:
    """Start it and wait until it runs; raises ProblemError with the cause where it does not.

    ``around`` is what the order is given within.
    """
    earlier, began = await session.service_status(name), time.monotonic()
    try:
        async with around():
            await session.start_service(name)
    except ProblemError as error:
        at_once = time.monotonic() - began < _EXITED_AT_ONCE
        if error.problem.code == Code.SERVICE_START_TIMEOUT and at_once:
            raise ProblemError(await _why_it_ended(session, name, earlier, error.problem)) from error
        raise
    watch, pause = StartWatch(timeout=timeout, began=time.monotonic()), _POLL
    while True:
        verdict = watch.feed(await session.service_status(name), time.monotonic())
        if isinstance(verdict, Problem):
            raise ProblemError(verdict)
        if verdict:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _POLL_SLOWLY)


async def _why_it_ended(session: Session, name: str, earlier: ServiceStatus | None, refused: Problem) -> Problem:
    """Why a process ended at once: what it told the service manager, where it came to that before it was gone."""
    with contextlib.suppress(ProblemError):
        now = await session.service_status(name)
        if now is not None and has_told_why(now, earlier):
            return stopped(now, Stage.START)
    return problem(Code.SERVICE_EXITED, Stage.START, refused.message)


async def stop_service(session: Session, name: str, timeout: float) -> None:
    """Stop it and wait until it has stopped; nothing to do where it is missing or stopped."""
    until = time.monotonic() + timeout
    asked = False
    while True:
        status = await session.service_status(name)
        if status is None or status.state is ServiceState.STOPPED:
            return
        # A service that is still starting accepts no stop; it is asked again when it does.
        if not asked and status.state is not ServiceState.STOP_PENDING:
            asked = await _ask_to_stop(session, name)
        if time.monotonic() >= until:
            said = f"{name} is {status.state.name} after {timeout:g} s"
            said += f", its process is {status.process}" if status.process else ""
            raise _StopTimeoutError(problem(Code.SERVICE_STOP_TIMEOUT, Stage.SERVICE, said))
        await asyncio.sleep(_POLL)


async def _ask_to_stop(session: Session, name: str) -> bool:
    try:
        await session.stop_service(name)
    except ProblemError as error:
        if error.problem.code != Code.SERVICE_BUSY:
            raise
        return False
    return True


class _StopTimeoutError(ProblemError):
    """The service would not stop."""


async def delete_service(session: Session, name: str) -> None:
    """Delete it and wait until its entry is gone (it goes when its process ends and its last handle closes)."""
    await session.delete_service(name)
    for _ in range(25):
        if await session.service_config(name) is None:
            return
        await asyncio.sleep(_POLL)
    raise ProblemError(problem(Code.SERVICE_MARKED_FOR_DELETE, Stage.SERVICE, name))


async def missing_folders(session: Session, dests: list[RemotePath]) -> list[RemotePath]:
    """The folders above ``dests`` that are not there, topmost first."""
    missing: list[RemotePath] = []
    for dest in dests:
        for folder in parents(dest):
            if folder not in missing and await session.stat(folder) is None:
                missing.append(folder)
    return missing


def _passing(error: BaseException) -> bool:
    return isinstance(error, ProblemError) and error.problem.row.held


async def retry_while_locked(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call for a few seconds while a virus scanner, or a process on its way out, holds the file."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(_passing),
        stop=stop_after_attempt(6),
        wait=wait_exponential(multiplier=0.1, max=2),
        reraise=True,
    ):
        with attempt:
            return await call()
    raise AssertionError("tenacity ends by returning or raising")
