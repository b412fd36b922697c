"""Where a share's path leads: downward, and to the same place for all who are told of it."""

from __future__ import annotations

import pytest

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.winrm.places import parent, place


def at(share: str, path: str) -> str:
    return place(RemotePath(share=share, path=path), "C:\\Windows", "C:")


@pytest.mark.parametrize(
    ("share", "path", "there"),
    [
        ("ADMIN$", "", "C:\\Windows"),
        ("admin$", "labagent\\labagent.exe", "C:\\Windows\\labagent\\labagent.exe"),
        ("C$", "", "C:\\"),
        ("c$", "Program Files\\Lab Agent (x86)\\a.exe", "C:\\Program Files\\Lab Agent (x86)\\a.exe"),
        ("D$", "data", "D:\\data"),
        ("ADMIN$", "PROGRA~1", "C:\\Windows\\PROGRA~1"),
        ("ADMIN$", "ünï ☃.exe", "C:\\Windows\\ünï ☃.exe"),
        ("ADMIN$", ".hidden", "C:\\Windows\\.hidden"),
        ("ADMIN$", "console.exe", "C:\\Windows\\console.exe"),
        ("ADMIN$", "com10", "C:\\Windows\\com10"),
        ("ADMIN$", "a;b,c=d&e^f%g'h", "C:\\Windows\\a;b,c=d&e^f%g'h"),
    ],
)
def test_paths(share: str, path: str, there: str) -> None:
    assert at(share, path) == there


@pytest.mark.parametrize(
    "path",
    [
        "..", "a\\..\\b", "a\\.\\b", "a\\\\b", "\\a", "a\\", "C:\\a", "\\\\host\\share", "a/b", "a*b", "a?b", 'a"b',
        "a<b", "a>b", "a|b", "a:stream", "a\0b", "a\nb", "a\x7fb", "a\u202eb", "x" * 256, "x\\" * 200 + "x",
        "a.", "a ", " a", "a.\\b", "...", "NUL", "nul", "con.txt", "COM1", "LPT9.log", "com¹", "aux .x", "x\\prn",
        "CONIN$",
    ],
)  # fmt: skip
def test_no_path(path: str) -> None:
    with pytest.raises(ProblemError) as caught:
        at("ADMIN$", path)
    assert caught.value.problem.code == "path-not-found"
    assert caught.value.problem.message.isprintable()


@pytest.mark.parametrize("share", ["NOSUCH$", "", "IPC$", "print$", "CC$", "C", "C:", "$"])
def test_no_share(share: str) -> None:
    with pytest.raises(ProblemError):
        at(share, "x")


@pytest.mark.parametrize(
    ("there", "above"),
    [("C:\\Windows\\a\\b", "C:\\Windows\\a"), ("C:\\Windows", "C:\\"), ("D:\\x", "D:\\"), ("C:\\", "C:\\")],
)
def test_the_folder_above(there: str, above: str) -> None:
    assert parent(there) == above
