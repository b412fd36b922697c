"""What proves the audit, kept outside of the store: its key, and anchors of what was written.

The key is made at first use and only where there is no entry yet: one that was lost is never replaced in silence. It is
refused where others can read it. What must not live here: what is made of them (``chain``).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pusher.config.files import SMALL_FILE, read_bytes, read_text, split_lines
from pusher.models import Secret, Source
from pusher.problems import BadInput
from pusher.registry.chain import Anchor

_KEY = re.compile(r"[0-9a-f]{64}\n?")
_OURS = 0o600
MAX_ANCHORS = 64 * 1024 * 1024


def read_key(path: Path) -> Secret | None:
    """None where there is no such file; BadInput where others can read it, or it holds no key."""
    place = Source(file=str(path))
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(place, f"the audit's key cannot be read ({error.strerror})", "a readable file") from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise BadInput(place, f"the audit's key can be read or written by others (mode {mode:04o})", "mode 0600")
    text = read_bytes(path, SMALL_FILE).decode("ascii", "replace")
    if not _KEY.fullmatch(text):
        raise BadInput(place, "this is no key of an audit", "64 hexadecimal digits")
    return Secret(text.strip())


def make_key(path: Path) -> Secret:
    """A new one, whole or not at all; the one that another process has made meanwhile, if it has. BadInput."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OURS)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(32) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(part)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        found = f"the audit's key cannot be made ({error.strerror})"
        raise BadInput(Source(file=str(path)), found, "a folder of this user's own") from error
    made = read_key(path)
    if made is None:
        raise BadInput(Source(file=str(path)), "the audit's key was removed in the moment in which it was made")
    return made


def anchors_beside(key: Path) -> Path:
    return key.with_name("audit.anchors")


def add_anchor(path: Path, anchor: Anchor) -> None:
    """A line more. OSError."""
    line = json.dumps(asdict(anchor)) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OURS)
    try:
        os.write(descriptor, line.encode("ascii"))
    finally:
        os.close(descriptor)


def read_anchors(path: Path) -> Iterator[Anchor]:
    """Those of a file, of whatever audits. BadInput for a line that is none."""
    for number, line in enumerate(split_lines(read_text(path, MAX_ANCHORS)), start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            texts = {name: _text(said[name]) for name in ("store", "chain", "hash")}
            yield Anchor(seq=int(said["seq"]), **texts)
        except (ValueError, TypeError, KeyError) as error:
            place = Source(file=str(path), line=number, column=1)
            raise BadInput(place, "this line is no anchor", 'one that "pusher audit anchor" printed') from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
