"""A store that fails at every single call of a run: an install, an upgrade, a removal, an undo, a recovery.

Whatever fails: the host is as it was or as it should be, the exit status is not 0, no target is without an outcome in
the store or in the file beside it, and the next push is right, however much less than the truth the journal says.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.cli import interruption
from pusher.cli.execute import Execution
from pusher.clock import utc_now
from pusher.credentials.accounts_file import AccountsFile
from pusher.install.names import NEW, OLD
from pusher.install.payload import Payload
from pusher.models import Outcome, Package, Run, Stage, Status, Target, Verb
from pusher.push.context import Stop, Watcher
from pusher.push.dispatcher import Dispatcher, Report
from pusher.report.summary import Summary
from pusher.report.unstored import Unstored
from pusher.report.views import Unfailing
from pusher.scheduler.admission import Caps
from pusher.scheduler.retry import RetryPolicy
from pusher.settings import Options
from pusher.store import Store, StoreError, open_store, sqlite_file
from pusher.targets.inventory import load_inventory
from pusher.transports.memory import Fault, MemoryHost, MemoryTransport, Moment, StartFault
from pusher.transports.memory import How as Wire
from pusher.transports.memory.wire import Killed
from pusher.wiring.run_plan import RunPlan
from pusher.wiring.run_resources import RunResources
from pusher.wiring.target_selection import select_targets
from tests.unit.install.test_installing import make_package as make_installer
from tests.unit.install.test_installing import windows
from tests.unit.push.failing_store import FailingStore, How, Plan
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    CONF,
    EXE,
    SERVICE,
    DyingStore,
    Names,
    install_by_hand,
    make_context,
    make_host,
    make_package,
    make_payload,
    program,
    shared_store,
)

FILES = {EXE: program("1.4.2"), CONF: b"version = '1.4.2'"}
OLD_FILES = {EXE: program("1.3.0")}
ADDRESS = "10.0.0.1"
_numbers = itertools.count(1)
_runs = itertools.count(1)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with shared_store() as made:
        yield made


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A host before a run, and what the run does to it. ``ends``: with which statuses where the store works."""

    name: str
    ends: Status
    host: Callable[[], MemoryHost]
    package: Package
    verb: Verb = Verb.PUSH
    crash: str = ""
    """A push was killed here before, at this call."""

    @property
    def payload(self) -> Payload:
        if self.package.installer is None:
            return make_payload(self.package, FILES)
        (file,) = self.package.files
        return Payload({file.dest: f"{file.dest[-3:]} {self.package.version}".encode()})


def _older() -> MemoryHost:
    host = make_host()
    install_by_hand(host, make_package("1.3.0", OLD_FILES), OLD_FILES)
    return host


def _present() -> MemoryHost:
    host = make_host()
    install_by_hand(host, make_package(files=FILES), FILES)
    return host


def _older_where_the_new_one_fails() -> MemoryHost:
    """The service starts again where its old program is back."""
    host = _older()
    start = host.services.start

    def starting(name: str, now: float) -> float | None:
        is_new = host.read(f"Windows\\{EXE}") == FILES[EXE]
        host.services.start_faults = {SERVICE.lower(): StartFault.FAIL} if is_new else {}
        return start(name, now)

    host.services.start = starting  # type: ignore[method-assign]
    return host


def _with_tool(present: bool, code: int = 0) -> MemoryHost:
    made = windows(code=code)
    if present:
        made.install()
    return made.host


