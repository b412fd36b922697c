"""The driver of packages of files with a service: what it sees, what it does, and what it undoes, newest first.

It runs under the host's lock. A host on which an earlier push was killed is first brought back to what it was
before that push (or, past its point of no return, finished), and only then looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pusher.install import machine, steps
from pusher.install.executor import Done, Executor, StepPlan
from pusher.install.machine import Step
from pusher.install.names import NEW, OLDS, is_own_folder
from pusher.install.payload import Payload
from pusher.install.plan import Before, Observation, Plan, decide, service_of, wanted_config
from pusher.models import LOGON_RIGHT, Journal, Mark, Package, PackageFile, ServiceSpec, Stage, Status
from pusher.problems import Code, Problem, ProblemError, problem
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath, SystemFolders, dest_of, parents, remote_path, same_program
from pusher.remote.together import both
from pusher.transports.port import ServiceConfig, ServiceStatus, Session

STAGES = {
    Step.STAGE: Stage.STAGE,
    Step.STOP: Stage.SERVICE,
    Step.PLACE: Stage.SERVICE,
    Step.GRANT: Stage.SERVICE,
    Step.REGISTER: Stage.SERVICE,
    Step.START: Stage.START,
    Step.VERIFY: Stage.VERIFY,
    Step.COMMIT: Stage.VERIFY,
}
"""Under which stage of the story each step counts."""

_NAMED = 5
"""How many files that would not go a message names."""


class Driver(Executor):
    """One package of files with a service on one host."""

    async def install(self, package: Package, payload: Payload, command: str, copied: Callable[[int], None]) -> Done:
        """Bring the host to what the package asks for; raises ProblemError after undoing what was begun."""
        await self.recover()
        wanted = wanted_config(package, command)
        seen = await self._timed("observe", lambda: observe(self._session, package))
        plan = decide(package, wanted, seen, password_proven=self._run_as.is_proven)
        if isinstance(plan, Problem):
            raise ProblemError(plan)
        if plan.steps:
            await self._install(package, payload, wanted, plan, copied)
        previous = plan.installed_version if plan.status is Status.UPGRADED else None
        return Done(
            status=plan.status,
            steps=tuple(self.times),
            agent_version=package.version,
            previous_version=previous,
        )

    async def remove(self, package: Package, command: str) -> Done:
        """Stop and delete the service and remove what was placed; done twice it finds nothing to do."""
        await self.recover()
        name = service_of(package).name
        service = await self._session.service_config(name)
        if service is not None and not same_program(
            service.image_path, wanted_config(package, command).image_path, await self._session.folders()
        ):
            raise ProblemError(problem(Code.SERVICE_EXISTS_FOREIGN, Stage.SERVICE, f"{name} runs {service.image_path}"))
        # Before anything is done: a store that cannot be read leaves the host as it is.
        grants = await self._grants()
        self._listener.stage(Stage.SERVICE)
        did: list[str] = []
        try:
            if service is not None:
                await self._timed("stop", lambda: steps.stop_service(self._session, name, package.stop_timeout))
                did.append(f"service {name} stopped")
                await self._timed("delete-service", lambda: steps.delete_service(self._session, name))
                did.append(f"service {name} deleted")
            did += await self._take_rights_back(grants)
            removed, kept = await self._timed("remove-files", lambda: remove_files(self._session, package))
        except ProblemError as error:
            raise _so_far(error, did, []) from error
        if kept:
            did += [f"{removed} file{'s' * (removed != 1)} removed"] * bool(removed)
            raise _so_far(kept[0][1], did, [path for path, _ in kept]) from kept[0][1]
        found = service is not None or removed
        return Done(status=Status.REMOVED if found else Status.UNCHANGED, steps=tuple(self.times), agent_version=None)

    async def _grants(self) -> list[tuple[Journal, str]]:
        """What earlier pushes gave accounts of this service; only a journal tells it from what they had before."""
        found = [
            (journal, Before.from_json(journal.before).granted) for journal in await self._host_journal.committed()
        ]
        return [
            (journal, granted)
            for journal, granted in found
            if granted is not None and not any(s.step == Step.GRANT and s.mark is Mark.UNDONE for s in journal.steps)
        ]

    async def _take_rights_back(self, grants: Sequence[tuple[Journal, str]]) -> list[str]:
        taken = list[str]()
        for journal, granted in grants:
            try:
                await self._session.revoke_right(LOGON_RIGHT, granted)
            except ProblemError as error:
                if error.problem.code != Code.RIGHTS_UNREADABLE:
                    raise
                self._listener.note(
                    Stage.SERVICE, "right-kept", f"{granted} keeps {LOGON_RIGHT}: {error.problem.message}"
                )
            else:
                with self._unwritten():
                    await self._host_journal.mark(journal, Step.GRANT, Mark.UNDONE)
                self._listener.note(Stage.SERVICE, "right-revoked", f"{LOGON_RIGHT} of {granted}")
                taken.append(f"{LOGON_RIGHT} taken from {granted}")
        return taken

    async def recover(self) -> None:
        """Undo, or past its point of no return finish, what killed pushes left on this host.

        Meanwhile the machine may have been installed anew, or its service deleted by hand.
        """
        for journal in await self._host_journal.left_open():
            before = Before.from_json(journal.before)
            state = machine.replay((s.step, s.mark) for s in journal.steps if s.mark is not Mark.UNDONE)
            begun = [Step(s.step) for s in journal.steps if s.mark is Mark.INTENT]
            # One whose last intent is there and that was put back all the same could not tell that it had been written.
            if machine.must_finish(state) and not any(s.mark is Mark.UNDONE for s in journal.steps):
                self._listener.note(Stage.LOCK, "recovery", f"finishing run {journal.run}, killed at {state}")
                for at in range(0, len(before.replaced), steps.TOGETHER):
                    paths = [remote_path(dest) for dest in before.replaced[at : at + steps.TOGETHER]]
                    there = {path: await self._session.stat(path) is not None for path in paths}
                    for path in (await _sweep(self._session, there)).held:
                        self._listener.note(Stage.LOCK, "left-behind", f"another process holds {path}{before.old}")
                await self._host_journal.close(journal, machine.COMMITTED)
            else:
                self._listener.note(Stage.LOCK, "recovery", f"undoing run {journal.run}, killed at {state}")
                await self._undo_steps(journal, before, begun, recovering=True)
                await self._host_journal.close(journal, machine.UNDONE)

    async def _install(
        self,
        package: Package,
        payload: Payload,
        wanted: ServiceConfig,
        plan: Plan,
        copied: Callable[[int], None],
    ) -> None:
        work = steps.Work(
            session=self._session,
            package=package,
            payload=payload,
            wanted=wanted,
            plan=plan,
            copied=copied,
            cancelled=self._cancelled,
            run_as=self._run_as,
        )
        step_plan = StepPlan(
            before=plan.before.to_json(),
            steps=plan.steps,
            table=machine.TABLE,
            stages=STAGES,
            cancellable=frozenset(Step) - {Step.COMMIT},
            effect=lambda step: steps.EFFECTS[step](work),
            put_back=lambda journal, begun: self._undo_steps(journal, plan.before, begun),
        )
        await self._carry_out(step_plan)

    async def _undo_steps(
        self, journal: Journal, before: Before, begun: Sequence[Step], recovering: bool = False
    ) -> None:
        """Undo as much as can be undone: one step that will not go back does not keep the others.

        ``recovering``: what will not go back however often it is tried is said, and bars no later push or removal.
        """
        first: Exception | None = None
        for step in reversed(begun):
            try:
                await steps.UNDOS[step](self._session, before)
            except Exception as error:
                if isinstance(error, ProblemError) and error.problem.row.session_gone:
                    raise
                if recovering and isinstance(error, ProblemError) and _is_given_up(step, error.problem.code):
                    self._listener.note(Stage.LOCK, "recovery-incomplete", f"{step}: {error.problem.message}")
                else:
                    first = first or error
            else:
                with self._unwritten():
                    await self._host_journal.mark(journal, step, Mark.UNDONE)
        if first is not None:
            raise first


def _is_given_up(step: Step, code: Code) -> bool:
    """Whether a recovery goes on without this undo: nothing that follows needs it, and the host may never allow it.

    The old agent may be broken for good; and an account that the machine does not know any more, as after Windows was
    installed anew, has no right to be taken back, and no service can be given it.
    """
    return step is Step.STOP or (step in {Step.GRANT, Step.REGISTER} and code == Code.SERVICE_ACCOUNT_INVALID)


async def observe(session: Session, package: Package) -> Observation:
    """Look at the host: files, folders and service. Half-done swaps of an unknown push are put right first."""
    files, service = await both(
        _observe_files(session, package),
        _observe_service(session, service_of(package)),
        at_once=session.takes_several,
    )
    return Observation(
        files=files.digests,
        missing_folders=files.missing_folders,
        service=service.config,
        status=service.status,
        missing_leftovers=files.missing_leftovers,
        old_is_held=files.old_is_held,
        folders=service.folders,
        lacks_logon_right=service.lacks_logon_right,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Files:
    digests: Mapping[str, FileDigest | None]
    missing_folders: tuple[str, ...]
    missing_leftovers: tuple[str, ...]
    old_is_held: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Service:
    config: ServiceConfig | None
    status: ServiceStatus | None
    folders: SystemFolders
    lacks_logon_right: bool


async def _observe_files(session: Session, package: Package) -> _Files:
    digests, held = dict[str, FileDigest | None](), False
    for at in range(0, len(package.files), steps.TOGETHER):
        found, some_held = await _look_at(session, package.files[at : at + steps.TOGETHER])
        digests |= found
        held |= some_held
    missing = await steps.missing_folders(session, [remote_path(f.dest) for f in package.files])
    if foreign := [folder for folder in missing if not is_own_folder(folder)]:
        where = f"{foreign[0]}, which is Windows' own, is not on this machine"
        raise ProblemError(problem(Code.PATH_NOT_FOUND, Stage.STAGE, where))
    leftovers = [dest for dest in package.leftovers if await session.stat(remote_path(dest)) is None]
    return _Files(
        digests=digests,
        missing_folders=tuple(dest_of(folder) for folder in missing),
        missing_leftovers=tuple(leftovers),
        old_is_held=held,
    )


async def _observe_service(session: Session, spec: ServiceSpec) -> _Service:
    config = await session.service_config(spec.name)
    return _Service(
        config=config,
        status=await session.service_status(spec.name),
        folders=await session.folders() if config is not None else SystemFolders(),
        lacks_logon_right=spec.grant_logon_right and not await session.holders_of(LOGON_RIGHT, spec.account),
    )


async def _look_at(session: Session, files: Sequence[PackageFile]) -> tuple[dict[str, FileDigest | None], bool]:
    """What is in the files' places, and whether an old file is held beside one of them."""
    paths = {file.dest: remote_path(file.dest) for file in files}
    there = {path: await session.stat(path) for path in paths.values()}
    swept = await _sweep(session, {path: info is not None for path, info in there.items()})
    there |= {path: await session.stat(path) for path in swept.put_back}
    limits = dict[RemotePath, int | None]()
    for file in files:
        if (info := there[paths[file.dest]]) is not None:
            limits[paths[file.dest]] = file.size if info.size == file.size else None
    digests = await session.digest_all(limits)
    return {dest: digests.get(path) for dest, path in paths.items()}, bool(swept.held)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Swept:
    """What came of a sweep, of files by their places: beside which an old one stays, which were put back."""

    held: tuple[RemotePath, ...]
    put_back: tuple[RemotePath, ...]


