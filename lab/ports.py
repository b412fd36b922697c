"""The lab's addresses and ports: bound before whoever serves there is started, and whose they are when they are taken.

Not here: which addresses a lab has (plan.py).
"""

from __future__ import annotations

import errno
import json
import socket
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from lab.host_client import LabError
from lab.plan import Addresses


def bound(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A bound socket, not listening yet."""
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address, port))
    except OSError as exc:
        made.close()
        if exc.errno == errno.EADDRINUSE:
            raise LabError(f"{address}:{port} is taken: {_who_has(address)}") from exc
        raise
    return made


def _who_has(address: str) -> str:
    """Which lab has an address, known by its DNS server's command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has ended, or has no files any more
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "lab.dns" in command:
                state = Path(command[command.index("--zone") + 1]).parent
                network = Addresses.of(json.loads((state / "lab.json").read_text(encoding="utf-8"))["network"])
                if IPv4Address(address) in network.network:
                    return f"by another lab; `python -m lab down --state {state}` ends it, --network avoids it"
    return "by a lab without its files, or by a server on every address (Debian's own ends with: systemctl stop smbd)"
