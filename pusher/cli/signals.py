"""The signals that stop a run: Ctrl-C, SIGTERM from a service manager, SIGHUP from a session that drops.

Here lives which signal asks for what. What must not live here: what stopping does (``execute``).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Asked = Callable[[bool], None]
"""Told of each signal; True where it is one that may be insisted on: the second of those stops at once."""

INSISTED_ON = (signal.SIGINT, signal.SIGTERM)
HANG_UP = signal.SIGHUP
"""Comes twice from one dropped session, of the kernel and of the shell: it never counts as a second Ctrl-C."""


@contextmanager
def heeded(loop: asyncio.AbstractEventLoop, asked: Asked) -> Iterator[None]:
    """Within it the signals go to ``asked``. Who started us with SIGHUP ignored (nohup) wants it ignored."""
    numbers = list(INSISTED_ON)
    if signal.getsignal(HANG_UP) is not signal.SIG_IGN:
        numbers.append(HANG_UP)
    for number in numbers:
        loop.add_signal_handler(number, asked, number in INSISTED_ON)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
