"""The commands that read the store: runs, show, report, explain; and what retry and cancel ask of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from pusher.cli.streams import in_utf_8
from pusher.clock import utc_now
from pusher.credentials.lockout.process import Process, is_gone_for_people
from pusher.models import Outcome, Run, Status, Verb
from pusher.problems import CATALOGUE, BadInput, Part
from pusher.report import run_record, summarise
from pusher.report.explain import (
    Meaning,
    did_you_mean,
    explain_number,
    explain_page,
    explain_record,
    explain_records,
    explain_table,
    number_records,
)
from pusher.report.host_report import host_story, host_story_record
from pusher.report.record import outcome_record, write_line
from pusher.report.render import Format, encoding_of, render
from pusher.report.style import console_for
from pusher.report.tables import run_page, runs_table
from pusher.settings import Options, open_default_store
from pusher.store import Store
from pusher.wiring.numbers import meanings


def runs(store: str | None, count: int, as_json: bool) -> None:
    with _store(store) as opened:
        found = opened.runs(count)
    if as_json:
        for run in found:
            write_line(run_record(run), sys.stdout)
    else:
        _print(runs_table(found))


def show(run: str, host: str | None, store: str | None, as_json: bool) -> None:
    """A run's page, or one host's story."""
    with _store(store) as opened:
        found = _find(opened, run)
        if host is not None:
            _show_host(opened, found, host, as_json)
            return
        if as_json:
            for outcome in opened.outcomes(found.id):
                write_line(outcome_record(outcome), sys.stdout)
            return
        outcomes = list(opened.outcomes(found.id))
        _print(run_page(found, summarise(outcomes), outcomes))
        if unfinished := opened.unfinished(found.id):
            begun = sum(1 for _, was_begun in unfinished if was_begun)
            _print(
                f"{len(unfinished)} machines have no outcome ({begun} were being worked on): the run goes on, or "
                f"pusher was ended. pusher retry {found.id} takes them up."
            )


def _show_host(store: Store, run: Run, host: str, as_json: bool) -> None:
    outcome, events = store.outcome_of(run.id, host), store.events(run.id, host)
    attempts = store.attempts(run.id, host)
    if outcome is None and not events and not attempts:
        raise BadInput(
            None, f"run {run.id} has no machine called {host!r}", f"a name that 'pusher show {run.id}' lists"
        )
    if as_json:
        write_line(host_story_record(run, outcome, events, attempts), sys.stdout)
    else:
        _print(host_story(run, outcome, events, attempts))


def report(run: str, format: str, output: Path | None, store: str | None) -> None:
    if format not in list(Format):
        raise BadInput(None, f"--format {format} is unknown", " or ".join(Format))
    with _store(store) as opened:
        found = _find(opened, run)
        outcomes = opened.outcomes(found.id)
        if output is None:
            if not sys.stdout.isatty():
                in_utf_8(sys.stdout)  # whoever keeps it keeps a file, and its first line may say so
            render(format, found, outcomes, sys.stdout)
            return
        try:
            with output.open("w", encoding=encoding_of(format), newline="") as file:
                render(format, found, outcomes, file)
        except OSError as error:
            raise BadInput(None, f"{output} cannot be written: {error.strerror}", "a writable file") from error


def options_for_retry(
    run: str, statuses: frozenset[Status], store: str | None, given: Mapping[str, Any]
) -> tuple[Verb, Options]:
    """The verb and options of a new run over what did not succeed in ``run`` (only ``statuses``, where given).

    Who was spared by it stays spared. ``given`` takes the place of what the run was told, but for what spares.
    """
    with _store(store) as opened:
        found = _find(opened, run)
        names = {outcome.target.lower() for outcome in opened.outcomes(found.id) if _is_left(outcome, statuses)}
        if not statuses:
            names |= {name.lower() for name, _ in opened.unfinished(found.id)}
        saved = opened.options(found.id)
    if not names:
        raise BadInput(None, f"run {found.id} has nothing left to retry", "a run with machines that did not succeed")
    return found.verb, Options.made_from(saved, found.id, frozenset(names), given)


def _is_left(outcome: Outcome, statuses: frozenset[Status]) -> bool:
    if outcome.code is not None and CATALOGUE[outcome.code].part is not Part.TARGET:
        return False
    return outcome.status in statuses if statuses else not outcome.status.is_success


def cancel(run: str, store: str | None) -> None:
    with _store(store) as opened:
        found = _find(opened, run)
        if found.ended_at is not None:
            raise BadInput(None, f"run {found.id} has ended already", "a run that goes on")
        worker = _worker(opened, found)
        if worker is not None and is_gone_for_people(worker):
            raise BadInput(
                None, f"nobody works on run {found.id} any more: its process (pid {worker.pid} on {worker.host}) has "
                "ended", f"a run that goes on; 'pusher retry {found.id}' takes up what has no outcome")  # fmt: skip
        opened.ask_cancel(found.id, utc_now())
    by = f" (pid {worker.pid} on {worker.host})" if worker is not None else ""
    _print(f"Asked run {found.id}{by} to stop; what is in flight finishes or is undone.")


def _worker(store: Store, run: Run) -> Process | None:
    """The process that works or worked on a run; None where the store does not tell (an earlier version's run)."""
    known = store.worker(run.id)
    try:
        return Process(**known) if known else None
    except TypeError:
        return None


def explain(code: str | None, as_json: bool) -> None:
    if code is not None and (found := meanings(code)) is not None:
        _explain_number(code, found, as_json)
        return
    if code is not None and code not in CATALOGUE:
        close = did_you_mean(code)
        raise BadInput(
            None, f"there is no code {code!r}", " or ".join(close) if close else "one that 'pusher explain' lists"
        )
    if as_json:
        for record in [explain_record(code)] if code else explain_records():
            write_line(record, sys.stdout)
    else:
        _print(explain_page(code) if code else explain_table())


def _explain_number(number: str, found: Sequence[Meaning], as_json: bool) -> None:
    if not found:
        raise BadInput(None, f"no code of pusher's stands for {number}", "a number that Windows gave a push")
    if as_json:
        for record in number_records(found):
            write_line(record, sys.stdout)
    else:
        _print(explain_number(found))


@contextlib.contextmanager
def _store(url: str | None) -> Iterator[Store]:
    opened = open_default_store(url)
    try:
        yield opened
    finally:
        opened.close()


def _find(store: Store, run: str) -> Run:
    found = store.run(run)
    if found is None:
        raise BadInput(None, f"no single run's id begins with {run!r}", "one that 'pusher runs' lists, or last")
    return found


def _print(what: RenderableType) -> None:
    console_for(sys.stdout).print(what)
