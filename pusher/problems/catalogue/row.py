"""A row of the catalogue, and the short names that keep a row on its line. The rows themselves are in the tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pusher import installation
from pusher.models import NextMove, Stage, Status
from pusher.problems.codes import Code


class Part(StrEnum):
    """What a target that ends with a code is to its run, and to those that are made from it."""

    TARGET = "target"
    """One of its targets: where it did not succeed the run did not, and it may be retried."""
    SPARED = "spared"
    """One that was spared: it is told of in the exit status, and no later run takes it up from this one."""
    LEFT_OUT = "left-out"
    """None of its targets: left out on purpose; neither told of nor taken up."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the catalogue. ``advice`` is the remedy; ``{install:EXTRA}`` in it is the command that adds an extra."""

    code: Code
    stage: Stage
    next_move: NextMove
    status: Status
    meaning: str
    advice: str
    part: Part = Part.TARGET

    @property
    def remedy(self) -> str:
        """What an administrator can do, with commands that work as they are printed."""
        return _INSTALL.sub(lambda found: installation.add(found[1]), self.advice)


_INSTALL = re.compile(r"\{install:([a-z]+)\}")


RETRY, NEXT, GIVE_UP, STOP, TRANSPORT, WAIT = (
    NextMove.RETRY,
    NextMove.NEXT_ACCOUNT,
    NextMove.GIVE_UP,
    NextMove.STOP_ACCOUNT,
    NextMove.NEXT_TRANSPORT,
    NextMove.WAIT,
)
FAILED, UNREACHABLE = Status.FAILED, Status.UNREACHABLE
SKIPPED, CANCELLED = Status.SKIPPED, Status.CANCELLED
SPARED, LEFT_OUT = Part.SPARED, Part.LEFT_OUT
