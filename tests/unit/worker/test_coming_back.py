"""What of an outcome says whether its target comes back, and that what is kept of it is understood by the next try."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import Claim, Outcome, Stage, Status
from pusher.problems import CATALOGUE, Code, problem
from pusher.queue.again import GIVE_UP_AFTER
from pusher.worker.coming_back import coming_back

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def claim(waiting: dict[str, Any] | None = None, queued_at: datetime = NOON) -> Claim:
    return Claim(work=1, run="r", target="ws01", epoch=1, tries=0, queued_at=queued_at, waiting=waiting)


def outcome(code: Code | None, stage: Stage = Stage.REACH) -> Outcome:
    status = problem(code).status if code is not None else Status.INSTALLED
    return Outcome(run="r", target="ws01", address=None, status=status, stage=stage,
                   code=code.value if code else None, started_at=NOON, ended_at=NOON)  # fmt: skip


@pytest.mark.parametrize("code", [None, Code.CANCELLED, Code.NOT_ADMINISTRATOR, Code.WRONG_PASSWORD, Code.EXCLUDED])
def test_what_waiting_does_not_mend_has_ended(code: Code | None) -> None:
    assert coming_back(outcome(code), claim(), NOON) is None


def test_a_laptop_that_is_off_comes_back_for_a_week_and_then_no_more() -> None:
    waiting, now, tries = None, NOON, 0
    while (delay := coming_back(outcome(Code.HOST_UNREACHABLE), claim(waiting), now)) is not None:
        assert now < delay.at <= NOON + GIVE_UP_AFTER
        waiting, now, tries = json.loads(json.dumps(delay.kept)), delay.at, tries + 1
    assert NOON + GIVE_UP_AFTER - timedelta(hours=2) < now
    assert 7 * 24 * 0.85 < tries < 7 * 24 * 1.15, "some hourly"


def test_what_fails_on_the_host_is_tried_ten_times() -> None:
    waiting, now, tries = None, NOON, 1
    while (delay := coming_back(outcome(Code.FILE_IN_USE, Stage.SERVICE), claim(waiting), now)) is not None:
        waiting, now, tries = json.loads(json.dumps(delay.kept)), delay.at, tries + 1
    assert tries == 10


def test_what_an_account_is_to_blame_for_waits_for_the_account_until_the_host_is_given_up() -> None:
    failed = replace(outcome(Code.WRONG_PASSWORD, Stage.SIGN_IN), account="push")
    delay = coming_back(failed, claim(), NOON)
    assert delay is not None and (delay.parked, delay.at) == ("push", NOON + GIVE_UP_AFTER)
    assert coming_back(failed, claim(json.loads(json.dumps(delay.kept))), delay.at) is None


@pytest.mark.parametrize("code", [Code.TIMED_OUT, Code.FILE_IN_USE, Code.PUSH_IN_PROGRESS])
def test_nothing_else_waits_for_an_account(code: Code) -> None:
    delay = coming_back(replace(outcome(code), account="push"), claim(), NOON)
    assert delay is not None and delay.parked is None


@given(st.sampled_from(sorted(CATALOGUE)), st.sampled_from(Stage))
def test_what_is_kept_can_be_stored_whatever_ended_the_attempt(code: Code, stage: Stage) -> None:
    delay = coming_back(outcome(Code(code), stage), claim(), NOON)
    if delay is not None:
        kept = json.loads(json.dumps(delay.kept))
        again = coming_back(outcome(Code(code), stage), claim(kept), delay.at)
        assert again is None or again.at > delay.at


def test_what_another_version_kept_is_no_failure() -> None:
    assert coming_back(outcome(Code.TIMED_OUT), claim({"code": "a-code-to-come", "more": 1}), NOON) is not None
