"""A run by way of the queue: submitted by one process, opened by another.

Here: what is recorded of it, and how a worker makes of that record what a run takes on its own machine. Its accounts
and their secrets are the worker's; its package, its inventory and the authority of its certificates are those that were
stored with it. What must not live here: who claims what (``worker``), how these are stored (``packages``,
``stored_inventory``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pusher.clock import utc_now
from pusher.credentials.accounts.profile import DEFAULT, profile_digest
from pusher.credentials.accounts_file import AccountsFile
from pusher.install.package import PACKAGE_FILE
from pusher.models import Outcome, Package, Run, RunNeeds, Source
from pusher.problems import BadInput, Code, ProblemError, problem
from pusher.problems.outcomes import never_tried
from pusher.push.context import Stop, Watcher
from pusher.queue.again import GIVE_UP_AFTER
from pusher.queue.priority import CAMPAIGN, RETRY_BY_HAND
from pusher.settings import Options
from pusher.store import Store
from pusher.wiring.accounts import ACCOUNTS_FILE, accounts_of
from pusher.wiring.engine import Engine, Note
from pusher.wiring.packages import keep_package, stored_package
from pusher.wiring.rollout import rollout_of, wave_plan
from pusher.wiring.run_plan import PackageFrom, RunPlan, Supplied, prepare_run
from pusher.wiring.run_resources import RunResources, new_run, open_run
from pusher.wiring.stored_inventory import keep_authority, keep_inventory, stored_authority, stored_inventory
from pusher.wiring.windows import to_record
from pusher.wiring.worker_settings import WorkerSettingsFile
from pusher.worker.claimed_run import ClaimedRun, Selection
from pusher.worker.own_thread import in_own_thread

_BATCH = 250
_ASKED_FOR = "prompt"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """``queued`` targets wait for a worker, and nothing is done on ``spared``."""

    run: Run
    queued: int
    spared: int


async def submit(plan: RunPlan, engine: Engine) -> Submitted:
    """Record the run and put its targets into the queue. BadInput where no worker could take it up."""
    _refuse_asking(plan.accounts)
    service = plan.package.service if plan.package is not None else None
    if service is not None and service.secret == _ASKED_FOR and plan.package is not None:
        raise _nobody_to_ask("the service's account", Source(file=str(plan.package.root / PACKAGE_FILE)))
    _refuse_what_comes_too_late(plan)
    rollout = rollout_of(plan.options)
    store, priority = engine.store(), _priority(plan)
    run = replace(new_run(plan), priority=priority)
    waves = wave_plan(run.id, rollout, plan.options.canary, list(plan.targets()))
    needs = await asyncio.to_thread(_needs, plan, store)
    targets = [(target.name, target.address, target.site) for target in plan.targets()]
    record, windows = plan.options.to_json(), to_record(plan.windows)
    begin = partial(store.begin_run, run, record, targets, priority=priority, needs=needs, windows=windows, waves=waves)
    await asyncio.to_thread(begin)
    spared = [never_tried(run.id, target, target.address, why, run.started_at, run.started_at)
              for target, why in plan.left_out()]  # fmt: skip
    for at in range(0, len(spared), _BATCH):
        await asyncio.gather(*map(store.spare, spared[at : at + _BATCH]))
    return Submitted(run=run, queued=len(targets), spared=len(spared))


def _refuse_what_comes_too_late(plan: RunPlan) -> None:
    now = utc_now()
    if (opens := plan.windows.next_opening(now)) > now + GIVE_UP_AFTER:
        found = f"the maintenance windows open on {opens:%Y-%m-%d %H:%M} UTC for the first time"
        place = Source(file=str(plan.options.windows)) if plan.options.windows is not None else None
        raise BadInput(place, found, f"one within {GIVE_UP_AFTER.days} days, after which a run is given up")


def _priority(plan: RunPlan) -> int:
    """As it was asked for; else a person who retries waits for something, and a campaign need not end today."""
    if plan.options.priority is not None:
        return plan.options.priority
    return CAMPAIGN if plan.options.origin is None else RETRY_BY_HAND


def _needs(plan: RunPlan, store: Store) -> RunNeeds:
    """Stored before the run is, so that no worker finds it without."""
    return RunNeeds(
        package=_kept(plan.package, store) if plan.package is not None else None,
        inventory=keep_inventory(store, plan.inventory, plan.package),
        authority=keep_authority(store, plan.authority) if plan.authority is not None else None,
        **_profile(plan.options),
    )


def _profile(options: Options) -> dict[str, str]:
    """Where the submitter has no accounts, each worker's own are as good as any."""
    listed = accounts_of(options)
    if listed.missing is not None:
        return {"profile": DEFAULT}
    file = options.accounts or options.inventory.parent / ACCOUNTS_FILE
    return {"profile": file.stem, "profile_digest": profile_digest(listed)}


