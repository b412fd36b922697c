"""The machine of one install: a table (state, event) → state. Pure; ``python -m pusher.install.machine`` prints it.

Steps come in the order of ``Step``; a plan may leave some out (nothing to stop on a fresh host). Every step's
intent is journalled before its effect, so the journal's marks replay to the state in which a push was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Step(StrEnum):
    """What an install does to a host, in this order."""

    STAGE = "stage"  # write the new files beside their places
    STOP = "stop"  # stop the running service
    PLACE = "place"  # rename the old files away and the new ones in
    REGISTER = "register"  # create or reconfigure the service
    START = "start"  # start it and wait until it runs
    VERIFY = "verify"  # watch it stay running
    COMMIT = "commit"  # remove the old files: from here there is no way back


PLANNED, UNDOING, UNDONE, STRANDED, COMMITTED = "planned", "undoing", "undone", "stranded", "committed"
STATES = (
    PLANNED,
    *(f"{step}:{phase}" for step in Step if step is not Step.COMMIT for phase in ("begun", "done")),
    "commit:begun",
    COMMITTED,
    UNDOING,
    UNDONE,
    STRANDED,
)
TERMINAL = frozenset({COMMITTED, UNDONE, STRANDED})

UNDO_DONE, UNDO_FAILED, FAILED = "undo-done", "undo-failed", "failed"


def _begun(step: Step) -> str:
    return f"{step}:begun"


def _done(step: Step) -> str:
    return COMMITTED if step is Step.COMMIT else f"{step}:done"


def _build() -> Mapping[tuple[str, str], str]:
    table: dict[tuple[str, str], str] = {}
    order = list(Step)
    for at, step in enumerate(order):
        # A step may begin after any earlier one is done: a plan leaves out what a host does not need.
        for before in [PLANNED, *(_done(earlier) for earlier in order[:at])]:
            table[before, f"{step}-begin"] = _begun(step)
        table[_begun(step), f"{step}-done"] = _done(step)
        if step is Step.COMMIT:
            # Old files that will not go do not undo a good install; the next push removes them.
            table[_begun(step), FAILED] = COMMITTED
        else:
            table[_begun(step), FAILED] = UNDOING
            table[_done(step), FAILED] = UNDOING
    table[PLANNED, FAILED] = UNDOING
    table[UNDOING, UNDO_DONE] = UNDONE
    table[UNDOING, UNDO_FAILED] = STRANDED
    return MappingProxyType(table)


TABLE: Mapping[tuple[str, str], str] = _build()


def advance(state: str, event: str) -> str:
    """The next state. KeyError for an event that cannot happen in ``state``."""
    return TABLE[state, event]


def replay(marks: Iterable[tuple[str, str]]) -> str:
    """The state in which the marks (step, ``intent`` or ``done``) of a journal end."""
    state = PLANNED
    for step, mark in marks:
        state = advance(state, f"{step}-{'begin' if mark == 'intent' else 'done'}")
    return state


def must_finish(state: str) -> bool:
    """True where recovery goes forward (only old files are left to remove), False where it goes back."""
    return state in (_begun(Step.COMMIT), COMMITTED)


def as_markdown() -> str:
    """The table, one row a transition."""
    rows = "\n".join(f"| {state} | {event} | {to} |" for (state, event), to in TABLE.items())
    return f"| state | event | next state |\n| --- | --- | --- |\n{rows}"


if __name__ == "__main__":
    print(as_markdown())
