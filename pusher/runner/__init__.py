"""The runner: the small service program that runs an installer for a push over SMB, and how it is built.

    python -m pusher.runner     builds pusher-run.exe beside its source (needs gcc-mingw-w64-x86-64)

Here: its source, its bytes, and their hash. Not here: what is done with it on a machine (transports.smb.runner).
The same source and compiler give the same bytes, so its SHA-256 tells which one was on a machine.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
SOURCE, PROGRAM = _HERE / "runner.c", _HERE / "pusher-run.exe"
BUILD = "python -m pusher.runner"
COMPILER = "x86_64-w64-mingw32-gcc"
_FLAGS = (
    *("-O2", "-Wall", "-Wextra", "-Werror", "-municode", "-s", "-nostdlib", "-ffreestanding"),
    *("-fno-asynchronous-unwind-tables", "-Wl,--entry,entry", "-Wl,--subsystem,console"),
    *("-Wl,--no-insert-timestamp", "-Wl,--dynamicbase", "-Wl,--nxcompat"),
)
_LIBRARIES = ("-ladvapi32", "-lkernel32")


class RunnerMissingError(Exception):
    """There is no runner here; the message says how to build it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """The program and its hash."""

    program: bytes
    sha256: str


def load() -> Runner:
    """The runner; raises RunnerMissingError."""
    try:
        program = PROGRAM.read_bytes()
    except OSError as error:
        found = f"{PROGRAM.name}, which runs installers over SMB, is not built"
        raise RunnerMissingError(f"{found}: run {BUILD}") from error
    return Runner(program=program, sha256=hashlib.sha256(program).hexdigest())


def build() -> Path:
    """Build it; raises RunnerMissingError where the compiler is missing or fails."""
    if shutil.which(COMPILER) is None:
        raise RunnerMissingError(f"{COMPILER} is missing: install gcc-mingw-w64-x86-64")
    beside = PROGRAM.with_suffix(".making")
    command = [COMPILER, *_FLAGS, SOURCE.name, "-o", beside.name, *_LIBRARIES]
    done = subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=False)  # noqa: S603 (no input)
    if done.returncode:
        raise RunnerMissingError(f"{COMPILER} failed:\n{done.stderr}")
    beside.rename(PROGRAM)  # whole or not at all, also for one who reads it now
    return PROGRAM
