"""What the contract suite asks of an adapter's surroundings: machines of some kinds, and a hand on their other side."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol

from pusher.models import Credential
from pusher.transports.memory import StartFault
from pusher.transports.port import Endpoint, Limits, Transport

LIMITS = Limits(connect=5.0, sign_in=20.0, call=20.0, stall=15.0, start=40.0)


class Kind(Enum):
    """A machine; the value is the lab's scenario."""

    HEALTHY = "healthy"
    NO_SHARE = "no-admin-share"
    READ_ONLY = "read-only-admin-share"
    FULL = "disk-full"
    LOCKED = "locked"
    DISABLED = "disabled"
    MUST_CHANGE = "must-change"
    EXPIRED = "account-expired"


class Who(Enum):
    """A local account of every machine, or somebody who is none."""

    ADMINISTRATOR = "administrator"
    ORDINARY = "ordinary"
    MISTYPED = "the administrator with a wrong password"
    NOBODY = "no account at all"


class Machine(Protocol):
    """One machine, from the inside. Paths are below its Windows folder, with backslashes."""

    endpoint: Endpoint

    def read(self, path: str) -> bytes | None: ...

    def write(self, path: str, data: bytes) -> None: ...

    def tree(self) -> dict[str, bytes | None]:
        """Everything on the drive that no system process changes by itself; None for a folder."""

    def remove_tree(self, path: str) -> None: ...

    def occupied(self, path: str) -> AbstractContextManager[None]:
        """Another program has this file open without sharing."""

    async def let_time_pass(self, seconds: float) -> None:
        """On the machine, that is."""

    def cut(self) -> None:
        """Drop every connection there is."""

    def sign_ins(self) -> int:
        """How many sign-ins the machine has seen."""

    def service_command(self, service: str, fault: StartFault | None) -> str:
        """The image path of a real service program, which starts ``service`` as ``fault`` says."""

    def endless_command(self) -> str:
        """A command line that does not end by itself."""


class Bench(Protocol):
    """The adapter and its machines."""

    transport: Transport

    def machine(self, kind: Kind) -> Machine: ...

    def credential(self, who: Who) -> Credential: ...

    def stalling_copy(self, machine: Machine) -> AbstractContextManager[Transport]:
        """The transport, on which a copy of a megabyte stops moving half-way."""
