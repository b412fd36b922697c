"""Processes of the lab that outlive the command that started them: starting, recognising and ending them.

A process is known by its pid together with its start time, so that a pid that the kernel has given to
somebody else meanwhile is never touched. Its record is on disk *before* the process does anything, so
that an `up` that was killed half way leaves nothing that `down` does not know of.

Not here: what the processes do, and which of them a lab has.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Who a process is: pid and start time (clock ticks since boot) as in /proc/PID/stat."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether that very process still runs; a zombie has ended."""
        state = _state(self.pid)
        return state is not None and state.started == self.started and state.letter not in "ZX"


class _State(NamedTuple):
    letter: str
    parent: int
    started: int


def _state(pid: int) -> _State | None:
    """What /proc/PID/stat says; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return _State(letter=fields[0], parent=int(fields[1]), started=int(fields[19]))


def read_mark(record: Path) -> Mark | None:
    """The process a record names, whether it still runs or not; None without a (whole) record."""
    try:
        return Mark(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def running(record: Path) -> Mark | None:
    """The recorded process if it still runs."""
    mark = read_mark(record)
    return mark if mark is not None and mark.alive else None


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """A reader sees the old content or the new one, never a part."""
    beside = _beside(path)
    beside.unlink(missing_ok=True)
    beside.touch(mode=mode, exist_ok=False)
    beside.write_text(text, encoding="utf-8")
    beside.rename(path)


def remove_written(path: Path) -> None:
    """Remove what `write_atomically` wrote, or was killed while writing."""
    path.unlink(missing_ok=True)
    _beside(path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def spawn(
    command: Sequence[str], record: Path, log: Path, keep: Sequence[int] = (), env: dict[str, str] | None = None
) -> Mark:
    """Start a lasting process that waits for the word before it does anything (see `wait_for_go`).

    `keep` are the file descriptors it inherits. The word is given only once the record is written; when
    the starter dies before that, the process reads end-of-file instead and ends by itself.
    """
    wait, go = os.pipe()
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*command, "--go", str(wait)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[wait, *keep],
                start_new_session=True,
                env=env,
            )
        state = _state(process.pid)
        if state is None:
            raise RuntimeError(f"{command[0]} ended at once; see {log}")
        mark = Mark(pid=process.pid, started=state.started)
        write_atomically(record, json.dumps(asdict(mark)))
        os.write(go, b"!")
    finally:
        os.close(wait)
        os.close(go)
    # The process is ended by its mark, from whatever process; Popen's own bookkeeping would only warn.
    process.returncode = 0
    return mark


def own_environment() -> dict[str, str]:
    """For our own processes: they import the lab from where this one was imported, and leave bytecode there where this
    one does; without it each host compiles all it imports anew."""
    unwritten = {name: os.environ[name] for name in ("PYTHONDONTWRITEBYTECODE",) if name in os.environ}
    return {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")])),
        **unwritten,
    }


def wait_for_go(descriptor: int) -> None:
    """Called first by a process made by `spawn`: returns at the word, ends the process without it."""
    if os.read(descriptor, 1) != b"!":
        raise SystemExit("the starter has gone; nothing was done")
    os.close(descriptor)


def reap_until_end_of(child: int) -> int:
    """An init's one duty, for the first process of a PID namespace. Returns the exit code of its own child."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def end(mark: Mark, patience: float = 10.0) -> None:
    """Kill that very process, and return when it and what it holds is gone; no-op when it already is.

    unshare's one child is the first process of a PID namespace and ends only after everything in it has. So
    the child is killed, and unshare follows it; killed itself, unshare would be gone before the namespace is.
    """
    try:
        handle = os.pidfd_open(mark.pid)
    except ProcessLookupError:
        return
    try:
        if not mark.alive:
            return
        children = children_of(mark.pid)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if not children or not _ends_within(handle, patience):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not _ends_within(handle, patience):
            raise TimeoutError(f"process {mark.pid} does not end")
    finally:
        os.close(handle)
    with suppress(ChildProcessError):  # a zombie of ours to reap; or its parent's
        os.waitpid(mark.pid, os.WNOHANG)


def wait_for_unrecorded(folder: Path, patience: float = 10.0) -> None:
    """Return once no process waits for the word any more that was started for something in `folder`.

    One whose starter was killed before it was recorded ends by itself; this only waits for it.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "--go" in command and any(part.startswith(f"{folder}/") for part in command):
                handle = os.pidfd_open(int(process.name))
                _ends_within(handle, patience)
                os.close(handle)


def children_of(pid: int) -> list[int]:
    """As the kernel lists them, by thread; where it keeps no lists, by looking at every process there is."""
    try:
        lists = [(thread / "children").read_text(encoding="ascii") for thread in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return found_children(pid)
    return [int(child) for listed in lists for child in listed.split()]


def found_children(pid: int) -> list[int]:
    """The children of a process by what each other says of its parent."""
    others = (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return [other for other in others if (state := _state(other)) is not None and state.parent == pid]


def _ends_within(handle: int, seconds: float) -> bool:
    watch = select.poll()
    watch.register(handle, select.POLLIN)
    return bool(watch.poll(seconds * 1000))
