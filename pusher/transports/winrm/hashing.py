"""The SHA-256 of one file, as the target's certutil tells it; nothing of the file travels. Blocking.

What certutil says is in the machine's language: the one line that is a hash is looked for, and its number judged.
Source: certutil -hashfile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from pusher.problems import Code, ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.codes import WIN32, Operation, from_win32, of
from pusher.transports.port import Limits
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.shell import Shell, quoted

_HASH = re.compile(rb"(?:[0-9a-f]{2} ?){32}", re.IGNORECASE)
_FACILITY_WIN32 = 0x80070000
_RATE = 2_000_000
"""Bytes a second that certutil hashes on a slow and busy machine."""


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
    program = f"{folders.windows}\\System32\\certutil.exe"
    limit = limits.call + size / _RATE
    ran = shell.run(f"@{quoted(program)} -hashfile {quoted(there)} SHA256", limit=limit, made=made)
    if ran.exit_code:
        number = ran.exit_code - _FACILITY_WIN32
        if number in WIN32:
            raise ProblemError(from_win32(number, Operation.FILE, f"{path} (certutil)"))
        raise ProblemError(of(Code.PROTOCOL_ERROR, Operation.FILE, f"{path} (certutil ended with {ran.exit_code:#x})"))
    # Older ones put a space between the bytes; the lines around it are in the machine's language.
    found = [line.strip() for line in ran.stdout.splitlines() if _HASH.fullmatch(line.strip())]
    if len(found) != 1:
        raise StrangeValueError("certutil showed no hash")
    return found[0].replace(b" ", b"").decode("ascii").lower()
