"""Taking back what a run in the queue did: what it installed is removed, what it upgraded gets its earlier version.

By the store alone: the run's inventory and package lie there, and so does the earlier package, where it was ever queued
or added. Nothing is contacted, and no file is read. What must not live here: what is done to a host.
"""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

from pusher.clock import utc_now
from pusher.install.manifest import Manifest
from pusher.models import ContentKind, Outcome, Run, RunNeeds, Stage, Status, Target, Verb
from pusher.problems import BadInput, Code, ProblemError, problem
from pusher.problems.outcomes import never_tried
from pusher.queue.priority import RETRY_BY_HAND
from pusher.remote.detection import numbers
from pusher.store import Store
from pusher.wiring.lockout import run_id
from pusher.wiring.packages import stored_manifest

_BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Group:
    """Machines for which one run is made: ``package`` is removed from them, or pushed to them; None: nothing is done,
    since nobody knows what was there before, or another run has changed it since."""

    verb: Verb
    package: Manifest | None
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, kw_only=True)
class RollbackPlan:
    run: Run
    needs: RunNeeds
    groups: Sequence[Group]


def plan_rollback(store: Store, run: Run) -> RollbackPlan:
    """What would be done. BadInput where the run cannot be taken back."""
    needs = store.needs(run.id)
    if run.verb is not Verb.PUSH:
        raise BadInput(None, f"run {run.id} has installed nothing: it did {run.verb}", "a run of pusher push")
    if needs.package is None or needs.inventory is None:
        found = f"run {run.id} did not go by way of the queue, so its package is not in the store"
        raise BadInput(None, found, "a run that was queued; else pusher remove, or a push of the earlier package")
    if run.ended_at is None and run.stopped_at is None:
        raise BadInput(None, f"run {run.id} goes on", "one that has ended or is stopped: pusher cancel it first")
    done = [outcome for outcome in store.outcomes(run.id) if outcome.status in (Status.INSTALLED, Status.UPGRADED)]
    if not done:
        raise BadInput(None, f"run {run.id} has installed and upgraded nothing", "a run that has")
    return RollbackPlan(
        run=run, needs=needs, groups=tuple(_groups(store, run, needs.package, _latest_first(store, run, done)))
    )


def _latest_first(store: Store, run: Run, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those of the newest wave first; else those that were done last."""
    waves = store.wave_of(run.id)
    return sorted(outcomes, key=lambda one: (-waves.get(one.target, 0), -one.ended_at.timestamp()))


def _groups(store: Store, run: Run, digest: str, outcomes: Sequence[Outcome]) -> Iterable[Group]:
    changed = store.changed_since(run.id, run.package or "")
    installed = [one for one in outcomes if one.status is Status.INSTALLED and one.target not in changed]
    if installed:
        yield Group(verb=Verb.REMOVE, package=_manifest(store, digest), outcomes=installed)
    known = _earlier(store, run)
    by_version: dict[_Version | None, list[Outcome]] = {}
    for one in outcomes:
        if one.target in changed:
            by_version.setdefault(None, []).append(one)
        elif one.status is Status.UPGRADED:
            version = _version(one.previous_version) if one.previous_version is not None else None
            by_version.setdefault(version if version in known else None, []).append(one)
    for version, those in by_version.items():
        yield Group(verb=Verb.PUSH, package=known[version] if version is not None else None, outcomes=those)


_Version = tuple[int, ...] | str


def _version(text: str) -> _Version:
    """As it can be compared: ``1.0``, as a package says, is ``1.0.0.0``, as a program does."""
    return numbers(text) or text


def _earlier(store: Store, run: Run) -> Mapping[_Version, Manifest]:
    """The store's packages of that name by their version, the one stored last of each; none that is an installer, which
    nobody can put an earlier version in the place of."""
    found: dict[_Version, Manifest] = {}
    for stored in store.stored_of(ContentKind.PACKAGE):
        manifest = _manifest(store, stored.sha256)
        name, version = manifest.name_and_version()
        if name == run.package and version != run.version and not manifest.is_installer():
            found.setdefault(_version(version), manifest)
    return found


def _manifest(store: Store, digest: str) -> Manifest:
    try:
        return stored_manifest(store, digest)
    except ProblemError as error:
        found = f"{error.problem.code}: {error.problem.message}"
        raise BadInput(None, found, "the package in the store: pusher packages add") from error


async def roll_back(store: Store, plan: RollbackPlan, priority: int = RETRY_BY_HAND) -> list[tuple[Run, Group]]:
    """Queue the runs, one a group; of those of which nothing is known, record that nothing is done."""
    made = []
    options = await asyncio.to_thread(store.options, plan.run.id)
    windows = await asyncio.to_thread(store.windows, plan.run.id)
    for group in plan.groups:
        run = _run(plan.run, group, priority)
        rows = [(one.target, one.address, one.site) for one in group.outcomes]
        if group.package is None:
            # It has no work, so whoever looks after the queue records its end.
            await asyncio.to_thread(_queue, store, run, {**options, "package": None}, [], plan.needs, windows)
            changed = await asyncio.to_thread(store.changed_since, plan.run.id, plan.run.package or "")
            await _record_unknown(store, run, group.outcomes, changed)
        else:
            record = options if group.verb is Verb.REMOVE else _of_a_downgrade(options, plan.run)
            needs = replace(plan.needs, package=group.package.digest)
            await asyncio.to_thread(_queue, store, run, record, rows, needs, windows)
        made.append((run, group))
    return made


def _queue(store: Store, run: Run, record: dict[str, object], rows: list[tuple[str, str | None, str | None]],
           needs: RunNeeds, windows: list[dict[str, object]]) -> None:  # fmt: skip
    store.begin_run(run, record, rows, priority=run.priority, needs=needs, windows=windows)


def _of_a_downgrade(options: Mapping[str, object], taken_back: Run) -> dict[str, object]:
    """A retry of it does not push what lies in the folder of the run that was taken back."""
    return {**options, "package": None, "replaces": taken_back.version}


def _run(of: Run, group: Group, priority: int) -> Run:
    now = utc_now()
    name, version = group.package.name_and_version() if group.package is not None else (of.package, None)
    return Run(
        id=run_id(now),
        verb=group.verb,
        inventory=of.inventory,
        package=name,
        version=version,
        operator=f"{getpass.getuser()}@{socket.gethostname()}",
        started_at=now,
        parent=of.id,
        priority=priority,
    )


async def _record_unknown(store: Store, run: Run, outcomes: Sequence[Outcome], changed: Set[str]) -> None:
    def of(one: Outcome, now: datetime) -> Outcome:
        was = f"it was version {one.previous_version}" if one.previous_version is not None else "no version is known"
        why = "another run has changed it since" if one.target in changed else was
        found = problem(Code.ROLLBACK_UNKNOWN, Stage.RESOLVE, why)
        return never_tried(run.id, Target(name=one.target, site=one.site), one.address, found, now, now)

    rows = [of(one, run.started_at) for one in outcomes]
    for at in range(0, len(rows), _BATCH):
        await asyncio.gather(*map(store.spare, rows[at : at + _BATCH]))
