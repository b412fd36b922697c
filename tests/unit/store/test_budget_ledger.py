"""The lockout ledger on SQLite: the contract, several processes, and a store that cannot be written."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pusher.credentials.lockout.budget import LockoutPolicy, Result
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.ledger import Ledger
from pusher.problems import ProblemError
from pusher.store import Store, open_store
from tests.contract.ledger_contract import KEY, NAME, LedgerContract, add
from tests.contract.lockout_model import LedgerMachine
from tests.unit.store.ledger_worker import TASKS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(str(tmp_path / "pusher.sqlite"))
    yield made
    made.close()


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, store: Store) -> Ledger:
        return store.ledger


class SqliteMachine(LedgerMachine):
    """The same interleavings over a file, each change by another connection."""

    def ledger(self) -> Ledger:
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(f"{self.folder.name}/pusher.sqlite")
        return self.store.ledger

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestSqliteMachine = pytest.mark.thorough(SqliteMachine.TestCase)
TestSqliteMachine.settings = settings(
    max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# Several processes


def started(url: str, run: str, limit: int, ends: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.store.ledger_worker", url, run, str(limit), ends]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """One that has two sign-ins on their way, and never ends by itself."""
    process = started(str(tmp_path / "pusher.sqlite"), "r0", 2, "hangs")
    yield process
    process.kill()
    process.wait()


def ended(process: subprocess.Popen[str]) -> list[str]:
    said, wrong = process.communicate(timeout=120)
    assert wrong == ""
    return said.split()


@pytest.mark.process
@pytest.mark.parametrize("limit", [1, 5])
def test_four_processes_and_many_tasks_fail_no_more_often_than_allowed(tmp_path: Path, limit: int) -> None:
    url = str(tmp_path / "pusher.sqlite")
    said = [line for process in [started(url, f"r{n}", limit) for n in range(4)] for line in ended(process)]
    assert said.count("sign-in") == limit
    assert said.count("lockout-budget-spent") == 4 * TASKS - limit


@pytest.mark.process
def test_processes_that_are_killed_in_mid_sign_in_have_spent_what_they_had(
    tmp_path: Path, hanging: subprocess.Popen[str]
) -> None:
    """Three are killed, one after the other, each with a part of the budget in use; the fourth has what is left."""
    url, limit = str(tmp_path / "pusher.sqlite"), 5
    assert hanging.stdout is not None
    tried = [hanging.stdout.readline(), hanging.stdout.readline()].count("sign-in\n")
    others = [started(url, f"r{n}", limit) for n in (1, 2)]
    hanging.kill()
    assert others[0].stdout is not None
    first = others[0].stdout.readline()  # it waits for the hanging one's end where the other was quicker
    others[0].kill()
    rest = [first.strip(), *others[0].communicate()[0].split(), *hanging.communicate()[0].split()]
    rest += ended(others[1])
    last = ended(started(url, "r3", limit))
    tried += [*rest, *last].count("sign-in")
    assert hanging.returncode == -9
    # One that was granted a lease and killed before it said so has spent it all the same.
    assert 2 <= tried <= limit
    store = open_store(url)
    left = LockoutGuard(LockoutPolicy(threshold=limit + 1, reserve=1), store.ledger).budget(KEY)
    store.close()
    assert (left.failures, left.in_flight) == (limit, 0)
    assert last.count("lockout-budget-spent") == TASKS - last.count("sign-in")


async def test_what_was_told_survives_the_process(tmp_path: Path) -> None:
    url = str(tmp_path / "pusher.sqlite")
    for run in ("a", "b"):
        store = open_store(url)
        async with LockoutGuard(LockoutPolicy(threshold=4, reserve=1), store.ledger, run=run).lease(KEY) as lease:
            lease.settle(Result.FAILED)
        store.close()  # at once: what was handed over is written
    store = open_store(url)
    assert LockoutGuard(LockoutPolicy(threshold=4, reserve=1), store.ledger).budget(KEY).failures == 2
    store.close()


# A store that cannot be written


async def _all_told(store: Store) -> None:
    """Until the writer has done what it was given."""
    await asyncio.wrap_future(store._database.writer.submit(lambda _: None))


async def test_a_store_that_cannot_be_written_grants_nothing(store: Store, tmp_path: Path) -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=9, reserve=2), store.ledger, run="r")
    with sqlite3.connect(tmp_path / "pusher.sqlite") as connection:
        connection.execute("ALTER TABLE lockout RENAME TO elsewhere")
    with pytest.raises(ProblemError) as refused:
        async with guard.lease(KEY):
            raise AssertionError("nobody counts it")
    assert refused.value.problem.code == "budget-unavailable"
    with sqlite3.connect(tmp_path / "pusher.sqlite") as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO lockout")
    async with guard.lease(KEY) as lease:
        lease.settle(Result.OK)
    await _all_told(store)
    assert guard.budget(KEY).in_flight == 0


async def test_an_end_that_could_not_be_told_is_told_by_the_next(store: Store, tmp_path: Path) -> None:
    guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), store.ledger, run="r")
    async with guard.lease(KEY) as lease:
        with sqlite3.connect(tmp_path / "pusher.sqlite") as connection:
            connection.execute("ALTER TABLE lockout RENAME TO elsewhere")
        lease.settle(Result.OK)
    with pytest.raises(ProblemError):
        await store.ledger.look(NAME)
    await _all_told(store)
    with sqlite3.connect(tmp_path / "pusher.sqlite") as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO lockout")
    assert guard.budget(KEY).in_flight == 1, "in the ledger it is still on its way"
    async with guard.lease(KEY) as lease:
        assert guard.budget(KEY).in_flight == 1
        lease.settle(Result.OK)


async def test_an_entry_that_cannot_be_understood_grants_nothing(store: Store) -> None:
    await store.ledger.change(NAME, lambda _: ({"corp": {"seq": "many"}}, None))
    with pytest.raises(ProblemError) as refused:
        async with LockoutGuard(LockoutPolicy(threshold=9, reserve=2), store.ledger).lease(KEY):
            raise AssertionError("who knows how often it has failed")
    assert refused.value.problem.code == "budget-damaged"
    assert store.ledger.read(NAME) == {"corp": {"seq": "many"}}


async def test_the_event_loop_goes_on_while_the_store_is_held_up(store: Store) -> None:
    gate = threading.Event()
    store._database.writer.post(lambda _: gate.wait(30))
    waiting = store.ledger.change(NAME, add)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting == 1


async def test_a_change_that_is_done_again_by_itself_counts_once(store: Store) -> None:
    """A batch that fails is done again one by one: the change in it was rolled back with it."""
    gate = threading.Event()
    store._database.writer.post(lambda _: gate.wait(30))

    def fail(_: object) -> tuple[None, None]:
        raise ArithmeticError

    first, failing, second = (
        store.ledger.change(NAME, add),
        store.ledger.change(NAME, fail),
        store.ledger.change(NAME, add),
    )
    gate.set()
    assert (await first, await second) == (1, 2)
    with pytest.raises(ArithmeticError):
        await failing
