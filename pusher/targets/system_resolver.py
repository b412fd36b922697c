"""Names as this machine resolves them (what ``getent ahosts`` says): hosts file, DNS, other name services.

Here lives the adapter of ``Resolver`` over ``getaddrinfo``. What must not live here: DNS of our own.
``getaddrinfo`` blocks and cannot be interrupted, so each call runs in a thread that may be abandoned at the
deadline; their number is bounded, and an abandoned one keeps its place until it returns.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable

from pusher.problems import Code
from pusher.problems.shortage import CODE, shortage
from pusher.targets.resolver import Resolution, failed, given, refuse_unless_name, resolution

Lookup = Callable[[str], Iterable[str]]

SOURCE = "system"

# What getaddrinfo can say; a code that a platform lacks is left out. Anything else counts as a failed server.
NOT_FOUND = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)


class SystemResolver:
    """Resolves by the system. ``patience``: how long a look-up may wait for a free thread."""

    def __init__(
        self, *, deadline: float = 5.0, threads: int = 16, patience: float = 60.0, lookup: Lookup | None = None
    ) -> None:
        self._deadline, self._patience = deadline, patience
        self._lookup = lookup or _getaddrinfo
        self._threads = threads
        self._places: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    async def resolve(self, name: str) -> Resolution:
        known = given(name)
        if known is not None:
            return known
        refuse_unless_name(name)
        free = self._free()
        try:
            async with asyncio.timeout(self._patience):
                await free.acquire()
        except TimeoutError as exc:
            raise failed(Code.TIMED_OUT, name, f"no look-up became free within {self._patience:g} s") from exc
        answer = self._start(name, free)
        try:
            async with asyncio.timeout(self._deadline):
                addresses = await answer
        except TimeoutError as exc:
            raise failed(Code.TIMED_OUT, name, f"no answer within {self._deadline:g} s") from exc
        except socket.gaierror as exc:
            if exc.errno == socket.EAI_MEMORY:
                raise failed(CODE, name, "no memory is left") from exc
            code = Code.NAME_NOT_FOUND if exc.errno in NOT_FOUND else Code.NAME_SERVER_FAILED
            raise failed(code, name, exc.strerror or "the look-up failed") from exc
        except UnicodeError as exc:
            raise failed(Code.NAME_NOT_FOUND, name, "it is not a host name") from exc
        except OSError as exc:
            if (short := shortage(exc)) is not None:
                raise failed(CODE, name, short) from exc
            raise failed(Code.NAME_SERVER_FAILED, name, exc.strerror or "the look-up failed") from exc
        return resolution(name, addresses, SOURCE)

    def _free(self) -> asyncio.Semaphore:
        """The places of this event loop: a semaphore belongs to one loop, and a resolver may outlive it."""
        loop = asyncio.get_running_loop()
        if self._places is None or self._places[0] is not loop:
            self._places = loop, asyncio.Semaphore(self._threads)
        return self._places[1]

    def _start(self, name: str, free: asyncio.Semaphore) -> asyncio.Future[tuple[str, ...]]:
        """The look-up in a thread of its own; a daemon, so that a stuck one does not hold up the end of the program."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

        def deliver(found: tuple[str, ...] | Exception) -> None:
            free.release()
            if answer.done():  # abandoned at the deadline, or cancelled
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def work() -> None:
            found: tuple[str, ...] | Exception
            try:
                found = tuple(self._lookup(name))
            except Exception as exc:
                found = exc
            try:
                loop.call_soon_threadsafe(deliver, found)
            except RuntimeError:  # the loop has ended: nobody waits
                return

        try:
            threading.Thread(target=work, name=f"resolve {name}", daemon=True).start()
        except RuntimeError as exc:
            free.release()
            raise failed(CODE, name, "no thread is left for the look-up") from exc
        return answer


def _getaddrinfo(name: str) -> Iterable[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]
