"""One connection to a machine in memory: where calls are counted, meet their fault, and come to Problems.

Here: what can go wrong with a call, and the wire it passes. Not here: what any call does (``transport``).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from pusher.models import TransportKind
from pusher.problems import Code, ProblemError, problem
from pusher.transports.codes import Operation, from_ntstatus, from_win32, of
from pusher.transports.memory.disk import Entry, Key, NtError
from pusher.transports.memory.host import MemoryHost
from pusher.transports.memory.services import Win32Error
from pusher.transports.port import Limits

T = TypeVar("T")


class How(Enum):
    """What happens at a fault."""

    FAIL = "the call is refused with a code"
    DROP = "the connection is gone"
    HANG = "no answer comes"
    LATE = "the answer comes ``seconds`` late"
    DIE = "this process is killed: nothing more leaves it, and all its connections drop"


class Moment(Enum):
    BEFORE = "before the call's effect"
    DURING = "in the middle of a put; for other calls the same as before"
    AFTER = "when the effect has happened and its answer has not arrived"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Goes off once, at the ``number``-th call of that name (of any name: the empty one), counted from 1."""

    how: How
    number: int = 1
    call: str = ""
    moment: Moment = Moment.BEFORE
    code: Code = Code.TOO_BUSY
    seconds: float = 0.0


class Killed(BaseException):
    """What everyone in a process that is no more gets to hear."""


class Pushing(Protocol):
    """The pusher whose wires these are: it counts their calls, and may be killed."""

    kind: TransportKind
    nameless: bool
    dead: bool

    def due(self, call: str) -> Fault | None: ...

    def die(self) -> None: ...


class Wire:
    """One connection. What it holds on the machine goes with it."""

    def __init__(self, transport: Pushing, host: MemoryHost, limits: Limits) -> None:
        self.transport, self.host, self.limits = transport, host, limits
        self.secret_sent = False
        self.up = True
        self._held: dict[int, tuple[Key, Entry]] = {}
        self._numbers = itertools.count()
        self._turn = asyncio.Lock()

    async def call(
        self,
        name: str,
        operation: Operation,
        work: Callable[[], T],
        deadline: float | None = None,
        *,
        late: Code = Code.TIMED_OUT,
        half: Callable[[], object] = lambda: None,
        what: str = "",
    ) -> T:
        async with self._turn:
            self._alive(operation)
            fault = self.transport.due(name)
            self.host.calls[name] += 1
            try:
                if self.host.mute:
                    await self._hang(operation, deadline, late)
                await asyncio.sleep(self.host.latency)
                self._alive(operation)
                if fault is not None and fault.moment is not Moment.AFTER:
                    if fault.moment is Moment.DURING:
                        _numbered(operation, what, half)
                    await self._strike(fault, operation, deadline, late)
                self.host.services.settle(self.host.now())
                result = _numbered(operation, what, work)
                if fault is not None:
                    await self._strike(fault, operation, deadline, late)
            except asyncio.CancelledError:
                self.drop()
                raise
            return result

    def hold(self, key: Key, entry: Entry) -> int:
        entry.held = True
        number = next(self._numbers)
        self._held[number] = (key, entry)
        return number

    def release(self, number: int) -> None:
        """Close what is held: a lock file removes itself. Nothing to do where it has gone already."""
        key, entry = self._held.pop(number, ((), None))
        if entry is not None:
            entry.held = False
            self.host.disk.remove(key)

    def drop(self) -> None:
        self.up = False
        for number in list(self._held):
            self.release(number)

    def _alive(self, operation: Operation) -> None:
        if self.transport.dead:
            raise Killed
        if not self.up:
            raise ProblemError(of(Code.CONNECTION_LOST, operation))

    async def _strike(self, fault: Fault, operation: Operation, deadline: float | None, late: Code) -> None:
        if fault.how is How.FAIL:
            raise ProblemError(problem(fault.code, operation.stage, "as the test wants it"))
        if fault.how is How.LATE:
            await asyncio.sleep(fault.seconds)
            return
        if fault.how is How.HANG:
            await self._hang(operation, deadline, late)
        if fault.how is How.DIE:
            self.transport.die()
            self.drop()
            raise Killed
        self.drop()
        raise ProblemError(of(Code.CONNECTION_LOST, operation))

    async def _hang(self, operation: Operation, deadline: float | None, late: Code) -> None:
        patience = self.limits.call if deadline is None else deadline
        await asyncio.sleep(patience)
        self.drop()
        raise ProblemError(of(late, operation, f"nothing for {patience:g} s"))


def _numbered(operation: Operation, what: str, work: Callable[[], T]) -> T:
    """The machine's number as a Problem, by the same tables as for a real one."""
    try:
        return work()
    except NtError as error:
        raise ProblemError(from_ntstatus(error.status, operation, what)) from error
    except Win32Error as error:
        if error.code == 1060:
            raise ProblemError(of(Code.SERVICE_MISSING, operation, what)) from error
        raise ProblemError(from_win32(error.code, operation, what)) from error
