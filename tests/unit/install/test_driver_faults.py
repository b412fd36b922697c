"""A failure, a lost connection or a kill at every single call of a push, before and after the call's effect.

A failed push leaves the host exactly as it was, or, past its point of no return, exactly as it was to become. After
a kill the next push installs exactly once and clears what was left, whether it knows the first one's journal or not.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pusher.install.names import NEW, OLD
from pusher.install.plan import service_of
from pusher.models import Outcome, Package, Secret, Status, Verb
from pusher.problems import Code
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, Moment
from pusher.transports.memory.wire import Killed
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    CONF,
    EXE,
    LOG,
    SERVICE,
    SERVICE_ACCOUNT,
    install_by_hand,
    know_service_account,
    make_host,
    make_package,
    make_payload,
    push,
)

pytestmark = pytest.mark.thorough

NEW_FILES = {EXE: program("1.4.2"), CONF: b"version = '1.4.2'"}
OLD_FILES = {EXE: program("1.3.0"), "labagent\\labagent.dll": b"the same in both"}
BOTH_FILES = {EXE: program("1.4.2"), "labagent\\labagent.dll": b"the same in both", CONF: b"new in this one"}

Snapshot = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A host before a push, and the push."""

    name: str
    expected: Status
    prepare: Callable[[MemoryHost], None] = lambda host: None
    files: dict[str, bytes] = field(default_factory=lambda: NEW_FILES)
    changes: dict[str, Any] = field(default_factory=dict)
    verb: Verb = Verb.PUSH

    @property
    def package(self) -> Package:
        return make_package(files=self.files, **self.changes)

    def host(self) -> MemoryHost:
        host = make_host()
        self.prepare(host)
        return host

    async def push(self, host: MemoryHost, store: Store, *faults: Fault) -> tuple[Outcome, list[str]]:
        package = self.package
        payload = make_payload(package, self.files)
        outcome, transport = await push(
            host, store, *faults, package=package, payload=payload, verb=self.verb, service_secret=Secret("agents")
        )
        return outcome, transport.calls


def _old_version(host: MemoryHost) -> None:
    install_by_hand(host, make_package("1.3.0", OLD_FILES), OLD_FILES)


def _old_version_slow_to_stop(host: MemoryHost) -> None:
    _old_version(host)
    host.services.stop_takes = 0.5


def _stopped(host: MemoryHost) -> None:
    install_by_hand(host, make_package(), NEW_FILES, running=False)


def _present(host: MemoryHost) -> None:
    install_by_hand(host, make_package(), NEW_FILES)


def _orphaned_files(host: MemoryHost) -> None:
    """Files of the old version and a log of it, and no service: somebody has deleted it by hand."""
    for dest, data in OLD_FILES.items():
        host.write(f"Windows\\{dest}", data)
    host.write(f"Windows\\{LOG}", b"what the old agent had to say")


def _present_and_account_known(host: MemoryHost) -> None:
    _present(host)
    know_service_account(host)


ACCOUNT = {"account": SERVICE_ACCOUNT, "secret": "env:X", "grant_logon_right": True}
SCENARIOS = [
    Scenario(name="fresh", expected=Status.INSTALLED),
    Scenario(name="upgrade", expected=Status.UPGRADED, prepare=_old_version, files=BOTH_FILES),
    Scenario(name="upgrade-slow-stop", expected=Status.UPGRADED, prepare=_old_version_slow_to_stop, files=BOTH_FILES),
    Scenario(name="stopped", expected=Status.INSTALLED, prepare=_stopped),
    Scenario(
        name="reconfigure", expected=Status.UPGRADED, prepare=_present, changes={"display_name": "Lab Agent, renamed"}
    ),
    Scenario(name="disable", expected=Status.UPGRADED, prepare=_present, changes={"start": "disabled"}),
    Scenario(name="account", expected=Status.INSTALLED, prepare=know_service_account, changes=ACCOUNT),
    Scenario(name="account-changes", expected=Status.UPGRADED, prepare=_present_and_account_known, changes=ACCOUNT),
    Scenario(name="orphaned", expected=Status.INSTALLED, prepare=_orphaned_files, files=BOTH_FILES),
]
REMOVE = Scenario(name="remove", expected=Status.REMOVED, prepare=_present, verb=Verb.REMOVE)
_READS = {
    "open", "identify", "sign_in", "is_domain_controller", "probe_write", "may_create_services", "registry_access",
    "folders", "holders_of", "free_bytes", "architecture", "stat", "digest", "service_config", "service_status",
}  # fmt: skip
"""Calls that change nothing on the host: there a fault after the effect is one before it."""

_FORGIVEN = {
    "open",  # connecting may be repeated freely
    "registry_access",  # this package does not ask for the registry
    "remove_folder",  # an empty folder of ours may stay
}
"""Calls that a push may get over."""

_STAGING = re.compile(r"windows\\pusher(-check)?")
"""The folder of the locks, and the one that the check makes and removes: empty, they may stay where a connection
went down between two calls."""


