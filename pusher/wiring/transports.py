"""The transports of this process, over one pool of threads; only here are their adapters named.

What must not live here: which of them a target is reached by (``push.routes``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pusher.models import TransportKind
from pusher.transports.port import Transport
from pusher.transports.smb import SmbTransport
from pusher.transports.threaded import Pool


@contextmanager
def open_transports(
    kinds: Collection[TransportKind], threads: int, authority: Path | None, content_port: int | None = None
) -> Iterator[dict[TransportKind, Transport]]:
    """Those of ``kinds``: WinRM's libraries are loaded only where they are needed.

    ``authority``: who signs WinRM's certificates; None: this system's own list. ``content_port``: where machines pull
    large files, 0 for any; None: nothing is copied.
    """
    with ExitStack() as stack:
        pool = Pool(threads)
        stack.callback(pool.close)
        made: dict[TransportKind, Transport] = {}
        if TransportKind.SMB in kinds:
            made[TransportKind.SMB] = SmbTransport(pool)
        if TransportKind.WINRM in kinds:
            from pusher.transports.winrm.adapter import WinrmTransport
            from pusher.transports.winrm.content import ContentServer

            content = None
            if content_port is not None:
                content = ContentServer(port=content_port)
                stack.callback(content.close)
            made[TransportKind.WINRM] = WinrmTransport(pool, ca=authority, content=content)
        yield made
