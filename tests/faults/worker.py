"""The pusher command over the hosts behind a socket.

    python -P -m tests.faults.worker SOCKET NAME LEASE worker --store … --name …

All is the command's own but the transport; and a lease lasts ``LEASE`` seconds, so that it can lapse within a test.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

from pusher.cli import main
from pusher.models import TransportKind
from pusher.wiring import run_resources
from pusher.worker.worker import WorkerSettings
from tests.faults.transport import SocketTransport


def put_in_place(socket: Path, name: str, lease: float) -> None:
    transports = {TransportKind.SMB: SocketTransport(socket, name)}
    patch.object(run_resources, "open_transports", lambda *_: nullcontext(transports)).start()
    settings = partial(WorkerSettings, lease=timedelta(seconds=lease), beat=lease / 6)
    patch("pusher.cli.worker.WorkerSettings", settings).start()


if __name__ == "__main__":
    _, socket, name, lease, *arguments = sys.argv
    sys.argv = ["pusher", *arguments]
    put_in_place(Path(socket), name, float(lease))
    main()
