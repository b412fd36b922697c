"""The install machine: its table is complete and consistent, replays every journal, and prints itself."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import pytest

from pusher.install import installing, machine, steps
from pusher.install.driver import STAGES
from pusher.install.machine import (
    COMMITTED,
    FAILED,
    INSTALLER_TABLE,
    PLANNED,
    STATES,
    STRANDED,
    TABLE,
    TERMINAL,
    UNDO_DONE,
    UNDO_FAILED,
    UNDOING,
    UNDONE,
    InstallerStep,
    Step,
    advance,
    must_finish,
    replay,
)

# What a plan may consist of: any steps, in the machine's order, ending with the commit.
PLANS = [
    (*chosen, Step.COMMIT)
    for size in range(len(Step))
    for chosen in combinations([step for step in Step if step is not Step.COMMIT], size)
]


def _events(plan: tuple[Step, ...]) -> list[str]:
    return [f"{step}-{phase}" for step in plan for phase in ("begin", "done")]


def test_every_state_is_known_and_every_known_state_is_reached() -> None:
    assert {state for state, _ in TABLE} | set(TABLE.values()) == set(STATES)
    assert set(TABLE.values()) | {PLANNED} == set(STATES)


def test_only_terminal_states_have_no_way_out() -> None:
    assert {state for state in STATES if not any(at == state for at, _ in TABLE)} == TERMINAL
    assert {COMMITTED, UNDONE, STRANDED} == TERMINAL


def test_every_state_leads_to_an_end() -> None:
    reaches = set(TERMINAL)
    while more := {at for (at, _), to in TABLE.items() if to in reaches} - reaches:
        reaches |= more
    assert reaches == set(STATES)


def test_a_failure_is_allowed_for_wherever_a_step_may_be() -> None:
    under_way = [state for state in STATES if state not in (*TERMINAL, UNDOING)]
    for state in under_way:
        expected = COMMITTED if state == "commit:begun" else UNDOING
        assert advance(state, FAILED) == expected


def test_the_commit_is_the_only_point_of_no_return() -> None:
    assert [state for state in STATES if must_finish(state)] == ["commit:begun", COMMITTED]
    assert not [
        event for state, event in TABLE if state in ("commit:begun", COMMITTED) and TABLE[state, event] == UNDOING
    ]
    assert set(steps.UNDOS) == set(Step) - {Step.COMMIT}
    assert set(steps.EFFECTS) == set(Step) == set(STAGES)


def test_undoing_ends_undone_or_stranded() -> None:
    assert {(event, to) for (state, event), to in TABLE.items() if state == UNDOING} == {
        (UNDO_DONE, UNDONE),
        (UNDO_FAILED, STRANDED),
    }


def test_every_plan_runs_to_its_end() -> None:
    for plan in PLANS:
        state = PLANNED
        for event in _events(plan):
            state = advance(state, event)
        assert state == COMMITTED, plan


def test_every_journal_a_kill_can_leave_replays() -> None:
    for plan in PLANS:
        marks = [(step.value, mark) for step in plan for mark in ("intent", "done")]
        for length in range(len(marks) + 1):
            state = replay(marks[:length])
            assert state in STATES, marks
            assert must_finish(state) == ((Step.COMMIT.value, "intent") in marks[:length]), marks


EVENTS = {event for _, event in TABLE}


def test_no_step_begins_twice_or_before_an_earlier_one() -> None:
    """On no way through the table; and what the table does not say is no event."""
    ways: list[tuple[str, list[Step]]] = [(PLANNED, [])]
    ended = 0
    while ways:
        state, begun = ways.pop()
        assert begun == sorted(set(begun), key=list(Step).index)
        may = {event for at, event in TABLE if at == state}
        ended += not may
        for event in EVENTS - may:
            with pytest.raises(KeyError):
                advance(state, event)
        for event in may:
            step = [Step(event.removesuffix("-begin"))] if event.endswith("-begin") else []
            ways.append((advance(state, event), begun + step))
    assert ended > len(PLANS)


def test_it_prints_itself() -> None:
    ran = subprocess.run([sys.executable, "-m", "pusher.install.machine"], capture_output=True, text=True, check=True)
    lines = ran.stdout.splitlines()
    assert lines[0] == "| state | event | next state |"
    assert len(lines) == 2 + len(TABLE)
    assert "| commit:begun | failed | committed |" in lines
    assert ran.stdout.strip() == machine.as_markdown().strip()


INSTALLER_STATES = {state for state, _ in INSTALLER_TABLE} | set(INSTALLER_TABLE.values())


def test_the_installers_table_keeps_the_same_rules() -> None:
    assert set(installing.STAGES) == set(InstallerStep)
    assert {state for state in INSTALLER_STATES if not any(at == state for at, _ in INSTALLER_TABLE)} == TERMINAL
    for state in INSTALLER_STATES - TERMINAL - {UNDOING}:
        assert advance(state, FAILED, INSTALLER_TABLE) == (COMMITTED if state == "commit:begun" else UNDOING)
    assert [state for state in INSTALLER_STATES if must_finish(state) and state != COMMITTED] == ["commit:begun"]


def test_every_journal_of_an_installer_replays() -> None:
    marks = [(step.value, mark) for step in InstallerStep for mark in ("intent", "done")]
    states = [replay(marks[:length], INSTALLER_TABLE) for length in range(len(marks) + 1)]
    assert states == [
        PLANNED, "stage:begun", "stage:done", "grant:begun", "grant:done", "run:begun", "run:done",
        "detect:begun", "detect:done", "commit:begun", COMMITTED,
    ]  # fmt: skip