PACKAGE, TOOL = make_package(files=FILES), make_installer()
SCENARIOS = [
    Scenario(name="install", ends=Status.INSTALLED, host=make_host, package=PACKAGE),
    Scenario(name="upgrade", ends=Status.UPGRADED, host=_older, package=PACKAGE),
    Scenario(name="undo", ends=Status.FAILED, host=_older_where_the_new_one_fails, package=PACKAGE),
    Scenario(name="remove", ends=Status.REMOVED, host=_present, package=PACKAGE, verb=Verb.REMOVE),
    Scenario(name="recover", ends=Status.UPGRADED, host=_older, package=PACKAGE, crash="store:place-done"),
    Scenario(name="finish", ends=Status.UNCHANGED, host=_older, package=PACKAGE, crash="store:commit-intent"),
    Scenario(name="msi", ends=Status.INSTALLED, host=lambda: _with_tool(False), package=TOOL),
    Scenario(name="msi-fails", ends=Status.FAILED, host=lambda: _with_tool(False, 1603), package=TOOL),
    Scenario(name="msi-remove", ends=Status.REMOVED, host=lambda: _with_tool(True), package=TOOL, verb=Verb.REMOVE),
]


class _Nobody:
    """A view that shows nothing."""

    def started(self, run: Run, total: int | None) -> None: ...
    def stage(self, target: str, stage: Stage) -> None: ...
    def outcome(self, outcome: Outcome) -> None: ...
    def note(self, text: str) -> None: ...
    def finished(self, run: Run, summary: Summary) -> None: ...
    def close(self) -> None: ...


class _Session:
    """What ``RunResources`` is to a run, over a host in memory. One more target is left out."""

    def __init__(
        self, scenario: Scenario, host: MemoryHost, store: Store, folder: Path, transport: MemoryTransport | None = None
    ) -> None:
        self.scenario, self.host, self.store = scenario, host, store
        self.transport = transport or MemoryTransport({ADDRESS: host})
        self.run = Run(id=f"fault-{next(_runs):06}", verb=scenario.verb, inventory="-", package="p", version="1",
                       operator="-", started_at=utc_now())  # fmt: skip
        self.printed: list[str] = []
        self.unstored = Unstored(self.run.id, [folder], self.printed.append)
        target, spared = Target(name=host.name), Target(name="spared.corp.example")
        self.names = {target.name, spared.name}
        inventory = folder / "machines.txt"
        inventory.write_text(f"{target.name}\n{spared.name}\n")
        options = Options(inventory=inventory, exclude=[spared.name])
        self.plan = RunPlan(
            options=options,
            verb=scenario.verb,
            selection=select_targets(load_inventory(inventory), options),
            authority=None,
            package=scenario.package,
            payload=None,
            accounts=AccountsFile.own_identity_only(),
            run_account=None,
            secrets={},
            service_secret=None,
            directory_secret=None,
            remarks=(),
        )

    def begin(self) -> None:
        self.store.begin_run(self.run, {}, [(name, None, None) for name in sorted(self.names)])

    @contextlib.asynccontextmanager
    async def dispatcher(self, watcher: Watcher, report: Report, stop: Stop) -> AsyncIterator[Dispatcher]:
        package, host = self.scenario.package, self.host
        job = make_context(
            self.store, self.transport, package=package, payload=self.scenario.payload,
            verb=self.scenario.verb, run=self.run.id, watcher=watcher, stop=stop, resolver=Names({host.name: ADDRESS}),
        )  # fmt: skip
        yield Dispatcher(job, Caps(total=5, subnet=0), RetryPolicy(attempts=1), report, unstored=self.unstored.add)


@dataclass(kw_only=True)
class Seen:
    status: int
    outcomes: dict[str, Status]
    before: dict[str, Any]
    after: dict[str, Any]
    words: list[str]


def _look(host: MemoryHost) -> dict[str, Any]:
    """All but empty folders of ours and the host's own name, which its service's command bears."""
    seen = host.snapshot()
    disk = {
        path: data for path, data in seen["disk"].items() if path not in ("windows\\pusher", "windows\\pusher-check")
    }
    services = {name: (up, repr(config).replace(host.name, "HOST")) for name, (config, up) in seen["services"].items()}
    return {"disk": disk, "services": services, "values": dict(host.values)}


async def _plan(scenario: Scenario, store: Store) -> MemoryHost:
    host = scenario.host()
    if scenario.crash:
        with pytest.raises(Killed):
            await _push(scenario, host, store, Fault(how=Wire.DIE, call=scenario.crash, moment=Moment.AFTER))
    return host


