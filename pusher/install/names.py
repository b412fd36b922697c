"""The names that a push gives to things on a host, and the folders it never removes. Pure."""

from __future__ import annotations

from pusher.remote.paths import RemotePath

NEW, OLD = ".pusher-new", ".pusher-old"
"""Suffixes of a file that is not yet, and no longer, in its place."""

OLDS = (OLD, f"{OLD}2")
"""Where an old file goes: the second where another process keeps an earlier one from being removed."""

STAGING = RemotePath(share="ADMIN$", path="pusher")
"""The folder of the host's locks and of what is run there. Not below Windows' Temp, where any user may make folders
and files: whoever owned this one could replace a program before it is started as the system."""

_WINDOWS_FOLDERS = frozenset(
    {
        "", "temp", "system32", "syswow64", "tasks", "inf", "fonts", "program files", "program files (x86)",
        "programdata", "windows", "users",
    }
)  # fmt: skip


def is_own_folder(folder: RemotePath) -> bool:
    """True where an empty folder may be removed with a package: never one that Windows itself brings."""
    return folder.path.lower() not in _WINDOWS_FOLDERS


def lock_path(service: str) -> RemotePath:
    """The file whose opener holds this host for ``service``."""
    return STAGING.child(f"{service}.lock")


def staging_folder(package: str) -> str:
    """The ``dest`` of the folder in which an installer's files lie while it runs; nothing else is ever in it."""
    return f"{STAGING.path}\\{package}"


def installer_log(package: str) -> str:
    """The ``dest`` of the log that Windows Installer is told to keep; no file of a package has this ending."""
    return f"{staging_folder(package)}\\msiexec.log{NEW}"
