"""``pusher resolve`` as it is typed: who is told of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pusher.cli.app import main


@pytest.mark.parametrize("count", [1, 99, 100, 101, 254])
def test_no_target_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    """They are resolved some hundred at a time."""
    inventory = tmp_path / "i.yaml"
    inventory.write_text(f"version: 1\ngroups:\n  labs:\n    ranges: [10.9.0.1-10.9.0.{count}]\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["pusher", "resolve", str(inventory), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = [json.loads(line)["target"] for line in capsys.readouterr().out.splitlines()]
    assert (ended.value.code or 0, told) == (0, [f"10.9.0.{number}" for number in range(1, count + 1)])
