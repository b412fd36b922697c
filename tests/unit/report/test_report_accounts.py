"""What is shown of accounts that were tried: in 80 columns, harmless, and the same for scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from pusher.credentials.accounts.trial import Found, Trial
from pusher.credentials.lockout.account_state import Answer
from pusher.credentials.lockout.budget import Budget, LockoutPolicy, Verdict
from pusher.credentials.lockout.directory_state import LockoutState
from pusher.credentials.lockout.readings import Seen
from pusher.models import Account, Protocol, Stage
from pusher.problems import Code, problem
from pusher.report.accounts import account_record, accounts_page
from pusher.report.style import console_for
from tests.unit.report import report_samples as samples

FREE = datetime(2026, 3, 1, 14, 2, 11, 250_000, tzinfo=UTC)
STATE = LockoutState(
    threshold=5, window=1800.0, bad=2, locked=False, disabled=False, policy="the domain's policy",
    counted_by="dc1.corp.example",
)  # fmt: skip


def shown(renderable: RenderableType) -> str:
    console = Console(width=80, file=StringIO(), record=True, legacy_windows=False)
    console.print(renderable)
    return console.export_text()


def flat(renderable: RenderableType) -> str:
    return " ".join(shown(renderable).split())


def answer(failures: int = 3, in_flight: int = 0, assumed: bool = False) -> Answer:
    return Answer(
        verdict=Verdict.SPENT,
        policy=LockoutPolicy(threshold=5, reserve=2, window=timedelta(minutes=30), assumed=assumed),
        budget=Budget(failures=failures, in_flight=in_flight),
        free_at=FREE if failures else None,
    )


def trial(text: str = "push", **fields: object) -> Trial:
    account = Account(name=text, user=f"{text}@corp.example", secret=f"file:{text}", protocol=Protocol.KERBEROS)
    given: dict[str, object] = {
        "account": account, "principal": f"{text}@CORP.EXAMPLE", "found": Found.WORKS, "words": "it works",
        "seen": Seen(state=STATE), "account_state": answer(),
    }  # fmt: skip
    return Trial(**(given | fields))  # type: ignore[arg-type]


def test_the_budget_in_words() -> None:
    text = flat(accounts_page([trial()]))
    assert (
        "3 of 3 failures used (2 by the directory's count, 1 by pusher's); free again at 2026-03-01 14:02:12 UTC"
        in text
    )
    assert "threshold 5 by the directory, reserve 2" in text
    text = flat(accounts_page([trial(seen=None, account_state=answer(0, 2, assumed=True))]))
    assert "0 of 3 failures used, 2 sign-ins on their way; threshold 5 assumed, reserve 2" in text
    assert "free again" not in text


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            Seen(state=STATE),
            "locks at 5 failures within 30 min (the domain's policy); 2 failures counted when asked",
        ),
        (Seen(), "the account is of another domain"),
        (None, "not asked: the accounts file has no [directory]"),
        (Seen(why_not=problem(Code.DIRECTORY_UNREACHABLE)), "not read (directory-unreachable:"),
    ],
)
def test_the_directory_in_words(seen: Seen | None, words: str) -> None:
    assert words in flat(accounts_page([trial(seen=seen)]))


def test_a_state_that_stops_it_is_named() -> None:
    from dataclasses import replace

    state = replace(STATE, locked=True, expired=True, must_change=True, threshold=0)
    text = flat(accounts_page([trial(seen=Seen(state=state))]))
    assert "locks nobody" in text
    assert "locked, expired, password must be changed" in text


def test_a_problem_comes_with_its_remedy() -> None:
    found = problem(Code.WRONG_PASSWORD, Stage.SIGN_IN, "seen")
    text = flat(accounts_page([trial(found=Found.FAILS, problem=found, words="")]))
    assert "wrong-password" in text and found.message in text and found.remedy in text


def test_the_record() -> None:
    record = json.loads(json.dumps(account_record(trial())))
    assert (record["works"], record["code"], record["message"], record["tries_left"]) == (True, None, "it works", 0)
    assert record["directory"]["bad_count"] == 2
    assert record["budget"] == {
        "failures": 3, "own_failures": 1, "in_flight": 0, "limit": 3, "threshold": 5, "reserve": 2, "assumed": False,
        "free_at": "2026-03-01T14:02:11.250Z",
    }  # fmt: skip
    assert account_record(trial(seen=Seen()))["directory"] is None
    assert account_record(trial(found=Found.NOT_TESTED, account_state=None))["works"] is None
    assert record["secret"] == "file", "its scheme and nothing more"


def test_long_names_are_folded_and_not_cut() -> None:
    assert "…" not in shown(accounts_page([trial("svc-push-with-a-long-name-of-the-research-department")]))


def test_no_accounts() -> None:
    assert "lists no accounts" in shown(accounts_page([]))


@pytest.mark.parametrize("text", samples.HOSTILE, ids=range(len(samples.HOSTILE)))
def test_hostile_text_is_shown_and_not_obeyed(text: str) -> None:
    from dataclasses import replace

    hostile = trial(
        text,
        principal=text,
        words=text,
        seen=Seen(state=replace(STATE, policy=text, counted_by=text)),
        problem=replace(problem(Code.WRONG_PASSWORD), message=text, remedy=text),
    )
    out = StringIO()
    console_for(out).print(accounts_page([hostile]))
    assert not set(out.getvalue()) & {"\x07", "\x00", "\u202e", "\u2028", "\ud800"}
    out.getvalue().encode()
    shown(accounts_page([hostile]))
