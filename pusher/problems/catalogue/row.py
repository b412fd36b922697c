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


class Charges(StrEnum):
    """Where a sign-in that ends with a code adds to the account's lockout counter."""

    NOWHERE = "nowhere"
    """The password was right, or was never compared."""
    HOSTS = "hosts"
    """Where a host has given it as its verdict; a domain controller gives it without comparing the password."""
    EVERYWHERE = "everywhere"
    """A wrong password ends so at a domain controller, too (Kerberos: KDC_ERR_PREAUTH_FAILED)."""
    PERHAPS = "perhaps"
    """There was no answer: it may have counted."""


class Again(StrEnum):
    """When a host that waits in the queue is tried anew after an attempt that ended with a code.

    ``NextMove`` is about the attempt itself. When the time comes is reckoned by ``pusher.queue.again``.
    """

    NEVER = "never"
    """Waiting does not mend it: the host is done, and a person retries the run after the remedy."""
    SOON = "soon"
    """Gone in minutes, mostly: a few tries, further and further apart."""
    HOURLY = "hourly"
    """The machine does not answer: it is off, or away, and may be back at any time of the week."""
    WHEN_FREE = "when-free"
    """Somebody or something has it now: the other push, or the account's lockout budget."""
    PARKED = "parked"
    """The account needs a person. Never by time, which would spend sign-ins until it is locked out."""
    WINDOW = "window"
    """The host was not to blame: it is tried in its next window, or as soon as a worker has it again."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the catalogue. ``advice`` is the remedy; ``{install:EXTRA}`` in it is the command that adds an extra.

    The columns after it have the value that most codes have; each says what the rooms above do about a code, which
    names no code itself.
    """

    code: Code
    stage: Stage
    next_move: NextMove
    status: Status
    meaning: str
    advice: str
    part: Part = Part.TARGET
    charges: Charges = Charges.HOSTS
    session_gone: bool = False
    """Nothing more can be asked on the same session; where it ends a sign-in, there was no verdict on the account."""
    not_tried: bool = False
    """The lockout budget refused: nothing was sent."""
    held: bool = False
    """Another process on the machine holds it: gone in seconds, and the same call is worth repeating."""
    passing: bool = False
    """Gone by itself in seconds or minutes: what met it may ask again, within its own bounds."""
    again_in_run: bool = True
    """Where the next move is to retry: within the run. False: the reason will not be gone in seconds."""
    again: Again = Again.NEVER
    """When a host that waits in the queue is tried anew."""
    given_back: bool = False
    """Not the target's matter, but its worker's: the target is anybody's, as if nobody had begun on it."""
    refused: bool = False
    """A worker does not take up the run: said where the run is shown, and no target's outcome."""
    bars_removal: bool = False
    """It keeps a removal away too, which gets by without most of what an installation needs."""
    not_started: bool = False
    """How the service manager tells that a service did not come to run."""
    of_one_object: bool = False
    """What the directory says of one object: others may still be read."""

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
SOON, HOURLY, WHEN_FREE, PARKED, WINDOW = Again.SOON, Again.HOURLY, Again.WHEN_FREE, Again.PARKED, Again.WINDOW
NOWHERE, EVERYWHERE, PERHAPS = Charges.NOWHERE, Charges.EVERYWHERE, Charges.PERHAPS
