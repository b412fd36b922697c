"""WinRS shells: commands of a real cmd.exe, their streams and their end. MS-WSMV 3.1.4.

Every command is a runner.exe (lab/c/runner.c) whose job ends with it. A shell whose IdleTimeOut has passed without a
request is gone, and so is all that runs in it; a Receive that waits counts as a request.

Not here: PowerShell's shells (psrp.py), who may open one (service.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lab.boot import as_user
from lab.winrm import wine

IDLE_TIMEOUT = 7200.0
log = logging.getLogger("lab.winrm")

_PIECE = 32768
_MOST_BUFFERED = 4 << 20
_HOME = r"C:\users\root"
_STARTS = 3
_UNKNOWN = b"Can't recognize '"  # so Wine's cmd says of a program that is not there, and of one that it failed to start
_JOINS = "&|"
_SEARCHES, _SEARCH_PAUSE = 100, 0.05
_NO_CODE = 0xC000013A  # STATUS_CONTROL_C_EXIT: what a process has that was ended


class Command:
    """Something that gives output and ends: a cmd.exe or a PowerShell pipeline."""

    def __init__(self, identity: str, line: str) -> None:
        self.id = identity
        self.line = line
        self.code: int | None = None
        self.finished = False
        self.changed = asyncio.Event()
        self.taken = asyncio.Event()
        self.buffered = 0
        self._output: deque[tuple[str, bytes]] = deque()

    def put(self, stream: str, data: bytes) -> None:
        self._output.append((stream, data))
        self.buffered += len(data)
        self.changed.set()

    def finish(self, code: int | None) -> None:
        self.code = code
        self.finished = True
        self.changed.set()

    def take(self, room: int) -> list[tuple[str, bytes]]:
        """What there is of output, at most `room` bytes."""
        taken = []
        while self._output and room > 0:
            stream, data = self._output.popleft()
            if len(data) > room:
                self._output.appendleft((stream, data[room:]))
                data = data[:room]
            room -= len(data)
            self.buffered -= len(data)
            taken.append((stream, data))
        self.taken.set()
        return taken

    async def wait(self, seconds: float) -> bool:
        """Until there is output or the end; False when the time is over first."""
        limit = time.monotonic() + seconds
        while not self.buffered and not self.finished:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), max(0.0, limit - time.monotonic()))
            except TimeoutError:
                return False
        return True

    async def send(self, data: bytes, *, end: bool) -> None:
        """Bytes for its standard input."""

    async def stop(self) -> None:
        """End it and all that it has started."""


class CmdCommand(Command):
    """One command line in Wine's cmd.exe."""

    _process: asyncio.subprocess.Process
    _task: asyncio.Task[None]

    async def start(
        self, runner: str, folder: Path, user: str, variables: dict[str, str], directory: str | None
    ) -> None:
        self._result = folder / f"{self.id}.code"
        told = {
            "LABCMD": self.line,
            "LABCWD": directory or _HOME,
            "LABRC": "Z:" + str(self._result).replace("/", "\\"),
        }
        self._runner, self._environment = runner, {**as_user(wine.environment(), user), **variables, **told}
        self._written = self._stopped = False
        self._refusal = bytearray()
        await self._spawn()
        self._task = asyncio.create_task(self._run())

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *("wine", self._runner),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _run(self) -> None:
        """On a machine under load Wine sometimes fails to start a program; one that has not begun is begun again."""
        for _ in range(_STARTS):
            await self._pump()
            if self._may_have_begun():
                break
            log.warning("Wine did not start %r (%s); again", self.line, self._process.returncode)
            self._result.unlink(missing_ok=True)
            self._refusal.clear()
            await self._spawn()
        else:
            await self._pump()
        if self._refusal:
            self.put("stderr", bytes(self._refusal))
        self.finish(self._exit_code())

    def _may_have_begun(self) -> bool:
        """Not where the runner did not start, nor where cmd did not start the one program that is all of the line."""
        unstarted = bool(self._refusal) and not any(sign in self.line for sign in _JOINS)
        return self._written or self._stopped or (self._result.exists() and not unstarted)

    async def _pump(self) -> None:
        assert self._process.stdout is not None and self._process.stderr is not None

        async def read(source: asyncio.StreamReader, stream: str) -> None:
            while data := await source.read(_PIECE):
                if stream == "stderr" and (self._refusal or data.startswith(_UNKNOWN)):
                    self._refusal += data  # told at the end, if it is the end
                    continue
                self.put(stream, data)
                while self.buffered > _MOST_BUFFERED:
                    self.taken.clear()
                    await self.taken.wait()

        both = asyncio.gather(read(self._process.stdout, "stdout"), read(self._process.stderr, "stderr"))
        await self._process.wait()
        # What the command has left running in the background may hold the pipes; Windows does not wait for it.
        with suppress(TimeoutError):
            await asyncio.wait_for(both, 2)

    def _exit_code(self) -> int:
        try:
            code = int(self._result.read_text(encoding="ascii"))
        except (OSError, ValueError):
            code = _NO_CODE
        self._result.unlink(missing_ok=True)
        return code

    async def send(self, data: bytes, *, end: bool) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it reads no more
            self._written = True
            if data:
                self._process.stdin.write(data)
                await self._process.stdin.drain()
            if end:
                self._process.stdin.close()

    async def stop(self) -> None:
        """The job ends what is in it; what was just being started when it ended is found by its environment."""
        self._stopped = True
        if self._process.returncode is None:
            self._process.kill()
        for _ in range(_SEARCHES):
            for pid in _started_by(self.id):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if (await asyncio.wait({self._task}, timeout=_SEARCH_PAUSE))[0]:
                break
        self._task.cancel()
        self.finish(_NO_CODE if self.code is None else self.code)


