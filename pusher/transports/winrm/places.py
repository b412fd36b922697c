"""Where a share's path is on the target's disk, if it may be said at all. Pure.

A path goes to CIM, to cmd and to Windows, which do not agree on what is odd: what any of them would take for another
place is no path here. Short names (``PROGRA~1``) and letters' case are left to Windows, where they mean the same file.
Sources: "Naming Files, Paths, and Namespaces" (Windows), MS-FSCC 2.1.5.
"""

from __future__ import annotations

import re

from pusher.problems import Code, ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.codes import Operation, of

_SIGNS = re.compile(r'[<>:"/|?*]')
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_DRIVE = re.compile(r"([A-Z])\$", re.IGNORECASE)
_LONGEST_NAME, _LONGEST_PATH = 255, 247
"""A folder's path has to leave room for a file of 8.3 below MAX_PATH; programs such as cmd know no longer ones."""


def place(path: RemotePath, windows: str, drive: str) -> str:
    """The absolute path. ``windows`` is what ADMIN$ shares, ``drive`` what C$ does."""
    root = _root(path.share, windows, drive)
    if root is None:
        raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"no folder is known behind {path.share[:80]!r}"))
    if not path.path:
        return root if root != drive else root + "\\"
    names = path.path.split("\\")
    whole = "\\".join([root, *names])
    # cmd counts UTF-16 units.
    if len(whole.encode("utf-16-le", "surrogatepass")) // 2 > _LONGEST_PATH or not all(map(_means_itself, names)):
        raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"{ascii(str(path))[:120]} is no path of a file"))
    return whole


def parent(place: str) -> str:
    """The folder above."""
    above = place.rpartition("\\")[0]
    return above if "\\" in above else above + "\\"


def _root(share: str, windows: str, drive: str) -> str | None:
    if share.upper() == "ADMIN$":
        return windows
    if share.upper() == "C$":
        return drive
    other = _DRIVE.fullmatch(share)
    return f"{other[1].upper()}:" if other else None


def _means_itself(name: str) -> bool:
    """Windows drops dots and blanks at a name's end, and a device's name means the device in any folder."""
    return (
        0 < len(name) <= _LONGEST_NAME
        and name.isprintable()
        and not _SIGNS.search(name)
        and name[-1] not in ". "
        and name[0] != " "
        and not _DEVICE.fullmatch(name)
    )
