"""The `pusher` command as a user runs it: a process of its own, in an environment that holds nothing of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.system import warm

PUSHER = str(Path(sys.executable).with_name("pusher"))
LIMIT = 300.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended. ``peak`` is its largest resident memory in bytes."""

    status: int
    stdout: str
    stderr: str
    peak: int
    store: Path
    log: Path

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output of --json."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @cached_property
    def outcomes(self) -> dict[str, dict[str, Any]]:
        """By target; a target with two outcomes is an error of ours or of pusher's."""
        found = {line["target"]: line for line in self.lines}
        assert len(found) == len(self.lines), self.stdout
        return found

    @property
    def outcome(self) -> dict[str, Any]:
        """The only one."""
        (found,) = self.outcomes.values() or [{"nothing on stdout": self.stderr}]
        return found

    @property
    def verdicts(self) -> dict[str, tuple[str, str | None]]:
        return {target: (line["status"], line["code"]) for target, line in self.outcomes.items()}

    @property
    def verdict(self) -> tuple[str, str | None]:
        """(status, code) of the only target."""
        return self.outcome["status"], self.outcome["code"]

    @property
    def run(self) -> str:
        (found,) = {line["run"] for line in self.lines}
        return str(found)

    def everything_said(self) -> str:
        return f"exit {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Running:
    """A command under way; `wait` for its end, or leave the block and have it killed."""

    def __init__(self, process: subprocess.Popen[str] | warm.Forked, store: Path, log: Path) -> None:
        self._child, self.store, self.log = process, store, log
        self._peak: int | None = None
        self._seen: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._moved = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(name, getattr(process, name)), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        while not self.has_ended:
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        """By itself or by a signal."""
        if self._peak is None:
            self._peak = self._reap()
        return self._peak is not None

    def interrupt(self) -> None:
        """What Ctrl-C sends."""
        if not self.has_ended:
            os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """With all that it has started."""
        if not self.has_ended:
            with suppress(ProcessLookupError):  # one that was forked just now has no group of its own yet
                os.killpg(self.pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, limit: float = LIMIT) -> Ended:
        """Its end; AssertionError, with all it has said, where it does not come."""
        deadline = time.monotonic() + limit
        while not self.has_ended:
            if time.monotonic() > deadline:
                raise AssertionError(f"still running after {limit:g} s\n{self._text('stdout')}{self._text('stderr')}")
            time.sleep(0.02)
        for reader in self._readers:
            reader.join(10)
        assert self._peak is not None
        return Ended(
            status=self._child.returncode or 0,
            stdout=self._text("stdout"),
            stderr=self._text("stderr"),
            peak=self._peak * 1024,
            store=self.store,
            log=self.log,
        )

    def _reap(self) -> int | None:
        """wait4 tells the memory of this child alone."""
        if isinstance(self._child, warm.Forked):
            return self._child.reap()
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return None
        self._child.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss

    def _text(self, name: str) -> str:
        return "".join(self._seen[name])

    def _read(self, name: str, stream: Any) -> None:
        for line in stream:
            with self._moved:
                self._seen[name].append(line)
                self._moved.notify_all()

    def until_said(self, words: str, stream: str = "stdout", limit: float = 60.0) -> None:
        """Return when a line with these words has come."""
        with self._moved:
            came = self._moved.wait_for(lambda: words in self._text(stream), limit)
        assert came, f"{words!r} never came\n{self._text('stdout')}{self._text('stderr')}"


@dataclass(frozen=True, kw_only=True)
class Pusher:
    """The command with a store and a log of its own, both under ``folder``, which is also its working directory."""

    folder: Path
    accounts: Path | None = None
    package: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    store: Path | None = None
    command: Sequence[str] = (PUSHER,)

    @property
    def store_file(self) -> Path:
        return self.store or self.folder / "store.sqlite"

    @property
    def log_file(self) -> Path:
        return self.folder / "pusher.log"

    @property
    def _environment(self) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        given = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(self.folder)}
        return {**given, **passed_on, **self.environment}

    def start(self, *arguments: str | Path) -> Running:
        """Just these arguments, and a process whose command line and environment may be looked at."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [*self.command, *map(str, arguments)],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        return Running(process, self.store_file, self.log_file)

    def begin(self, *arguments: str | Path) -> Running:
        """Just these arguments. It is forked (see ``warm``): that is quicker."""
        self.folder.mkdir(parents=True, exist_ok=True)
        child = warm.begin([*self.command, *map(str, arguments)], self.folder, self._environment)
        return Running(child, self.store_file, self.log_file)

    def run(self, *arguments: str | Path) -> Ended:
        """To its end."""
        with self.begin(*arguments) as running:
            return running.wait()

    def starting(
        self, verb: str, inventory: Path, *options: str | Path, json: bool = True, looked_at: bool = False
    ) -> Running:
        """push, check or remove with this instance's files; ``looked_at`` as by a ``Sampler``, see ``start``."""
        line = self._line(verb, inventory, options, json)
        return self.start(*line) if looked_at else self.begin(*line)

    def _line(self, verb: str, inventory: Path, options: Sequence[str | Path], json: bool = True) -> list[str | Path]:
        given: list[str | Path] = ["--store", self.store_file, "--log", self.log_file]
        if json:
            given.append("--json")
        if self.accounts is not None:
            given += ["--accounts", self.accounts]
        if self.package is not None:
            given += ["--package", self.package]
        return [verb, inventory, *given, *options]

    def push(self, inventory: Path, *options: str | Path, json: bool = True) -> Ended:
        return self.run(*self._line("push", inventory, options, json))

    def check(self, inventory: Path, *options: str | Path) -> Ended:
        return self.run(*self._line("check", inventory, options))

    def remove(self, inventory: Path, *options: str | Path) -> Ended:
        return self.run(*self._line("remove", inventory, ["--yes", *options]))

    def reading(self, verb: str, *arguments: str | Path) -> Ended:
        """A command that reads the store."""
        return self.run(verb, *arguments, "--store", self.store_file)


def eventually(seen: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + limit
    while not seen():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)
