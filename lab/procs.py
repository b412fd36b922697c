"""Finding processes of a host by what /proc says, and ending the smbd process that serves a connection.

smbd has a process for each connection. Only processes of the host's own PID namespace can be seen here.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.samba import SERVER_PORT

_ESTABLISHED = "01"
_LISTENING = "0A"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of the host, by its pid inside."""

    pid: int
    parent: int
    command: str


def processes() -> list[Process]:
    """Every process of the host."""
    found = []
    for folder in _folders():
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended meanwhile
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        found.append(Process(pid=int(folder.name), parent=int(rest.split()[1]), command=command or name))
    return found


def kill_peer(connection: socket.socket, patience: float = 2.0) -> None:
    """Kill the smbd process at the other end of a connection of ours; it may not have been forked yet."""
    port = connection.getsockname()[1]
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        if _kill_owners(_server_sockets(_ESTABLISHED, port)):
            return
        time.sleep(0.01)


def kill_all() -> int:
    """Kill every smbd process that serves a connection; returns how many there were."""
    return _kill_owners(_server_sockets(_ESTABLISHED))


def _server_sockets(state: str, client_port: int | None = None) -> set[str]:
    """The server's TCP sockets in a state, as /proc/PID/fd names them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        local, remote, inode = fields[1], fields[2], fields[9]
        if fields[3] != state or int(local.partition(":")[2], 16) != SERVER_PORT:
            continue
        if client_port is None or int(remote.partition(":")[2], 16) == client_port:
            found.add(f"socket:[{inode}]")
    return found


def _kill_owners(connections: set[str]) -> int:
    """Kill who has one of the connections open, but never smbd's first process.

    That one has a connection open until it has forked, and so has the listening socket whoever is still
    between fork and its own life; who listens is left alone.
    """
    listening = _server_sockets(_LISTENING)
    owners = []
    for folder in _folders():
        files = _open_files(folder)
        if files & connections and not files & listening:
            owners.append(int(folder.name))
    for pid in owners:
        os.kill(pid, signal.SIGKILL)
    return len(owners)


def _open_files(folder: Path) -> set[str]:
    found = set()
    with suppress(OSError):  # the process, or one of its files, has gone meanwhile
        for file in (folder / "fd").iterdir():
            with suppress(OSError):
                found.add(str(file.readlink()))
    return found


def _folders() -> list[Path]:
    return [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
