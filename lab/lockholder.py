"""Somebody else who has a file of the host open without sharing: another pusher's lock, a running executable.

Wine's own open files mean nothing to smbd, and smbd's nothing to Wine, so a file is held twice: by a client like any
other, which runs inside the host and signs in with the lab's own account, and by a program of Wine's. Not here: when
it is wanted (host.py).
"""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from smbprotocol.connection import Connection
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from lab.samba import SERVER_PORT

_SHARED_WITH_NOBODY, _SHARED_WITH_ALL = 0x0, 0x7
_SHARING_VIOLATION = 32


class LockHolder:
    """Files of ADMIN$ held open, each until it is released or the process ends."""

    def __init__(self, user: str, password: str) -> None:
        connection = Connection(uuid.uuid4(), "127.0.0.1", SERVER_PORT)
        connection.connect()
        session = Session(connection, user, password, require_encryption=False, auth_protocol="ntlm")
        session.connect()
        self._share = TreeConnect(session, r"\\127.0.0.1\ADMIN$")
        self._share.connect()
        self._held: dict[str, Open] = {}

    def hold(self, path: str, *, delete_on_close: bool) -> None:
        """Hold a file, which is made if it is not there, as are the folders it lies in."""
        parts = path.split("\\")
        for depth in range(1, len(parts)):
            _make_folder(self._share, "\\".join(parts[:depth]))
        access, options = FilePipePrinterAccessMask.GENERIC_READ, CreateOptions.FILE_NON_DIRECTORY_FILE
        if delete_on_close:
            access |= FilePipePrinterAccessMask.DELETE
            options |= CreateOptions.FILE_DELETE_ON_CLOSE
        file = Open(self._share, path)
        file.create(
            ImpersonationLevel.Impersonation,
            access,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            _SHARED_WITH_NOBODY,
            CreateDisposition.FILE_OPEN_IF,
            options,
        )
        self._held[path] = file

    def release(self, path: str) -> None:
        self._held.pop(path).close()


class WineHolder:
    """The same files held in Wine, by a helper.exe (lab/c/helper.c) of their own."""

    def __init__(self, helper: Path, environment: Mapping[str, str]) -> None:
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            ["wine", str(helper)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
        )

    def hold(self, path: str) -> None:
        error = self._ask("file-hold", path)
        if error not in (0, _SHARING_VIOLATION):  # a program of Wine's that runs has it in use already
            raise OSError(f"Wine does not open {path}: error {error}")

    def release(self, path: str) -> None:
        self._ask("file-release", path)

    def _ask(self, verb: str, path: str) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(f"1\x1f{verb}\x1fC:\\windows\\{path}\n".encode())
            self._process.stdin.flush()
            return int(json.loads(self._process.stdout.readline().partition(b"\t")[2])["err"])


def _make_folder(share: TreeConnect, path: str) -> None:
    folder = Open(share, path)
    folder.create(
        ImpersonationLevel.Impersonation,
        DirectoryAccessMask.FILE_LIST_DIRECTORY,
        FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
        _SHARED_WITH_ALL,
        CreateDisposition.FILE_OPEN_IF,
        CreateOptions.FILE_DIRECTORY_FILE,
    )
    folder.close()
