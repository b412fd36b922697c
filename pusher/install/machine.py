"""The machine of one install: a table (state, event) → state. Pure; ``python -m pusher.install.machine`` prints it.

Steps come in the order of ``Step``; a plan may leave some out (nothing to stop on a fresh host). Every step's
intent is journalled before its effect, so the journal's marks replay to the state in which a push was killed.
An installer has steps of its own, ``InstallerStep``, and the same rules: ``INSTALLER_TABLE``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from pusher.problems import Code


class Step(StrEnum):
    """What an install does to a host, in this order."""

    STAGE = "stage"  # write the new files beside their places
    STOP = "stop"  # stop the running service
    PLACE = "place"  # rename the old files away and the new ones in
    GRANT = "grant"  # give the service's account the right to log on as a service
    REGISTER = "register"  # create or reconfigure the service
    START = "start"  # start it and wait until it runs
    VERIFY = "verify"  # watch it stay running
    COMMIT = "commit"  # remove the old files: from here there is no way back


class InstallerStep(StrEnum):
    """What an installer's push does to a host. What the installer does is its own: it is not undone, but looked at."""

    STAGE = "stage"  # write the installer's files into a folder of their own
    GRANT = "grant"  # give the account that is to run it the right to log on as a service
    RUN = "run"  # run it, once
    DETECT = "detect"  # find what it was to install
    COMMIT = "commit"  # take the folder away


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

Table = Mapping[tuple[str, str], str]

UNDO_DONE, UNDO_FAILED, FAILED = "undo-done", Code.UNDO_FAILED, "failed"


def _begun(step: StrEnum) -> str:
    return f"{step}:begun"


def _done(step: StrEnum) -> str:
    return COMMITTED if step == "commit" else f"{step}:done"


def _build(steps: type[StrEnum]) -> Table:
    table: dict[tuple[str, str], str] = {}
    order = list(steps)
    for at, step in enumerate(order):
        # A step may begin after any earlier one is done: a plan leaves out what a host does not need.
        for before in [PLANNED, *(_done(earlier) for earlier in order[:at])]:
            table[before, f"{step}-begin"] = _begun(step)
        table[_begun(step), f"{step}-done"] = _done(step)
        if step == "commit":
            # Old files that will not go do not undo a good install; the next push removes them.
            table[_begun(step), FAILED] = COMMITTED
        else:
            table[_begun(step), FAILED] = UNDOING
            table[_done(step), FAILED] = UNDOING
    table[PLANNED, FAILED] = UNDOING
    table[UNDOING, UNDO_DONE] = UNDONE
    table[UNDOING, UNDO_FAILED] = STRANDED
    return MappingProxyType(table)


TABLE: Table = _build(Step)
INSTALLER_TABLE: Table = _build(InstallerStep)


def advance(state: str, event: str, table: Table = TABLE) -> str:
    """The next state. KeyError for an event that cannot happen in ``state``."""
    return table[state, event]


def replay(marks: Iterable[tuple[str, str]], table: Table = TABLE) -> str:
    """The state in which the marks (step, ``intent`` or ``done``) of a journal end."""
    state = PLANNED
    for step, mark in marks:
        state = advance(state, f"{step}-{'begin' if mark == 'intent' else 'done'}", table)
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
