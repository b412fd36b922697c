"""What a run comes to: each thing that is not well shows in the exit status, and the gravest one decides it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.cli.streams import OUTPUT_LOST
from pusher.cli.verdict import Verdict
from pusher.models import Status
from pusher.next_commands import NextCommands
from pusher.problems import Code, problem

LOST = {"a": problem(Code.STORE_FULL)}


def verdict(
    interrupted: bool = False,
    stopped: Code | None = None,
    statuses: frozenset[Status] = frozenset({Status.INSTALLED}),
    wrong: tuple[str, ...] = (),
    lost: bool = False,
    unstored: int = 0,
    view_failure: str | None = None,
) -> Verdict:
    return Verdict(
        run="r1", following=NextCommands(store="a b"), interrupted=interrupted, stopped=stopped, statuses=statuses,
        wrong=wrong, losses=LOST if lost else {}, unstored=unstored,
        unstored_words=["where it is"] * unstored, view_failure=view_failure,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("came_to", "status"),
    [
        (verdict(), 0),
        (verdict(statuses=frozenset()), 0),
        (verdict(statuses=frozenset({Status.INSTALLED, Status.UNREACHABLE})), 1),
        (verdict(wrong=("it ended early",)), 1),
        (verdict(lost=True), 1),
        (verdict(unstored=1), 1),
        (verdict(view_failure="OSError"), OUTPUT_LOST),
        (verdict(view_failure="OSError", lost=True), 1),
        (verdict(stopped=Code.STORE_LOST, lost=True), 1),
        (verdict(stopped=Code.FAILURE_LIMIT, lost=True), 3),
        (verdict(stopped=Code.CANCELLED), 130),
        (verdict(interrupted=True, stopped=Code.FAILURE_LIMIT), 130),
    ],
)
def test_the_gravest_decides(came_to: Verdict, status: int) -> None:
    assert came_to.exit_status == status


@given(
    interrupted=st.booleans(),
    stopped=st.sampled_from([None, Code.CANCELLED, Code.FAILURE_LIMIT, Code.STORE_LOST, Code.INTERNAL_ERROR]),
    statuses=st.frozensets(st.sampled_from(list(Status))),
    wrong=st.sampled_from([(), ("it ended early",)]),
    lost=st.booleans(),
    unstored=st.integers(0, 2),
    view_failure=st.sampled_from([None, "OSError"]),
)
def test_whoever_is_told_of_something_does_not_get_0(
    interrupted: bool,
    stopped: Code | None,
    statuses: frozenset[Status],
    wrong: tuple[str, ...],
    lost: bool,
    unstored: int,
    view_failure: str | None,
) -> None:
    came_to = verdict(interrupted, stopped, statuses, wrong, lost, unstored, view_failure)
    well = all(status.is_success for status in statuses)
    if came_to.closing_words or not well:
        assert came_to.exit_status != 0
    if came_to.exit_status == 0:
        assert not (wrong or lost or unstored or view_failure)


def test_what_is_in_a_file_beside_is_not_told_twice() -> None:
    assert verdict(lost=True, unstored=1).closing_words == ["where it is"]
    (words,) = verdict(lost=True).closing_words
    assert words.startswith("Not all that happened to a could be stored (store-full: ")


def test_a_run_that_could_not_be_shown_is_shown_by_the_command_that_is_printed() -> None:
    (words,) = verdict(view_failure="OSError").closing_words
    assert words == "The run could not be shown to its end (OSError). To see it: pusher show r1 --store 'a b'"