async def _push(scenario: Scenario, host: MemoryHost, store: Store, *faults: Fault) -> Outcome:
    """One attempt by a process of its own, whose store's calls count as calls of the transport."""
    from pusher.push.attempt import attempt

    transport = MemoryTransport({ADDRESS: host}, *faults)
    job = make_context(DyingStore(store, transport), transport, package=scenario.package, payload=scenario.payload,
                   verb=scenario.verb)  # fmt: skip
    return await attempt(job, Target(name=host.name), ADDRESS, next(_numbers))


async def _run(scenario: Scenario, host: MemoryHost, store: Store, plan: Plan, folder: Path) -> Seen:
    """The whole run, as the command does it."""
    before = _look(host)
    session = _Session(scenario, host, FailingStore(store, plan), folder)
    execution = Execution(cast(RunResources, session), Unfailing(_Nobody()))
    try:
        status = await execution.go()
    except StoreError as error:
        # It could not even be begun: one sentence, and exit status 2.
        assert plan.number == plan.calls == 1, error
        return Seen(status=2, outcomes={}, before=before, after=_look(host), words=[str(error)])
    finally:
        session.unstored.close()
    return _seen(session, before, status, execution.verdict.closing_words, store.outcomes(session.run.id))


def _seen(session: _Session, before: dict[str, Any], status: int, words: list[str], stored: Iterable[Outcome]) -> Seen:
    host = session.host
    outcomes = {outcome.target: outcome.status for outcome in stored}
    for file in session.unstored.files:
        assert file.stat().st_mode & 0o777 == 0o600
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        outcomes |= {line["target"]: Status(line["status"]) for line in lines}
        assert len(lines) == session.unstored.count
    assert outcomes.keys() == session.names, "a target without an outcome"
    return Seen(status=status, outcomes={name: end for name, end in outcomes.items() if name == host.name},
                before=before, after=_look(host), words=words)  # fmt: skip


async def _undisturbed(scenario: Scenario, store: Store, folder: Path) -> tuple[dict[str, Any], int]:
    """The host after a run where nothing fails, and how many calls of the store that takes."""
    plan, host = Plan(), await _plan(scenario, store)
    seen = await _run(scenario, host, store, plan, folder)
    assert list(seen.outcomes.values()) == [scenario.ends]
    assert seen.status == (0 if scenario.ends.is_success else 1)
    assert seen.words == []
    return seen.after, plan.calls


