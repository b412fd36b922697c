"""Where a package's files go, and which image paths are the same program."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.remote.paths import (
    RemotePath,
    SystemFolders,
    dest_of,
    parents,
    program_of,
    remote_path,
    respelled,
    same_command,
    same_program,
    windows_of,
)

USUAL = SystemFolders()

parts = st.text("abcXYZ09 ._-", min_size=1, max_size=8)
relative = st.lists(parts, min_size=1, max_size=4).map("\\".join)


@pytest.mark.parametrize(
    ("dest", "path"),
    [
        ("labagent\\labagent.exe", "ADMIN$\\labagent\\labagent.exe"),
        ("%SystemRoot%\\x.exe", "ADMIN$\\x.exe"),
        ("%windir%\\x.exe", "ADMIN$\\x.exe"),
        ("%SystemDrive%\\tools\\x.exe", "C$\\tools\\x.exe"),
        ("%ProgramFiles%\\Lab\\x.exe", "C$\\Program Files\\Lab\\x.exe"),
        ("%PROGRAMFILES(X86)%\\Lab\\x.exe", "C$\\Program Files (x86)\\Lab\\x.exe"),
        ("%ProgramData%\\Lab\\x.ini", "C$\\ProgramData\\Lab\\x.ini"),
    ],
)
def test_where_a_file_goes(dest: str, path: str) -> None:
    assert str(remote_path(dest)) == path


@pytest.mark.parametrize("dest", ["%TEMP%\\x", "%nothing%\\x", "%\\x", "%ProgramFiles\\x"])
def test_a_folder_without_a_share(dest: str) -> None:
    with pytest.raises(ValueError, match="no share leads to"):
        remote_path(dest)


@given(relative, st.sampled_from(["", "%ProgramFiles%\\", "%SystemDrive%\\", "%ProgramData%\\"]))
def test_a_path_and_its_dest_lead_to_each_other(path: str, root: str) -> None:
    there = remote_path(root + path)
    assert remote_path(dest_of(there)) == there


@given(relative)
def test_parents_come_topmost_first(path: str) -> None:
    above = parents(RemotePath(share="C$", path=path))
    assert [str(folder) for folder in above] == sorted((str(folder) for folder in above), key=len)
    assert len(above) == path.count("\\")
    for upper, lower in itertools.pairwise(above):
        assert lower.parent == upper
    assert not above or RemotePath(share="C$", path=path).parent == above[-1]


@pytest.mark.parametrize(
    ("image_path", "program"),
    [
        ('"C:\\Program Files\\Lab\\x.exe" --run "a b"', "c:\\program files\\lab\\x.exe"),
        ("C:\\Windows\\x.exe -k netsvcs", "c:\\windows\\x.exe"),
        ("C:\\Program Files\\Lab\\x.exe -k", "c:\\program files\\lab\\x.exe"),
        ("%SystemRoot%\\System32\\svchost.exe", "c:\\windows\\system32\\svchost.exe"),
        ("\\SystemRoot\\x.sys", "c:\\windows\\x.sys"),
        ('"%ProgramFiles%\\Lab\\x.exe"', "c:\\program files\\lab\\x.exe"),
        ('"%ProgramFiles(x86)%\\Lab\\x.exe"', "c:\\program files (x86)\\lab\\x.exe"),
        ("  c:/windows/x.exe  ", "c:\\windows\\x.exe"),
        ("", ""),
        ('"', ""),
    ],
)
def test_the_program_of_an_image_path(image_path: str, program: str) -> None:
    assert program_of(image_path, USUAL) == program


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('"%SystemRoot%\\a\\b.exe" -x', "C:\\WINDOWS\\A\\B.EXE --y", True),
        ('"%SystemRoot%\\a\\b.exe"', '"%windir%\\a\\b.exe"', True),
        ('"%SystemRoot%\\a\\b.exe"', '"%SystemRoot%\\a\\c.exe"', False),
        ('"%SystemRoot%\\a\\b.exe"', '"D:\\Windows\\a\\b.exe"', False),
        # Quotes make the difference between a program and its first word.
        ('"c:\\program files\\x.exe"', '"c:\\program" files\\x.exe', False),
    ],
)
def test_the_same_program(one: str, other: str, same: bool) -> None:
    assert same_program(one, other, USUAL) == same
    assert same_program(other, one, USUAL) == same


ELSEWHERE = SystemFolders(windows="D:\\WINNT")


@pytest.mark.parametrize(
    ("there", "wanted", "folders", "same"),
    [
        # What the service manager gives back of what it was given, and who wrote it first.
        ('"C:\\WINDOWS\\lab\\x.exe" --site Hq', '"%SystemRoot%\\lab\\x.exe" --site Hq', USUAL, True),
        ('"D:\\winnt\\lab\\x.exe" --site Hq', '"%SystemRoot%\\lab\\x.exe" --site Hq', ELSEWHERE, True),
        ('"D:\\WINNT\\lab\\x.exe"', '"%windir%/lab/x.exe"', ELSEWHERE, True),
        ('"D:\\Program Files\\lab\\x.exe"', '"%ProgramFiles%\\lab\\x.exe"', ELSEWHERE, True),
        ('"x.exe" --log C:\\ProgramData\\x.log', '"x.exe" --log %ProgramData%\\x.log', USUAL, True),
        ('"x.exe" --log D:\\x.log', '"x.exe" --log %SYSTEMDRIVE%\\x.log', ELSEWHERE, True),
        ('"%SystemRoot%\\lab\\x.exe"', '"%SystemRoot%\\lab\\x.exe"', ELSEWHERE, True),
        ("C:\\Windows\\x.exe -k", '"%SystemRoot%\\x.exe" -k', USUAL, True),
        ("\\SystemRoot\\lab\\x.exe -k", "%SystemRoot%\\lab\\x.exe -k", ELSEWHERE, True),
        ('"x.exe" --name WS07 --id 1', '"x.exe" --name %COMPUTERNAME% --id 1', USUAL, True),
        ('"x.exe" --name WS07 --id 2', '"x.exe" --name %COMPUTERNAME% --id 1', USUAL, False),
        # Another drive, another case of an argument, another argument, a path that Windows must guess at.
        ('"D:\\Windows\\lab\\x.exe"', '"%SystemRoot%\\lab\\x.exe"', USUAL, False),
        ('"C:\\Windows\\lab\\x.exe" --site HQ', '"%SystemRoot%\\lab\\x.exe" --site hq', USUAL, False),
        ('"C:\\Windows\\lab\\x.exe" --site hq -v', '"%SystemRoot%\\lab\\x.exe" --site hq', USUAL, False),
        ("C:\\Program Files\\lab\\x.exe", '"%ProgramFiles%\\lab\\x.exe"', USUAL, False),
    ],
)
def test_the_same_command(there: str, wanted: str, folders: SystemFolders, same: bool) -> None:
    assert same_command(there, wanted, folders) == same


@pytest.mark.parametrize(
    ("there", "wanted", "written"),
    [
        ('"C:\\WINDOWS\\lab\\x.exe" --old', '"%SystemRoot%\\lab\\x.exe" --new', '"%SystemRoot%\\lab\\x.exe" --old'),
        ("C:\\WINDOWS\\lab\\x.exe --old", "%SystemRoot%\\lab\\x.exe", "%SystemRoot%\\lab\\x.exe --old"),
        ("C:\\WINDOWS\\lab\\x.exe --old", '"%SystemRoot%\\lab\\x.exe"', "C:\\WINDOWS\\lab\\x.exe --old"),
        ('"C:\\Other\\x.exe" --old', '"%SystemRoot%\\lab\\x.exe"', '"C:\\Other\\x.exe" --old'),
    ],
)
def test_what_was_there_is_written_as_it_was(there: str, wanted: str, written: str) -> None:
    assert respelled(there, wanted, USUAL) == written
    assert same_command(there, written, USUAL)


@pytest.mark.parametrize(
    ("image_path", "windows"),
    [
        ("C:\\WINDOWS\\system32\\svchost.exe -k rpcss -p", "C:\\WINDOWS"),
        ('"D:\\WINNT\\System32\\svchost.exe" -k rpcss', "D:\\WINNT"),
        ("%SystemRoot%\\system32\\svchost.exe -k rpcss", None),
        ("C:\\Program Files\\x.exe", None),
        ("", None),
        ("C:\\" + "x" * 500 + "\\System32\\svchost.exe", None),
        ("C:\\a&calc\\System32\\svchost.exe", None),
    ],
)
def test_where_windows_is_by_a_service_of_its_own(image_path: str, windows: str | None) -> None:
    found = windows_of(image_path)
    assert (found.windows if found else None) == windows


def test_walking_about_on_a_share() -> None:
    path = RemotePath(share="ADMIN$", path="a\\b.exe")
    assert (str(path), path.name, path.parent) == ("ADMIN$\\a\\b.exe", "b.exe", RemotePath(share="ADMIN$", path="a"))
    assert path.with_suffix(".old").path == "a\\b.exe.old"
    assert RemotePath(share="ADMIN$", path="").child("x").path == "x"
    assert path.parent.child("x").path == "a\\x"
    assert RemotePath(share="ADMIN$", path="x").parent.path == ""
