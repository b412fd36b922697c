"""A pusher that has imported all it needs and waits, so that commands begin by forking from it.

Each of some hundred commands of the system tests would import the same libraries for a second and a half. A command
that is begun here is a process of its own all the same: own session, environment, folder and streams, ended and
measured on its own. What the loader and the libraries that it loads early read of an environment cannot come later, so
one waits for each of those. What fork cannot give is left to a real start: a command line and an environment of its own
in ``/proc``. Run as a program: the process that waits.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

_ROOT = Path(__file__).parents[2]
_MOST = 1 << 18
"""Bytes of a request."""
_READ_AT_THE_START = ("LD_", "PYTHON", "NSS_WRAPPER_")
_AT_ONCE = 2
"""Processes that wait: the last that were asked. A module's tests have one environment, or two."""


class Forked:
    """A command that was forked: what ``subprocess.Popen`` is to one that was started."""

    def __init__(self, told: socket.socket, stdout: IO[str], stderr: IO[str]) -> None:
        self._told = told
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self.pid = int(self._line())

    def reap(self) -> int | None:
        """The largest resident memory, in KiB, once it has ended; None before."""
        try:
            said = self._told.recv(256, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if not said:
            raise RuntimeError("whoever waited for the command is gone")
        status, memory = json.loads(said)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._told.close()
        return int(memory)

    def _line(self) -> bytes:
        said = self._told.recv(256)
        if not said:
            raise RuntimeError("the command did not begin")
        return said


@dataclass(frozen=True)
class _Waiting:
    process: Popen[bytes]
    asks: socket.socket

    def end(self) -> None:
        """It ends by itself when nobody can ask any more; what it has begun goes on."""
        self.asks.close()
        self.process.wait()


_guard = threading.Lock()
_waiting: dict[frozenset[tuple[str, str]], _Waiting] = {}
"""The processes of this session's worker, by what they have read at their start; the last that was asked is last."""


def begin(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Forked:
    """``command`` (pusher itself, or ``python -P SCRIPT``) in ``folder``, with nothing else in its environment."""
    script = None
    if list(command[:2]) == [sys.executable, "-P"]:
        command = command[2:]
        script = command[0]
    request = json.dumps(
        {"command": list(command), "script": script, "folder": str(folder), "environment": dict(environment)}
    ).encode()
    assert len(request) < _MOST
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    told, told_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with told_end, _guard:
        socket.send_fds(_asks(environment), [request], [out_end, err_end, told_end.fileno()])
    os.close(out_end)
    os.close(err_end)
    streams = [os.fdopen(end, encoding="utf-8") for end in (out, err)]
    return Forked(told, *streams)


def _asks(environment: Mapping[str, str]) -> socket.socket:
    at_start = {name: value for name, value in environment.items() if name.startswith(_READ_AT_THE_START)}
    key = frozenset(at_start.items())
    waiting = _waiting.pop(key, None)
    if waiting is None or waiting.process.poll() is not None:
        waiting = _start(at_start)
    _waiting[key] = waiting
    while len(_waiting) > _AT_ONCE:
        _waiting.pop(next(iter(_waiting))).end()
    return waiting.asks


def _start(at_start: Mapping[str, str]) -> _Waiting:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=_ROOT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", **at_start},
            pass_fds=[theirs.fileno()],
        )
    return _Waiting(process, ours)


@atexit.register
def _end_all() -> None:
    while _waiting:
        _waiting.popitem()[1].end()


# The process that waits


def _wait(asked: socket.socket) -> dict[str, Any] | None:
    """In the process that was forked for it, what the command is; None at the end."""
    while True:
        request, streams, _, _ = socket.recv_fds(asked, _MOST, 3)
        if not request:
            return None
        if os.fork():
            for descriptor in streams:
                os.close(descriptor)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asked.close()
        out, err, told = streams
        with socket.socket(fileno=told) as teller:
            pid = os.fork()
            if pid:
                _tell(teller, pid, (out, err))
        return {**json.loads(request), "streams": (out, err)}


def _tell(teller: socket.socket, pid: int, streams: Sequence[int]) -> None:
    """Wait for the command and say how it ended; in a process of its own, which it does not survive."""
    for descriptor in streams:
        os.close(descriptor)
    teller.send(str(pid).encode())
    _, status, usage = os.wait4(pid, 0)
    teller.send(json.dumps([status, usage.ru_maxrss]).encode())
    os._exit(0)


def _become(request: dict[str, Any]) -> None:
    """What a start would have given: session, streams, folder, environment, signals, arguments."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for wanted, descriptor in enumerate((nothing, *request["streams"])):
        os.dup2(descriptor, wanted)
    os.closerange(3, 1024)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = request["command"]


def _end(main: Callable[[], object]) -> None:
    """As the interpreter ends it, but for taking its modules to pieces: of a forked process that copies all of them."""
    status = 0
    try:
        main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _main() -> None:
    import alembic.command  # noqa: F401
    import jinja2  # noqa: F401

    import pusher.cli.accounts
    import pusher.cli.execute
    import pusher.cli.explaining
    import pusher.cli.reading
    import pusher.cli.resolving
    import pusher.cli.run_requests
    import pusher.transports.winrm.adapter
    import pusher.transports.winrm.content  # noqa: F401
    from pusher.cli.app import main

    assert threading.active_count() == 1, "a thread would be lost by the fork"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: whoever asks ends this
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for commands are waited for by nobody
    gc.freeze()
    request = _wait(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        _become(request)
        script = request["script"]
        _end(main if script is None else partial(runpy.run_path, script, run_name="__main__"))


if __name__ == "__main__":
    _main()
