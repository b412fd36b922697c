"""The tables: at 80 columns, piped without colours, whole and harmless."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from pusher.models import (
    AccountTried,
    Check,
    CheckResult,
    Stage,
    Status,
    Verb,
)
from pusher.problems import CATALOGUE, Again
from pusher.report.explain import did_you_mean, explain_page, explain_record, explain_records, explain_table
from pusher.report.host_report import host_story, host_story_record
from pusher.report.style import console_for
from pusher.report.summary import summarise
from pusher.report.tables import (
    ResolvedRow,
    outcomes_table,
    resolve_record,
    resolve_table,
    run_page,
    runs_table,
)
from tests.unit.report import report_samples as samples

LONG = "ws00123456.research.paris.emea.corp.example"


def shown(renderable: RenderableType, width: int = 80) -> str:
    """As on a terminal of this width; every line must fit."""
    console = Console(width=width, record=True, file=StringIO(), force_terminal=True, legacy_windows=False)
    console.print(renderable)
    text = console.export_text(clear=False)
    assert all(cell_len(line) <= width for line in text.splitlines())
    return text


def piped(renderable: RenderableType) -> str:
    out = StringIO()
    console_for(out).print(renderable)
    text = out.getvalue()
    assert "\x1b" not in text
    return text


def squeezed(text: str) -> str:
    """Text without line breaks and spaces: what is left of a folded cell."""
    return "".join(text.split())


def resolved(**fields: object) -> ResolvedRow:
    given: dict[str, object] = {
        "name": "ws001.corp.example",
        "address": "10.0.0.1",
        "site": "paris",
        "group": "labs",
        "pushed": True,
        "why": "listed",
    }
    return ResolvedRow(**(given | fields))  # type: ignore[arg-type]


def test_runs() -> None:
    going = samples.run(id="01JLATER", verb=Verb.CHECK, package=None, version=None, ended_at=None)
    done = samples.run(counts={Status.INSTALLED: 11_900, Status.FAILED: 120})
    for text in (shown(runs_table([going, done])), piped(runs_table([going, done]))):
        assert text.index("01JLATER") < text.index("01JRUN")
        assert "not ended" in text
        assert "11,900 installed · 120" in text
        assert "2026-03-01 01:02" in text
        assert "by CORP\\ada" in text
    assert "No runs" in shown(runs_table([]))


def test_hosts_that_need_work_come_first_and_names_stay_whole() -> None:
    text = shown(outcomes_table(samples.mixed()))
    lines = text.splitlines()
    first_good = next(i for i, line in enumerate(lines) if "installed" in line)
    assert all("failed" not in line and "unreachable" not in line for line in lines[first_good:])
    for outcome in samples.mixed():
        assert sum(line.startswith(outcome.target) for line in lines) == 1
    assert "sign-in: account-locked" in text


def test_the_account_is_shown_where_it_differs() -> None:
    one = [samples.outcome("a"), samples.outcome("b", account=None)]
    assert "push-2026" not in shown(outcomes_table(one))
    text = shown(outcomes_table([*one, samples.outcome("c", account="laps")]))
    assert "laps" in text
    assert "push-2026" in text


def test_a_limit_says_what_it_hides() -> None:
    text = shown(outcomes_table(samples.mixed(), limit=10))
    assert "and 30 hosts more" in text
    assert shown(outcomes_table([])).startswith("This run has no hosts yet.")


def test_a_run_begins_with_its_causes() -> None:
    outcomes = samples.mixed()
    text = shown(run_page(samples.run(), summarise(outcomes), outcomes))
    assert text.index("40 hosts in 3 min 5 s") < text.index("Remedy") < text.index("ws000.paris.corp.example")


def test_a_long_name_is_folded_and_not_cut() -> None:
    for table in (
        outcomes_table([samples.failure("domain-controller-refused", LONG, account=a) for a in ("x", "y" * 30)]),
        resolve_table([resolved(name=LONG, why="excluded by the group labs: ws*", pushed=False)]),
    ):
        assert "…" not in shown(table)
    folded = squeezed(shown(outcomes_table([samples.outcome(LONG)])).split("─")[-1])
    assert LONG[:20] in folded
    assert LONG in piped(outcomes_table([samples.outcome(LONG)]))


def test_resolve() -> None:
    rows = [resolved(), resolved(name="dc1.corp.example", address=None, pushed=False, why="excluded: dc*")]
    text = shown(resolve_table(rows))
    assert "1 host in, 1 out" in text
    assert "excluded: dc*" in text
    assert resolve_record(rows[1]) == {
        "target": "dc1.corp.example",
        "address": None,
        "site": "paris",
        "group": "labs",
        "pushed": False,
        "why": "excluded: dc*",
    }
    assert "no targets" in shown(resolve_table([]))


def test_the_story_of_a_failed_host() -> None:
    outcome = samples.failure(
        "not-administrator",
        accounts_tried=(
            AccountTried(account="push-2025", code="wrong-password"),
            AccountTried(account="push-2026", code="not-administrator"),
        ),
        checks=(
            Check(check="registry", result=CheckResult.PASS, evidence="opened HKLM"),
            Check(check="admin-share-write", result=CheckResult.FAIL, evidence="STATUS_ACCESS_DENIED"),
            Check(check="service-creation", result=CheckResult.UNPROVABLE, evidence="not asked"),
        ),
        attempts=2,
    )
    for text in (
        shown(host_story(samples.run(), outcome, samples.events())),
        piped(host_story(samples.run(), outcome)),
    ):
        assert text.startswith("ws002.corp.example: failed at rights: not-administrator")
        assert "Add it to the local Administrators group" in text
        assert "the user name or password is refused" in text
        assert text.index("admin-share-write") < text.index("service-creation") < text.index("registry")
        assert "2 attempts" in text
    timeline = shown(host_story(samples.run(), outcome, samples.events())).split("Timeline")[1]
    assert [word for word in ("resolve", "sign-in", "rights") if word in timeline] == ["resolve", "sign-in", "rights"]
    assert timeline.count(" sign-in ") == 1
    assert "01:02:03.706" in timeline
    assert "0.250" in timeline


def test_the_story_of_a_good_host_has_no_remedy() -> None:
    text = shown(host_story(samples.run(), samples.outcome()))
    assert text.startswith("ws001.corp.example: installed")
    assert "Remedy" not in text
    assert "got all it needed" in text
    assert "push-2026 by kerberos" in text
    assert "says it is WS001" in text
    longest = next(line for line in text.splitlines() if line.strip().startswith("stage "))
    assert longest.count("#") == 24


def test_the_story_of_a_host_in_work() -> None:
    text = shown(host_story(samples.run(), None, samples.events()))
    assert text.startswith("ws002.corp.example: not ended yet")
    assert "signed-in: push-2026 by kerberos" in text
    assert shown(host_story(samples.run(), None))


def test_the_story_tells_why_a_host_was_tried_again() -> None:
    text = shown(host_story(samples.run(), samples.outcome(attempts=2), (), samples.attempts("push-2026")))
    first, second = (" ".join(line.split()) for line in text.split("Attempts")[1].splitlines() if ":02:0" in line)
    assert first.startswith("1 01:02:03.456 2.50 s - at reach: timed-out")
    assert second == "2 01:02:07.456 0.41 s push-2026 well"
    once = samples.attempts()[:1]
    assert "Attempts" not in shown(host_story(samples.run(), samples.outcome(), (), once)), "the verdict says it"
    waits = shown(host_story(samples.run(), None, (), once))
    assert waits.startswith("ws002.corp.example: not ended yet")
    assert "timed-out" in waits.split("Attempts")[1]


def test_the_story_as_a_record() -> None:
    record = host_story_record(samples.run(), samples.outcome(), samples.events(), samples.attempts())
    assert record["attempts"][0] == {
        "number": 1, "stage": "reach", "code": "timed-out", "account": None,
        "started_at": "2026-03-01T01:02:03.456Z", "ended_at": "2026-03-01T01:02:05.956Z",
    }  # fmt: skip
    assert [attempt["code"] for attempt in record["attempts"]] == ["timed-out", None]
    assert json.loads(json.dumps(record))["events"][0]["kind"] == "resolved"
    assert host_story_record(samples.run(), None)["outcome"] is None


def test_explain_lists_every_code_under_its_stage() -> None:
    text = shown(explain_table())
    lines = [line.strip() for line in text.splitlines()]
    for code in CATALOGUE:
        assert sum(line.split()[:1] == [code] for line in lines) == 1, code
    headings = [line.split(":")[0] for line in text.splitlines() if line and not line.startswith(" ")]
    stages = [stage.value for stage in Stage if any(row.stage is stage for row in CATALOGUE.values())]
    assert headings[:-1] == stages


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_explain_tells_one_code_in_full(code: str) -> None:
    row = CATALOGUE[code]
    text = squeezed(shown(explain_page(code)))
    assert squeezed(row.meaning) in text
    assert squeezed(row.remedy) in text
    assert f"{row.status}:" in text
    assert explain_record(code)["remedy"] == row.remedy


@pytest.mark.parametrize(
    ("code", "again", "words"),
    [
        ("timed-out", Again.HOURLY, "every hour"),
        ("wrong-password", Again.PARKED, "never by time"),
        ("wrong-host", Again.NEVER, "waiting does not help"),
    ],
)
def test_explain_says_whether_waiting_helps(code: str, again: Again, words: str) -> None:
    assert words in shown(explain_page(code))
    assert explain_record(code)["again"] == again.value


def test_explain_an_unknown_code() -> None:
    with pytest.raises(KeyError):
        explain_page("wrong-passwort")
    assert did_you_mean("wrong-passwort")[0] == "wrong-password"
    assert did_you_mean("zzzzzzz") == []
    assert len(explain_records()) == len(CATALOGUE)


@pytest.mark.parametrize("text", samples.HOSTILE, ids=range(len(samples.HOSTILE)))
def test_hostile_text_is_shown_and_not_obeyed(text: str) -> None:
    run, outcome = samples.hostile_run(text), samples.hostile_outcome(text)
    told = samples.events(text)
    for renderable in (
        runs_table([run]),
        run_page(run, summarise([outcome]), [outcome]),
        host_story(run, outcome, told, samples.attempts(text)),
        host_story(run, None, told, samples.attempts(text)),
        resolve_table([resolved(name=text, address=text, site=text, group=text, why=text)]),
    ):
        plain = piped(renderable)
        assert not set(plain) & {"\x07", "\x00", "\u202e", "\u2028", "\ud800"}
        plain.encode()
        shown(renderable)


def test_markup_is_text() -> None:
    text = "[red]x[/red]"
    assert text in piped(outcomes_table([samples.outcome(text)]))
    assert text in piped(resolve_table([resolved(name=text)]))
    console = Console(width=80, file=StringIO(), record=True)
    console.print(outcomes_table([samples.outcome("[/]")]))
    assert "[/]" in console.export_text()


def test_a_pipe_has_no_colours_and_a_terminal_has() -> None:
    class Tty(StringIO):
        def isatty(self) -> bool:
            return True

    assert console_for(StringIO()).width == 120
    assert console_for(StringIO()).is_terminal is False
    assert console_for(Tty()).is_terminal is True
    assert console_for(Tty(), colour=False).no_color is True
