"""The views of a run, driven by a script of events with a clock that the test moves."""

from __future__ import annotations

import json
from io import StringIO
from threading import Thread

import pytest
from hypothesis import given
from rich.console import Console

from pusher.models import Stage, Status
from pusher.next_commands import NONE_GIVEN
from pusher.report.progress import WINDOW, Progress
from pusher.report.record import outcome_record
from pusher.report.run_summary import closing
from pusher.report.summary import summarise
from pusher.report.terminal import LiveView
from pusher.report.views import JsonView, PlainView, QuietView, View, outcome_line
from tests.unit.report import report_samples as samples


class Script:
    """Plays a run into a view, a second an outcome."""

    def __init__(self, view: View, clock: samples.Clock) -> None:
        self.view, self.clock = view, clock

    def play(self, count: int = 25, total: int | None = 40) -> None:
        self.view.started(samples.run(ended_at=None), total)
        for outcome in samples.mixed()[:count]:
            self.view.stage(outcome.target, Stage.REACH)
            self.clock.time += 1
            self.view.stage(outcome.target, Stage.STAGE)
            self.view.outcome(outcome)

    def end(self, count: int = 25) -> None:
        self.view.finished(samples.run(), summarise(samples.mixed()[:count]))
        self.view.close()
        self.view.close()


def terminal(out: StringIO, width: int = 80, height: int = 24) -> Console:
    return Console(file=out, width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)


def drawn(view: LiveView, width: int = 80, height: int = 24) -> str:
    out = StringIO()
    terminal(out, width, height).print(view.screen(), end="")
    return out.getvalue()


# --- progress -------------------------------------------------------------------------------------------------------


def test_rate_and_time_left_come_from_the_last_minute() -> None:
    clock = samples.Clock()
    progress = Progress(clock)
    progress.start(1000)
    for i in range(100):
        clock.time += 0.1
        progress.outcome(samples.outcome(f"h{i}"))
    frame = progress.frame()
    assert frame.rate == pytest.approx(600)
    assert frame.left == pytest.approx(90)
    clock.time += WINDOW + 1
    assert progress.frame().rate == 0
    assert progress.frame().left is None


def test_no_forecast_before_anything_is_known() -> None:
    clock = samples.Clock()
    progress = Progress(clock)
    progress.start(10)
    clock.time += 1
    progress.outcome(samples.outcome())
    assert progress.frame().left is None
    progress.start(None)
    clock.time += 30
    assert progress.frame().left is None


def test_hosts_left_out_make_no_speed() -> None:
    clock = samples.Clock()
    progress = Progress(clock)
    progress.start(5000)
    for i in range(4000):
        progress.outcome(samples.failure("excluded", f"h{i}"))
    clock.time += 10
    assert progress.frame().rate == 0
    assert progress.frame().done == 4000


def test_a_stage_told_twice_goes_on_counting() -> None:
    clock = samples.Clock()
    progress = Progress(clock)
    progress.start(2)
    progress.stage("a", Stage.REACH)
    clock.time += 5
    progress.stage("a", Stage.REACH)
    progress.stage("b", Stage.REACH)
    assert [(w.target, w.seconds) for w in progress.frame().in_work] == [("a", 5), ("b", 0)]
    progress.stage("a", Stage.SIGN_IN)
    assert {w.target: w.seconds for w in progress.frame().in_work} == {"a": 0, "b": 0}
    progress.outcome(samples.outcome("a"))
    assert [w.target for w in progress.frame().in_work] == ["b"]


def test_a_day_of_outcomes_is_not_remembered_one_by_one() -> None:
    clock = samples.Clock()
    progress = Progress(clock)
    progress.start(None)
    for i in range(5000):
        clock.time += 1
        progress.outcome(samples.failure("timed-out", f"h{i}"))
        if i % 100 == 0:
            progress.frame()
    progress.frame()
    assert len(progress._worked) <= WINDOW + 1
    assert [o.target for o in progress.frame().failures] == [f"h{i}" for i in range(4995, 5000)]


# --- plain ----------------------------------------------------------------------------------------------------------


