"""The driver of installers: look, stage, run once, look again, take the staged files away.

It runs under the lock that all installers share on a host. What an installer does cannot be undone from outside, so a
push that was killed or lost its connection is never repeated blindly: a helper program that is still at work is waited
for, and then the detection rule tells. Not here: which transport runs the command.

An installer that is run as an account of the accounts file is that account's service. Where the account lacks the right
to log on as one, it is given before the run and taken back right behind it; the journal tells of it, so that the next
push takes it back where this one does not live to do it. Such an account may read the folder that the files are staged
in, and not write there: Windows Installer is asked for no log then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from pusher.install import machine
from pusher.install.destinations import image_path
from pusher.install.executor import Done, Executor, StepPlan
from pusher.install.exit_codes import REBOOT, judge
from pusher.install.log_text import TAIL, readable
from pusher.install.machine import InstallerStep
from pusher.install.names import STAGING, installer_log, staging_folder
from pusher.install.payload import Payload
from pusher.install.steps import copy, retry_while_locked
from pusher.models import (
    LOGON_RIGHT,
    Detect,
    Installer,
    InstallerKind,
    Journal,
    Mark,
    Package,
    PackageFile,
    Stage,
    Status,
)
from pusher.problems import Code, Problem, ProblemError, problem
from pusher.remote.detection import Found, detect, numbers
from pusher.remote.paths import RemotePath, dest_of, parents, remote_path
from pusher.transports import by_service
from pusher.transports.port import SIGNED_IN, SYSTEM, NewFile

STAGES = {
    InstallerStep.STAGE: Stage.STAGE,
    InstallerStep.GRANT: Stage.SERVICE,
    InstallerStep.RUN: Stage.START,
    InstallerStep.DETECT: Stage.VERIFY,
    InstallerStep.COMMIT: Stage.VERIFY,
}
"""Under which stage of the story each step counts."""

_MSIEXEC = '"%SystemRoot%\\System32\\msiexec.exe"'
_GONE_TRIES, _GONE_PAUSE = 20, 0.5
"""How long a product may take to go after its uninstaller's process has ended."""
_MARGIN = 60.0
"""Seconds past an installer's own time in which an earlier push's runner must have ended it."""


def decide(package: Package, found: Found) -> Status | Problem:
    """What a push will come to on a host where this was found. Pure."""
    there, own = numbers(found.version or ""), numbers(package.version)
    if there is not None and own is not None and there > own:
        return problem(Code.NEWER_VERSION_PRESENT, Stage.RIGHTS, f"{found.seen}, {package.version} was to come")
    if found.matches:
        return Status.UNCHANGED
    return Status.UPGRADED if found.present else Status.INSTALLED


def install_command(package: Package, installer: Installer) -> str:
    """The command line that installs; Windows Installer keeps a log that pusher fetches where it fails. Pure."""
    path = f'"{image_path(installer.file.dest)}"'
    if installer.kind is InstallerKind.EXE:
        return f"{path} {installer.arguments}"
    return f"{_MSIEXEC} /i {path} {_quietly(package, installer)} {installer.arguments}".rstrip()


def removal_command(package: Package, installer: Installer) -> str | None:
    """The command line that removes the product; None where an EXE's package names none. Pure."""
    if installer.kind is InstallerKind.EXE:
        return installer.uninstall
    return f"{_MSIEXEC} /x {installer.product_code} {_quietly(package, installer)}"


def _quietly(package: Package, installer: Installer) -> str:
    log = _log_of(package, installer)
    return "/qn /norestart" + (f' /L*V "{image_path(log)}"' if log is not None else "")


def _log_of(package: Package, installer: Installer) -> str | None:
    """Where its log is. Windows Installer ends with 1622 where it may not write the one that it is asked for."""
    if installer.kind is InstallerKind.EXE:
        return installer.log
    return None if installer.runs_as_named else installer_log(package.name)


