"""What the store could not take of each target, in one run.

A push waits for its journal and for nothing else: events and attempts are posted. Where such a write fails, the push
that it belongs to is told at its next journal entry, and nobody else's is. At the end the run knows of which targets
the record is not whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from pusher.problems import Problem, ProblemError, Stage
from pusher.problems.shortage import own_fault


class Losses:
    """By target: the first failure to write something down of it. Told from any thread."""

    def __init__(self) -> None:
        self._first: dict[str, Problem] = {}
        self._told: set[str] = set()

    def watch(self, target: str, posted: Future[Any]) -> None:
        """``posted`` is done when what it wrote is durable, or cannot be."""
        posted.add_done_callback(lambda done: self._seen(target, done.exception()))

    def note(self, target: str, why: BaseException) -> Problem:
        """Something of ``target`` could not be written down, and who did it knows; what the problem is."""
        self._told.add(target)
        return self._keep(target, why)

    def tell(self, target: str) -> None:
        """Raise what failed for ``target``, once: whoever was told undoes what he began, and is not stopped in that."""
        found = self._first.get(target)
        if found is not None and target not in self._told:
            self._told.add(target)
            raise ProblemError(found)

    @property
    def first(self) -> Mapping[str, Problem]:
        """Of each target whose record is not whole, what the first failure was."""
        return self._first

    def _keep(self, target: str, why: BaseException) -> Problem:
        found = why.problem if isinstance(why, ProblemError) else own_fault(why, Stage.RECORD)
        self._first.setdefault(target, found)
        return found

    def _seen(self, target: str, why: BaseException | None) -> None:
        if why is not None:
            self._keep(target, why)
