"""Counts, causes and the exit status."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import AccountTried, NextMove, Outcome, Status
from pusher.problems import CATALOGUE
from pusher.report.summary import NO_CODE, Tally, exit_status, summarise, summary_record
from tests.unit.report import report_samples as samples

outcomes = st.lists(
    st.one_of(
        st.sampled_from(sorted(CATALOGUE)).map(samples.failure),
        st.sampled_from([s for s in Status if s.is_success]).map(lambda s: samples.outcome("a", s)),
        st.just(samples.outcome("b", Status.FAILED)),
    ),
    max_size=30,
)


@samples.unhurried
@given(outcomes)
def test_every_host_that_did_not_end_well_has_exactly_one_cause(listed: list[Outcome]) -> None:
    summary = summarise(listed, sample=2)
    assert summary.total == len(listed)
    assert summary.succeeded + sum(cause.count for cause in summary.causes) == summary.total
    assert sum(summary.counts.values()) == summary.total
    for cause in summary.causes:
        assert len(cause.hosts) == min(2, cause.count)
        assert cause.unnamed == cause.count - len(cause.hosts)
    assert (summary.unsuccessful == 0) == (exit_status(o.status for o in listed) == 0)


def test_a_cause_says_what_why_and_what_next() -> None:
    summary = summarise(
        [
            samples.failure("disk-full", "a", "12 MB free, 40 MB needed"),
            samples.failure("disk-full", "b", "13 MB free, 40 MB needed"),
            samples.outcome("c"),
        ]
    )
    (cause,) = summary.causes
    assert (cause.code, cause.count, cause.hosts) == ("disk-full", 2, ("a", "b"))
    assert cause.message == "there is not enough free disk space"
    assert cause.example == "there is not enough free disk space: 12 MB free, 40 MB needed"
    assert cause.remedy == CATALOGUE["disk-full"].remedy
    assert cause.next_move is NextMove.GIVE_UP
    assert cause.sites == (("paris", 2),)


def test_the_account_blamed_is_the_one_refused_with_the_code() -> None:
    tried = (AccountTried(account="old", code="wrong-password"), AccountTried(account="new", code="not-administrator"))
    locked = samples.failure("not-administrator", "a", account="third", accounts_tried=tried)
    (cause,) = summarise([locked]).causes
    assert cause.accounts == (("new", 1),)
    (cause,) = summarise([samples.failure("not-administrator", "a", account="third")]).causes
    assert cause.accounts == (("third", 1),)


def test_what_broke_stands_before_what_was_left_out_and_the_frequent_before_the_rare() -> None:
    listed = [
        *(samples.failure("excluded", f"x{i}") for i in range(9)),
        samples.failure("disk-full"),
        *(samples.failure("timed-out", f"t{i}") for i in range(3)),
        *(samples.failure("cancelled", f"c{i}") for i in range(5)),
    ]
    assert [cause.code for cause in summarise(listed).causes] == ["timed-out", "disk-full", "cancelled", "excluded"]


def test_an_outcome_without_a_code_or_with_a_foreign_one_is_still_counted() -> None:
    nameless = samples.outcome("a", Status.FAILED)
    foreign = samples.outcome("b", Status.FAILED, code="from-a-newer-pusher", message="it said so")
    found = {cause.code: cause for cause in summarise([nameless, foreign]).causes}
    assert found[NO_CODE].message == "no reason was recorded"
    assert found["from-a-newer-pusher"].message == "it said so"


def test_the_tally_can_be_read_while_it_grows() -> None:
    tally = Tally()
    assert tally.summary().total == 0
    assert tally.summary().seconds is None
    tally.add(samples.outcome("a"))
    before = tally.summary()
    tally.add(samples.failure("disk-full"))
    assert before.total == 1
    assert tally.summary().total == 2
    assert tally.summary().bytes_copied == 254_000


def test_time_goes_from_the_first_start_to_the_last_end() -> None:
    assert summarise(samples.mixed(40)).seconds == 41.0


@pytest.mark.parametrize("status", list(Status))
def test_exit_status(status: Status) -> None:
    good = status in {Status.INSTALLED, Status.UPGRADED, Status.UNCHANGED, Status.REMOVED, Status.READY}
    assert exit_status([Status.INSTALLED, status]) == (0 if good else 1)
    assert exit_status([]) == 0


def test_the_record_reads_back() -> None:
    record = json.loads(json.dumps(summary_record(summarise(samples.mixed()))))
    assert record["total"] == 40
    assert record["counts"]["installed"] == 10
    assert record["counts"]["removed"] == 0
    assert record["causes"][0]["code"] == "timed-out"
    assert record["causes"][0]["sites"]
    assert summary_record(summarise([]))["first_started_at"] is None