async def _sweep(session: Session, there: Mapping[RemotePath, bool]) -> _Swept:
    """Clear what a push from elsewhere left (no journal of ours tells of it); the host's lock makes this safe.

    ``there``: which of the files are in their places. Where an old file is held by another process, it stays: it is in
    nobody's way.
    """
    first, second = OLDS
    taken = await session.taken([path.with_suffix(suffix) for path in there for suffix in (NEW, first)])
    # The second is used only where the first is held.
    maybe = [path for path, is_there in there.items() if not is_there or path.with_suffix(first) in taken]
    taken |= await session.taken([path.with_suffix(second) for path in maybe])
    held, put_back = list[RemotePath](), list[RemotePath]()
    for path, is_there in there.items():
        if path.with_suffix(NEW) in taken:
            await session.remove(path.with_suffix(NEW))
        aside = [old for old in (path.with_suffix(suffix) for suffix in OLDS) if old in taken]
        if aside and not is_there:
            await steps.retry_while_locked(partial(session.rename, aside.pop(), path))
            put_back.append(path)
        for old in aside:
            try:
                await session.remove(old)
            except ProblemError as error:
                if error.problem.code != Code.FILE_IN_USE:
                    raise
                held.append(path)
    return _Swept(held=tuple(dict.fromkeys(held)), put_back=tuple(put_back))


