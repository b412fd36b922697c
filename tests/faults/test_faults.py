"""A short round on each database; ``python -m tests.faults`` makes long ones."""

from __future__ import annotations

import pytest

from tests.faults.__main__ import table
from tests.faults.hosts import Change, Machine
from tests.faults.round import Asked, Found, one_round
from tests.faults.site import some_machines

pytestmark = [pytest.mark.process, pytest.mark.thorough]

TARGETS, ENOUGH = 60, 8


@pytest.mark.parametrize("on_server", [False, True], ids=["sqlite", "postgresql"])
def test_whatever_befalls_workers_and_database_each_host_is_right_in_the_end(on_server: bool) -> None:
    said = list[str]()
    found = one_round(Asked(targets=TARGETS, seed=7, on_server=on_server, pause=1.0, faults=14, limit=180), said.append)
    assert found.is_right, f"{found}\n{table([found])}"
    assert found.injected.total() >= ENOUGH, said
    assert sum(found.installs.values()) == TARGETS and not found.installs[0]


def test_two_at_once_on_a_host_are_seen() -> None:
    """What the rounds go by, seen to tell a wrong one from a right one."""
    (machine,) = some_machines(1).values()

    def changed_by(*links: int) -> Machine:
        machine.changes = [Change(at, f"worker{link}", link, "put") for at, link in enumerate(links)]
        return machine

    assert not changed_by(1, 1, 2, 2).interleaved()
    assert changed_by(1, 2, 1).interleaved()
    assert Found().is_right
    for name in ("lost", "at_once", "doubled", "left_behind", "open_journals", "secrets"):
        found = Found()
        getattr(found, name).append("h1")
        assert not found.is_right, name
