"""The helper program of the wheel: built from the recorded source, and no other program is taken."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import pytest

from pusher import helper_exe
from pusher.helper_exe import HelperExeMissingError
from tests.unit.packaging.scripts import ROOT, script


@pytest.fixture
def hook() -> ModuleType:
    return script("build_hook")


def test_the_record_is_of_this_source() -> None:
    """After a change of runner.c: python -m pusher.helper_exe --record."""
    assert helper_exe.recorded()["runner.c"] == hashlib.sha256(helper_exe.SOURCE.read_bytes()).hexdigest()
    assert set(helper_exe.recorded()) == {"runner.c", "pusher-run.exe"}


def test_another_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pusher-run.exe"
    program.write_bytes(b"MZ")
    with pytest.raises(HelperExeMissingError, match=hashlib.sha256(b"MZ").hexdigest()):
        helper_exe.verify(program)
    monkeypatch.setattr(helper_exe, "KNOWN", tmp_path / "known")
    (tmp_path / "known").write_text(f"{hashlib.sha256(b'MZ').hexdigest()}  pusher-run.exe\n")
    helper_exe.verify(program)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_it_there_is_no_wheel(hook: ModuleType, compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is missing, or fails."""
    real = hook._runner

    def patched(root: Path) -> object:
        module = real(root)
        module.COMPILER = compiler
        return module

    monkeypatch.setattr(hook, "_runner", patched)
    build_data: dict[str, dict[str, str]] = {"force_include": {}}
    plugin = hook.HelperProgram(str(ROOT), {}, None, None, "", "wheel")
    with pytest.raises(Exception, match=compiler):
        plugin.initialize("standard", build_data)
    assert build_data == {"force_include": {}}


def test_an_editable_install_builds_nothing(hook: ModuleType) -> None:
    build_data: dict[str, dict[str, str]] = {"force_include": {}}
    plugin = hook.HelperProgram(str(ROOT), {}, None, None, "", "wheel")
    plugin.initialize("editable", build_data)
    plugin.finalize("editable", build_data, "")
    assert build_data == {"force_include": {}}
