"""A run as a process: which signals stop it, and what they leave."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pusher.cli.verdict import INTERRUPTED
from pusher.models import Outcome
from pusher.report.views import JsonView
from pusher.transports.memory import User
from tests.unit.cli.workplace import ACCOUNTS, Workplace


@pytest.fixture
def hang_up() -> Iterator[None]:
    """As a terminal has it, whoever started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def sent_at_first_outcome(monkeypatch: pytest.MonkeyPatch, *numbers: signal.Signals) -> None:
    tell, sent = JsonView.outcome, list(numbers)

    def outcome(view: JsonView, told: Outcome) -> None:
        tell(view, told)
        while sent:
            os.kill(os.getpid(), sent.pop(0))

    monkeypatch.setattr(JsonView, "outcome", outcome)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_in_good_order(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, hang_up: None, number: signal.Signals
) -> None:
    sent_at_first_outcome(monkeypatch, number)
    ended = place.check("--concurrency", "1")
    assert ended.status == INTERRUPTED
    assert ended.err.count("note: Stopping") == 1
    assert set(ended.verdicts) == set("abcdef")
    assert ("cancelled", "cancelled") in ended.verdicts.values()
    assert ended.verdicts == place.show().verdicts


def test_one_dropped_session_hangs_up_twice(place: Workplace, monkeypatch: pytest.MonkeyPatch, hang_up: None) -> None:
    """The kernel and the shell both say so; hosts in work are still put back."""
    sent_at_first_outcome(monkeypatch, signal.SIGHUP, signal.SIGHUP)
    ended = place.check("--concurrency", "1")
    assert ended.status == INTERRUPTED
    assert "interrupted" not in {code for _, code in ended.verdicts.values()}


def test_who_runs_it_under_nohup_wants_it_to_go_on(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, hang_up: None
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sent_at_first_outcome(monkeypatch, signal.SIGHUP)
    ended = place.check()
    assert (ended.status, ended.pushed) == (0, set("abcdef"))


# The log


def test_a_log_on_a_full_disk_ends_no_run(place: Workplace) -> None:
    ended = place.check("--log", "/dev/full")
    assert (ended.status, ended.pushed) == (0, set("abcdef"))
    told = "the log /dev/full cannot be written (No space left on device); the run goes on without it"
    assert ended.notes == [told]


def test_a_log_of_its_own_that_cannot_be_opened_ends_no_run(place: Workplace) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data" / "pusher").touch()
    ended = place.check("--store", str(place.folder / "store"))
    assert (ended.status, ended.pushed) == (0, set("abcdef"))
    (note,) = ended.notes
    assert "cannot be written" in note


def test_a_log_that_was_asked_for_and_cannot_be_opened_is_bad_input(place: Workplace) -> None:
    ended = place.check("--log", str(place.folder))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"the log {place.folder} cannot be written: Is a directory; expected a writable file\n"
    assert sum(host.calls.total() for host in place.hosts.values()) == 0


# The lockout budget


@pytest.mark.parametrize(("lockout", "tried"), [("", 1), ("[lockout]\nlocal_threshold = 4\n", 2)])
def test_a_machines_own_account_goes_by_the_machines_threshold(place: Workplace, lockout: str, tried: int) -> None:
    """With a reserve of 2; and nothing is noted of a directory, which knows no machine's own accounts."""
    place.accounts(ACCOUNTS.replace("corp\\", ".\\") + lockout)
    host = place.host("a")
    host.users = {"pushadm": User(password="another")}
    for code in ["wrong-password"] * tried + ["lockout-budget-spent"]:
        ended = place.check("--limit", "a.*")
        assert (ended.verdicts["a"], ended.err) == (("failed", code), "")
    assert host.users["pushadm"].failures == tried
