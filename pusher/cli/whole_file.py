"""A file that a command writes is there whole, or as it was before. What must not live here: what is in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_file(output: Path, encoding: str) -> Iterator[TextIO]:
    """A file that is there whole, or as it was before, whatever ends the writing.

    What is no file (a pipe, a device) is written as it comes.
    """
    place = output.resolve()
    if place.exists() and not place.is_file():
        with place.open("w", encoding=encoding, newline="") as stream:
            yield stream
        return
    part = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with part.open("x", encoding=encoding, newline="") as file:
            yield file
        if place.exists():
            shutil.copymode(place, part)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
