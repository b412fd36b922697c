"""The records of --json keep SURFACE's fields and their order."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from io import StringIO

import pytest
from hypothesis import given

from pusher.models import AccountTried, Status, Verb
from pusher.report.record import event_record, outcome_record, run_record, write_line
from pusher.report.text import iso
from tests.unit.report import report_samples as samples

# As SURFACE writes it, with the four fields at the end that it was extended by.
_NAMES = """
run target address status stage code message remedy next_move account transport protocol attempts seconds
accounts_tried checks bytes_copied agent_version started_at ended_at machine site steps previous_version
"""
SURFACE = _NAMES.split()


def test_an_outcome_has_the_fields_of_surface_in_their_order() -> None:
    assert list(outcome_record(samples.outcome())) == SURFACE


def test_a_failure_reads_as_surface_shows_it() -> None:
    record = outcome_record(
        samples.failure(
            "account-locked",
            "ws017.lab.test",
            accounts_tried=(AccountTried(account="push-2026", code="account-locked"),),
        )
    )
    assert record["status"] == "failed"
    assert record["stage"] == "sign-in"
    assert record["code"] == "account-locked"
    assert record["next_move"] == "stop-account"
    assert record["transport"] == "smb"
    assert record["protocol"] == "kerberos"
    assert record["accounts_tried"] == [{"account": "push-2026", "code": "account-locked"}]
    assert record["seconds"] == 0.41
    assert record["started_at"] == "2026-03-01T01:02:03.456Z"
    assert record["steps"] == [{"step": "reach", "seconds": 0.1}, {"step": "stage", "seconds": 0.31}]
    assert record["agent_version"] is None


def test_absent_values_are_null_and_checks_are_whole() -> None:
    record = outcome_record(samples.outcome(transport=None, protocol=None, account=None, address=None))
    assert [record[name] for name in ("code", "next_move", "transport", "protocol", "account", "address")] == [None] * 6
    assert record["checks"] == [{"check": "admin-share-write", "result": "pass", "evidence": "made a file in ADMIN$"}]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 1, 1, 2, 3),
        datetime(2026, 3, 1, 3, 2, 3, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_are_utc_with_z(moment: datetime) -> None:
    assert iso(moment) == "2026-03-01T01:02:03.000Z"


def test_a_run_counts_every_status_and_names_itself_as_its_outcomes_do() -> None:
    record = run_record(samples.run(verb=Verb.CHECK, counts={Status.READY: 3, Status.FAILED: 1}, ended_at=None))
    assert record["run"] == "01JRUN"
    assert record["verb"] == "check"
    assert record["ended_at"] is None
    assert record["total"] == 4
    assert list(record["counts"]) == [status.value for status in Status]
    assert record["counts"]["ready"] == 3
    assert record["counts"]["cancelled"] == 0


def test_an_event() -> None:
    assert event_record(samples.events()[1]) == {
        "run": "01JRUN",
        "target": "ws002.corp.example",
        "at": "2026-03-01T01:02:03.706Z",
        "stage": "sign-in",
        "kind": "refused",
        "detail": "push-2025: wrong-password",
    }


@samples.unhurried
@given(samples.hostile)
def test_a_line_is_one_line_of_ascii_and_reads_back_as_it_was(text: str) -> None:
    out = StringIO()
    record = outcome_record(samples.hostile_outcome(text))
    write_line(record, out)
    line = out.getvalue()
    assert line.count("\n") == 1
    assert line.isascii()
    assert json.loads(line) == record
    assert json.loads(line)["target"] == text