def test_plain_says_a_line_an_outcome_and_progress_each_ten_seconds() -> None:
    out, clock = StringIO(), samples.Clock()
    script = Script(PlainView(out, clock), clock)
    script.play()
    lines = out.getvalue().splitlines()
    assert lines[0] == "run 01JRUN: push labagent 1.4.2 to corp.yaml (40 hosts), by CORP\\ada"
    assert sum(not line.startswith(("progress:", "run ")) for line in lines) == 25
    assert lines[1] == ("installed   ws000.paris.corp.example  1.4.2, in 0.41 s, 248.0 KB copied, account push-2026")
    assert lines[4] == (
        "failed      ws003.paris.corp.example  sign-in: account-locked, the account is locked out (account push-2026)"
    )
    progress = [line for line in lines if line.startswith("progress:")]
    assert len(progress) == 2
    assert progress[0].startswith("progress: 9 of 40 done; ")
    assert "1 in work" in progress[0]
    assert "left" in progress[0]
    script.end()
    assert "pusher show 01JRUN" in out.getvalue()
    assert "pusher report 01JRUN --format html --output report.html" in out.getvalue()


def test_plain_stands_still_with_the_clock() -> None:
    out, clock = StringIO(), samples.Clock()
    view = PlainView(out, clock)
    view.started(samples.run(), None)
    for outcome in samples.mixed():
        view.outcome(outcome)
    assert "progress" not in out.getvalue()
    view.note("account push-2025 was stopped")
    assert out.getvalue().endswith("note: account push-2025 was stopped\n")


@samples.unhurried
@given(samples.hostile)
def test_a_plain_line_is_one_harmless_line(text: str) -> None:
    line = outcome_line(samples.hostile_outcome(text))
    assert len(line.splitlines()) == 1
    assert not set(line) & {chr(n) for n in (*range(32), 127, *range(128, 160))}


# --- json and quiet -------------------------------------------------------------------------------------------------


def test_json_writes_outcomes_and_nothing_else() -> None:
    out, aside, clock = StringIO(), StringIO(), samples.Clock()
    script = Script(JsonView(out, aside), clock)
    script.play()
    script.view.note("hello\x1b[2J")
    script.end()
    lines = out.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [outcome_record(o) for o in samples.mixed()[:25]]
    assert aside.getvalue() == "note: hello[U+001B][2J\n"


def test_json_without_a_place_for_notes_is_silent_about_them() -> None:
    out = StringIO()
    JsonView(out).note("hello")
    assert out.getvalue() == ""


def test_quiet_is_silent_where_all_is_well() -> None:
    out = StringIO()
    view = QuietView(out)
    view.started(samples.run(), 1)
    view.stage("a", Stage.REACH)
    view.outcome(samples.outcome())
    view.note("x")
    view.finished(samples.run(), summarise([samples.outcome()]))
    view.close()
    assert out.getvalue() == ""


def test_quiet_tells_what_went_wrong_once() -> None:
    out, clock = StringIO(), samples.Clock()
    script = Script(QuietView(out), clock)
    script.play()
    assert out.getvalue() == ""
    script.end()
    assert out.getvalue().count("Unlock it and find what locks it") == 1


# --- live -----------------------------------------------------------------------------------------------------------


def playing(count: int = 25, total: int | None = 40) -> tuple[LiveView, samples.Clock, StringIO]:
    out, clock = StringIO(), samples.Clock()
    view = LiveView(terminal(out), clock, auto_refresh=False)
    Script(view, clock).play(count, total)
    return view, clock, out


def test_the_screen_shows_progress_speed_work_and_failures() -> None:
    view, clock, _ = playing()
    for i in range(20):
        view.stage(f"slow{i:02d}.corp.example", Stage.STAGE)
    clock.time += 45
    text = drawn(view)
    view.close()
    assert "push labagent 1.4.2 to corp.yaml" in text
    assert "25 of 40 done (62%)" in text
    assert "7 installed" in text
    assert "hosts/min" in text
    assert "left" in text
    assert "In work: 20" in text
    assert "slow00.corp.example" in text
    assert "copying files" in text
    assert "45 s" in text
    assert "more" in text
    assert "Last failures" in text
    assert "timed-out" in text


@pytest.mark.parametrize("height", [8, 12, 24, 50])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_screen_fits(width: int, height: int) -> None:
    view, clock, _ = playing()
    for i in range(500):
        view.stage(f"{'long' * 12}{i}.corp.example", Stage.STAGE)
    clock.time += 100
    lines = drawn(view, width, height).splitlines()
    view.close()
    assert all(len(line) <= width for line in lines)
    if height >= 24:
        assert len(lines) < height
    assert any("+" in line and "more" in line for line in lines)


