"""Problems: what went wrong, what an administrator can do about it, and what the scheduler does next.

Here live the value ``Problem``, the exceptions that carry it, and (in ``catalogue``) the table of codes.
What must not live here: the translation of a library's exceptions, which each adapter has in its ``faults``, and any
matching on message text.
"""

from __future__ import annotations

from dataclasses import dataclass

from pusher.models import NextMove, Source, Stage, Status
from pusher.problems.catalogue import CATALOGUE, Again, Charges, Part, Row
from pusher.problems.codes import Code

__all__ = [
    "CATALOGUE",
    "Again",
    "BadInput",
    "Charges",
    "Code",
    "NextMove",
    "Part",
    "Problem",
    "ProblemError",
    "Row",
    "Stage",
    "problem",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One failure. ``code`` is a key of ``CATALOGUE``; ``stage`` is where in the push it happened."""

    code: Code
    stage: Stage
    message: str
    remedy: str
    next_move: NextMove

    @property
    def row(self) -> Row:
        """What the catalogue says of its code: how each room takes it."""
        return CATALOGUE[self.code]

    @property
    def status(self) -> Status:
        """The status a target gets when this problem ends it."""
        return self.row.status


class ProblemError(Exception):
    """Carries a Problem up to the room that decides; adapters raise it ``from`` the library's own exception."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem


def problem(code: Code, stage: Stage | None = None, detail: str = "") -> Problem:
    """The catalogue's problem for ``code``, at ``stage``, with what was seen (``detail``) in its message.

    Raises KeyError for a code that the catalogue does not hold: a code is never invented in passing.
    """
    row = CATALOGUE[code]
    return Problem(
        code=code,
        stage=stage or row.stage,
        message=f"{row.meaning}: {detail}" if detail else row.meaning,
        remedy=row.remedy,
        next_move=row.next_move,
    )


class BadInput(Exception):
    """The operator's input cannot be used: one sentence with file, line, column and what was expected."""

    def __init__(self, source: Source | None, found: str, expected: str = "") -> None:
        self.source, self.found, self.expected = source, found, expected
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """``FILE:LINE:COLUMN: what was found; expected …``"""
        where = ""
        if self.source is not None:
            where = self.source.file
            if self.source.line:
                where += f":{self.source.line}"
                if self.source.column:
                    where += f":{self.source.column}"
            where += ": "
        text = f"{where}{self.found}" + (f"; expected {self.expected}" if self.expected else "")
        # A path or a value may hold control characters; a terminal must not obey them.
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
