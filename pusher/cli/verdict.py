"""What a run came to, for whoever started it: the exit status, and what he has to be told at the end.

A pure decision. What must not live here: how any of it became known (``execute``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pusher.cli.streams import OUTPUT_LOST
from pusher.models import Status
from pusher.next_commands import NextCommands
from pusher.problems import Code, Problem
from pusher.report.summary import exit_status

INTERRUPTED, FAILURE_LIMIT, NOT_ALL_WELL = 130, 3, 1
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of ``run``, its id. ``wrong``: what went wrong with it as a whole, in sentences. ``losses``: by target, what was
    not stored.

    ``unstored``: how many outcomes the store did not take, and ``unstored_words`` where they are.
    ``view_failure``: what ended the showing of it.
    """

    run: str
    following: NextCommands
    interrupted: bool
    stopped: Code | None
    statuses: frozenset[Status]
    wrong: Sequence[str]
    losses: Mapping[str, Problem]
    unstored: int
    unstored_words: Sequence[str]
    view_failure: str | None

    @property
    def exit_status(self) -> int:
        """0 only where every target ended well, and all of it was stored and shown."""
        if self.interrupted or self.stopped == Code.CANCELLED:
            return INTERRUPTED
        if self.stopped == Code.FAILURE_LIMIT:
            return FAILURE_LIMIT
        if self.wrong or self.losses or self.unstored:
            return NOT_ALL_WELL
        status = exit_status(self.statuses)
        return OUTPUT_LOST if status == 0 and self.view_failure is not None else status

    @property
    def closing_words(self) -> list[str]:
        """What the operator has to be told at the end, whatever the view; empty where all is as it should be."""
        words = [*self.unstored_words, *self.wrong]
        if len(self.losses) > self.unstored:
            names, first = sorted(self.losses), next(iter(self.losses.values()))
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            words.append(
                f"Not all that happened to {', '.join(names[:_NAMED])}{more} could be stored ({first.code}: "
                f"{first.message}). {first.remedy}"
            )
        if self.view_failure is not None:
            show = self.following.show(self.run)
            words.append(f"The run could not be shown to its end ({self.view_failure}). To see it: {show}")
        return words
