"""``retry``, ``resume`` and ``cancel``: what is asked of a recorded run, and the sentence where it is not done.

Not here: what is decided (``runs``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pusher.clock import utc_now
from pusher.models import Status
from pusher.problems import BadInput
from pusher.report.style import console_for
from pusher.report.text import hosts
from pusher.runs import Refusal, Retry, RunRefusedError
from pusher.runs import cancel as ask_to_stop
from pusher.runs import resume as go_on
from pusher.runs import retry as made_from
from pusher.settings import next_commands, open_default_store

if TYPE_CHECKING:
    from pusher.store import Store

REFUSALS: Mapping[Refusal, tuple[str, str]] = MappingProxyType(
    {
        Refusal.UNKNOWN: (
            "no single run of the store {store} has an id that begins with {run!r}",
            "last, or one of these: {runs}",
        ),
        Refusal.ENDED: ("run {run} has ended already", "a run that goes on"),
        Refusal.ABANDONED: (
            "nobody works on run {run} any more: its process (pid {worker.pid} on {worker.host}) has ended",
            "a run that goes on; to take up what has no outcome: {retry}",
        ),
        Refusal.NOTHING_LEFT: (
            "run {run} has nothing left to retry",
            "a run with machines that did not succeed",
        ),
        Refusal.NO_WAVES: ("run {run} does not go out in waves", "a run that was queued with --waves or --stop-at"),
        Refusal.NO_SUCH_WAVE: ("run {run} has no such wave", "the number of one of its waves ({show})"),
        Refusal.NOT_STOPPED: (
            "run {run} is not stopped, and no wave of it is held that was asked for",
            "--wave with the number of a later wave ({show})",
        ),
    }
)
"""What was found, and what was expected."""


@contextmanager
def store_of_runs(url: str | None) -> Iterator[Store]:
    """The store, until the end. BadInput where what is asked of a run in it is not done."""
    with closing(open_default_store(url)) as opened:
        try:
            yield opened
        except RunRefusedError as refused:
            following = next_commands(url)
            values = {
                "runs": following.runs(),
                "retry": following.retry(refused.run),
                "show": following.show(refused.run),
            }
            found, expected = (
                words.format(run=refused.run, worker=refused.worker, store=opened.name, **values)
                for words in REFUSALS[refused.why]
            )
            raise BadInput(None, found, expected) from refused


def retry(run: str, statuses: frozenset[Status], store: str | None, given: Mapping[str, Any]) -> Retry:
    with store_of_runs(store) as opened:
        return made_from(opened, run, statuses, given)


def resume(run: str, wave: int | None, store: str | None) -> None:
    with store_of_runs(store) as opened:
        made = go_on(opened, run, wave)
    opened_now = ", ".join(str(one.number) for one in made.waves)
    words = f"Run {made.run.id} goes on: wave {opened_now} is open. What failed so far stops it no more."
    console_for(sys.stdout).print(words)


def cancel(run: str, store: str | None) -> None:
    with store_of_runs(store) as opened:
        asked = ask_to_stop(opened, run, utc_now())
    if asked.ended is not None:
        console_for(sys.stdout).print(
            f"Cancelled run {asked.run.id}: {hosts(asked.ended)} that waited ended; "
            "what a worker has begun finishes or is undone."
        )
        return
    by = f" (pid {asked.worker.pid} on {asked.worker.host})" if asked.worker is not None else ""
    words = f"Asked run {asked.run.id}{by} to stop; what is in flight finishes or is undone."
    console_for(sys.stdout).print(words)
