"""A push that is killed outright at any point of its work: the next one makes it good, and leaves nothing double.

The stories are told side by side on several hosts, since each is mostly waiting; each test then looks at one.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from zlib import crc32

import pytest

from lab import SCENARIOS, Host, HostSpec, Lab
from pusher.install.machine import Step
from tests.conftest import StartLab
from tests.system import crash, witness
from tests.system.command import Ended
from tests.system.site import Site, free_network

# The first to look may have to wait until all the stories are told.
pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

PAYLOAD = random.Random(1).randbytes(12 * crash.LARGE)
"""Larger than all that is under way at once, so that a kill in the copy leaves a part of it."""
FRESH, UPGRADE = "fresh", "upgrade"
HOSTS = {FRESH: ("fresh1", "fresh2"), UPGRADE: ("older1", "older2")}
SCENARIO = {FRESH: SCENARIOS["healthy"], UPGRADE: SCENARIOS["older-version"]}
STEPS = {
    FRESH: [Step.STAGE, Step.PLACE, Step.REGISTER, Step.START, Step.VERIFY, Step.COMMIT],
    UPGRADE: [Step.STAGE, Step.STOP, Step.PLACE, Step.REGISTER, Step.START, Step.VERIFY, Step.COMMIT],
}
RENAMES = {FRESH: 1, UPGRADE: 2}
"""All but the last: after that one the step has happened."""
UNDONE_IN = {
    FRESH: [Step.START, Step.REGISTER, Step.PLACE, Step.STAGE],
    UPGRADE: [Step.START, Step.REGISTER, Step.PLACE, Step.STOP, Step.STAGE],
}


@dataclass(frozen=True, kw_only=True)
class Crash:
    """One story: killed at ``point``, then the same command again, here or from another administrator's machine."""

    flow: str
    point: str
    same_store: bool = True
    fault: str = "none"

    def __str__(self) -> str:
        return f"{self.flow}-{self.point}" + ("" if self.same_store else "-elsewhere")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of it, as other clients see it."""

    killed: Ended
    again: Ended
    service_state: str | None
    display_name: str | None
    files: dict[str, str | None]
    agents: tuple[int, ...]
    traces: list[str]
    litter: list[str]
    open_journals: list[int]
    old_agent: bytes | None


def _points(flow: str) -> Iterator[str]:
    yield "opened"
    yield from (f"{step}:{when}" for step in STEPS[flow] for when in ("intent", "effect", "done"))
    yield "copying"
    yield from (f"renamed:{number}" for number in range(1, RENAMES[flow] + 1))


def _states(flow: str) -> Iterator[str]:
    """The points that leave a host in a state of its own, short of the last: all that another store can tell apart."""
    steps = [f"{step}:effect" for step in STEPS[flow] if step not in (Step.VERIFY, Step.COMMIT)]
    yield from (point for point in _points(flow) if point in steps or point.startswith(("copying", "renamed")))


CRASHES = [
    *(Crash(flow=flow, point=point) for flow in STEPS for point in _points(flow)),
    *(Crash(flow=flow, point=point, same_store=False) for flow in STEPS for point in _states(flow)),
]
CRASHES_IN_UNDO = [
    Crash(flow=flow, point=f"{step}:before-undo", fault="exit") for flow in STEPS for step in UNDONE_IN[flow]
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Site]:
    """A lab of a few hosts, each made anew for each story."""
    folder = tmp_path_factory.mktemp("place")
    lab = Lab(folder / "state", free_network(), folder / "inventory")
    specs = [HostSpec(name=name, scenario=SCENARIO[flow]) for flow, names in HOSTS.items() for name in names]
    yield Site(lab=start_lab(lab, specs), files=folder / "inventory")
    lab.down()


@pytest.fixture(scope="module")
def seen(place: Site, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Stories]:
    wanted = [item.callspec.params.get("crash") for item in request.session.items if hasattr(item, "callspec")]
    stories = _Stories(place, tmp_path_factory.mktemp("killed"), [one for one in wanted if isinstance(one, Crash)])
    yield stories
    stories.end()


class _Stories:
    """Tells the stories, each on a host of its flow that is free and new."""

    def __init__(self, site: Site, folder: Path, wanted: Iterable[Crash]) -> None:
        self._site, self._folder = site, folder
        self._package = site.package_of(
            folder / "package", extra={"payload.bin": PAYLOAD}, display_name="Lab agent, new", stay_running="100ms"
        )
        self._free: dict[str, Queue[str]] = {flow: Queue() for flow in HOSTS}
        for flow, names in HOSTS.items():
            for name in names:
                self._free[flow].put(name)
        self._pool = ThreadPoolExecutor(sum(map(len, HOSTS.values())))
        order = sorted(wanted, key=lambda one: crc32(one.point.encode()))  # mixed: both flows' hosts are at work
        self._told: dict[Crash, Future[Seen]] = {one: self._pool.submit(self._tell, one) for one in order}

    def of(self, crash: Crash) -> Seen:
        return self._told[crash].result()

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _tell(self, one: Crash) -> Seen:
        name = self._free[one.flow].get()
        try:
            host = self._site.host(name)
            host.reset()
            return self._story(one, host)
        finally:
            self._free[one.flow].put(name)

    def _story(self, one: Crash, host: Host) -> Seen:
        folder = self._folder / str(one).replace(":", "-") / one.fault
        inventory = self._site.inventory_of(folder, [host], fault=one.fault)
        old = witness.agent_file(host)
        pusher = self._site.pusher(folder, self._package)
        killer = replace(pusher, command=(sys.executable, "-P", crash.__file__, one.point))
        killed = killer.push(inventory)
        if not one.same_store:
            pusher = self._site.pusher(folder / "elsewhere", self._package)
        again = pusher.push(inventory)
        sees = self._site.witness(host)
        return Seen(
            killed=killed,
            again=again,
            service_state=sees.service_state(),
            display_name=sees.service_setting("Display Name"),
            files={
                name: witness.sha256(sees.content(f"labagent\\{name}"))
                for name in sees.names("labagent")
                if name != "heartbeat.txt"
            },
            agents=witness.agents(host),
            traces=witness.traces(host),
            litter=witness.litter(host),
            open_journals=[open_journals(store) for store in {pusher.store_file, killer.store_file}],
            old_agent=old,
        )


def open_journals(store: Path) -> int:
    with closing(sqlite3.connect(store)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM journals WHERE closed_as IS NULL").fetchone()
    return int(count)


@pytest.mark.parametrize("crash", CRASHES, ids=str)
def test_next_push_makes_it_good(place: Site, seen: _Stories, crash: Crash) -> None:
    came = seen.of(crash)
    assert came.killed.status == -signal.SIGKILL, came.killed.everything_said()
    assert came.killed.stdout == ""
    assert came.again.status == 0, came.again.everything_said()
    assert came.again.verdict[0] in _expected(crash), came.again.everything_said()
    assert came.service_state == "running"
    assert len(came.agents) == 1
    assert came.display_name == "Lab agent, new"
    assert came.files == {"labagent.exe": witness.sha256(place.agent), "payload.bin": witness.sha256(PAYLOAD)}
    assert came.litter == []
    if crash.same_store:
        assert came.open_journals == [0]


def _expected(crash: Crash) -> set[str]:
    """What the second push records: whether there was still something to do, and to what."""
    done = "installed" if crash.flow == FRESH else "upgraded"
    step = crash.point.partition(":")[0]
    if crash.same_store:
        # Past the point of no return the second push only clears up.
        finished = step == Step.COMMIT
        return {"unchanged"} if finished else {done}
    if step == Step.START:
        return {"unchanged"}  # it runs, and nothing tells this store that it was not seen to stay running
    if step in (Step.PLACE, Step.REGISTER):
        return {done, "installed"}  # all files are there, only the service is not as it should be
    return {done}


@pytest.mark.parametrize("crash", CRASHES_IN_UNDO, ids=str)
def test_next_push_ends_an_undo(seen: _Stories, crash: Crash) -> None:
    """The agent fails at its start, and pusher is killed while it puts the host back; the next push fails too, but
    whatever was there before either of them is there again."""
    came = seen.of(crash)
    assert came.killed.status == -signal.SIGKILL, came.killed.everything_said()
    assert came.again.verdict == ("failed", "service-exited"), came.again.everything_said()
    assert came.litter == []
    assert came.open_journals == [0]
    if crash.flow == FRESH:
        assert (came.service_state, came.traces, came.agents) == (None, [], ())
    else:
        assert came.service_state == "running"
        assert came.display_name == "Lab agent"
        assert came.files == {"labagent.exe": witness.sha256(came.old_agent)}
        assert len(came.agents) == 1
