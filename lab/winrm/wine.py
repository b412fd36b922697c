"""What Wine is asked: one long-lived helper.exe for services, files, registry and WMI (lab/c/helper.c).

Here: its line protocol and its life. Not here: what the answers mean.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
from contextlib import suppress
from typing import Any

log = logging.getLogger("lab.winrm")

_SEPARATOR = "\x1f"
KEEP = "\x1e"  # a parameter that is not to be changed
_LARGEST_ANSWER = 1 << 24
# Ours alone; a command of a shell must not see where the passwords lie.
_PRIVATE = ("NTLM_USER_FILE", "LM_COMPAT_LEVEL", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "KRB5_KTNAME")


class HelperError(Exception):
    """The helper has gone, or was asked what cannot be asked."""


def environment() -> dict[str, str]:
    """For Wine's programs: our own process's, which the host has made for them, without what is ours alone."""
    return {name: value for name, value in os.environ.items() if name not in _PRIVATE}


class Helper:
    """helper.exe, started when it is first asked and again when it has ended."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._starting = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def ask(self, verb: str, *fields: str | int) -> dict[str, Any]:
        """One verb's answer; `err` in it is 0 or GetLastError's code."""
        parts = [str(field) for field in fields]
        if any(character in part for part in parts for character in (_SEPARATOR, "\n", "\r", "\0")):
            return {"err": 87}  # ERROR_INVALID_PARAMETER: nothing of Windows has such a name
        process = await self._running()
        assert process.stdin is not None
        number = str(next(self._ids))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        process.stdin.write((_SEPARATOR.join([number, verb, *parts]) + "\n").encode())
        with suppress(OSError):  # it has ended: whoever reads from it says so
            await process.stdin.drain()
        return await answer

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    *("wine", self._executable),
                    env=environment(),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    limit=_LARGEST_ANSWER,
                )
                self._reader = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            number, _, answer = line.decode().partition("\t")
            waiting = self._waiting.pop(number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(json.loads(answer))
        # Whoever asks from now on is the next one's.
        left, self._waiting, self._process = self._waiting, {}, None
        for waiting in left.values():
            if not waiting.done():
                waiting.set_exception(HelperError("helper.exe has ended"))
        log.warning("helper.exe has ended with code %s", await process.wait())
