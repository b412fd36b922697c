"""The child process of one LDAP connection, as its parent sees it: ask, and kill.

Here live the pipe, its bounds and its deadlines. What must not live here: what is asked (``ldap``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pusher.directory.faults import refused
from pusher.problems import Code

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer: 500 computers need 1 MB at most."""

CHILD = (sys.executable, "-P", str(Path(__file__).with_name("child.py")))
"""The real one; tests put a misbehaving one in its place."""


_PASSED_ON = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR"})
_PASSED_ON_BEGINNINGS = ("KRB5", "LDAP", "SASL_", "GSS", "LD_", "NSS_", "RES_", "LC_", "PYTHON", "SSL_")


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the libraries of LDAP, Kerberos and names read; secrets that ``env:`` points to are none of it."""
    return {name: ours[name] for name in ours if name in _PASSED_ON or name.startswith(_PASSED_ON_BEGINNINGS)}


class ChildProcess:
    """One request at a time. Whoever is cancelled, or waits past the deadline, ends the process with it."""

    def __init__(self, command: Sequence[str] = CHILD) -> None:
        self._command = tuple(command)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._killed = False

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None and not self._killed

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(os.environ),
            cwd="/",  # libldap would read an ldaprc of the folder we happen to be in
            limit=MAX_ANSWER,
        )
        if self._killed:
            self.kill()

    async def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer, a table of JSON; ProblemError where none comes."""
        async with self._turn:
            process = self._process
            if process is None or not self.is_alive:
                raise refused(Code.DIRECTORY_UNREACHABLE, "the connection was closed")
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                async with asyncio.timeout(seconds):
                    process.stdin.write(json.dumps({**request, "seconds": seconds}).encode() + b"\n")
                    await process.stdin.drain()
                    line = await process.stdout.readline()
            except TimeoutError as error:
                self.kill()
                raise refused(Code.DIRECTORY_TIMED_OUT, f"nothing for {seconds:g} s") from error
            except ValueError as error:  # past the reader's limit
                self.kill()
                raise refused(Code.DIRECTORY_ANSWER, f"more than {MAX_ANSWER // 2**20} MiB in one page") from error
            except OSError as error:
                self.kill()
                raise refused(Code.DIRECTORY_UNREACHABLE, "the connection broke") from error
            except BaseException:
                self.kill()  # cancelled: the answer on its way would be taken for the next one's
                raise
            return self._read(line)

    def kill(self) -> None:
        """At once, whatever it is doing: a library that blocks cannot be asked to stop."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        if self._process is not None:
            await self._process.wait()

    def _read(self, line: bytes) -> dict[str, Any]:
        if not line.endswith(b"\n"):
            self.kill()
            raise refused(Code.DIRECTORY_UNREACHABLE, "the connection broke")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            self.kill()
            raise refused(Code.DIRECTORY_ANSWER, "it cannot be read") from error
        if not isinstance(answer, dict):
            self.kill()
            raise refused(Code.DIRECTORY_ANSWER, "it cannot be read")
        return answer