_FAULTS = [(scenario, how) for scenario in SCENARIOS for how in How]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nobody cancels from elsewhere, and the log goes nowhere."""
    with mock.patch.object(interruption, "_POLL_CANCEL", 1e6), structlog.testing.capture_logs():
        yield


@pytest.mark.thorough
@pytest.mark.parametrize(("scenario", "how"), _FAULTS, ids=[f"{one.name}-{how.name}" for one, how in _FAULTS])
def test_whatever_the_store_does_not_do_no_host_is_left_half_done(
    scenario: Scenario, how: How, store: Store, tmp_path: Path
) -> None:
    async def story() -> list[str]:
        wanted, calls = await _undisturbed(scenario, store, tmp_path)
        wrong, number = list[str](), 0
        while True:
            number += 1
            plan, host = Plan(number, how), await _plan(scenario, store)
            seen = await _run(scenario, host, store, plan, tmp_path)
            if not plan.has_struck:
                break
            at = f"call {number} of {calls}: exit {seen.status}, {list(seen.outcomes.values())}"
            wrong += [f"{at}: {why}" for why in _faults_of(scenario, seen, wanted)]
            again = await _push(scenario, host, store)
            if _look(host) != wanted or again.status.is_success != scenario.ends.is_success:
                wrong.append(f"{at}: the next push: {again.status} {again.message}")
            if store.open_journals(host.name, scenario.package.key):
                wrong.append(f"{at}: a journal is open after the next push")
        assert number > calls > 5, "every call was met"
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)


def _faults_of(scenario: Scenario, seen: Seen, wanted: dict[str, Any]) -> Iterator[str]:
    if seen.status == 0:
        yield "the run ended 0"
    if not seen.words:
        yield "nobody was told"
    (end,) = seen.outcomes.values() if seen.outcomes else (Status.FAILED,)
    # What an installer has done it has done, and a recovery brings back what was there before the push that was killed.
    may_be = [wanted] if end.is_success else [seen.before, wanted]
    if scenario.crash and not end.is_success:
        may_be.append(_look_of(scenario.host))
    if seen.after not in may_be:
        yield f"the host is neither as it was nor as it should be ({end})"
    if [path for path in seen.after["disk"] if path.endswith((NEW, OLD))] and not scenario.crash:
        yield "files lie about"


def _look_of(make: Callable[[], MemoryHost]) -> dict[str, Any]:
    return _look(make())


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(
    scenario=st.sampled_from([one for one in SCENARIOS if one.ends is not Status.FAILED]),
    how=st.sampled_from(How),
    number=st.integers(2, 30),
    killed_at=st.integers(10, 80),
)
def test_killed_while_the_store_fails_too_the_next_push_is_right(
    scenario: Scenario, how: How, number: int, killed_at: int, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The journal says less than the truth, and nobody undid anything."""

    async def story() -> None:
        wanted, _ = await _undisturbed(scenario, store, tmp_path_factory.mktemp("undisturbed"))
        host = await _plan(scenario, store)
        with contextlib.suppress(Killed):
            await _push(scenario, host, FailingStore(store, Plan(number, how)), Fault(how=Wire.DIE, number=killed_at))
        again = await _push(scenario, host, store)
        assert again.status.is_success, (again.code, again.message)
        assert _look(host) == wanted
        assert not store.open_journals(host.name, scenario.package.key)

    fly(story())


# What really happens to a store's file


class _Acting(MemoryTransport):
    """Does something when the n-th call is made."""

    def __init__(self, host: MemoryHost, number: int, act: Callable[[], None]) -> None:
        super().__init__({ADDRESS: host})
        self._number, self._act = number, act

    def due(self, call: str) -> Fault | None:
        if len(self.calls) + 1 == self._number:
            self._act()
        return super().due(call)


@dataclass(frozen=True, kw_only=True)
class Harm:
    """What is done to the store in ``folder`` in mid-run, how it is made good, and the codes that tell of it.

    ``is_lost``: what it held is gone, the journal with it.
    """

    name: str
    do: Callable[[Path], Callable[[], None]]
    codes: frozenset[str]
    is_lost: bool = False


def _clear(folder: Path) -> None:
    for path in folder.glob("s.sqlite*"):
        path.unlink()


def _delete(folder: Path) -> Callable[[], None]:
    _clear(folder)
    return lambda: None


def _replace(folder: Path) -> Callable[[], None]:
    _clear(folder)
    shutil.copy(folder / "empty.sqlite", folder / "s.sqlite")
    return lambda: None


def _truncate(folder: Path) -> Callable[[], None]:
    os.truncate(folder / "s.sqlite", 0)
    return partial(_clear, folder)


