"""Commands of a shell with a played Wine: one that did not begin is begun again, one that has begun is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.winrm.shells import CmdCommand

_WINE = """#!/bin/sh
file=$(printf %s "$LABRC" | sed 's/^Z://' | tr '\\\\' /)
printf x >> "{folder}/starts"
[ "$(wc -c < "{folder}/starts")" -gt {failures} ] || exit 1
: > "$file"
echo "$LABCMD"
[ "$LABCMD" = dies ] && exit 1
printf 3010 > "$file"
"""


@pytest.mark.parametrize(
    ("line", "failures", "starts", "code"),
    [("runs", 0, 1, 3010), ("runs", 2, 3, 3010), ("runs", 9, 4, 0xC000013A), ("dies", 0, 1, 0xC000013A)],
)
async def test_a_command_is_begun_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, failures: int, starts: int, code: int
) -> None:
    played = tmp_path / "wine"
    played.write_text(_WINE.format(folder=tmp_path, failures=failures), encoding="ascii")
    played.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "prefix"))
    command = CmdCommand("0001", line)
    await command.start("runner.exe", tmp_path, "pushadm", {}, None)
    while not command.finished:
        await command.wait(10)
        command.take(1000)
    assert command.code == code
    assert len((tmp_path / "starts").read_text(encoding="ascii")) == starts
    assert not (tmp_path / "0001.code").exists()
