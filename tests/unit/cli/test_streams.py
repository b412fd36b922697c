"""Standard streams that go away: nothing fails for it, and the exit status tells."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pusher.cli.streams import OUTPUT_LOST, Lasting, ended_with, lasting_streams
from pusher.report.style import console_for
from tests.unit.cli.workplace import Workplace


def without_reader() -> Any:
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", buffering=1)


def full() -> Any:
    return open("/dev/full", "w", encoding="utf-8")


class HungUp(StringIO):
    """A terminal whose session is gone."""

    def isatty(self) -> bool:
        return True

    def write(self, _: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    ("made", "number"),
    [(without_reader, errno.EPIPE), (full, errno.ENOSPC), (HungUp, errno.EIO)],
)
def test_writing_never_fails(made: Any, number: int) -> None:
    stream = made()
    out = Lasting(stream)
    assert out.lost is None
    for _ in range(3):
        assert out.write("said\n") == 5
        out.writelines(["said\n"] * 2)
        out.flush()
    console_for(out).print("said")  # type: ignore[arg-type]
    assert out.lost is not None and out.lost.errno == number
    stream.close()  # what was left in its buffer goes to nowhere


def test_a_stream_that_lasts_is_as_it_was(tmp_path: Path) -> None:
    with open(tmp_path / "f", "w", encoding="utf-8") as file:
        out = Lasting(file)
        out.write("a")
        out.writelines(["b", "c"])
        out.flush()
        assert (tmp_path / "f").read_text() == "abc"
        assert (out.lost, out.fileno(), out.isatty(), out.encoding) == (None, file.fileno(), False, "utf-8")


@pytest.mark.parametrize("status", [1, 2, 3, 130])
def test_a_status_that_says_more_stays(status: int) -> None:
    out = Lasting(StringIO())
    out.lost = OSError(errno.ENOSPC, "full")
    assert ended_with(status, out) == status


def test_who_left_on_purpose_is_not_told(capfd: pytest.CaptureFixture[str]) -> None:
    with lasting_streams() as out:
        assert ended_with(0, out) == 0
        out.lost = OSError(errno.EPIPE, "gone")
        assert (ended_with(0, out), ended_with(None, out)) == (OUTPUT_LOST, OUTPUT_LOST)
        assert capfd.readouterr().err == ""
        out.lost = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert ended_with(0, out) == OUTPUT_LOST
    assert capfd.readouterr().err == "standard output could not be written: No space left on device\n"


def test_a_reader_that_is_gone_costs_no_outcome(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes to its end, every target is recorded, and only then does the exit status tell."""
    monkeypatch.setattr(sys, "stdout", without_reader())
    assert place.run("check", "i.yaml").status == OUTPUT_LOST
    monkeypatch.undo()
    place.__init__(place.folder, monkeypatch, place._capfd)  # type: ignore[misc]
    assert set(place.show().verdicts) == set("abcdef")


@pytest.mark.process
@pytest.mark.parametrize(
    ("made", "closing", "status", "told"),
    [
        (full, "", OUTPUT_LOST, "standard output could not be written: No space left on device\n"),
        (without_reader, "", OUTPUT_LOST, ""),
        (full, " >&- 2>&- <&-", 0, ""),  # whoever closes it wants to read nothing
    ],
)
def test_a_command_of_its_own(made: Any, closing: str, status: int, told: str) -> None:
    command = f'"{sys.executable}" -m pusher explain{closing}'
    with made() as out:
        ended = subprocess.run(["sh", "-c", command], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (status, told)
