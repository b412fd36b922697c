"""systemd is told that a worker is ready, that it beats, and that it is leaving (sd_notify(3)).

Nothing where nobody listens: a worker that was started by hand.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def tell(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """``state``: READY=1, WATCHDOG=1, STOPPING=1. Never raises: a worker is no worse for a listener that is gone."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
        speaker.setblocking(False)
        speaker.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
