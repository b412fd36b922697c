"""The SHA-256 of files, as the target's certutil tells it; nothing of the file travels. Blocking.

What certutil says is in the machine's language: the one line that is a hash is looked for, and its number judged.
Source: certutil -hashfile.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence

from pusher.problems import Code, ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.codes import WIN32, Operation, from_win32, of
from pusher.transports.port import Limits
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.shell import LONGEST, Shell, quoted

_HASH = re.compile(rb"(?:[0-9a-f]{2} ?){32}", re.IGNORECASE)
_FACILITY_WIN32 = 0x80070000
_RATE = 2_000_000
"""Bytes a second that certutil hashes on a slow and busy machine."""
_START = 1.0
"""Seconds that its start may take there."""
_MOST_SAID = 1024
"""Bytes that it may say of one file: its path and a hash, and what else is in the machine's language."""


def sha256_of_many(
    sizes: Mapping[str, int], shell: Shell, folders: Folders, limits: Limits, made: Callable[[], None]
) -> dict[str, str]:
    """Of files with something in them, by their places on the target's disk: as many by one command line as it holds.

    Those are left out of which certutil said no hash: alone it will say why.
    """
    found, program = dict[str, str](), quoted(_program(folders))
    for places, sign in _lots(list(sizes), program):
        line = "@" + "& ".join(f"echo {sign}& {program} -hashfile {quoted(there)} SHA256" for there in places)
        limit = limits.call + len(places) * _START + sum(sizes[there] for there in places) / _RATE
        said = shell.run(line, keep=len(places) * _MOST_SAID, limit=limit, made=made).stdout.split(sign.encode())[1:]
        if len(said) == len(places):
            found |= {there: hashed for there, part in zip(places, said, strict=True) if (hashed := _hash_in(part))}
    return found


def _lots(places: Sequence[str], program: str) -> Iterator[tuple[list[str], str]]:
    """As many places as one command line has room for, with a sign to be said before each."""
    sign = secrets.token_hex(8)
    each = len(f"echo {sign}& {program} -hashfile  SHA256& ")
    lot, filled = list[str](), 0
    for there in places:
        needed = each + len(quoted(there))
        if lot and 1 + filled + needed > LONGEST:
            yield lot, sign
            lot, filled = [], 0
        lot.append(there)
        filled += needed
    if lot:
        yield lot, sign


def sha256_of(
    path: RemotePath,
    there: str,
    size: int,
    shell: Shell,
    folders: Folders,
    limits: Limits,
    made: Callable[[], None],
) -> str:
    """``there``: where ``path`` is on the target's disk. ``made`` is called whenever the target has answered."""
    if size == 0:
        return hashlib.sha256(b"").hexdigest()  # certutil fails on it (ERROR_FILE_INVALID)
    program = _program(folders)
    limit = limits.call + size / _RATE
    ran = shell.run(f"@{quoted(program)} -hashfile {quoted(there)} SHA256", limit=limit, made=made)
    if ran.exit_code:
        number = ran.exit_code - _FACILITY_WIN32
        if number in WIN32:
            raise ProblemError(from_win32(number, Operation.FILE, f"{path} (certutil)"))
        raise ProblemError(of(Code.PROTOCOL_ERROR, Operation.FILE, f"{path} (certutil ended with {ran.exit_code:#x})"))
    found = _hash_in(ran.stdout)
    if not found:
        raise StrangeValueError("certutil showed no hash")
    return found


def _program(folders: Folders) -> str:
    return f"{folders.windows}\\System32\\certutil.exe"


def _hash_in(said: bytes) -> str:
    """The one line that is a hash; empty where there is not exactly one.

    Older ones put a space between the bytes; the lines around it are in the machine's language.
    """
    found = [line.strip() for line in said.splitlines() if _HASH.fullmatch(line.strip())]
    return found[0].replace(b" ", b"").decode("ascii").lower() if len(found) == 1 else ""