def _faults(calls: list[str], how: How, code: Code = Code.TOO_BUSY, everything: bool = True) -> Iterator[Fault]:
    """A fault at each call, at each moment that makes a difference. Not ``everything``: from the lock on."""
    for number, call in enumerate(calls, start=1):
        if everything or "hold" in calls[:number]:
            for moment in _moments(call, how):
                yield Fault(how=how, number=number, moment=moment, code=code)


def _moments(call: str, how: How) -> list[Moment]:
    if how is How.DIE:
        # Nothing happens between two calls, so a kill before one is a kill after the one before it.
        after = [] if call in _READS else [Moment.AFTER]
        return [Moment.DURING, *after] if call == "put" else after
    if call.startswith("store:"):
        return []
    if call in _READS:
        return [Moment.BEFORE]
    return list(Moment) if call == "put" else [Moment.BEFORE, Moment.AFTER]


def _tidy(snapshot: Snapshot) -> Snapshot:
    disk = {path: data for path, data in snapshot["disk"].items() if data is not None or not _STAGING.fullmatch(path)}
    return {**snapshot, "disk": disk}


async def _undisturbed(scenario: Scenario, store: Store) -> tuple[list[str], Snapshot]:
    """The calls of the push where nothing goes wrong, and the host after it, which the test vouches for itself."""
    host = scenario.host()
    outcome, calls = await scenario.push(host, store)
    assert (outcome.status, outcome.code) == (scenario.expected, None), outcome.message
    disk, services = host.snapshot()["disk"], host.snapshot()["services"]
    for dest, data in scenario.files.items():
        assert disk[f"windows\\{dest}".lower()] == data
    assert not [path for path in disk if path.endswith((NEW, OLD)) or "temp\\" in path]
    config, runs = services[SERVICE.lower()]
    assert runs == (service_of(scenario.package).start != "disabled")
    assert config.display_name == service_of(scenario.package).display_name
    return calls, _renamed(host.snapshot(), host)


def _renamed(snapshot: Snapshot, host: MemoryHost) -> Snapshot:
    """Each host has a name of its own, and its service's command bears it."""
    services = {
        name: (up, repr(config).replace(host.name, "HOST")) for name, (config, up) in snapshot["services"].items()
    }
    return _tidy({**snapshot, "services": services})


def _without_old(snapshot: Snapshot) -> Snapshot:
    return {**snapshot, "disk": {path: data for path, data in snapshot["disk"].items() if not path.endswith(OLD)}}


def _seen(host: MemoryHost) -> Snapshot:
    return _renamed(host.snapshot(), host)


def _difference(one: Snapshot, other: Snapshot) -> str:
    return "; ".join(
        f"{part} {key}: {one[part].get(key)!r:.80} is now {other[part].get(key)!r:.80}"
        for part in one
        for key in sorted(one[part].keys() | other[part].keys())
        if one[part].get(key, "absent") != other[part].get(key, "absent")
    )


_FAILURES = [
    *((scenario, How.FAIL, "too-busy") for scenario in SCENARIOS if scenario.name != "upgrade-slow-stop"),
    *((scenario, How.DROP, "") for scenario in SCENARIOS),
    # After the fault these go like the two above; a doubtful answer leaves the connection, and the lock, as it is.
    *((scenario, How.FAIL, "protocol-error") for scenario in SCENARIOS[:2]),
    *((scenario, How.HANG, "") for scenario in SCENARIOS[:2]),
]


@pytest.mark.parametrize(
    ("scenario", "how", "code"), _FAILURES, ids=[f"{row.name}-{how.name}-{code}" for row, how, code in _FAILURES]
)
def test_a_failed_push_leaves_the_host_as_it_was(scenario: Scenario, how: How, code: Code, store: Store) -> None:
    async def story() -> list[str]:
        calls, wanted = await _undisturbed(scenario, store)
        commit = calls.index("store:commit-intent")
        wrong = []
        everything = scenario.name == "fresh" and how is not How.HANG
        for fault in _faults(calls, how, code, everything):
            host = scenario.host()
            before = _seen(host)
            outcome, _ = await scenario.push(host, store, fault)
            call, after = calls[fault.number - 1], _seen(host)
            at = f"{fault.moment.name} call {fault.number} ({call}): {outcome.status} {outcome.code}"
            should_be = before
            if outcome.status.is_success:
                # An old file that would not go stays for the next push, which finds nothing else to do.
                after, should_be = _without_old(after), wanted
                again, _ = await scenario.push(host, store)
                assert (again.status, _seen(host)) == (Status.UNCHANGED, wanted), at
            if after != should_be:
                wrong.append(f"{at}: {_difference(should_be, after)}; {outcome.message}")
            if outcome.status.is_success != (fault.number - 1 > commit) and call not in _FORGIVEN:
                wrong.append(f"{at}: a push past its point of no return is a success, one before it a failure")
            if not outcome.status.is_success and store.open_journals(host.name, SERVICE):
                wrong.append(f"{at}: the undone push's journal is open")
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)


_KILLS = [
    *((scenario, True) for scenario in SCENARIOS),
    # Without the journal only what lies about on the host can tell: files beside their places, a service half made.
    *((scenario, False) for scenario in SCENARIOS if scenario.files is not NEW_FILES or scenario.name == "fresh"),
]


