"""Reading the operator's files: text with bounds, YAML and TOML with positions, and one clear sentence for bad input.

Here live the readers (``read_text``, ``read_yaml``, ``read_toml``), the bridge from pydantic's errors to
``BadInput`` (``validate``), durations, and the wording of found and expected.
What must not live here: what a file means (its room owns the format), settings read from the environment,
anything that contacts a machine.
"""

from __future__ import annotations

from pusher.config.document import Document, Path, dotted
from pusher.config.durations import Duration, parse_duration
from pusher.config.files import read_bytes, read_lines, read_text, split_lines
from pusher.config.toml_source import read_toml
from pusher.config.validate import FormatModel, validate
from pusher.config.wording import INVISIBLE, Wrong, about, hint, is_visible, listed, nearest, plain, shown
from pusher.config.yaml_source import OPAQUE, parse_yaml, read_yaml

__all__ = [
    "INVISIBLE",
    "OPAQUE",
    "Document",
    "Duration",
    "FormatModel",
    "Path",
    "Wrong",
    "about",
    "dotted",
    "hint",
    "is_visible",
    "listed",
    "nearest",
    "parse_duration",
    "parse_yaml",
    "plain",
    "read_bytes",
    "read_lines",
    "read_text",
    "read_toml",
    "read_yaml",
    "shown",
    "split_lines",
    "validate",
]
