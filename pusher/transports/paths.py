"""Where a package's files go on a host, and whether two image paths name the same program. Pure.

ADMIN$ is %SystemRoot% and C$ the system drive (MS-SMB2 and Windows' defaults); a machine whose system drive is
not C: is refused ADMIN$ paths by nothing here, but ``%ProgramFiles%`` and its like would miss.
"""

from __future__ import annotations

from pusher.transports.port import RemotePath

_SHARES = {
    "%systemroot%": ("ADMIN$", ""),
    "%windir%": ("ADMIN$", ""),
    "%systemdrive%": ("C$", ""),
    "%programfiles%": ("C$", "Program Files"),
    "%programfiles(x86)%": ("C$", "Program Files (x86)"),
    "%programdata%": ("C$", "ProgramData"),
}
_FIXED = {
    "%systemroot%": "c:\\windows",
    "%windir%": "c:\\windows",
    "\\systemroot": "c:\\windows",
    "%systemdrive%": "c:",
    "%programfiles%": "c:\\program files",
    "%programfiles(x86)%": "c:\\program files (x86)",
    "%programdata%": "c:\\programdata",
}


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


def program_of(image_path: str) -> str:
    """The program of a service's image path, in one spelling: no quotes, no arguments, names expanded, lower case."""
    text = image_path.strip()
    program = text[1:].partition('"')[0] if text.startswith('"') else _unquoted_program(text)
    program = program.lower().replace("/", "\\")
    for name, folder in _FIXED.items():
        if program.startswith(name):
            return folder + program[len(name) :]
    return program


def same_program(one: str, other: str) -> bool:
    """True where both image paths start the same program, whatever their arguments."""
    return program_of(one) == program_of(other)


def _unquoted_program(text: str) -> str:
    # Windows tries each prefix that ends at a space; the first that names a program file is meant here.
    end = text.lower().find(".exe")
    return text[: end + 4] if end >= 0 else text.partition(" ")[0]
