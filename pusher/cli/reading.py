"""The commands that show what the store holds: runs, show, report. Not here: what changes a run (``run_requests``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from pusher.cli.run_requests import store_of_runs
from pusher.cli.streams import in_utf_8
from pusher.cli.whole_file import whole_file
from pusher.clock import utc_now
from pusher.models import Run, Wave, WaveCounts, WaveState, WorkState
from pusher.next_commands import NextCommands
from pusher.problems import CATALOGUE, BadInput, Code
from pusher.queue.windows import Window, Windows
from pusher.report.host_report import host_story, host_story_record
from pusher.report.record import outcome_record, run_record, write_line
from pusher.report.render import Format, encoding_of, render
from pusher.report.style import console_for
from pusher.report.summary import summarise
from pusher.report.tables import run_page, runs_table
from pusher.report.text import hosts, visible
from pusher.runs import find
from pusher.settings import next_commands

if TYPE_CHECKING:
    from pusher.store import Store
    from pusher.store.refusals import Refusal


def runs(store: str | None, count: int, as_json: bool) -> None:
    with store_of_runs(store) as opened:
        found = opened.runs(count)
    if as_json:
        for run in found:
            write_line(run_record(run), sys.stdout)
    else:
        _print(runs_table(found))


def show(run: str, host: str | None, store: str | None, as_json: bool) -> None:
    """A run's page, or one host's story."""
    with store_of_runs(store) as opened:
        found = find(opened, run)
        if host is not None:
            _show_host(opened, found, host, as_json, next_commands(store))
            return
        if as_json:
            for outcome in opened.outcomes(found.id):
                write_line(outcome_record(outcome), sys.stdout)
            return
        outcomes = list(opened.outcomes(found.id))
        _print(run_page(found, summarise(outcomes), outcomes))
        if found.ended_at is None and (states := opened.work_states(found.id)):
            _print(_in_the_queue(states, opened.next_due(found.id), found.priority))
            for refusal in opened.refusals(found.id):
                _print(_refused(refusal))
            for words in _waves(opened.waves(found.id)):
                _print(words)
            if found.stopped_at is not None:
                _print("It is stopped, since too many of a wave failed. To go on with it:")
                print(visible(next_commands(store).resume(found.id)))
            if written := opened.windows(found.id):
                _print(_windows(written, utc_now()))
            for account, count in opened.parked(found.id).items():
                _print(f"{hosts(count)} wait for account {visible(account)} to be seen to. Once it is mended:")
                print(visible(next_commands(store).clear(account)))
        elif unfinished := opened.unfinished(found.id):
            begun = sum(1 for _, was_begun in unfinished if was_begun)
            _print(
                f"{len(unfinished)} machines have no outcome ({begun} were being worked on): the run goes on, or "
                "pusher was ended. To take them up:"
            )
            print(visible(next_commands(store).retry(found.id)))


def _in_the_queue(states: Mapping[WorkState, int], next_due: datetime | None, priority: int | None) -> str:
    due = f" (the first until {next_due:%Y-%m-%d %H:%M} UTC)" if next_due is not None else ""
    parts = [
        (WorkState.RUNNING, "in work"),
        (WorkState.READY, "ready for a worker"),
        (WorkState.WAITING, f"waiting{due}"),
        (WorkState.HELD, "held for a later wave"),
    ]
    return (
        "In the queue: "
        + (", ".join(f"{states[state]:,} {words}" for state, words in parts if state in states) or "nothing")
        + f". Its priority is {priority}."
    )


def _refused(refusal: Refusal) -> str:
    sites = f" (sites {', '.join(refusal.sites)})" if refusal.sites else ""
    told = f"Not taken up by the worker {visible(refusal.worker)}{sites} since {refusal.at:%Y-%m-%d %H:%M} UTC: "
    known = refusal.code in frozenset(Code)
    row = CATALOGUE[Code(refusal.code)] if known else None
    return told + (f"{row.code}: {row.meaning}. {row.remedy}" if row is not None else visible(refusal.code))


def _waves(waves: Sequence[tuple[Wave, WaveCounts]]) -> Iterator[str]:
    for wave, counts in waves:
        kinds = [("did well", counts.succeeded), ("failed", counts.failed), ("do not answer", counts.unreachable),
                 ("wait for an account", counts.parked)]  # fmt: skip
        stand = ", ".join(f"{count:,} {words}" for words, count in kinds if count)
        soaks = f" until {wave.soak_until:%Y-%m-%d %H:%M} UTC" if wave.state is WaveState.SOAKING else ""
        yield f"Wave {wave.number}: {wave.state}{soaks}, {hosts(counts.size)}{f': {stand}' if stand else ''}."


def _windows(written: Sequence[Mapping[str, Any]], now: datetime) -> str:
    try:
        windows = Windows(sets=(tuple(map(Window.from_json, written)),))
    except (KeyError, ValueError, TypeError):
        return "It has maintenance windows that make no sense on this machine."
    if windows.is_open(now):
        closes = windows.closes_at(now)
        return f"Its maintenance window is open{f' until {closes:%Y-%m-%d %H:%M} UTC' if closes is not None else ''}."
    return f"Its maintenance window is shut until {windows.next_opening(now):%Y-%m-%d %H:%M} UTC."


def _show_host(store: Store, run: Run, host: str, as_json: bool, following: NextCommands) -> None:
    outcome, events = store.outcome_of(run.id, host), store.events(run.id, host)
    attempts = store.attempts(run.id, host)
    if outcome is None and not events and not attempts:
        listed = f"one of these: {following.show(run.id)}"
        raise BadInput(None, f"run {run.id} has no machine called {host!r}", listed)
    if as_json:
        write_line(host_story_record(run, outcome, events, attempts), sys.stdout)
    else:
        _print(host_story(run, outcome, events, attempts))


def report(run: str, format: str, output: Path | None, store: str | None) -> None:
    if format not in list(Format):
        raise BadInput(None, f"--format {format} is unknown", " or ".join(Format))
    with store_of_runs(store) as opened:
        found = find(opened, run)
        outcomes, following = opened.outcomes(found.id), next_commands(store)
        if output is None:
            if not sys.stdout.isatty():
                in_utf_8(sys.stdout)  # whoever keeps it keeps a file, and its first line may say so
            render(format, found, outcomes, sys.stdout, following)
            return
        try:
            with whole_file(output, encoding_of(format)) as file:
                render(format, found, outcomes, file, following)
        except OSError as error:
            raise BadInput(None, f"{output} cannot be written: {error.strerror}", "a writable file") from error


def _print(what: RenderableType) -> None:
    console_for(sys.stdout).print(what)
