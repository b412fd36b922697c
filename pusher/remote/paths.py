"""Where a package's files go on a host, and whether two image paths mean the same command. Pure.

ADMIN$ is %SystemRoot% (MS-SMB2 and Windows' defaults); what is below the system drive goes by ``SYSTEM_DRIVE``,
whatever that drive's letter. ``%ProgramFiles%`` and its like are on that drive under the names that every Windows
gives them; a machine on which they are elsewhere lacks the folder, and is told so before anything is copied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RemotePath:
    """A path on a share, for example ``RemotePath(share="ADMIN$", path="labagent\\\\labagent.exe")``."""

    share: str
    path: str

    @property
    def parent(self) -> RemotePath:
        return RemotePath(share=self.share, path=self.path.rpartition("\\")[0])

    @property
    def name(self) -> str:
        return self.path.rpartition("\\")[2]

    def with_suffix(self, suffix: str) -> RemotePath:
        """The sibling whose name has ``suffix`` appended."""
        return RemotePath(share=self.share, path=self.path + suffix)

    def child(self, name: str) -> RemotePath:
        return RemotePath(share=self.share, path=f"{self.path}\\{name}" if self.path else name)

    def __str__(self) -> str:
        return f"{self.share}\\{self.path}"


SYSTEM_DRIVE = "C$"
"""The share of the drive that Windows is on, whatever its letter: an adapter opens ``D$`` where that is D:."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemFolders:
    """Where a machine has its Windows, as ``C:\\Windows``; the default is where nearly all have it."""

    windows: str = "C:\\Windows"

    @property
    def drive(self) -> str:
        return self.windows[:2]


_SHARES = {
    "%systemroot%": ("ADMIN$", ""),
    "%windir%": ("ADMIN$", ""),
    "%systemdrive%": (SYSTEM_DRIVE, ""),
    "%programfiles%": (SYSTEM_DRIVE, "Program Files"),
    "%programfiles(x86)%": (SYSTEM_DRIVE, "Program Files (x86)"),
    "%programdata%": (SYSTEM_DRIVE, "ProgramData"),
}
_ON_DRIVE = {
    "programfiles": "\\Program Files",
    "programw6432": "\\Program Files",
    "programfiles(x86)": "\\Program Files (x86)",
    "commonprogramfiles": "\\Program Files\\Common Files",
    "programdata": "\\ProgramData",
    "allusersprofile": "\\ProgramData",
}
_NAME = re.compile(r"%([^%]+)%")
_FOLDER = re.compile(r"[A-Za-z]:(\\[A-Za-z0-9 ._-]{1,60}){1,5}")
_SYSTEM_PROGRAM = re.compile(r'"?(?P<windows>[^"]+?)\\system32\\', re.IGNORECASE)


def remote_path(dest: str) -> RemotePath:
    """The share and path of a package file's ``dest``. ValueError for an environment name that has no share."""
    if not dest.startswith("%"):
        return RemotePath(share="ADMIN$", path=dest)
    name, _, rest = dest.partition("\\")
    if name.lower() not in _SHARES:
        raise ValueError(f"no share leads to {name}")
    share, folder = _SHARES[name.lower()]
    return RemotePath(share=share, path=f"{folder}\\{rest}" if folder else rest)


def dest_of(path: RemotePath) -> str:
    """The ``dest`` that ``remote_path`` turns into ``path``."""
    return path.path if path.share == "ADMIN$" else f"%SystemDrive%\\{path.path}"


def parents(path: RemotePath) -> list[RemotePath]:
    """The folders above ``path``, topmost first, without the share's root."""
    parts = path.path.split("\\")[:-1]
    return [RemotePath(share=path.share, path="\\".join(parts[: n + 1])) for n in range(len(parts))]


def windows_of(image_path: str) -> SystemFolders | None:
    """Where Windows is, by the image path of one of its own services; None where that does not tell."""
    found = _SYSTEM_PROGRAM.match(image_path)
    return SystemFolders(windows=found["windows"]) if found and _FOLDER.fullmatch(found["windows"]) else None


def expanded(text: str, folders: SystemFolders) -> str:
    """Windows' own names in ``text`` as its service manager expands them; any other name stays as it is."""
    known = _known(folders)
    return _NAME.sub(lambda name: known.get(name[1].lower(), name[0]), text)


def program_of(image_path: str, folders: SystemFolders) -> str:
    """The program of a service's image path, in one spelling: no quotes, no arguments, names expanded, lower case."""
    return _command_of(image_path, folders)[0].lower()


def same_program(one: str, other: str, folders: SystemFolders) -> bool:
    """True where both image paths start the same program, whatever their arguments."""
    return program_of(one, folders) == program_of(other, folders)


def same_command(there: str, wanted: str, folders: SystemFolders) -> bool:
    """True where what the machine has is what the wanted image path becomes there: same program, same arguments.

    Names that only the machine knows (%COMPUTERNAME%) are taken for whatever stands in their place.
    """
    program, arguments = _command_of(wanted, folders)
    theirs, given = _command_of(there, folders)
    if there.lstrip().startswith('"') is not wanted.lstrip().startswith('"') and " " in program:
        return False  # one of the two leaves it to Windows to guess where the program's name ends
    return _matches(theirs.lower(), program.lower()) and _matches(given, arguments)


def respelled(there: str, wanted: str, folders: SystemFolders) -> str:
    """What the machine has, with its program written as in the wanted image path where that means the same.

    The service manager has expanded what an earlier push wrote; to be put back it is written as it was.
    """
    program, _ = _split(wanted.strip())
    same = _command_of(there, folders)[0].lower() == _command_of(wanted, folders)[0].lower()
    if not same or there.startswith('"') is not program.startswith('"'):
        return there
    return program + there.strip()[len(_split(there.strip())[0]) :]


def _matches(there: str, wanted: str) -> bool:
    parts = re.split(r"%[^%]+%", wanted)
    return there == wanted or (len(parts) > 1 and re.fullmatch(".*".join(map(re.escape, parts)), there) is not None)


def _known(folders: SystemFolders) -> Mapping[str, str]:
    return {
        "systemroot": folders.windows,
        "windir": folders.windows,
        "systemdrive": folders.drive,
        **{name: folders.drive + path for name, path in _ON_DRIVE.items()},
    }


def _command_of(image_path: str, folders: SystemFolders) -> tuple[str, str]:
    """The program with backslashes and names expanded, and its arguments."""
    program, arguments = _split(expanded(image_path.strip(), folders))
    program = program.strip('"').replace("/", "\\").removeprefix("\\??\\")
    if program.lower().startswith("\\systemroot\\"):
        program = folders.windows + program[len("\\systemroot") :]
    return program, arguments.strip()


def _split(text: str) -> tuple[str, str]:
    """The program as it is written, with its quotes, and what follows."""
    if text.startswith('"'):
        end = text.find('"', 1) + 1 or len(text)
    else:
        # Windows tries each prefix that ends at a space; the first that names a program file is meant here.
        end = text.lower().find(".exe") + 4
        end = end if end > 3 else text.find(" ") if " " in text else len(text)
    return text[:end], text[end:]
