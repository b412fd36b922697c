"""The helper program: the small service program that runs an installer as the machine itself, and how it is built.

    python -m pusher.helper_exe           builds pusher-run.exe beside its source (needs gcc-mingw-w64-x86-64)
    python -m pusher.helper_exe --record  and records its SHA-256 as the known one: after a change of source or compiler

Here: its source, its bytes, and their hash. What must not live here: what is done with it on a
machine (``transports.by_service``).
The same source and compiler give the same bytes, so its SHA-256 tells which one was on a machine. The known one, of
Debian 12's compiler, is in pusher-run.exe.sha256, as ``sha256sum --check`` reads it; no wheel has another.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
SOURCE, PROGRAM = _HERE / "runner.c", _HERE / "pusher-run.exe"
KNOWN = _HERE / "pusher-run.exe.sha256"
BUILD = "python -m pusher.helper_exe"
COMPILER = "x86_64-w64-mingw32-gcc"
_FLAGS = (
    *("-O2", "-Wall", "-Wextra", "-Werror", "-municode", "-s", "-nostdlib", "-ffreestanding"),
    *("-fno-asynchronous-unwind-tables", "-Wl,--entry,entry", "-Wl,--subsystem,console"),
    *("-Wl,--no-insert-timestamp", "-Wl,--dynamicbase", "-Wl,--nxcompat"),
)
_LIBRARIES = ("-ladvapi32", "-lkernel32")


class HelperExeMissingError(Exception):
    """There is no helper program here; the message says how to build it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HelperExe:
    """The program and its hash."""

    program: bytes
    sha256: str


def load() -> HelperExe:
    """The helper program; raises HelperExeMissingError."""
    try:
        program = PROGRAM.read_bytes()
    except OSError as error:
        found = f"{PROGRAM.name}, which runs installers as SYSTEM, is not built"
        raise HelperExeMissingError(f"{found}: run {BUILD}") from error
    return HelperExe(program=program, sha256=hashlib.sha256(program).hexdigest())


def known() -> str:
    """The SHA-256 that the program has by this source and Debian 12's compiler."""
    return recorded()[PROGRAM.name]


def recorded() -> dict[str, str]:
    """SHA-256 by file name: of the program, and of the source that it was built from."""
    lines = KNOWN.read_text(encoding="ascii").splitlines()
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def verify(program: Path) -> None:
    """Raises HelperExeMissingError where a program is not the known one."""
    found = hashlib.sha256(program.read_bytes()).hexdigest()
    if found != known():
        raise HelperExeMissingError(
            f"{program.name} has the SHA-256 {found}, and {KNOWN.name} says {known()}: {SOURCE.name} was changed, or "
            f"this is not the compiler of Debian 12; {BUILD} --record takes it for the known one"
        )


def record() -> None:
    """Take the program that was built for the known one."""
    files = (PROGRAM, SOURCE)
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    KNOWN.write_text("".join(lines), encoding="ascii")


def build(target: Path = PROGRAM) -> Path:
    """Build it; raises HelperExeMissingError where the compiler is missing or fails."""
    if shutil.which(COMPILER) is None:
        raise HelperExeMissingError(f"{COMPILER} is missing: install gcc-mingw-w64-x86-64")
    beside = target.with_suffix(".making")
    command = [COMPILER, *_FLAGS, SOURCE.name, "-o", str(beside), *_LIBRARIES]
    done = subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=False)  # noqa: S603 (no input)
    if done.returncode:
        raise HelperExeMissingError(f"{COMPILER} failed:\n{done.stderr}")
    beside.rename(target)  # whole or not at all, also for one who reads it now
    return target