def _kept(package: Package, store: Store) -> str:
    kept = keep_package(store, package.root)
    if kept.package != package:
        place = Source(file=str(package.root / PACKAGE_FILE))
        raise BadInput(place, "the package was changed while it was read", "one that nobody writes to")
    return kept.manifest.digest


def _refuse_asking(accounts: AccountsFile) -> None:
    for account in accounts.accounts:
        if account.secret == _ASKED_FOR:
            raise _nobody_to_ask(f"account {account.name}", account.source)
    if accounts.directory is not None and accounts.directory.secret == _ASKED_FOR:
        raise _nobody_to_ask("the directory's reader", accounts.directory.source)


def _nobody_to_ask(whose: str, place: Source | None) -> BadInput:
    found = f"{whose}: its secret is asked for (prompt), and a worker has nobody to ask"
    return BadInput(place, found, "env:NAME, file:PATH, keyring:NAME or vault:PATH")


@dataclass(frozen=True, kw_only=True)
class ItsOwn:
    """What a worker has of its own: its ``name``, the options that it was ``given``, and its settings."""

    name: str
    given: Mapping[str, Any]
    settings: WorkerSettingsFile


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who is told how a run goes that a worker has opened."""

    watcher: Watcher
    outcome: Callable[[Outcome], None]


class QueuedRun:
    """Open on this machine; the worker's ``OpenRun``."""

    def __init__(self, resources: RunResources, selection: Selection, audience: Audience) -> None:
        self._resources, self._audience = resources, audience
        self.run, self.selection, self.places = resources.run, selection, resources.concurrency
        self.windows = resources.plan.windows

    async def work(self, claimed: ClaimedRun, stop: Stop) -> None:
        audience = self._audience
        opening = self._resources.dispatcher(audience.watcher, audience.outcome, stop, claimed, claimed)
        async with opening as dispatcher:
            await dispatcher.run(claimed)


@asynccontextmanager
async def open_queued(
    name: str,
    engine: Engine,
    worker: ItsOwn,
    audience_of: Callable[[RunPlan, Run, int], Audience],
    note: Note,
) -> AsyncIterator[QueuedRun]:
    """The queued run ``name``. BadInput, ProblemError where it cannot be opened; where the ``worker`` refuses it, that
    is recorded with the run.

    ``audience_of`` is told how many targets the run has that may be worked on.
    """
    store = engine.store()
    run, plan = await in_own_thread(lambda: _taken_up(name, store, engine, worker))
    names = frozenset(await in_own_thread(lambda: store.targets(run.id)))
    selection = Selection(
        targets={target.name: target for target in plan.targets() if target.name in names},
        spared={target.name: why for target, why in plan.left_out()},
    )
    with open_run(plan, engine, note, run) as resources:
        yield QueuedRun(resources, selection, audience_of(plan, run, len(selection.targets)))


def _taken_up(name: str, store: Store, engine: Engine, worker: ItsOwn) -> tuple[Run, RunPlan]:
    run = store.run(name)
    if run is None:
        raise BadInput(None, f"the store has no run {name} any more", "a store that keeps its runs")
    try:
        plan = _prepared(run, store, engine, worker)
    except ProblemError as error:
        if error.problem.row.refused:
            store.refuse(run.id, worker.name, worker.settings.site_names, error.problem.code)
        raise
    store.take_back_refusal(run.id, worker.name)
    return run, plan


def _prepared(run: Run, store: Store, engine: Engine, worker: ItsOwn) -> RunPlan:
    needs = store.needs(run.id)
    accounts = worker.settings.accounts_of(run, needs)
    given = {**worker.given, "accounts": accounts} if accounts is not None else worker.given
    names = frozenset(target.lower() for target in store.targets(run.id))
    options = Options.recorded(store.options(run.id), run.id, names, given)
    listed = accounts_of(options)
    if needs.profile_digest not in (None, profile_digest(listed)):
        raise ProblemError(problem(Code.ACCOUNTS_DIFFER, detail=f"profile {needs.profile}"))
    _refuse_asking(listed)
    supplied, windows = _supplied(run, needs, store, options), store.windows(run.id)
    return prepare_run(options, run.verb, engine, supplied=supplied, windows=windows)


def _supplied(run: Run, needs: RunNeeds, store: Store, options: Options) -> Supplied:
    """What was stored with the run."""
    if needs.inventory is None or (needs.package is None and run.package is not None):
        found = f"run {run.id} was queued by an older pusher, which stored neither its inventory nor its package"
        raise BadInput(None, found, "the same run queued again")
    return Supplied(
        inventory=stored_inventory(store, needs.inventory),
        authority=stored_authority(store, needs.authority) if needs.authority is not None else None,
        package_from=_package_from(store, needs.package, options) if needs.package is not None else None,
    )


def _package_from(store: Store, digest: str, options: Options) -> PackageFrom:
    def package_from(accounts: AccountsFile) -> Package:
        package = stored_package(store, digest, accounts, options.package)
        if package.service is not None and package.service.secret == _ASKED_FOR:
            raise _nobody_to_ask("the service's account", package.source)
        return package

    return package_from
