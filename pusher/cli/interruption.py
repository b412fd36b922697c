"""What stops a run: Ctrl-C, SIGTERM from a service manager, SIGHUP from a session that drops, ``pusher cancel``.

The first lets what is in flight finish or undo itself and records the rest as cancelled; a second Ctrl-C or SIGTERM
stops at once, and the next push of the same hosts undoes what was left. What must not live here: what a target does
that is stopped (``push``), what the run then comes to (``verdict``).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from pusher.push.context import Stop

INSISTED_ON = (signal.SIGINT, signal.SIGTERM)
HANG_UP = signal.SIGHUP
"""Comes twice from one dropped session, of the kernel and of the shell: it never counts as a second Ctrl-C."""
_POLL_CANCEL = 1.0

_log = structlog.get_logger()


class Interruption:
    """Of one run, whose ``stop`` it pulls; ``note`` is told why, for the operator."""

    def __init__(self, run: str, stop: Stop, note: Callable[[str], None]) -> None:
        self._run, self._stop, self._note = run, stop, note
        self._work: asyncio.Task[Any] | None = None
        self._count = 0

    @property
    def came(self) -> bool:
        """Whether a signal has come in time."""
        return self._count > 0

    def of(self, work: asyncio.Task[Any]) -> None:
        """``work`` is what a second one cancels; once it is done, any comes too late."""
        self._work = work

    @contextmanager
    def heeded(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Within it the signals come here. Who started us with SIGHUP ignored (nohup) wants it ignored."""
        numbers = list(INSISTED_ON)
        if signal.getsignal(HANG_UP) is not signal.SIG_IGN:
            numbers.append(HANG_UP)
        for number in numbers:
            loop.add_signal_handler(number, self._asked, number in INSISTED_ON)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def listen(self, cancel_asked: Callable[[str], bool]) -> None:
        """``pusher cancel RUN`` from another terminal arrives by way of the store."""
        failed = False
        while not self._stop.code:
            await asyncio.sleep(_POLL_CANCEL)
            try:
                asked = await asyncio.to_thread(cancel_asked, self._run)
            except Exception as error:  # the run goes on, and may be stopped by Ctrl-C; the next look may be better
                if not failed:
                    _log.warning("cancel-not-readable", run=self._run, detail=str(error))
                failed, asked = True, False
            if asked:
                self._note("Stopping: the run was cancelled from elsewhere.")
                self._stop.cancel()

    def _asked(self, insists: bool) -> None:
        """A signal; ``insists`` where it is one of which the second stops at once."""
        if self._work is not None and self._work.done():
            return  # it came too late to interrupt anything
        self._count += 1
        if self._count == 1:
            self._note("Stopping: hosts in work finish or are put back; press Ctrl-C again to stop at once.")
            self._stop.cancel()
        elif insists and self._work is not None:
            self._work.cancel()