class InstallerDriver(Executor):
    """One installer's package on one host."""

    async def install(self, package: Package, payload: Payload, command: str, copied: Callable[[int], None]) -> Done:
        """Bring the host to what the package asks for; raises ProblemError with the staged files taken away."""
        installer, rule = _parts(package)
        await self._recover(package, installer)
        found = await self._look(rule, "observe")
        status = decide(package, found)
        if isinstance(status, Problem):
            raise ProblemError(status)
        if status is not Status.UNCHANGED:
            await self._install(package, payload, copied)
        previous = found.version if status is Status.UPGRADED else None
        return Done(status=status, steps=tuple(self.times), agent_version=package.version, previous_version=previous)

    async def remove(self, package: Package, command: str) -> Done:
        """Have the product removed by its own means; done twice it finds nothing to do."""
        installer, rule = _parts(package)
        await self._recover(package, installer)
        if not (await self._look(rule, "observe")).present:
            return Done(status=Status.UNCHANGED, steps=tuple(self.times), agent_version=None)
        line = removal_command(package, installer)
        if line is None:
            raise ProblemError(problem(Code.UNINSTALL_UNKNOWN, Stage.SERVICE, package.name))
        self._listener.stage(Stage.SERVICE)
        await self._make_folders([remote_path(installer_log(package.name))])
        async with self._right_to_run(package):
            try:
                await self._timed("uninstall", lambda: self._run(package, installer, line, removing=True))
                await self._timed("gone", lambda: self._until_gone(rule))
            finally:
                with contextlib.suppress(ProblemError):
                    await self._leave(package, installer)
        return Done(status=Status.REMOVED, steps=tuple(self.times), agent_version=None)

    # What earlier pushes left.

    async def _recover(self, package: Package, installer: Installer) -> None:
        """Take back the right that a killed push gave, wait for what it may have running, close its journal, and take
        away what it staged."""
        left = await self._host_journal.left_open()
        for journal in left:
            await self._take_back_what_was_given(journal)
        await self._settle(installer)
        for journal in left:
            state = _state_of(journal)
            self._listener.note(Stage.LOCK, "recovery", f"clearing up after run {journal.run}, killed at {state}")
            await self._clear(package)
            closed = machine.COMMITTED if machine.must_finish(state) else machine.UNDONE
            await self._host_journal.close(journal, closed)
        # A push from elsewhere, of which no journal here tells, may have left its files too.
        await self._clear(package)

    async def _take_back_what_was_given(self, journal: Journal) -> None:
        """Not where the run had ended well: it was taken back then, and what is there now is somebody else's gift."""
        marks = {mark.mark for mark in journal.steps if mark.step == InstallerStep.GRANT}
        if Mark.INTENT in marks and Mark.UNDONE not in marks and not machine.must_finish(_state_of(journal)):
            await self._take_back(str(journal.before["granted"]))
            await self._host_journal.mark(journal, InstallerStep.GRANT, Mark.UNDONE)

    async def _settle(self, installer: Installer) -> int | Problem | None:
        """How an earlier run ended, where the host still knows; while one is at work nothing is started."""
        if await self._session.service_status(by_service.NAME) is None:
            await by_service.take_away(self._session)
            return None
        self._listener.note(Stage.LOCK, "recovery", "an earlier push's installer is on the host: waiting for its end")
        ended = await by_service.settle(self._session, installer.timeout + _MARGIN)
        said = ended.message if isinstance(ended, Problem) else f"exit code {ended}"
        self._listener.note(Stage.LOCK, "recovery", f"the earlier push's installer has ended: {said}")
        return ended

    async def _leave(self, package: Package, installer: Installer) -> None:
        """Nothing of pusher's own stays."""
        await self._settle(installer)
        await self._clear(package)

    async def _clear(self, package: Package) -> None:
        """Take away the folder of this package's installer with all that a push puts there."""
        top = remote_path(staging_folder(package.name))
        if await self._session.stat(top) is None:
            return
        paths = [remote_path(dest) for dest in (*(f.dest for f in package.files), installer_log(package.name))]
        for path in paths:
            await retry_while_locked(partial(self._session.remove, path))
        folders = {
            folder for path in paths for folder in parents(path) if folder.path.lower().startswith(top.path.lower())
        }
        for folder in sorted(folders, key=lambda folder: -folder.path.count("\\")):
            await self._session.remove_folder(folder)

    # The steps.

    async def _install(self, package: Package, payload: Payload, copied: Callable[[int], None]) -> None:
        installer, rule = _parts(package)
        granted = await self._lacking()

        async def run() -> None:
            await self._run(package, installer, install_command(package, installer))
            await self._surely(lambda: self._take_back(granted))

        effects: dict[InstallerStep, Callable[[], Awaitable[None]]] = {
            InstallerStep.STAGE: lambda: self._stage(package.files, payload, copied),
            InstallerStep.GRANT: lambda: self._give(granted),
            InstallerStep.RUN: run,
            InstallerStep.DETECT: lambda: self._verify(rule),
            InstallerStep.COMMIT: lambda: self._surely(lambda: self._leave(package, installer)),
        }

        async def put_back(journal: Journal, begun: Sequence[InstallerStep]) -> None:
            try:
                if InstallerStep.GRANT in begun:
                    await self._take_back(granted)
            finally:
                await self._leave(package, installer)
            for step in reversed(begun):
                with self._unwritten():
                    await self._host_journal.mark(journal, step, Mark.UNDONE)

        await self._carry_out(
            StepPlan(
                before=_before(package, granted),
                steps=[step for step in InstallerStep if step is not InstallerStep.GRANT or granted is not None],
                table=machine.INSTALLER_TABLE,
                stages=STAGES,
                # What has been run is looked at in any case: an outcome has to say what is there.
                cancellable=frozenset({InstallerStep.STAGE, InstallerStep.GRANT, InstallerStep.RUN}),
                effect=lambda step: effects[step](),
                put_back=put_back,
            )
        )

    async def _stage(self, files: Sequence[PackageFile], payload: Payload, copied: Callable[[int], None]) -> None:
        paths = [(file, remote_path(file.dest)) for file in files]
        await self._make_folders([path for _, path in paths])
        new = [NewFile(path=path, data=payload[file.dest], sha256=file.sha256) for file, path in paths]
        await copy(self._session, new, copied, self._cancelled)

    async def _make_folders(self, paths: Sequence[RemotePath]) -> None:
        folders = {dest_of(folder): folder for path in paths for folder in parents(path)}
        for folder in sorted(folders.values(), key=lambda folder: folder.path.count("\\")):
            if folder.path.lower().startswith(STAGING.path.lower()):
                await self._session.make_folder(folder)

    async def _run(self, package: Package, installer: Installer, line: str, removing: bool = False) -> None:
        """Run it, once. Where the connection is lost meanwhile, what can still be known of its end is asked for."""
        self._listener.note(Stage.START, "command", line)
        self._listener.note(Stage.START, "runner", self._session.runner(self._run_as))
        code = await self._code_of(line, package, installer)
        if code is None:
            return  # the host cannot tell; the detection rule will
        self._listener.note(Stage.START, "exit-code", str(code))
        if (failure := judge(installer, code, removing)) is not None:
            await self._tell_log(package, installer)
            raise ProblemError(failure)
        if code in REBOOT:
            said = "the installer has begun one" if code == 1641 else "the installer asks for one"
            self._listener.note(Stage.START, "reboot-needed", said)

    async def _code_of(self, line: str, package: Package, installer: Installer) -> int | None:
        try:
            return await self._session.run(line, installer.timeout, self._run_as)
        except ProblemError as error:
            if not error.problem.row.session_gone:
                await self._tell_log(package, installer)
                raise
            return await self._code_after_loss(installer, error)

    async def _code_after_loss(self, installer: Installer, lost: ProblemError) -> int | None:
        self._listener.note(
            Stage.START, Code.CONNECTION_LOST, "the installer may still run: looking by a new connection"
        )
        try:
            self._session = await self._reopen()
            self._made_up_for = lost
            ended = await self._settle(installer)
        except ProblemError as error:
            self._listener.note(Stage.START, "not-seen-again", error.problem.message)
            raise lost from error
        if isinstance(ended, Problem):
            raise ProblemError(ended) from lost
        return ended

    # The right of the account that runs it.

    async def _lacking(self) -> str | None:
        """Who has to be given the right to log on as a service; asked before anything is copied."""
        if self._run_as in (SYSTEM, SIGNED_IN) or await self._session.holders_of(LOGON_RIGHT, self._run_as.account):
            return None
        return self._run_as.account

    async def _give(self, account: str | None) -> None:
        assert account is not None, "the step is there only where the account lacks the right"
        await self._session.grant_right(LOGON_RIGHT, account)
        self._listener.note(Stage.SERVICE, "right-granted", f"{LOGON_RIGHT} to {account}")

    async def _take_back(self, account: str | None) -> None:
        """Safe to do twice, and where it was never given."""
        if account is None:
            return
        try:
            await self._session.revoke_right(LOGON_RIGHT, account)
        except ProblemError as error:
            if error.problem.code != Code.SERVICE_ACCOUNT_INVALID:
                raise
            # The account has been deleted meanwhile: nobody can log on by it any more.
            self._listener.note(Stage.SERVICE, "right-kept", error.problem.message)
        else:
            self._listener.note(Stage.SERVICE, "right-revoked", f"{LOGON_RIGHT} of {account}")

    @contextlib.asynccontextmanager
    async def _right_to_run(self, package: Package) -> AsyncIterator[None]:
        """Within it the account may log on as a service; for a removal, which has a journal for this alone."""
        granted = await self._lacking()
        if granted is None:
            yield
            return
        journal = await self._host_journal.open(_before(package, granted))

        async def end() -> None:
            await self._surely(lambda: self._take_back(granted))
            with self._unwritten():
                await self._host_journal.close(journal, machine.UNDONE)

        try:
            await self._host_journal.mark(journal, InstallerStep.GRANT, Mark.INTENT)
            await self._give(granted)
            yield
            await end()
        except Exception:
            # Where it cannot be taken back now either, the journal stays open, and the next push does it.
            with contextlib.suppress(ProblemError):
                await end()
            raise

    async def _tell_log(self, package: Package, installer: Installer) -> None:
        """The end of the installer's log becomes an event; a log that cannot be had is no second failure."""
        log = _log_of(package, installer)
        if log is None:
            return
        with contextlib.suppress(ProblemError):
            end = await self._session.tail(remote_path(log), TAIL)
            if end:
                self._listener.note(Stage.START, "installer-log", readable(end))

    async def _verify(self, rule: Detect) -> None:
        found = await self._surely(lambda: detect(self._session, rule))
        self._listener.note(Stage.VERIFY, "detected", found.seen)
        if not found.matches:
            if self._made_up_for is not None:
                raise self._made_up_for  # it may never have been started
            raise ProblemError(problem(Code.NOT_DETECTED, Stage.VERIFY, found.seen))

    async def _look(self, rule: Detect, step: str) -> Found:
        found = await self._timed(step, lambda: detect(self._session, rule))
        self._listener.note(Stage.LOCK, "detected", found.seen)
        return found

    async def _until_gone(self, rule: Detect) -> None:
        """Some uninstallers leave a copy of themselves at work when they end."""
        for left in reversed(range(_GONE_TRIES)):
            found = await detect(self._session, rule)
            if not found.present:
                return
            if left:
                await asyncio.sleep(_GONE_PAUSE)
        raise ProblemError(problem(Code.STILL_DETECTED, Stage.SERVICE, found.seen))


def _before(package: Package, granted: str | None) -> dict[str, Any]:
    """What the journal keeps; ``granted``: to whom the right to log on as a service is given for the run."""
    kept: dict[str, Any] = {"installer": package.name, "files": [file.dest for file in package.files]}
    return kept if granted is None else kept | {"granted": granted}


def _state_of(journal: Journal) -> str:
    marks = ((s.step, s.mark) for s in journal.steps if s.mark is not Mark.UNDONE)
    return machine.replay(marks, machine.INSTALLER_TABLE)


def _parts(package: Package) -> tuple[Installer, Detect]:
    assert package.installer is not None and package.detect is not None, "a package of files has another driver"
    return package.installer, package.detect