class Shell:
    """A shell of one user."""

    def __init__(self, identity: str, resource: str, owner: str, idle_timeout: float = IDLE_TIMEOUT) -> None:
        self.id = identity
        self.resource = resource
        self.owner = owner
        self.idle_timeout = idle_timeout
        self.commands: dict[str, Command] = {}
        self.own: Command | None = None  # what the shell itself has to say, where it has
        self.opened = self.used = time.monotonic()
        self.waiting = 0  # requests in progress

    def enter(self) -> None:
        self.waiting += 1

    def leave(self) -> None:
        self.waiting -= 1
        self.used = time.monotonic()

    @property
    def idle(self) -> float:
        return 0.0 if self.waiting else time.monotonic() - self.used

    async def begin_with(self, identity: str, data: bytes) -> None:
        """Begin a command that is told in bytes; only PowerShell's shells have such."""

    async def close(self) -> None:
        for command in list(self.commands.values()):
            await command.stop()
        self.commands.clear()


class CmdShell(Shell):
    """A shell whose commands are cmd.exe's."""

    variables: dict[str, str]
    directory: str | None


class Shells:
    """All shells of the host. A shell's id is compared without regard to case."""

    def __init__(self, expired: Callable[[Shell], None]) -> None:
        self._shells: dict[str, Shell] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._expired = expired

    def all(self) -> list[Shell]:
        return list(self._shells.values())

    def of(self, owner: str) -> int:
        return sum(shell.owner == owner for shell in self._shells.values())

    def find(self, identity: str) -> Shell | None:
        return self._shells.get(identity.upper())

    def add(self, shell: Shell) -> None:
        self._shells[shell.id] = shell
        self._timers[shell.id] = asyncio.create_task(self._watch(shell))

    async def remove(self, shell: Shell) -> None:
        self._shells.pop(shell.id, None)
        timer = self._timers.pop(shell.id, None)
        if timer is not None and timer is not asyncio.current_task():
            timer.cancel()
        await shell.close()

    async def _watch(self, shell: Shell) -> None:
        while (left := shell.idle_timeout - shell.idle) > 0:  # noqa: ASYNC110 (nothing says when a client is silent)
            await asyncio.sleep(left)
        self._expired(shell)
        await self.remove(shell)


def _started_by(command: str) -> list[int]:
    """The processes of a command and of all that it started: its id is in the environment that they were given."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if command.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def new_id() -> str:
    return str(uuid.uuid4()).upper()
