"""Sample runs and outcomes for the tests of the report room; hostile ones too. No test lives here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from pusher.models import (
    AccountTried,
    Attempt,
    Check,
    CheckResult,
    Event,
    NextMove,
    Outcome,
    Protocol,
    Run,
    Stage,
    Status,
    StepTime,
    TransportKind,
    Verb,
)
from pusher.problems import Code, problem

T0 = datetime(2026, 3, 1, 1, 2, 3, 456789, tzinfo=UTC)

# What a target could say to whoever reads about it: break out of a page, a cell, a tag, a terminal, a sentence.
HOSTILE = [
    "</script><script>alert(1)</script>",
    "</SCRIPT x=<img src=x onerror=alert(1)//",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7*7 }}{% raw %}",
    "]]></failure><testcase name='x'/>",
    "=cmd|' /C calc'!A0",
    '+1+1;=HYPERLINK("http://evil.test")',
    "@SUM(1)",
    "-2+3",
    "\t=1+1",
    "a\r\n=1+1\x00",
    "\x1b[2J\x1b]0;owned\x07",
    "safe\u202egnp.exe",
    "zero\u200bwidth",
    "\ud800lone",
    "[red]markup[/red] [/] [link=http://evil.test]x[/link]",
    "| cell | `code` **bold** [x](http://evil.test) @everyone #1",
    "\u2028line\u2029",
    "\ufffe\uffff",
    "<!--",
    "&lt;b&gt;",
    "",
    " ",
    "ש" * 5,
    "x" * 5000,
]

# No deadline: on a busy machine a slow example is no failure.
unhurried = settings(deadline=None, max_examples=60)

hostile = st.one_of(st.sampled_from(HOSTILE), st.text(alphabet=st.characters(codec=None), max_size=40))


def outcome(target: str = "ws001.corp.example", status: Status = Status.INSTALLED, **fields: Any) -> Outcome:
    """An outcome with everything a successful push records, changed as asked."""
    given: dict[str, Any] = {
        "run": "01JRUN",
        "target": target,
        "address": "10.0.0.1",
        "status": status,
        "stage": Stage.RECORD,
        "account": "push-2026",
        "transport": TransportKind.SMB,
        "protocol": Protocol.KERBEROS,
        "attempts": 1,
        "seconds": 0.41049,
        "accounts_tried": (AccountTried(account="push-2026", code=None),),
        "checks": (Check(check="admin-share-write", result=CheckResult.PASS, evidence="made a file in ADMIN$"),),
        "steps": (StepTime(step="reach", seconds=0.1), StepTime(step="stage", seconds=0.3104)),
        "bytes_copied": 254_000,
        "agent_version": "1.4.2",
        "machine": "WS001",
        "site": "paris",
        "started_at": T0,
        "ended_at": T0 + timedelta(seconds=0.41),
    }
    return Outcome(**(given | fields))


def failure(code: str, target: str = "ws002.corp.example", detail: str = "", **fields: Any) -> Outcome:
    """An outcome that ended with a code of the catalogue."""
    found = problem(Code(code), detail=detail)
    given: dict[str, Any] = {
        "stage": found.stage,
        "code": code,
        "message": found.message,
        "remedy": found.remedy,
        "next_move": found.next_move,
        "accounts_tried": (),
        "checks": (),
        "bytes_copied": 0,
        "agent_version": None,
    }
    return outcome(target, found.status, **(given | fields))


def mixed(count: int = 40) -> list[Outcome]:
    """A run with some of everything, in a fixed order."""
    made: list[Outcome] = []
    codes = ["account-locked", "timed-out", "disk-full", "excluded", "cancelled", "timed-out"]
    for i in range(count):
        name = f"ws{i:03d}.paris.corp.example"
        later: dict[str, Any] = {"started_at": T0 + timedelta(seconds=i), "ended_at": T0 + timedelta(seconds=i + 2)}
        if i % 4 == 3:
            made.append(failure(codes[i // 4 % len(codes)], name, site=("paris", "lyon")[i % 8 // 4], **later))
        else:
            made.append(outcome(name, (Status.INSTALLED, Status.UPGRADED, Status.UNCHANGED)[i % 4], **later))
    return made


def run(**fields: Any) -> Run:
    given: dict[str, Any] = {
        "id": "01JRUN",
        "verb": Verb.PUSH,
        "inventory": "corp.yaml",
        "package": "labagent",
        "version": "1.4.2",
        "operator": "CORP\\ada",
        "started_at": T0,
        "ended_at": T0 + timedelta(seconds=185),
    }
    return Run(**(given | fields))


def hostile_outcome(text: str) -> Outcome:
    """``text`` wherever a target, or a file that an operator was sent, can put it."""
    return outcome(
        text,
        Status.FAILED,
        stage=Stage.RIGHTS,
        address=text,
        code="access-denied",
        message=text,
        remedy=text,
        next_move=NextMove.NEXT_ACCOUNT,
        account=text,
        machine=text,
        site=text,
        agent_version=text,
        accounts_tried=(AccountTried(account=text, code="access-denied"),),
        checks=(Check(check=text, result=CheckResult.FAIL, evidence=text),),
        steps=(StepTime(step=text, seconds=1.0),),
    )


def hostile_run(text: str) -> Run:
    return run(id=text, inventory=text, package=text, version=text, operator=text, parent=text)


def events(target: str = "ws002.corp.example") -> list[Event]:
    told = [
        (Stage.RESOLVE, "resolved", "10.0.0.1"),
        (Stage.SIGN_IN, "refused", "push-2025: wrong-password"),
        (Stage.SIGN_IN, "signed-in", "push-2026 by kerberos"),
        (Stage.RIGHTS, "missing", "admin-share-write"),
    ]
    return [
        Event(run="01JRUN", target=target, at=T0 + timedelta(seconds=i / 4), stage=stage, kind=kind, detail=detail)
        for i, (stage, kind, detail) in enumerate(told)
    ]


def attempts(target: str = "ws002.corp.example") -> list[Attempt]:
    """One that met silence, and one that went well four seconds later."""
    made = Attempt(
        run="01JRUN", target=target, number=1, stage=Stage.REACH, code="timed-out", account=None, started_at=T0,
        ended_at=T0 + timedelta(seconds=2.5),
    )  # fmt: skip
    later = T0 + timedelta(seconds=4)
    return [made, replace(made, number=2, stage=Stage.RECORD, code=None, account=target, started_at=later,
                          ended_at=later + timedelta(seconds=0.41))]  # fmt: skip


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def endless(count: int) -> Iterator[Outcome]:
    """Outcomes made one by one, so that a test sees whether anyone keeps them."""
    for i in range(count):
        yield outcome(f"ws{i:06d}.corp.example")
