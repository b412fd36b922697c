"""Lasting processes: known by pid and start time, silent until recorded, ended whole; and their control socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import control, processes
from lab.processes import Mark

SLEEPER = """
import os, sys, time
from pathlib import Path
from lab.processes import wait_for_go
wait_for_go(int(sys.argv[2]))
Path("done").touch()
time.sleep(60)
"""


@pytest.fixture
def spawned(tmp_path: Path) -> Iterator[Mark]:
    script = tmp_path / "sleeper.py"
    script.write_text(f"import os\nos.chdir({str(tmp_path)!r}){SLEEPER}", encoding="utf-8")
    root = str(Path(processes.__file__).parent.parent)
    mark = processes.spawn(
        [sys.executable, str(script)], tmp_path / "record.json", tmp_path / "log", env={"PYTHONPATH": root}
    )
    yield mark
    processes.end(mark)


def test_it_is_recorded_and_told_to_go(tmp_path: Path, spawned: Mark) -> None:
    assert processes.running(tmp_path / "record.json") == spawned
    limit = time.monotonic() + 10
    while not (tmp_path / "done").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_ending_it_ends_it(tmp_path: Path, spawned: Mark) -> None:
    processes.end(spawned)
    assert not spawned.alive
    assert processes.running(tmp_path / "record.json") is None
    processes.end(spawned)  # again is no error


def test_children_are_those_that_name_it_as_their_parent() -> None:
    """Of whichever thread; the kernel's own list and a look at all processes agree."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(subprocess.Popen(["sleep", "60"]))

    start()
    another = threading.Thread(target=start)
    another.start()
    another.join()
    try:
        assert {process.pid for process in started} <= set(processes.children_of(os.getpid()))
        assert {process.pid for process in started} <= set(processes.found_children(os.getpid()))
        assert processes.children_of(started[0].pid) == processes.found_children(started[0].pid) == []
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert processes.children_of(started[0].pid) == []


def test_a_pid_that_is_somebody_elses_now_is_left_alone() -> None:
    stranger = Mark(pid=os.getpid(), started=1)
    assert not stranger.alive
    processes.end(stranger)  # we are still here


def test_without_the_word_nothing_is_done(tmp_path: Path) -> None:
    """As when the starter is killed between starting and recording."""
    wait, go = os.pipe()
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), "--go", str(wait)],
        cwd=tmp_path,
        pass_fds=[wait],
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(processes.__file__).parent.parent)},
    )
    os.close(wait)
    os.close(go)
    assert process.wait(10) != 0
    assert not (tmp_path / "done").exists()


def test_one_that_was_never_recorded_is_waited_for(tmp_path: Path) -> None:
    wait, go = os.pipe()
    script = tmp_path / "sleeper.py"
    script.write_text(f"import time\ntime.sleep(0.5){SLEEPER}", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), "--go", str(wait)],
        pass_fds=[wait],
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(processes.__file__).parent.parent)},
    )
    os.close(wait)
    os.close(go)
    processes.wait_for_unrecorded(tmp_path / "elsewhere")
    assert process.poll() is None
    processes.wait_for_unrecorded(tmp_path)
    assert process.wait(10) != 0


def test_a_broken_record_names_nobody(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"pid": 1}'):
        (tmp_path / "record").write_text(text, encoding="utf-8")
        assert processes.read_mark(tmp_path / "record") is None


def test_a_secret_file_is_its_owners_only(tmp_path: Path) -> None:
    processes.write_atomically(tmp_path / "secret", "x", mode=0o600)
    processes.write_atomically(tmp_path / "secret", "y", mode=0o600)
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "y"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder whose name alone is longer than a socket's name may be."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    return folder


def test_a_call_is_answered_however_deep_the_socket_lies(deep: Path) -> None:
    control.serve(control.listen(deep / "control.sock"), {"add": lambda a, b: a + b})
    assert control.ask(deep / "control.sock", "add", {"a": 1, "b": 2}) == 3


def test_a_failure_is_told(deep: Path) -> None:
    control.serve(control.listen(deep / "control.sock"), {"fail": lambda: [][1]})
    with pytest.raises(control.ControlError, match="fail: IndexError"):
        control.ask(deep / "control.sock", "fail")
    with pytest.raises(control.ControlError, match="other: LookupError"):
        control.ask(deep / "control.sock", "other")


def test_a_call_has_a_time_limit(deep: Path) -> None:
    nobody_answers = control.listen(deep / "control.sock")
    with nobody_answers, pytest.raises(control.ControlError, match="no answer to ready: timed out"):
        control.ask(deep / "control.sock", "ready", timeout=0.2)


def test_a_socket_without_a_process_says_so(deep: Path) -> None:
    control.listen(deep / "control.sock").close()
    with pytest.raises(control.ControlError, match="no answer"):
        control.ask(deep / "control.sock", "ready")


def test_a_line_that_is_no_json_ends_nothing(deep: Path) -> None:
    control.serve(control.listen(deep / "control.sock"), {"ready": lambda: None})
    with socket.socket(socket.AF_UNIX) as connection:
        os.chdir(deep)
        connection.connect("control.sock")
        connection.sendall(b"nonsense\n")
        assert "error" in json.loads(connection.makefile().readline())
