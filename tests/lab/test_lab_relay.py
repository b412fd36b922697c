"""The relay in Wine is started once more where its process died before it said anything, and not otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab import boot


def saying(line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", f"print({line!r}, end='')"], stdout=subprocess.PIPE)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the relays that are started anew will say, in order."""
    lines = list[str]()
    monkeypatch.setattr(boot, "_start_relay", lambda: saying(lines.pop(0)))
    yield lines


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_one_that_died_without_a_word_is_started_again(started: list[str], silent: int) -> None:
    said = [""] * silent + ["READY 4711\n"]
    started += said[1:]
    relay, port = boot._ready(saying(said[0]))
    assert (port, started) == (4711, [])
    assert relay.wait() == 0


@pytest.mark.parametrize("said", [["", "", ""], ["no port\n"]])
def test_one_that_never_comes_or_says_something_else_fails_the_boot(started: list[str], said: list[str]) -> None:
    started += said[1:]
    with pytest.raises(boot.BootError):
        boot._ready(saying(said[0]))
    assert started == []
