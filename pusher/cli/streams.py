"""Standard output and standard error that may go away: a reader that ends, a terminal that hangs up, a full disk.

What is said is never worth more than what is done: a write that fails costs nobody an outcome. The stream is given up,
the rest is written to nowhere, and the command ends with ``OUTPUT_LOST`` where it would have ended with 0.
What must not live here: what is said.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

OUTPUT_LOST = 4
"""Exit status: all that was asked for was done, and not all of it could be told."""

_STANDARD = (0, 1, 2)
_READER_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Whoever was to read it has left on purpose (a pager, ``head``) or with the session: nobody is to be told."""


class Lasting:
    """A text stream whose writing never fails. ``lost`` is why it was given up, once it was."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        if self.lost is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        """What is still in the stream's buffers, and what child processes would write, goes to nowhere."""
        self.lost = error
        with suppress(OSError):  # io.UnsupportedOperation is one: a stream without a descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def lasting_streams() -> Iterator[Lasting]:
    """Within it ``sys.stdout``, which is yielded, and ``sys.stderr`` never fail. Before anything is opened."""
    _fill_up()
    before = sys.stdout, sys.stderr
    out, err = (Lasting(stream or _nowhere()) for stream in before)
    for stream in (out, err):
        with suppress(AttributeError, ValueError, OSError):  # a character that a terminal lacks costs no outcome either
            if stream.errors in ("strict", "surrogateescape"):  # the second in the C locale
                stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def in_utf_8(stream: TextIO) -> None:
    """What the stream is given from now on is written in UTF-8, whatever the locale."""
    with suppress(AttributeError, ValueError, OSError):
        cast(Any, stream).reconfigure(encoding="utf-8", errors="backslashreplace")


def ended_with(status: int | str | None, out: Lasting) -> int | str | None:
    """The exit status of a command that would end with ``status``; says on standard error why it is another one."""
    if out.lost is None or status not in (0, None):
        return status
    if out.lost.errno not in _READER_GONE:
        print(f"standard output could not be written: {out.lost.strerror}", file=sys.stderr)
    return OUTPUT_LOST


def _fill_up() -> None:
    """A standard descriptor that is closed would be given to the next file that is opened: the store, say."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one


def _nowhere() -> TextIO:
    """Python has no stream where its descriptor was closed from the start."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for as long as the process lives
