"""The maintenance windows of a run: from the operator's file, or from the record of a run that had them.

What must not live here: how they are written (``queue.window_format``), and when one is open (``queue.windows``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pusher.config.files import read_text
from pusher.config.toml_source import parse_toml
from pusher.config.yaml_source import parse_yaml
from pusher.problems import BadInput
from pusher.queue.window_format import read_windows
from pusher.queue.windows import Window, Windows

_YAML = frozenset({".yaml", ".yml", ".json"})


def windows_of(file: Path | None, recorded: Sequence[Mapping[str, Any]], now: datetime) -> Windows:
    """Those in ``file``; without one, those ``recorded``. BadInput where they cannot be read, or never open."""
    found = Windows(sets=(_read(file) if file is not None else from_record(recorded),))
    found.next_opening(now)
    return found


def from_record(recorded: Sequence[Mapping[str, Any]]) -> tuple[Window, ...]:
    """BadInput where this machine cannot make sense of them: then nobody knows when a machine may be touched."""
    try:
        return tuple(map(Window.from_json, recorded))
    except (KeyError, ValueError, TypeError) as error:
        found = f"the run's maintenance windows make no sense here ({error})"
        raise BadInput(None, found, "a machine that knows their time zones") from error


def to_record(windows: Windows) -> list[dict[str, Any]]:
    return [window.to_json() for each in windows.sets for window in each]


def _read(file: Path) -> tuple[Window, ...]:
    parse = parse_yaml if file.suffix.lower() in _YAML else parse_toml
    return read_windows(parse(read_text(file), str(file)))