def test_the_bar_is_as_long_as_the_screen_whatever_the_counts() -> None:
    for count in (0, 1, 13, 25, 40):
        # 43 does not divide 80: a bar that rounds each piece by itself would be too short.
        view, _, _ = playing(count, total=43)
        bar = next(line for line in drawn(view).splitlines() if set(line) <= {"━", "─"})
        view.close()
        assert len(bar) == 80
        assert bar.count("━") == 80 * count // 43


def test_an_unknown_total_has_no_bar_and_no_forecast() -> None:
    view, _, _ = playing(total=None)
    text = drawn(view)
    view.close()
    assert "25 done" in text
    assert "━" not in text
    assert "left" not in text


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    view, clock, _ = playing(0)
    for text in samples.HOSTILE:
        view.stage(text, Stage.REACH)
        clock.time += 1
        assert "\x1b" not in drawn(view)
        view.outcome(samples.hostile_outcome(text))
        assert "\x1b" not in drawn(view)
    view.stage("[red]markup[/red]", Stage.REACH)
    assert "[red]markup[/red]" in drawn(view)
    view.note("[/] \x1b[2J")
    view.close()


def test_the_closing_words_stay_and_the_cursor_comes_back() -> None:
    view, _, out = playing()
    assert "\x1b[?25l" in out.getvalue()
    view.note("account push-2025 was stopped")
    view.finished(samples.run(), summarise(samples.mixed()[:25]))
    view.close()
    text = out.getvalue()
    assert "note: account push-2025 was stopped" in text
    assert text.rindex("\x1b[?25h") < text.rindex("pusher show 01JRUN")
    assert "\x1b[?25l" not in text[text.rindex("\x1b[?25h") :]


def test_a_view_that_never_started_can_be_closed() -> None:
    LiveView(terminal(StringIO()), samples.Clock(), auto_refresh=False).close()


def test_many_threads_may_tell_while_the_screen_draws() -> None:
    clock = samples.Clock()
    view = LiveView(terminal(StringIO()), clock)
    view.started(samples.run(), 2000)

    def tell(thread: int) -> None:
        for i in range(200):
            view.stage(f"{thread}-{i}", Stage.REACH)
            view.outcome(samples.outcome(f"{thread}-{i}"))

    threads = [Thread(target=tell, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        view.screen()
    view.close()
    assert "800 of 2,000 done" in drawn(view)


# --- the closing words ----------------------------------------------------------------------------------------------


def closing_of(codes: list[str], width: int = 80) -> str:
    out = StringIO()
    outcomes = [samples.failure(code, f"h{i}") for i, code in enumerate(codes)]
    Console(file=out, width=width).print(closing(samples.run(), summarise(outcomes), NONE_GIVEN))
    return out.getvalue()


def test_each_remedy_is_said_once_under_all_it_mends() -> None:
    text = closing_of(["service-busy", "disk-full", "service-database-locked", "service-busy"], 120)
    assert text.count("Remedy  Push again.") == 1
    busy, locked, full = (text.index(code) for code in ("service-busy", "service-database-locked", "disk-full"))
    assert busy < locked < text.index("Push again.") < full


def test_the_account_and_the_site_in_common_are_named() -> None:
    text = closing_of(["account-locked"] * 9, 120)
    assert "9 hosts failed while signing in: account-locked, the account is locked out" in text
    assert "h0, h1, h2 and 6 more; account push-2026; site paris" in text


def test_what_pusher_did_is_said_only_of_hosts_that_it_worked_on() -> None:
    assert "pusher  stopped using the account" in closing_of(["account-locked"])
    text = closing_of(["excluded"])
    assert "1 host skipped: excluded" in text
    assert "pusher  " not in text
    assert "pusher retry" not in text


def test_a_good_run_ends_in_few_words() -> None:
    out = StringIO()
    summary = summarise([samples.outcome("a"), samples.outcome("b", Status.UNCHANGED)])
    Console(file=out, width=80).print(closing(samples.run(), summary, NONE_GIVEN))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[:2] == [
        "push labagent 1.4.2 to corp.yaml: 2 hosts in 3 min 5 s (run 01JRUN)",
        "1 installed · 1 unchanged",
    ]
    assert len(lines) == 5
