"""The driver of packages of files with a service: what it sees, what it does, and what it undoes, newest first.

It runs under the host's lock. A host on which an earlier push was killed is first brought back to what it was
before that push (or, past its point of no return, finished), and only then looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pusher.install import machine, steps
from pusher.install.carrying import SESSION_GONE, Carrier, Course, Done
from pusher.install.machine import Step
from pusher.install.names import NEW, OLD, is_own_folder
from pusher.install.payload import Payload
from pusher.install.plan import Before, Observation, Plan, decide, service_of, wanted_config
from pusher.models import Package, Stage, Status
from pusher.problems import Problem, ProblemError, problem
from pusher.store import Journal, Mark
from pusher.transports.paths import dest_of, parents, remote_path, same_program
from pusher.transports.port import RemotePath, ServiceConfig, Session, SystemFolders

STAGES = {
    Step.STAGE: Stage.STAGE,
    Step.STOP: Stage.SERVICE,
    Step.PLACE: Stage.SERVICE,
    Step.REGISTER: Stage.SERVICE,
    Step.START: Stage.START,
    Step.VERIFY: Stage.VERIFY,
    Step.COMMIT: Stage.VERIFY,
}
"""Under which stage of the story each step counts."""

_READ_BACK = 64 * 1024 * 1024
"""How much of a file that differs in size is read for its version."""


class Driver(Carrier):
    """One package of files with a service on one host."""

    async def install(self, package: Package, payload: Payload, command: str, copied: Callable[[int], None]) -> Done:
        """Bring the host to what the package asks for; raises ProblemError after undoing what was begun."""
        await self.recover()
        wanted = wanted_config(package, command)
        seen = await self._timed("observe", lambda: observe(self._session, package))
        plan = decide(package, wanted, seen)
        if isinstance(plan, Problem):
            raise ProblemError(plan)
        if plan.steps:
            await self._install(package, payload, wanted, plan, copied)
        return Done(status=plan.status, steps=tuple(self.times), agent_version=package.version)

    async def remove(self, package: Package, command: str) -> Done:
        """Stop and delete the service and remove what was placed; done twice it finds nothing to do."""
        await self.recover()
        name = service_of(package).name
        service = await self._session.service_config(name)
        if service is not None and not same_program(
            service.image_path, wanted_config(package, command).image_path, await self._session.folders()
        ):
            raise ProblemError(problem("service-exists-foreign", Stage.SERVICE, f"{name} runs {service.image_path}"))
        self._listener.stage(Stage.SERVICE)
        if service is not None:
            await self._timed("stop", lambda: steps.stop_service(self._session, name, package.stop_timeout))
            await self._timed("delete-service", lambda: steps.delete_service(self._session, name))
        removed = await self._timed("remove-files", lambda: remove_files(self._session, package))
        found = service is not None or removed
        return Done(status=Status.REMOVED if found else Status.UNCHANGED, steps=tuple(self.times), agent_version=None)

    async def recover(self) -> None:
        """Undo, or past its point of no return finish, what killed pushes left on this host."""
        for journal in await self._book.left_open():
            before = Before.from_json(journal.before)
            state = machine.replay((s.step, s.mark) for s in journal.steps if s.mark is not Mark.UNDONE)
            begun = [Step(s.step) for s in journal.steps if s.mark is Mark.INTENT]
            # One whose last intent is there and that was put back all the same could not tell that it had been written.
            if machine.must_finish(state) and not any(s.mark is Mark.UNDONE for s in journal.steps):
                self._listener.note(Stage.LOCK, "recovery", f"finishing run {journal.run}, killed at {state}")
                for dest in before.replaced:
                    await _sweep(self._session, remote_path(dest))
                await self._book.close(journal, machine.COMMITTED)
            else:
                self._listener.note(Stage.LOCK, "recovery", f"undoing run {journal.run}, killed at {state}")
                await self._undo_steps(journal, before, begun)
                await self._book.close(journal, machine.UNDONE)

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
        )
        course = Course(
            before=plan.before.to_json(),
            steps=plan.steps,
            table=machine.TABLE,
            stages=STAGES,
            cancellable=frozenset(Step) - {Step.COMMIT},
            effect=lambda step: steps.EFFECTS[step](work),
            put_back=lambda journal, begun: self._undo_steps(journal, plan.before, begun),
        )
        await self._carry_out(course)

    async def _undo_steps(self, journal: Journal, before: Before, begun: Sequence[Step]) -> None:
        """Undo as much as can be undone: one step that will not go back does not keep the others."""
        first: Exception | None = None
        for step in reversed(begun):
            try:
                await steps.UNDOS[step](self._session, before)
            except Exception as error:
                if isinstance(error, ProblemError) and error.problem.code in SESSION_GONE:
                    raise
                first = first or error
            else:
                with self._unwritten():
                    await self._book.mark(journal, step, Mark.UNDONE)
        if first is not None:
            raise first


async def observe(session: Session, package: Package) -> Observation:
    """Look at the host: files, folders and service. Half-done swaps of an unknown push are put right first."""
    files = {}
    for file in package.files:
        path = remote_path(file.dest)
        await _sweep(session, path)
        limit = file.size if (there := await session.stat(path)) and there.size == file.size else _READ_BACK
        files[file.dest] = await session.digest(path, limit=limit) if there else None
    missing = await steps.missing_folders(session, [remote_path(f.dest) for f in package.files])
    if foreign := [folder for folder in missing if not is_own_folder(folder)]:
        where = f"{foreign[0]}, which is Windows' own, is not on this machine"
        raise ProblemError(problem("path-not-found", Stage.STAGE, where))
    leftovers = [dest for dest in package.leftovers if await session.stat(remote_path(dest)) is None]
    name = service_of(package).name
    service = await session.service_config(name)
    return Observation(
        files=files,
        missing_folders=tuple(dest_of(folder) for folder in missing),
        service=service,
        status=await session.service_status(name),
        missing_leftovers=tuple(leftovers),
        folders=await session.folders() if service is not None else SystemFolders(),
    )


async def _sweep(session: Session, path: RemotePath) -> None:
    """Clear what a push from elsewhere left (no journal of ours tells of it); the host's lock makes this safe."""
    await session.remove(path.with_suffix(NEW))
    if await session.stat(path.with_suffix(OLD)) is not None:
        if await session.stat(path) is None:
            await session.rename(path.with_suffix(OLD), path)
        else:
            await session.remove(path.with_suffix(OLD))


async def remove_files(session: Session, package: Package) -> bool:
    """Remove the package's files, the agent's own leftovers, and the folders that are empty then."""
    found = False
    paths = [remote_path(file.dest) for file in package.files]
    for path in paths:
        for each in (path, path.with_suffix(NEW), path.with_suffix(OLD)):
            found |= await steps.patiently(partial(session.remove, each))
    await steps.remove_leftovers(session, package.leftovers)
    paths += [remote_path(dest) for dest in package.leftovers]
    folders = {folder for path in paths for folder in parents(path)}
    for folder in sorted(folders, key=lambda folder: (-folder.path.count("\\"), folder.path)):
        if is_own_folder(folder):
            await session.remove_folder(folder)
    return found