def _cut_in_half(folder: Path) -> Callable[[], None]:
    os.truncate(folder / "s.sqlite", (folder / "s.sqlite").stat().st_size // 2)
    return partial(_clear, folder)


def _lock(folder: Path) -> Callable[[], None]:
    connection = sqlite3.connect(folder / "s.sqlite", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection.close


def fill_up(folder: Path) -> Callable[[], None]:
    """To the last byte of its file system, which must be a small one."""
    assert os.statvfs(folder).f_blocks * os.statvfs(folder).f_frsize < 64 << 20
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    return filler.unlink


HARMS = [
    Harm(name="deleted", do=_delete, codes=frozenset({"store-damaged"}), is_lost=True),
    Harm(name="replaced", do=_replace, codes=frozenset({"store-damaged"}), is_lost=True),
    Harm(name="truncated", do=_truncate, codes=frozenset({"store-damaged"}), is_lost=True),
    Harm(name="cut-in-half", do=_cut_in_half, codes=frozenset({"store-damaged"}), is_lost=True),
    Harm(name="locked", do=_lock, codes=frozenset({"store-locked"})),
]
FULL = Harm(name="full", do=fill_up, codes=frozenset({"store-full", "store-unavailable"}))


async def harmed(scenario: Scenario, harm: Harm, folder: Path, every: int = 1) -> list[str]:
    """What is wrong after runs of which each meets the harm at another call; each has a store of its own."""
    open_store(str(folder / "empty.sqlite")).close()
    calm = _Session(scenario, scenario.host(), open_store(str(folder / "calm.sqlite")), folder)
    assert await Execution(cast(RunResources, calm), Unfailing(_Nobody())).go() == 0
    calm.store.close()
    wanted, wrong = _look(calm.host), list[str]()
    first = calm.transport.calls.index("sign_in") + 1
    for number in range(first, len(calm.transport.calls) + 1, every):
        host, undo = scenario.host(), list[Callable[[], None]]()
        shutil.copy(folder / "empty.sqlite", folder / "s.sqlite")  # to make one takes longer
        before, store = _look(host), open_store(str(folder / "s.sqlite"))
        acting = _Acting(host, number, lambda undo=undo: undo.append(harm.do(folder)))  # type: ignore[misc]
        session = _Session(scenario, host, store, folder, acting)
        execution = Execution(cast(RunResources, session), Unfailing(_Nobody()))
        status = await execution.go()
        session.unstored.close()
        words, after = execution.verdict.closing_words, _look(host)
        at = f"{harm.name} at call {number} ({calm.transport.calls[number - 1]})"
        store.close()
        undo.pop()()
        reopened = open_store(str(folder / "s.sqlite"))
        told = _told(session, reopened)
        if status == 0 or not any(code in line for code in harm.codes for line in words):
            wrong.append(f"{at}: exit {status}, told: {words}")
        if not told >= {host.name}:
            wrong.append(f"{at}: no outcome")
        if after not in (before, wanted):
            wrong.append(f"{at}: the host is neither as it was nor as it should be")
        again = await _push(scenario, host, reopened)
        if not again.status.is_success or _look(host) != wanted:
            wrong.append(f"{at}: the next push: {again.status} {again.message}")
        reopened.close()
        for path in [*folder.glob("s.sqlite*"), *folder.glob("unstored-*")]:
            path.unlink()
    assert number > first, "there were calls to be harmed at"
    return wrong


def _told(session: _Session, store: Store) -> set[str]:
    """Whose outcome is somewhere: in the store, in the file beside it, or printed."""
    lines = [line for file in session.unstored.files for line in file.read_text().splitlines()]
    told = {json.loads(line)["target"] for line in [*lines, *session.printed]}
    return told | {outcome.target for outcome in store.outcomes(session.run.id)}


@pytest.mark.thorough
@pytest.mark.parametrize("harm", HARMS, ids=[harm.name for harm in HARMS])
def test_whatever_becomes_of_its_file_hosts_are_put_back(
    harm: Harm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "LOCK_PATIENCE", 20)
    upgrade = next(one for one in SCENARIOS if one.name == "upgrade")
    wrong = fly(harmed(upgrade, harm, tmp_path, every=2))
    assert not wrong, "\n".join(wrong)


@pytest.mark.thorough
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A small file system of its own, in a namespace of mounts that ends with its process."""
    mount = f"mount -t tmpfs -o size=4m pusher {shlex.quote(str(tmp_path))}"
    command = f"{mount} && exec {shlex.quote(sys.executable)} -m tests.unit.cli.full_disk {shlex.quote(str(tmp_path))}"
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", "--mount", *own_user, "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
