"""The control socket of a lab process: one JSON line asks, one answers.

    {"call": "link", "with": {"fault": "stall", "after": 1000}}  ->  {"result": null}  or  {"error": "..."}

Here: both ends. Not here: what the calls mean (host.py, misbehaving.py).
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Handlers = Mapping[str, Callable[..., Any]]


class ControlError(Exception):
    """The process could not be asked, or answered that the call failed."""


@contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """A name for the socket within the 107 bytes the kernel allows, however deep the folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """A listening control socket, to be inherited by the process that answers on it."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_name(path) as name:
        listener.bind(name)
    path.chmod(0o600)
    listener.listen(16)
    return listener


def serve(listener: socket.socket, handlers: Handlers) -> None:
    """Answer calls from now on, each connection in a thread of its own."""

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, handlers), daemon=True).start()

    threading.Thread(target=accept, name="control", daemon=True).start()


def _answer(connection: socket.socket, handlers: Handlers) -> None:
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            try:
                question = json.loads(line)
                call = handlers.get(question["call"])
                if call is None:
                    raise LookupError("there is nothing here that could")
                answer = {"result": call(**question["with"])}
            except Exception as exc:  # whatever goes wrong is the caller's to know
                answer = {"error": f"{type(exc).__name__}: {exc}"}
            try:
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return


def ask(path: Path, call: str, arguments: Mapping[str, Any] | None = None, timeout: float = 10.0) -> Any:
    """One call; ControlError when there is no answer in time or the call failed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            with _short_name(path) as name:
                connection.connect(name)
            connection.sendall(json.dumps({"call": call, "with": dict(arguments or {})}).encode() + b"\n")
            line = connection.makefile("rb").readline()
        except OSError as exc:
            raise ControlError(f"{path.parent.name}: no answer to {call}: {exc}") from exc
    if not line:
        raise ControlError(f"{path.parent.name}: ended while asked for {call}")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(f"{path.parent.name}: {call}: {answer['error']}")
    return answer["result"]