@pytest.mark.parametrize(
    ("scenario", "knows"), _KILLS, ids=[f"{row.name}-{'same' if knows else 'another'}-store" for row, knows in _KILLS]
)
def test_after_a_kill_the_next_push_installs_once(
    scenario: Scenario, knows: bool, store: Store, other_store: Store
) -> None:
    async def story() -> list[str]:
        calls, wanted = await _undisturbed(scenario, store)
        wrong = []
        for fault in _faults(calls, How.DIE, everything=scenario.name == "fresh"):
            host = scenario.host()
            try:
                await scenario.push(host, store, fault)
            except Killed:
                pass
            else:
                wrong.append(f"{fault}: nobody was killed")
            second = store if knows else other_store
            outcome, _ = await scenario.push(host, second)
            at = f"{fault.moment.name} call {fault.number} ({calls[fault.number - 1]})"
            if _seen(host) != wanted or not outcome.status.is_success:
                said = f"{outcome.status} {outcome.code} {outcome.message}"
                wrong.append(f"{at}: {said}: {_difference(wanted, _seen(host))}")
            if "windows\\pusher" in host.snapshot()["disk"]:
                wrong.append(f"{at}: the folder of the locks is still there")
            if second.open_journals(host.name, SERVICE):
                wrong.append(f"{at}: a journal is still open")
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)


async def _disturbed(scenario: Scenario, host: MemoryHost, store: Store, faults: list[Fault]) -> None:
    with contextlib.suppress(Killed):
        await scenario.push(host, store, *faults)


_any_fault = st.builds(
    Fault,
    how=st.sampled_from([How.FAIL, How.DROP, How.DIE, How.DIE]),
    number=st.integers(13, 90),
    moment=st.sampled_from(Moment),
    code=st.sampled_from(["too-busy", "protocol-error", "file-in-use", "access-denied", "disk-full"]),
)
_any_push = st.tuples(st.booleans(), st.lists(_any_fault, min_size=1, max_size=3))


_DISABLES = next(row for row in SCENARIOS if row.name == "disable")
_DISABLED_BY_ANOTHER = [
    (True, [Fault(how=How.DIE, number=31)]),
    (False, [Fault(how=How.FAIL, number=29, code=Code.TOO_BUSY)]),
]
"""Killed with the service stopped, and then another pusher disabled it: what the first would put back is past."""


@settings(max_examples=40, deadline=None)
@given(
    scenario=st.sampled_from(SCENARIOS),
    history=st.lists(_any_push, min_size=1, max_size=3),
    by_first=st.booleans(),
    removes=st.booleans(),
)
@example(scenario=_DISABLES, history=_DISABLED_BY_ANOTHER, by_first=True, removes=True)
@example(scenario=_DISABLES, history=_DISABLED_BY_ANOTHER, by_first=True, removes=False)
def test_whatever_went_wrong_the_next_undisturbed_push_is_right(
    scenario: Scenario,
    history: list[tuple[bool, list[Fault]]],
    by_first: bool,
    removes: bool,
    store: Store,
    other_store: Store,
) -> None:
    """Any history of two pushers that fail, lose their connection or are killed, even while they undo."""

    async def story() -> None:
        _, wanted = await _undisturbed(scenario, store)
        host = scenario.host()
        stores = {True: store, False: other_store}
        for first, faults in history:
            await _disturbed(scenario, host, stores[first], faults)
        if removes:
            removal = replace(scenario, verb=Verb.REMOVE)
            outcome, _ = await removal.push(host, stores[by_first])
            assert outcome.status in (Status.REMOVED, Status.UNCHANGED), outcome
            left = host.snapshot()
            assert left["services"] == {}
            assert not [path for path in left["disk"] if path.endswith((NEW, OLD)) or "pusher\\" in path]
            assert not {f"windows\\{dest}".lower() for dest in (*scenario.files, LOG)} & left["disk"].keys()
        else:
            outcome, _ = await scenario.push(host, stores[by_first])
            assert (outcome.code, _seen(host)) == (None, wanted), outcome.message
        assert "windows\\pusher" not in host.snapshot()["disk"]
        assert not stores[by_first].open_journals(host.name, SERVICE)

    fly(story())


@pytest.mark.parametrize("how", [How.FAIL, How.DROP, How.DIE])
def test_a_removal_that_was_cut_short_is_finished_by_the_next(how: How, store: Store) -> None:
    async def story() -> list[str]:
        calls, wrong = (await REMOVE.push(REMOVE.host(), store))[1], []
        for fault in _faults(calls, how):
            host = REMOVE.host()
            await _disturbed(REMOVE, host, store, [fault])
            outcome, _ = await REMOVE.push(host, store)
            left, bare = _tidy(host.snapshot()), make_host().snapshot()
            if left != bare or not outcome.status.is_success or "windows\\pusher" in host.disk.snapshot():
                wrong.append(f"{fault.moment.name} call {fault.number}: {outcome.status} {_difference(bare, left)}")
        return wrong

    wrong = fly(story())
    assert not wrong, "\n".join(wrong)
