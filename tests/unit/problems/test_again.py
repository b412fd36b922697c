"""The column ``again`` against the others: what each of them says about a code rules out most of its values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pusher.models import NextMove, Stage, Status
from pusher.problems import CATALOGUE, Again, Charges, Part, Row

BY_TIME = frozenset({Again.SOON, Again.HOURLY, Again.WHEN_FREE, Again.WINDOW})

RULES: dict[str, tuple[Callable[[Row], bool], frozenset[Again]]] = {
    "what stops an account is never tried by time": (
        lambda row: row.next_move is NextMove.STOP_ACCOUNT,
        frozenset({Again.PARKED}),
    ),
    "what may count as a failed sign-in is never tried by time": (
        lambda row: row.charges in {Charges.EVERYWHERE, Charges.PERHAPS},
        frozenset({Again.PARKED}),
    ),
    "an answer to a sign-in that may be about the account is never tried by time": (
        lambda row: (
            row.stage is Stage.SIGN_IN
            and row.next_move is NextMove.NEXT_ACCOUNT
            and row.charges is not Charges.NOWHERE
            and not row.not_tried
        ),
        frozenset({Again.PARKED}),
    ),
    "the lockout budget's own refusals wait for the budget, or for a person": (
        lambda row: row.not_tried,
        frozenset({Again.WHEN_FREE, Again.PARKED}),
    ),
    "who was left out, or spared, on purpose stays so": (
        lambda row: row.part is not Part.TARGET,
        frozenset({Again.NEVER}),
    ),
    "a machine that does not answer may be back any time": (
        lambda row: row.status is Status.UNREACHABLE and row.stage in {Stage.RESOLVE, Stage.REACH},
        frozenset({Again.HOURLY}),
    ),
    "a passing trouble passes": (lambda row: row.next_move is NextMove.RETRY, BY_TIME),
    "a passing trouble of the target is gone in minutes, or hours": (
        lambda row: row.next_move is NextMove.RETRY and row.status is Status.FAILED,
        frozenset({Again.SOON, Again.WHEN_FREE}),
    ),
    "what waits for a time waits for a window": (
        lambda row: row.next_move is NextMove.WAIT,
        frozenset({Again.WINDOW}),
    ),
    "what another transport would mend is mended by hand, unless nobody answered": (
        lambda row: row.next_move is NextMove.NEXT_TRANSPORT and row.status is not Status.UNREACHABLE,
        frozenset({Again.NEVER}),
    ),
    "input that is wrong, and a host that is not ready, do not mend by waiting": (
        lambda row: (
            row.next_move is NextMove.GIVE_UP and row.stage is not Stage.SIGN_IN and row.status is Status.FAILED
        ),
        frozenset({Again.NEVER}),
    ),
    "what a host holds for seconds is free in minutes": (lambda row: row.held, frozenset({Again.SOON})),
    "what passes by itself is not left to a person": (lambda row: row.passing, BY_TIME | {Again.NEVER}),
}


@pytest.mark.parametrize("name", RULES)
def test_the_columns_agree(name: str) -> None:
    applies, allowed = RULES[name]
    rows = [row for row in CATALOGUE.values() if applies(row)]
    assert rows, "a rule about no code says nothing"
    assert [(row.code, row.again) for row in rows if row.again not in allowed] == []


@pytest.mark.parametrize(
    ("again", "holds"),
    [
        (Again.PARKED, lambda row: row.stage is Stage.SIGN_IN),
        (Again.HOURLY, lambda row: row.status is Status.UNREACHABLE and row.stage in {Stage.RESOLVE, Stage.REACH}),
        (Again.WHEN_FREE, lambda row: row.stage is Stage.LOCK or row.not_tried or row.next_move is NextMove.RETRY),
        (Again.WHEN_FREE, lambda row: row.stage in {Stage.LOCK, Stage.SIGN_IN}),
        (Again.SOON, lambda row: row.next_move is NextMove.RETRY),
        (Again.SOON, lambda row: row.stage is not Stage.SIGN_IN or row.charges is Charges.NOWHERE),
        (Again.WINDOW, lambda row: row.status in {Status.SKIPPED, Status.CANCELLED}),
    ],
)
def test_what_each_value_is_for(again: Again, holds: Callable[[Row], bool]) -> None:
    rows = [row for row in CATALOGUE.values() if row.again is again]
    assert rows
    assert [row.code for row in rows if not holds(row)] == []


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("name-not-found", Again.HOURLY),  # a laptop that is off loses its record: next_move is to give up
        ("port-closed", Again.HOURLY),  # and here to try the next transport
        ("sign-in-unknown", Again.PARKED),  # unreachable, too, and yet it spends lockout budget
        ("lockout-budget-spent", Again.WHEN_FREE),  # next_move: the next account
        ("deadline", Again.SOON),  # not within the run
        ("push-in-progress", Again.WHEN_FREE),
        ("outside-window", Again.WINDOW),
        ("duplicate", Again.NEVER),
        ("trust-broken", Again.NEVER),  # the machine's, not the account's
        ("no-logon-servers", Again.SOON),  # there was no verdict
        ("failure-limit", Again.NEVER),
    ],
)
def test_where_the_next_move_of_the_attempt_would_mislead(code: str, again: Again) -> None:
    assert CATALOGUE[code].again is again
