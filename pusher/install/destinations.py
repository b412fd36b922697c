"""Where a package's files may go: the checks of a ``dest``, and which two of them Windows may take for one. Pure.

Windows opens more names than are written: a device in any folder, a file by its short (8.3) name, one letter for
another. Whoever cannot tell what a name leads to refuses it. What must not live here: how a path is reached on a host
(``remote.paths``).
Sources: Microsoft's "Naming Files, Paths, and Namespaces"; MS-FSCC 2.1.5 and 2.1.5.2.1 (8.3 names); NTFS compares
names by its table of capital letters, code unit by code unit.
"""

from __future__ import annotations

import re
import unicodedata

from pusher.config.wording import Wrong, hint, is_visible, listed, shown
from pusher.install.names import NEW, OLD, STAGING

ROOTS = ("%ProgramFiles%", "%ProgramFiles(x86)%", "%ProgramData%", "%SystemDrive%")
"""Where a file of a package may lie, beside the folder of Windows."""
PLACES = ("%SystemRoot%", *ROOTS)
"""Where a file may lie that an installer makes."""

DEST = "a path such as labagent\\labagent.exe (below ADMIN$), or one that starts with " + listed(ROOTS)
PLACE = "a path that starts with " + listed(PLACES)

_OWN_ENDINGS = (NEW, OLD)
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_NTFS_OWN = re.compile(
    r"\$(?:mft|mftmirr|logfile|volume|attrdef|bitmap|boot|badclus|secure|upcase|extend)", re.IGNORECASE
)
_SHORT = re.compile(r"(?=[^.]{1,8}(?:\.|$))[^.~]*~[0-9]+(?:\.[^.]{0,3})?")
_FROM_DRIVE = {
    "%systemroot%": "%systemdrive%\\windows",
    "%windir%": "%systemdrive%\\windows",
    "%programfiles%": "%systemdrive%\\program files",
    "%programfiles(x86)%": "%systemdrive%\\program files (x86)",
    "%programdata%": "%systemdrive%\\programdata",
}


def destination(value: str) -> str:
    """Where a file of a package goes; raises Wrong."""
    path = value.replace("/", "\\")
    if path.lower().startswith(("%systemroot%", "%windir%")):
        below = path.partition("\\")[2]
        raise Wrong(f"{shown(value)} names the Windows folder, below which dest is anyway", shown(below))
    return _path(value, ROOTS)


def place(value: str) -> str:
    """Where a file lies that is no file of the package; in the spelling of a ``dest``. Raises Wrong."""
    return _path(value, PLACES).removeprefix("%SystemRoot%\\")


def is_device(name: str) -> bool:
    """Whether Windows opens a device where a file, or a folder, of this name is asked for."""
    return _DEVICES.fullmatch(name.partition(".")[0].rstrip(" ")) is not None


def in_own_folder(dest: str) -> bool:
    """Whether it lies in the folder in which pusher keeps a host's locks, or would stand in its place."""
    own = may_meet(image_path(STAGING.path))
    return f"{may_meet(image_path(dest))}\\".startswith(f"{own}\\")


def image_path(dest: str) -> str:
    """The full path of a destination as a service's command writes it."""
    return dest if dest.startswith("%") else f"%SystemRoot%\\{dest}"


def from_drive(path: str) -> str:
    """One spelling for paths that lead to one file: lower case, and every folder from the system drive on."""
    name, backslash, rest = path.lower().partition("\\")
    return _FROM_DRIVE.get(name, name) + backslash + rest


def may_meet(path: str) -> str:
    """Two paths that Windows could open as one file have this in common.

    More than NTFS itself takes for one letter: what another file system, an archive or a code page would. No package
    needs two files whose names differ in nothing else.
    """
    folded = unicodedata.normalize("NFKC", from_drive(unicodedata.normalize("NFKC", path))).casefold()
    return unicodedata.normalize("NFKC", folded).replace("i\u0307", "i").replace("\u0131", "i")


def _path(value: str, roots: tuple[str, ...]) -> str:
    path, expected = value.replace("/", "\\"), DEST if roots is ROOTS else PLACE
    root, below = "", path
    if path.startswith("%"):
        root, _, below = path.partition("\\")
        known = next((name for name in roots if name.lower() == root.lower()), None)
        if known is None:
            raise Wrong(f"{shown(value)} starts with a folder that is not known{hint(root, roots)}", expected)
        root = known + "\\"
    if re.match(r"[A-Za-z]:", below) or below.startswith("\\"):
        raise Wrong(f"{shown(value)} is absolute", expected)
    for part in below.split("\\"):
        _check_part(value, part, expected)
    if path.lower().endswith(_OWN_ENDINGS):
        raise Wrong(f"{shown(value)} has an ending that pusher uses for itself", f"no {listed(_OWN_ENDINGS)}")
    if len(path) > 240:
        raise Wrong(f"{shown(value)} is too long", "at most 240 characters")
    return root + below


def _check_part(value: str, part: str, expected: str) -> None:
    found = f"{shown(value)} has the part {shown(part)}"
    if part in {"", ".", ".."} or _FORBIDDEN.search(part) or "%" in part or not is_visible(part):
        raise Wrong(f"{found}, which is not allowed", expected)
    if part[-1] in ". " or part[0] == " ":
        raise Wrong(f"{found}, whose dot or space Windows drops", expected)
    if is_device(part):
        raise Wrong(f"{found}, which Windows reserves for a device", expected)
    if _NTFS_OWN.fullmatch(part):
        raise Wrong(f"{found}, which NTFS keeps for itself", expected)
    if _SHORT.fullmatch(part):
        raise Wrong(f"{found}, which may be the short name of another file", "the long name")