async def remove_files(session: Session, package: Package) -> tuple[int, list[tuple[RemotePath, ProblemError]]]:
    """Remove the package's files, the agent's own leftovers, and the folders that are empty then.

    How many files were removed; and which would not go, each with the reason: one does not keep the others.
    """
    removed, kept = 0, list[tuple[RemotePath, ProblemError]]()
    paths = [remote_path(file.dest) for file in package.files]
    leftovers = [remote_path(dest) for dest in package.leftovers]
    ours = [path.with_suffix(suffix) for path in paths for suffix in ("", NEW, *OLDS)]
    done = await session.remove_all([*ours, *leftovers])
    removed += sum(done.values())
    for path in (*ours, *leftovers):
        if path in done:
            continue
        try:
            removed += await steps.retry_while_locked(partial(session.remove, path))
        except ProblemError as error:
            if error.problem.row.session_gone:
                raise
            kept.append((path, error))
    folders = {folder for path in (*paths, *leftovers) for folder in parents(path)}
    for folder in sorted(folders, key=lambda folder: (-folder.path.count("\\"), folder.path)):
        if is_own_folder(folder):
            await session.remove_folder(folder)
    return removed, kept


def _so_far(error: ProblemError, did: list[str], kept: list[RemotePath]) -> ProblemError:
    """The failure of a removal that has done a part of its work, which is said."""
    said = [error.problem.message]
    if did:
        said.append(f"done before: {', '.join(did)}")
    if kept:
        more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
        said.append(f"still there: {', '.join(map(str, kept[:_NAMED]))}{more}")
    return ProblemError(replace(error.problem, message="; ".join(said)))
